"""The official schemas field by field, read apart from the code that is tested; payloads that fill every field."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs

from csms.protocol.vocabulary import Protocol
from tests.messages.table import TO_US

PROTOCOLS = tuple(TO_US)
EARLIER = {protocol: Protocol.V201 for protocol in PROTOCOLS if protocol == "ocpp2.1"}
"""Versions of which we promise only what an earlier one has too."""
BOTH_WAYS = "DataTransfer"
VENDORS = "customData"
"""Fields below it are the vendor's own: no part of OCPP."""
FIRST_INSTANT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
FIRST_NUMBER = 1_000_001
MARKER_LENGTH = 6

Path = tuple[str, ...]
"""The way to a field; "[]" stands for every item of a list."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field that holds a value, and its part of the schema."""

    path: Path
    part: Mapping[str, Any]

    def __str__(self) -> str:
        return ".".join(self.path).replace(".[]", "[]")


def incoming(protocol: Protocol) -> list[str]:
    """What charge points of this version send, and wait for an answer to."""
    return sorted(TO_US[protocol] & _files(protocol).keys())


def owed(protocol: Protocol, action: str) -> bool:
    """Whether we promise this message: all of 1.6 and 2.0.1, and of a later version what it shares with an earlier."""
    return protocol not in EARLIER or action in _files(EARLIER[protocol])


def outgoing(protocol: Protocol) -> list[str]:
    """What a central system sends: everything else, and DataTransfer."""
    return sorted((_files(protocol).keys() - TO_US[protocol]) | {BOTH_WAYS})


@cache
def _files(protocol: Protocol) -> dict[str, tuple[str, str]]:
    """By action: the files of its call and of its answer."""
    names = {file.name.removesuffix(".json") for file in _directory(protocol).iterdir() if file.name.endswith(".json")}
    answers = {name.removesuffix("Response") for name in names if name.endswith("Response")}
    return {each: (f"{each}Request" if f"{each}Request" in names else each, f"{each}Response") for each in answers}


def _directory(protocol: Protocol) -> Any:
    return resources.files("ocpp").joinpath("v" + protocol.removeprefix("ocpp").replace(".", ""), "schemas")


@cache
def schema(protocol: Protocol, action: str, *, answer: bool = False) -> dict[str, Any]:
    file = _directory(protocol).joinpath(f"{_files(protocol)[action][answer]}.json")
    read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
    return read


@cache
def _validator(protocol: Protocol, action: str, answer: bool) -> jsonschema_rs.Draft4Validator:
    return jsonschema_rs.Draft4Validator(schema(protocol, action, answer=answer), validate_formats=False)


def fits(protocol: Protocol, action: str, payload: Any, *, answer: bool = False) -> bool:
    return not broken_rules(protocol, action, payload, answer=answer)


def broken_rules(protocol: Protocol, action: str, payload: Any, *, answer: bool = False) -> list[tuple[str, Any]]:
    """The schema's keyword and the value that breaks it, for each that does."""
    try:
        errors = list(_validator(protocol, action, answer).iter_errors(payload))
    except (ValueError, RecursionError):
        return [("unreadable", payload)]
    return [(error.kind.name, _at(payload, error.instance_path)) for error in errors]


def _at(payload: Any, path: Any) -> Any:
    for step in path:
        payload = payload[step]
    return payload


# --- field by field --------------------------------------------------------------------------------------------------


def resolved(part: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        part = root["definitions"][part["$ref"].rsplit("/", 1)[-1]]
    return part


def leaves(protocol: Protocol, action: str, *, answer: bool = False) -> list[Leaf]:
    """Every field that we promise to understand; what stands below customData is left out."""
    root = schema(protocol, action, answer=answer)
    found = list(_leaves(root, root, ()))
    if protocol not in EARLIER:
        return found
    kept = {leaf.path for leaf in found}
    return [leaf for leaf in leaves(EARLIER[protocol], action, answer=answer) if leaf.path in kept]


def _leaves(part: Mapping[str, Any], root: Mapping[str, Any], path: Path) -> Iterator[Leaf]:
    part = resolved(part, root)
    if "items" in part:
        yield from _leaves(part["items"], root, (*path, "[]"))
    elif part.get("type") == "object" or "properties" in part:
        for name, each in part.get("properties", {}).items():
            if name != VENDORS:
                yield from _leaves(each, root, (*path, name))
    else:
        yield Leaf(path, part)


def status_words(protocol: Protocol, action: str) -> list[tuple[Path, str]]:
    """Every word of every status that an answer may carry."""
    return [
        (leaf.path, word)
        for leaf in leaves(protocol, action, answer=True)
        if leaf.path[-1].lower().endswith("status")
        for word in leaf.part.get("enum", [])
    ]


# --- payloads --------------------------------------------------------------------------------------------------------


class Filler:
    """Fills fields, each with a value that stands nowhere else: a text, a number or an instant is found again by it."""

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        """`given`: values by the name of the field."""
        self._given = given or {}
        self._numbers = itertools.count()

    def payload(self, protocol: Protocol, action: str, *, answer: bool = False, everything: bool = True) -> Any:
        """With every field, or with those that must be there."""
        root = schema(protocol, action, answer=answer)
        return self._value(root, root, "", everything=everything)

    def _value(self, part: Mapping[str, Any], root: Mapping[str, Any], name: str, *, everything: bool) -> Any:
        part = resolved(part, root)
        if name in self._given:
            return copy.deepcopy(self._given[name])
        if "items" in part:
            count = max(1, part.get("minItems", 1))
            return [self._value(part["items"], root, name, everything=everything) for _ in range(count)]
        if part.get("type") == "object" or "properties" in part:
            required = part.get("required", [])
            return {
                key: self._value(each, root, key, everything=everything)
                for key, each in part.get("properties", {}).items()
                if key in required or (everything and key != VENDORS)
            }
        return self._leaf(part, name)

    def _leaf(self, part: Mapping[str, Any], name: str) -> Any:  # noqa: PLR0911 - one for each type
        n = next(self._numbers)
        if "enum" in part:
            return part["enum"][0]
        match part.get("type"):
            case "boolean":
                return True
            case "integer" | "number" if "maximum" in part:
                return int(part["maximum"])
            case "integer" | "number":
                return FIRST_NUMBER + n
            case "string" if part.get("format") == "date-time":
                return instant(n)
            case "string" if name == "value":  # SampledValue of 1.6: a number as text
                return str(FIRST_NUMBER + n)
            case "string":
                return marker(n)[: part.get("maxLength", MARKER_LENGTH)]
            case _:
                return {"any": marker(n)}


def marker(n: int) -> str:
    """Of six letters: no word of OCPP begins so."""
    letters = ""
    for _ in range(MARKER_LENGTH - 2):
        n, letter = divmod(n, 26)
        letters = chr(ord("a") + letter) + letters
    return "zq" + letters


def instant(n: int) -> str:
    return (FIRST_INSTANT + timedelta(seconds=61 * n)).strftime("%Y-%m-%dT%H:%M:%SZ")


def others(leaf: Leaf, value: Any) -> list[Any]:  # noqa: PLR0911 - one for each type
    """Valid values for a field beside the one that it has."""
    part = leaf.part
    if "enum" in part:
        return [word for word in part["enum"] if word != value]
    match part.get("type"):
        case "boolean":
            return [not value]
        case "integer" | "number":
            return [value - 1]
        case "string" if part.get("format") == "date-time":
            return ["2026-04-01T10:00:00Z"]
        case "string" if isinstance(value, str) and value.isdigit():
            return [str(int(value) - 1)]
        case "string":
            return [value[:-1] + ("x" if value[-1:] != "x" else "y")]
        case _:
            return [{"any": "other"}]


def with_value(payload: Any, path: Path, value: Any) -> Any:
    """A copy of `payload` with the field of `path`, in every item of a list, set."""
    changed = copy.deepcopy(payload)
    _set(changed, path, value)
    return changed


def _set(target: Any, path: Path, value: Any) -> None:
    head, *rest = path
    if head == "[]":
        for number, each in enumerate(target):
            if rest:
                _set(each, tuple(rest), value)
            else:
                target[number] = value
    elif rest:
        _set(target[head], tuple(rest), value)
    else:
        target[head] = value


def value_at(payload: Any, path: Path) -> Any:
    """The value of the field of `path`, in the first item of lists."""
    for step in path:
        payload = payload[0] if step == "[]" else payload[step]
    return payload
