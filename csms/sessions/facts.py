"""What a session is folded from: stored facts, in the one vocabulary. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from csms.evidence.law import MeasuringLaw
from csms.protocol.vocabulary import ChargingEvent, Reading, TokenStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """A charging event as it was committed. `linked`: an orphan that was paired with this session later."""

    event: ChargingEvent
    received_at: datetime
    linked: bool = False


class StoredReading(NamedTuple):
    """A reading and what carried it: `started`, `updated` or `ended` event, or `meter_values`.

    `transaction` is as sent, None where the message gave none; then only EVSE and time tie it to the session.
    """

    reading: Reading
    carried_by: str
    received_at: datetime
    transaction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStatus:
    """A status of the session's connector or of its whole EVSE. `at` None: the charge point gave no time."""

    status: str
    at: datetime | None
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSpan:
    """A span in which a socket of the charge point was up; `until` None: it still is."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What the charge point kept for this session's driver: from its Accepted to the agreed end, or until we took it back,
    by our clock. `used` False: nobody came.
    """

    since: datetime
    until: datetime
    used: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An accepted reservation whose time has run out: kept for `token` from `since` to `until`, by our clock.

    `used_by` is the session that named it, heard of after all; `why_not` says why else nobody owes anything for it.
    """

    reservation: int
    token: str
    since: datetime
    until: datetime
    used_by: int | None = None
    why_not: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """The session before or after on the same EVSE, as far as rules look at it. `heard_at`: when we first heard of it.

    `has_facts`: it has the same start, and a stop or readings of its own.
    """

    id: int
    token: str | None
    started_at: datetime | None
    ended_at: datetime | None
    register_begin_wh: Decimal | None
    register_end_wh: Decimal | None
    heard_at: datetime
    has_facts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All that the fold and the gate look at beside the session's own facts.

    `token_status` is the token's state at the session's start. `queue_empty`: GetTransactionStatus said
    messagesInQueue = false after Ended; `still_ongoing` False: it said ongoingIndicator = false.
    `max_power_w` None: not told, the policy decides. `held_by_ingest` are holds that only the moment of arrival could
    see (start_ambiguous, quarantined). `law` None: its site sold under no profile of measuring law when it began.
    """

    current: str
    max_power_w: Decimal | None
    token_status: TokenStatus | None
    statuses: tuple[StoredStatus, ...] = ()
    online: tuple[OnlineSpan, ...] = ()
    previous: Neighbour | None = None
    following: Neighbour | None = None
    queue_empty: bool = False
    still_ongoing: bool | None = None
    clock_offset_s: Decimal | None = None
    clock_uncertainty_s: Decimal = Decimal(0)
    reserved: Reserved | None = None
    held_by_ingest: frozenset[str] = frozenset()
    law: MeasuringLaw | None = None
