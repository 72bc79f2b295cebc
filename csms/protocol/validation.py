"""Payloads against the official OCPP schemas, and the error code that each version has for what is wrong.

Decides nothing: whether a violation is repaired or refused is the translator's business.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs

from csms.protocol.quirks import Quirk
from csms.protocol.vocabulary import Protocol

DESCRIPTION_LENGTH_MAX = 255  # OCPP-J, errorDescription


class Fault(Enum):
    """What is wrong with a call, in no version's words; earlier ones are reported first."""

    STRUCTURE = auto()  # the payload is no object
    MISSING = auto()
    TYPE = auto()
    OCCURRENCE = auto()
    PROPERTY = auto()
    UNKNOWN_PROPERTY = auto()
    UNKNOWN_ACTION = auto()
    UNSUPPORTED_ACTION = auto()


# OCPP-J 1.6 section 4.2.3 with the errata 5.1 and 5.2: the misspelt names are the valid ones. A missing field is an
# "incomplete" payload there (ProtocolError); 2.0.1 Part 4 section 4.3 has a code for it.
ERROR_CODES: dict[Protocol, dict[Fault, str]] = {
    Protocol.V16: {
        Fault.STRUCTURE: "FormationViolation",
        Fault.MISSING: "ProtocolError",
        Fault.TYPE: "TypeConstraintViolation",
        Fault.OCCURRENCE: "OccurenceConstraintViolation",
        Fault.PROPERTY: "PropertyConstraintViolation",
        Fault.UNKNOWN_PROPERTY: "FormationViolation",
        Fault.UNKNOWN_ACTION: "NotImplemented",
        Fault.UNSUPPORTED_ACTION: "NotSupported",
    },
    Protocol.V201: {
        Fault.STRUCTURE: "FormatViolation",
        Fault.MISSING: "OccurrenceConstraintViolation",
        Fault.TYPE: "TypeConstraintViolation",
        Fault.OCCURRENCE: "OccurrenceConstraintViolation",
        Fault.PROPERTY: "PropertyConstraintViolation",
        Fault.UNKNOWN_PROPERTY: "FormatViolation",
        Fault.UNKNOWN_ACTION: "NotImplemented",
        Fault.UNSUPPORTED_ACTION: "NotSupported",
    },
}
ERROR_CODES[Protocol.V21] = ERROR_CODES[Protocol.V201]  # OCPP 2.1 Part 4 section 4.3 has the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A call that is answered with a CALLERROR; `code` is spelt as the version spells it."""

    code: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One deviation from the schema: what, where (`meterValue.0.timestamp`), and its class as a quirk."""

    fault: Fault
    path: str
    problem: str
    quirk: Quirk

    def __str__(self) -> str:
        return f"{self.path or 'payload'} {self.problem}"


_DIRECTORIES = {
    Protocol.V16: ("v16", ""),
    Protocol.V201: ("v201", "Request"),
    Protocol.V21: ("v21", "Request"),
}
# OCPP 2.1: told in a SEND, which nobody answers (Part 4 section 4.2.5); its schema is neither request nor response.
SENDS: dict[Protocol, frozenset[str]] = {
    Protocol.V16: frozenset(),
    Protocol.V201: frozenset(),
    Protocol.V21: frozenset({"NotifyPeriodicEventStream"}),
}
_KINDS: dict[str, tuple[Fault, Quirk]] = {
    "required": (Fault.MISSING, Quirk.MISSING_FIELD),
    "type": (Fault.TYPE, Quirk.WRONG_TYPE),
    "minItems": (Fault.OCCURRENCE, Quirk.LIST_LENGTH),
    "maxItems": (Fault.OCCURRENCE, Quirk.LIST_LENGTH),
    "additionalProperties": (Fault.UNKNOWN_PROPERTY, Quirk.UNKNOWN_PROPERTY),
    "enum": (Fault.PROPERTY, Quirk.UNKNOWN_ENUM),
    "maxLength": (Fault.PROPERTY, Quirk.TEXT_TOO_LONG),
}


def read_schemas() -> None:
    """Have the texts of all schemas at hand: a message whose schema cannot be read fails, and files to open may run out."""
    for protocol in Protocol:
        _texts(protocol)


@cache
def _texts(protocol: Protocol) -> dict[str, str]:
    """Every schema of the version, by the name of its file without `.json`."""
    directory = resources.files("ocpp").joinpath(_DIRECTORIES[protocol][0], "schemas")
    return {
        file.name.removesuffix(".json"): file.read_text(encoding="utf-8-sig")
        for file in directory.iterdir()
        if file.name.endswith(".json")
    }


@cache
def actions(protocol: Protocol) -> frozenset[str]:
    """Every action that the version knows as a CALL, in either direction."""
    suffix = _DIRECTORIES[protocol][1]
    return frozenset(
        name.removesuffix(suffix)
        for name in _texts(protocol)
        if not name.endswith("Response") and name.endswith(suffix)
    )


@cache
def validator(protocol: Protocol, action: str, *, response: bool = False) -> jsonschema_rs.Draft4Validator:
    """The compiled schema of a CALL, or of its CALLRESULT. Compiled once, about a millisecond."""
    suffix = "Response" if response else _DIRECTORIES[protocol][1]
    schema = json.loads(_texts(protocol)[f"{action}{suffix}"])
    # Formats off: stations send times without zone, which times.py reads.
    return jsonschema_rs.Draft4Validator(schema, validate_formats=False)


def is_valid(protocol: Protocol, action: str, payload: object, *, response: bool = False) -> bool:
    try:
        return validator(protocol, action, response=response).is_valid(payload)
    except (ValueError, RecursionError):  # half a surrogate pair, or nested beyond what a schema could describe
        return False


def violations(protocol: Protocol, action: str, payload: object, *, response: bool = False) -> list[Violation]:
    """Every deviation from the schema, the gravest class first; empty if valid."""
    if is_valid(protocol, action, payload, response=response):
        return []
    try:
        errors = list(validator(protocol, action, response=response).iter_errors(payload))
    except (ValueError, RecursionError):
        errors = []
    if not errors:  # the validator itself gave up
        problem = "holds text that is not Unicode, or is nested too deep"
        return [Violation(fault=Fault.PROPERTY, path="", problem=problem, quirk=Quirk.TEXT_UNSTORABLE)]
    return sorted((_violation(error, payload) for error in errors), key=lambda violation: violation.fault.value)


def refuse(protocol: Protocol, fault: Fault, description: str) -> Refusal:
    return Refusal(code=ERROR_CODES[protocol][fault], description=description[:DESCRIPTION_LENGTH_MAX])


def refusal(protocol: Protocol, found: Sequence[Violation]) -> Refusal:
    """The CALLERROR for the gravest violation. It names the field and the rule, never the value sent."""
    return refuse(protocol, found[0].fault, str(found[0]))


def _violation(error: jsonschema_rs.ValidationError, payload: object) -> Violation:
    kind = error.kind.name
    fault, quirk = _KINDS.get(kind, (Fault.PROPERTY, Quirk.VALUE_RANGE))
    path = list(error.instance_path)
    if kind == "type" and not path:
        fault = Fault.STRUCTURE
    elif kind == "type" and _is_unbounded(_at(payload, path)):
        fault, quirk = Fault.PROPERTY, Quirk.VALUE_RANGE
    details: dict[str, Any] = error.kind.as_dict()
    if kind == "required":
        path, problem = [*path, details["property"]], "is required"
    elif kind == "maxLength":
        problem = f"is longer than {details['limit']} characters"
    elif kind == "type":
        problem = f"is not of type {', '.join(details['types'])}"
    elif kind == "additionalProperties":
        problem = "has a property that the schema does not know"
    elif kind == "enum":
        problem = "is none of the words of the schema"
    else:
        problem = f"breaks the rule {kind}"
    return Violation(fault=fault, path=".".join(str(step)[:50] for step in path), problem=problem, quirk=quirk)


def _at(payload: object, path: Sequence[str | int]) -> object:
    value: Any = payload
    for step in path:
        value = value[step]
    return value


def _is_unbounded(value: object) -> bool:
    """NaN and Infinity: JSON has no such numbers, yet some parsers pass them."""
    return isinstance(value, float) and not math.isfinite(value)
