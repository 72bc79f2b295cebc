"""Strict out: every call that leaves is checked against the schema, and a mistake names the field and the rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from csms.protocol.blocks.credentials import own_command_of
from csms.protocol.repair import INTEGER_MAX
from csms.protocol.transfer_url import problem_of
from csms.protocol.validation import violations
from csms.protocol.vocabulary import Command, Protocol

Call = tuple[str, dict[str, object]]
"""Action and payload."""
Writers = Mapping[type[Command], Callable[[Any], Call]]
"""How one version writes each command that it has; a writer raises CommandInvalid."""


class CommandInvalid(ValueError):
    """A command cannot be sent as it stands; the message names the field and the rule."""

    def __init__(self, action: str, problem: str) -> None:
        self.action = action
        self.problem = problem
        super().__init__(f"{action} cannot be sent: {problem}")


def checked_call(protocol: Protocol, action: str, payload: dict[str, object]) -> tuple[str, dict[str, object]]:
    """The call as it is, or CommandInvalid."""
    found = violations(protocol, action, payload)
    if found:
        raise CommandInvalid(action, str(found[0]))
    path = _oversized_integer(payload)
    if path:
        raise CommandInvalid(action, f"{path} exceeds the 32 bits of an OCPP integer")
    try:
        orjson.dumps(payload)
    except (TypeError, ValueError) as error:
        raise CommandInvalid(action, f"payload is not JSON ({error})") from error
    return action, payload


def require(action: str, holds: bool, problem: str) -> None:
    """CommandInvalid unless `holds`."""
    if not holds:
        raise CommandInvalid(action, problem)


def json_text(action: str, name: str, value: object) -> str:
    """A value as JSON; CommandInvalid for what JSON cannot say, infinities and NaN among it."""
    try:
        json.dumps(value, allow_nan=False)  # orjson would make them null
        return orjson.dumps(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CommandInvalid(action, f"{name} is not JSON ({error})") from error


def require_no_credential(action: str, setting: str) -> None:
    """CommandInvalid for passwords and security profiles: changed like this, nobody here would know which one counts."""
    own = own_command_of(setting)
    require(action, own is None, f"{setting[:50]} is a credential: change it with {own}")


def transfer_url(action: str, field: str, url: str) -> str:
    """A URL that a charge point can be sent to, or CommandInvalid, which does not repeat it."""
    problem = problem_of(url)
    if problem is not None:
        raise CommandInvalid(action, f"{field} {problem}")
    return url


def _oversized_integer(payload: Mapping[str, object], path: str = "") -> str | None:
    """Where a field that we fill holds an integer beyond 32 bits (`data` is the vendor's own)."""
    for name, value in payload.items():
        if name == "data":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, int) and not -INTEGER_MAX - 1 <= child <= INTEGER_MAX:
                return f"{path}{name}"
            found = _oversized_integer(child, f"{path}{name}.") if isinstance(child, Mapping) else None
            if found:
                return found
    return None
