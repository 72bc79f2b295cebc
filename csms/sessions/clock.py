"""How far a charge point's clock is off, as far as that can be told from delay. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

STAMP_MIN = datetime(2015, 1, 1, tzinfo=UTC)
"""A stamp before it comes from a clock that was never set."""
STAMP_AHEAD_MAX = timedelta(minutes=5)
"""A stamp so much after its arrival comes from a wrong clock."""
_TRAVEL_MAX_S = Decimal(60)
_AGREEMENT_S = Decimal(5)
_APART = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """When a message says it was written, and when it came. `socket` None: not known, so nothing is known to be live."""

    at: datetime
    received_at: datetime
    socket: UUID | None

    @property
    def ahead_s(self) -> Decimal:
        """The clock's offset less the message's delay."""
        return Decimal((self.at - self.received_at) // timedelta(microseconds=1)) / 1_000_000


def is_plausible(at: datetime, received_at: datetime) -> bool:
    """Whether the stamp of what was received then can come from a clock that is right."""
    return STAMP_MIN <= at <= received_at + STAMP_AHEAD_MAX


def offset_s(stamps: Iterable[Stamp]) -> Decimal | None:
    """How far the clock is ahead of ours, None where nothing proves it; of several proofs the smallest.

    A delay can only take from what a stamp is ahead: one behind its arrival may have waited in a queue. It proves an
    offset if another message of the same socket, sent at another time, was behind by as much: queues do not keep pace.
    """
    proven = _proven(stamps)
    return min(proven, key=lambda each: (abs(each), each)) if proven else None


def uncertainty_s(stamps: Iterable[Stamp]) -> Decimal:
    """By how much the clock may be off from what `offset_s` says: how far the other proofs lie from it, less what may be
    travel. 0 where they agree, and where nothing is proven: then the clock is believed.
    """
    proven = _proven(stamps)
    if not proven:
        return Decimal(0)
    told = min(proven, key=lambda each: (abs(each), each))
    # A message that travelled was written up to a minute before it came: its clock may be that much further ahead.
    return max(max(each - told, told - each - _TRAVEL_MAX_S, Decimal(0)) for each in proven)


def correction(offset: Decimal | None, *, limit_s: Decimal) -> timedelta:
    """What to add to the charge point's time to have ours, in whole seconds. Small offsets are travel time."""
    if offset is None or not offset.is_finite() or abs(offset) <= limit_s:
        return timedelta()
    return -timedelta(seconds=int(offset))


def _proven(stamps: Iterable[Stamp]) -> list[Decimal]:
    """What those stamps are ahead that cannot only be late."""
    known = list(stamps)
    return [each.ahead_s for each in known if each.ahead_s >= -_TRAVEL_MAX_S or _is_live(each, known)]


def _is_live(stamp: Stamp, known: Iterable[Stamp]) -> bool:
    return stamp.socket is not None and any(
        other.socket == stamp.socket
        and abs(other.received_at - stamp.received_at) >= _APART
        and abs(other.ahead_s - stamp.ahead_s) <= _AGREEMENT_S
        for other in known
    )
