"""Which frames tell of one transaction: its own messages, what was read on its EVSE meanwhile, and the answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ACTIONS = ("StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent")
_CALL, _RESULT, _ERROR = 2, 3, 4
_CALL_LENGTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame as it was kept; `socket` tells message ids of different connections apart."""

    direction: str
    body: str
    socket: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The transaction whose frames are wanted, by its id as the charge point knows it."""

    transaction: str
    evse: int | None


def of_transaction(frames: Sequence[Frame], told: Told) -> list[Frame]:
    """In the order in which they came. Of others' transactions there is nothing among them: they name other drivers."""
    read = [(frame, _message(frame.body)) for frame in frames]
    answers = {
        (frame.socket, message[1]): message
        for frame, message in read
        if frame.direction == "out" and message is not None and message[0] in {_RESULT, _ERROR}
    }
    wanted = {
        (frame.socket, message[1])
        for frame, message in read
        if frame.direction == "in"
        and message is not None
        and message[0] == _CALL
        and _is_of(message, answers.get((frame.socket, message[1])), told)
    }
    return [
        frame
        for frame, message in read
        if message is not None
        and (frame.socket, message[1]) in wanted
        and (message[0] == _CALL) is (frame.direction == "in")
    ]


def _message(body: str) -> list[Any] | None:
    """[kind, id, ...], None where the frame is no OCPP-J message that could be read."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    is_message = isinstance(found, list) and len(found) > 2 and isinstance(found[1], str)  # noqa: PLR2004
    return found if is_message else None


def _is_of(call: Sequence[Any], answer: Sequence[Any] | None, told: Told) -> bool:
    if len(call) < _CALL_LENGTH or call[2] not in ACTIONS or not isinstance(call[3], dict):
        return False
    payload: Mapping[str, Any] = call[3]
    if call[2] == "StartTransaction":
        given = answer[2] if answer is not None and answer[0] == _RESULT else None
        return isinstance(given, dict) and _names(given.get("transactionId"), told)
    info = payload.get("transactionInfo")
    named = info.get("transactionId") if isinstance(info, dict) else payload.get("transactionId")
    if named is not None:
        return _names(named, told)
    place = payload.get("connectorId", payload.get("evseId"))
    return call[2] == "MeterValues" and told.evse is not None and place == told.evse


def _names(named: object, told: Told) -> bool:
    return not isinstance(named, bool) and isinstance(named, int | str) and str(named) == told.transaction


def as_lines(frames: Iterable[Frame]) -> str:
    """One JSON object a line: when it came, which way, and the frame as a text, byte for byte."""
    return "".join(
        json.dumps(
            {"received_at": frame.received_at.isoformat(), "direction": frame.direction, "frame": frame.body},
            ensure_ascii=False,
        )
        + "\n"
        for frame in frames
    )
