"""How far a charge point's clock is off, as far as that can be told from delay. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

STAMP_MIN = datetime(2015, 1, 1, tzinfo=UTC)
"""A stamp before it comes from a clock that was never set."""
STAMP_AHEAD_MAX = timedelta(minutes=5)
"""A stamp so much after its arrival comes from a wrong clock."""
_US = 1_000_000
_TRAVEL_MAX_US = 60 * _US
_AGREEMENT_US = 5 * _US
_APART_US = 10 * _US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CORRECTION_S_MAX = 10**12  # more than two times can be apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """When a message says it was written, and when it came. `socket` None: not known, so nothing is known to be live."""

    at: datetime
    received_at: datetime
    socket: UUID | None


class Told(NamedTuple):
    """What stamps say of a clock.

    `offset_s`: how far it is ahead of ours, None where nothing proves it; of several proofs the smallest.
    `uncertainty_s`: by how much it may be off from that: how far the other proofs lie from it, less what may be travel.
    0 where they agree, and where nothing is proven: then the clock is believed.
    """

    offset_s: Decimal | None
    uncertainty_s: Decimal


def is_plausible(at: datetime, received_at: datetime) -> bool:
    """Whether the stamp of what was received then can come from a clock that is right."""
    return STAMP_MIN <= at <= received_at + STAMP_AHEAD_MAX


def told_by(stamps: Iterable[Stamp]) -> Told:
    """What the stamps of one charge point prove.

    A delay can only take from what a stamp is ahead: one behind its arrival may have waited in a queue. It proves an
    offset if another message of the same socket, sent at another time, was behind by as much: queues do not keep pace.
    """
    proven = _proven(stamps)
    if not proven:
        return Told(offset_s=None, uncertainty_s=Decimal(0))
    told = min(proven, key=lambda each: (abs(each), each))
    # A message that travelled was written up to a minute before it came: its clock may be that much further ahead.
    doubt = max(max(proven) - told, told - min(proven) - _TRAVEL_MAX_US, 0)
    return Told(offset_s=Decimal(told) / _US, uncertainty_s=Decimal(doubt) / _US)


def correction(offset: Decimal | None, *, limit_s: Decimal) -> timedelta:
    """What to add to the charge point's time to have ours, in whole seconds. Small offsets are travel time."""
    if offset is None or not offset.is_finite() or not limit_s < abs(offset) < _CORRECTION_S_MAX:
        return timedelta()
    return -timedelta(seconds=int(offset))


class _Delay(NamedTuple):
    """By how much a message's stamp is ahead of its arrival, and when that was; in microseconds."""

    ahead: int
    received: int


def _proven(stamps: Iterable[Stamp]) -> list[int]:
    """What those stamps are ahead, in microseconds, that cannot only be late."""
    proven: list[int] = []
    sockets: dict[UUID, list[_Delay]] = defaultdict(list)
    for each in stamps:
        ahead = (each.at - each.received_at) // _MICROSECOND
        if ahead >= -_TRAVEL_MAX_US:
            proven.append(ahead)
        if each.socket is not None:
            sockets[each.socket].append(_Delay(ahead, (each.received_at - _EPOCH) // _MICROSECOND))
    for delays in sockets.values():
        proven += (ahead for ahead in _agreed(delays) if ahead < -_TRAVEL_MAX_US)
    return proven


def _agreed(delays: Iterable[_Delay]) -> Iterator[int]:
    """What was ahead by as much as another message of the same socket, received at another time.

    Charge points that come back from days offline bring thousands of stamps: they are looked at in order, with the
    earliest and the latest arrival of those that agree at hand.
    """
    row = sorted(delays)
    earliest: deque[_Delay] = deque()
    latest: deque[_Delay] = deque()
    coming = 0
    for ahead, received in row:
        while coming < len(row) and row[coming].ahead <= ahead + _AGREEMENT_US:
            new = row[coming]
            while earliest and earliest[-1].received >= new.received:
                earliest.pop()
            earliest.append(new)
            while latest and latest[-1].received <= new.received:
                latest.pop()
            latest.append(new)
            coming += 1
        for window in (earliest, latest):
            while window[0].ahead < ahead - _AGREEMENT_US:
                window.popleft()
        if max(latest[0].received - received, received - earliest[0].received) >= _APART_US:
            yield ahead
