"""The official OCPP schemas out of the `ocpp` package: valid samples of any message, and systematic ways to break them."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jsonschema_rs import Draft4Validator

VERSIONS = {"ocpp1.6": "1.6", "ocpp2.0.1": "2.0.1", "ocpp2.1": "2.1"}
INSTANT = "2026-03-02T08:00:00Z"
WELCOME = ("Accepted", "Available", "Unlocked", "Idle")  # preferred where an enum offers them
DEPTH_MAX = 12

# What a charge point of each version may send.
FROM_CHARGE_POINT = {
    "ocpp1.6": (
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    ),
    "ocpp2.0.1": (
        "Authorize",
        "BootNotification",
        "ClearedChargingLimit",
        "DataTransfer",
        "FirmwareStatusNotification",
        "Get15118EVCertificate",
        "GetCertificateStatus",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "NotifyChargingLimit",
        "NotifyCustomerInformation",
        "NotifyDisplayMessages",
        "NotifyEVChargingNeeds",
        "NotifyEVChargingSchedule",
        "NotifyEvent",
        "NotifyMonitoringReport",
        "NotifyReport",
        "PublishFirmwareStatusNotification",
        "ReportChargingProfiles",
        "ReservationStatusUpdate",
        "SecurityEventNotification",
        "SignCertificate",
        "StatusNotification",
        "TransactionEvent",
    ),
}
FROM_CHARGE_POINT["ocpp2.1"] = FROM_CHARGE_POINT["ocpp2.0.1"]
# Messages whose loss costs money: they are never answered with an error.
TRANSACTION_ACTIONS = {"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"}


@functools.cache
def schema(protocol: str, action: str, *, response: bool) -> dict[str, Any] | None:
    """The schema, or None for an action that the version does not know."""
    # Read by ourselves: the package keeps whatever was read first for everybody, with floats where it needs decimals.
    version = VERSIONS[protocol]
    suffix = "Response" if response else "" if version == "1.6" else "Request"
    file = resources.files("ocpp") / f"v{version.replace('.', '')}" / "schemas" / f"{action}{suffix}.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError:
        return None
    return found


@functools.cache
def _validator(protocol: str, action: str, *, response: bool) -> Draft4Validator:
    found = schema(protocol, action, response=response)
    if found is None:
        raise ValueError(f"{protocol} knows no {action}")
    return Draft4Validator(found)


def is_valid(protocol: str, action: str, payload: Any, *, response: bool) -> bool:
    """Whether a payload fits its schema."""
    return bool(_validator(protocol, action, response=response).is_valid(payload))


def reply(protocol: str, action: str) -> dict[str, Any] | None:
    """A small valid answer to a CALL; None for an unknown action."""
    found = schema(protocol, action, response=True)
    return None if found is None else sample(found)


def request(protocol: str, action: str, *, full: bool = False) -> dict[str, Any]:
    """A valid CALL payload; ``full`` fills the optional fields of the top level too."""
    found = schema(protocol, action, response=False)
    if found is None:
        raise ValueError(f"{protocol} knows no {action}")
    return sample(found, full=full)


def sample(root: dict[str, Any], *, full: bool = False) -> dict[str, Any]:
    """A valid object of a schema."""
    built: dict[str, Any] = _object(root, root, full=full, depth=0)
    return built


def _value(part: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    part = resolve(part, root)
    if "enum" in part:
        return next((word for word in WELCOME if word in part["enum"]), part["enum"][0])
    match part.get("type"):
        case "object":
            made: Any = _object(part, root, full=False, depth=depth + 1)
        case "array":
            made = [_value(part["items"], root, depth + 1) for _ in range(part.get("minItems", 1))]
        case "integer":
            made = int(part.get("minimum", 1))  # 2.1 writes the limits of integers as 0.0
        case "number":
            made = part.get("minimum", 1)
        case "boolean":
            made = False
        case "string" if part.get("format") == "date-time":
            made = INSTANT
        case _:
            made = "x" * max(1, part.get("minLength", 1))
    return made


def _object(part: dict[str, Any], root: dict[str, Any], *, full: bool, depth: int) -> dict[str, Any]:
    assert depth <= DEPTH_MAX, "a schema without end"
    properties: dict[str, Any] = part.get("properties", {})
    required = set(part.get("required", []))
    return {
        name: _value(each, root, depth)
        for name, each in properties.items()
        if name in required or (full and name != "customData")
    }


def resolve(part: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow ``$ref``."""
    while "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[-1]
        part = root["definitions"][name]
    return part


@dataclass(frozen=True, slots=True)
class Broken:
    """A payload that does not fit its schema, and how it was broken."""

    how: str
    payload: Any


def broken(protocol: str, action: str) -> Iterator[Broken]:
    """Payloads of an action, each broken in one way; deterministic."""
    root = schema(protocol, action, response=False)
    if root is None:
        raise ValueError(f"{protocol} knows no {action}")
    good = request(protocol, action, full=True)
    for name in root.get("required", []):
        yield Broken(f"without {name}", {key: value for key, value in good.items() if key != name})
    for name, each in root.get("properties", {}).items():
        if name == "customData":
            continue
        part = resolve(each, root)
        if "type" not in part:
            continue  # anything goes
        yield Broken(f"{name} of a wrong type", good | {name: _wrong(part)})
        if "enum" in part:
            yield Broken(f"{name} outside its enum", good | {name: "Sideways"})
        if "maxLength" in part:
            yield Broken(f"{name} too long", good | {name: "x" * (part["maxLength"] + 1)})
        yield Broken(f"{name} null", good | {name: None})
    yield Broken("an unknown field", good | {"surprise": 1})
    yield from (Broken(f"payload is {kind}", payload) for kind, payload in NO_OBJECTS)


NO_OBJECTS: tuple[tuple[str, Any], ...] = (("a list", []), ("text", "x"), ("null", None))


def _wrong(part: dict[str, Any]) -> Any:
    match part.get("type"):
        case "string":
            return 12
        case "array":
            return {"not": "a list"}
        case "object":
            return ["not an object"]
        case _:
            return "not a number"
