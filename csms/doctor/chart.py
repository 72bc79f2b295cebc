"""All that the doctor looks at: what is kept of one charge point, as values. Pure; rules read it, nothing changes it.

The messages are the newest that are kept, so that what they show is true of them, not of all times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from csms.charge_points.charge_point import ChargePoint
from csms.protocol import frames
from csms.protocol.salvage import salvage
from csms.protocol.times import parse_time

CALL, RESULT, ERROR = frames.CALL, frames.CALL_RESULT, frames.CALL_ERROR
UNREADABLE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One kept frame. `kind` is its message type, 0 where that could not be read; `action` also stands on answers."""

    at: datetime
    is_theirs: bool
    kind: int
    id: str
    action: str | None
    payload: Mapping[str, Any]
    body: str
    socket: UUID | None = None

    @property
    def content(self) -> tuple[str | None, str]:
        """What makes it the same message, whatever its id: all behind the action."""
        return self.action, frames.encode_result("", dict(self.payload))


def read_message(
    body: str, *, at: datetime, is_theirs: bool, action: str | None, socket: UUID | None = None
) -> Message:
    """A frame as it was kept; one that is broken is read as far as it goes."""
    kind, id_, payload = UNREADABLE, "", {}
    match frames.parse(body):
        case frames.Call() as call:
            kind, id_, action, payload = CALL, call.id, call.action, call.payload
        case frames.CallResult() as answer:
            kind, id_, payload = RESULT, answer.id, answer.payload
        case frames.CallError() as error:
            kind, id_, payload = ERROR, error.id, {"code": error.code}
        case frames.Broken() as broken:
            kind, id_, action, payload = UNREADABLE, broken.id, broken.action or action, salvage(body)
        case _:
            pass
    return Message(
        at=at,
        is_theirs=is_theirs,
        kind=kind,
        id=id_,
        action=action,
        payload=payload if isinstance(payload, dict) else {},
        body=body,
        socket=socket,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """One connection; `closed_at` None: it is open."""

    id: UUID
    protocol: str
    remote: str | None
    opened_at: datetime
    closed_at: datetime | None = None
    close_code: int | None = None

    def __str__(self) -> str:
        ended = "open" if self.closed_at is None else f"to {self.closed_at:%H:%M:%S}, {self.close_code}"
        return f"{self.opened_at:%Y-%m-%d %H:%M:%S} {ended}, {self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSeen:
    """One session as folded; `rules` are names of the review's findings with their evidence, released ones included."""

    id: int
    transaction: str
    started_at: datetime | None
    ended_at: datetime | None
    register_begin_wh: Any
    register_end_wh: Any
    rules: Mapping[str, str]
    heard_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A frame that was put aside: `what` is the reason, or the transaction id of an orphan."""

    at: datetime
    what: str
    frame: str | None = None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Messages, sockets and sessions are in the order in which they came."""

    charge_point: ChargePoint
    now: datetime
    heartbeat_interval_s: int = 300
    wants_signed_data: bool = False
    messages: tuple[Message, ...] = ()
    sockets: tuple[Socket, ...] = ()
    sessions: tuple[SessionSeen, ...] = ()
    orphans: tuple[Kept, ...] = ()
    quarantine: tuple[Kept, ...] = ()
    settings: Mapping[str, str | None] = field(default_factory=dict)
    template: tuple[tuple[str, str, str], ...] = ()

    @cached_property
    def calls(self) -> tuple[Message, ...]:
        """What the charge point told, broken frames included."""
        return tuple(each for each in self.messages if each.is_theirs and each.kind in {CALL, UNREADABLE})

    @cached_property
    def answers(self) -> tuple[Message, ...]:
        """What the charge point answered."""
        return tuple(each for each in self.messages if each.is_theirs and each.kind == RESULT)

    @cached_property
    def ours(self) -> tuple[Message, ...]:
        """What we said, calls and answers."""
        return tuple(each for each in self.messages if not each.is_theirs)

    def told(self, *actions: str) -> list[Message]:
        """The charge point's calls of some kinds."""
        return [each for each in self.calls if each.action in actions]

    def time(self, message: Message, name: str = "timestamp") -> datetime | None:
        """A time in a message, as the translators read it."""
        return self.read_time(message.payload.get(name))

    def read_time(self, value: object) -> datetime | None:
        return None if value is None else parse_time(value, set(), zone=self.charge_point.time_zone)

    @cached_property
    def given(self) -> dict[str, str]:
        """The transaction id that we gave to each StartTransaction (1.6), by the id of its message and socket."""
        return {
            f"{each.socket} {each.id}": str(each.payload.get("transactionId"))
            for each in self.ours
            if each.kind == RESULT and each.action == "StartTransaction"
        }

    def transaction_of(self, start: Message) -> str | None:
        return self.given.get(f"{start.socket} {start.id}")

    def samples(self) -> Iterator[tuple[Message, Mapping[str, Any], list[Mapping[str, Any]]]]:
        """Every meterValue element that was told: its message, itself, and its samples."""
        for message in self.told("MeterValues", "StopTransaction", "TransactionEvent"):
            name = "transactionData" if message.action == "StopTransaction" else "meterValue"
            for element in _objects(message.payload.get(name)):
                yield message, element, _objects(element.get("sampledValue"))


def _objects(value: object) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a rule found: the words that an operator reads, how often and when, and the frame that shows it."""

    evidence: str
    frame: str
    count: int
    first_at: datetime
    last_at: datetime


def found(messages: list[Message], evidence: str, *, proof: Message | None = None) -> Found | None:
    """Of these messages, None if there are none; the newest is the proof unless another one is named."""
    if not messages:
        return None
    shown = proof or messages[-1]
    return Found(
        evidence=evidence,
        frame=shown.body,
        count=len(messages),
        first_at=messages[0].at,
        last_at=messages[-1].at,
    )


def many(things: Sized, word: str) -> str:
    """So many of them, in words: 1 message, 2 messages."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def seconds(span: timedelta) -> int:
    return round(span.total_seconds())
