"""Builders of facts, valid by default: what a charge point of either version would have had stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from csms.protocol.vocabulary import ChargingEvent, ChargingState, EventKind, Reading, Sample, TokenStatus
from csms.sessions.facts import Neighbour, OnlineSpan, StoredEvent, StoredReading, StoredStatus, Surroundings
from csms.sessions.fold import fold
from csms.sessions.policy import ReviewPolicy
from csms.sessions.session import Session

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
POLICY = ReviewPolicy()
DRIVER = "DEMO-1"
STATES_OF_16 = {
    ChargingState.EV_CONNECTED: "Preparing",
    ChargingState.CHARGING: "Charging",
    ChargingState.SUSPENDED_EV: "SuspendedEV",
    ChargingState.SUSPENDED_EVSE: "SuspendedEVSE",
}


def at(minutes: float = 0, *, seconds: float = 0) -> datetime:
    return NOON + timedelta(minutes=minutes, seconds=seconds)


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def key(*content: object) -> bytes:
    return hashlib.sha256(repr(content).encode()).digest()


def register(wh: object, **more: Any) -> Sample:
    return Sample(value=Decimal(str(wh)), **more)


def power(watts: object, **more: Any) -> Sample:
    return Sample(value=Decimal(str(watts)), measurand="Power.Active.Import", unit="W", **more)


def reading(
    when: datetime,
    *samples: Sample,
    by: str = "meter_values",
    received: datetime | None = None,
    transaction: str | None = "7",
) -> StoredReading:
    return StoredReading(
        reading=Reading(at=when, samples=samples, key=key(when, sorted(samples, key=repr))),
        carried_by=by,
        received_at=received or when,
        transaction=transaction,
    )


def event(kind: EventKind, when: datetime, *, received: datetime | None = None, **more: Any) -> StoredEvent:
    content = {name: value for name, value in more.items() if name != "offline"}
    return StoredEvent(
        event=ChargingEvent(kind=kind, at=when, key=key(kind, when, sorted(content.items())), **more),
        received_at=received or when,
    )


def start(wh: object = 1000, when: datetime = NOON, *, token: str | None = DRIVER, **more: Any) -> StoredEvent:
    """A 1.6 StartTransaction on connector 1."""
    return event(EventKind.STARTED, when, evse=1, connector=1, token=token, register_wh=Decimal(str(wh)), **more)


def stop(wh: object, when: datetime, **more: Any) -> StoredEvent:
    """A 1.6 StopTransaction."""
    return event(EventKind.ENDED, when, transaction="7", register_wh=Decimal(str(wh)), **more)


def started(seq_no: int = 0, when: datetime = NOON, *, token: str | None = DRIVER, **more: Any) -> StoredEvent:
    """A 2.x Started with token, EVSE and vehicle."""
    more.setdefault("charging_state", ChargingState.EV_CONNECTED)
    more = {"evse": 1, "connector": 1, "transaction": "t-1"} | more
    return event(EventKind.STARTED, when, seq_no=seq_no, token=token, **more)


def updated(seq_no: int, when: datetime, **more: Any) -> StoredEvent:
    return event(EventKind.UPDATED, when, transaction="t-1", seq_no=seq_no, **more)


def ended(seq_no: int, when: datetime, **more: Any) -> StoredEvent:
    return event(EventKind.ENDED, when, transaction="t-1", seq_no=seq_no, **more)


def status(word: str, when: datetime | None, *, received: datetime | None = None) -> StoredStatus:
    moment = received or when
    assert moment is not None
    return StoredStatus(status=word, at=when, received_at=moment)


def neighbour(**more: Any) -> Neighbour:
    given: dict[str, Any] = {
        "id": 99,
        "token": "DEMO-2",
        "started_at": None,
        "ended_at": None,
        "register_begin_wh": None,
        "register_end_wh": None,
        "heard_at": NOON,
    }
    return Neighbour(**(given | more))


def around(**more: Any) -> Surroundings:
    given: dict[str, Any] = {
        "current": "AC",
        "max_power_w": Decimal(22_000),
        "token_status": TokenStatus.ACCEPTED,
        "online": (OnlineSpan(since=NOON - timedelta(days=900), until=None),),
    }
    return Surroundings(**(given | more))


def folded(
    events: Sequence[StoredEvent],
    readings: Iterable[StoredReading] = (),
    surroundings: Surroundings | None = None,
    *,
    now: datetime = NOON + timedelta(hours=3),
    policy: ReviewPolicy = POLICY,
) -> Session:
    return fold(
        7,
        events,
        list(readings),
        around() if surroundings is None else surroundings,
        policy,
        now=now,
        site_time_zone="Europe/Berlin",
    )


def told(session: Session) -> Session:
    """The session without what may differ between versions that tell the same story."""
    return replace(session, transaction=None, inputs_hash=b"", completeness=None, complete_at=None, stopped_reason=None)
