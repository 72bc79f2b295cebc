"""Is this event a repeat, and which session does it belong to? Rules 1-6 of identity, decided purely."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from csms.protocol.vocabulary import ChargingEvent, EventKind

CLOCK_SET_YEAR = 2015  # a stamp before it comes from a clock that was never set


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierEvent:
    """An event with the same content key that is stored already; `stopped_at`: when the stop of its session came."""

    occurrence: int
    session: int | None
    stopped_at: datetime | None
    answer: dict[str, Any]
    total_cost: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSession:
    """The newest generation of a transaction id."""

    id: int
    generation: int
    started_at: datetime | None
    ended: bool


def gives_transaction_id(event: ChargingEvent) -> bool:
    """OCPP 1.6 starts ask us for the id; every other event brings one."""
    return event.kind is EventKind.STARTED and event.transaction is None


def is_repeat(event: ChargingEvent, earlier: EarlierEvent) -> bool:
    """The same content is the same event - but for a 1.6 start whose twin has been stopped.

    Such a start is a repeat only if its stamp can be the twin's: from a clock that was set, and not after the stop came.
    A clock reset to 1970 and a register per session give equal starts for different drivers.
    """
    if not gives_transaction_id(event) or earlier.stopped_at is None:
        return True
    return event.at.year >= CLOCK_SET_YEAR and event.at <= earlier.stopped_at


def reuses_id(event: ChargingEvent, known: KnownSession) -> bool:
    """A Started at another time, for a transaction id that has ended, is another session (OCPP 2.0.1 E01.FR.08 broken)."""
    return (
        event.kind is EventKind.STARTED
        and known.ended
        and known.started_at is not None
        and known.started_at != event.at
    )


def opens_session(event: ChargingEvent) -> bool:
    """Whether an event of an unknown transaction opens its session.

    2.x events do, in whatever order they come. A 1.6 stop does not: its id is one that we never gave, so it is an
    orphan, to be paired by meter and time.
    """
    return event.seq_no is not None and event.transaction is not None


def tells_driver(event: ChargingEvent) -> bool:
    """Whether somebody who has just presented a token reads the answer to this 2.x event."""
    return (
        event.seq_no is not None and event.token is not None and event.kind is not EventKind.ENDED and not event.offline
    )
