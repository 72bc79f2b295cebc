"""What measuring law has against a rating: kWh divided where no meter was read, time that no meter measured (RULES.md 23)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from billing.rating.matching import Phase
from billing.rating.rating import Rating, Segment
from billing.tariffs.tariff import Dimension

PRICE_CUT: Final = "evidence_price_cut"
"""The price per kWh changed at an instant of which there is no signed reading."""
TIME_UNPROVEN: Final = "evidence_time"
"""Time costs something, and the meter is not approved for time."""
AT_THE_CUT: Final = timedelta(seconds=1)
"""Charge points write whole seconds."""
_TIMES: Final = frozenset({Dimension.TIME, Dimension.PARKING_TIME, Dimension.OCCUPANCY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a session that ended under measuring law can prove: instants of signed readings, and whether time, too."""

    readings: tuple[datetime, ...] = ()
    measures_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why the rating cannot be billed; `reason` is a hold."""

    reason: str
    why: str


def objection(rating: Rating, measured: Measured | None) -> Objection | None:
    """What stands against billing this, None where nothing does or no such law holds. What costs nothing sells nothing."""
    if measured is None or not rating.total_incl.minor:
        return None
    return _unproven_cut(rating.segments, measured.readings) or _unproven_time(rating.segments, measured)


def _unproven_cut(segments: Sequence[Segment], readings: Sequence[datetime]) -> Objection | None:
    energy = sorted(
        (
            each
            for each in segments
            if each.phase is Phase.SESSION and each.dimension is Dimension.ENERGY and each.quantity_used
        ),
        key=lambda each: each.start,
    )
    for before, after in pairwise(energy):
        if before.unit_price != after.unit_price and not _is_read(after.start, readings):
            why = (
                f"the price per kWh changes from {before.unit_price or 0} to {after.unit_price or 0} at"
                f" {after.start.isoformat()}, and the meter signed no reading then"
            )
            return Objection(reason=PRICE_CUT, why=why)
    return None


def _is_read(at: datetime, readings: Sequence[datetime]) -> bool:
    ordered = sorted(readings)
    index = bisect_left(ordered, at - AT_THE_CUT)
    return index < len(ordered) and ordered[index] <= at + AT_THE_CUT


def _unproven_time(segments: Sequence[Segment], measured: Measured) -> Objection | None:
    """What was kept for a driver before the session is no measured time: nobody was charging."""
    if measured.measures_time:
        return None
    found = next(
        (each for each in segments if each.phase is Phase.SESSION and each.dimension in _TIMES and each.excl_tax), None
    )
    if found is None:
        return None
    return Objection(
        reason=TIME_UNPROVEN, why=f"{found.dimension.value} is priced, and the meter is not registered as one for time"
    )
