"""What every EVSE of a site should hold, and what of it can be told now. Pure: everything known comes in, orders come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from csms.site_limits.allocation import Key, Vehicle, allocate
from csms.site_limits.exposure import Place, Reach
from csms.site_limits.grid import SiteLimit
from csms.site_limits.orders import Order, Wish, counted, next_orders

_TOLD = frozenset({Reach.LIVE, Reach.BUSY})
"""EVSEs that follow: whatever the others may draw is out of our hands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A vehicle at an EVSE: since when its turn runs, or it waits (not `served`); what it would take."""

    session: int
    served: bool
    since: datetime
    want_a: int
    resting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`targets` are limits of vehicles that can be told; `base_a` what every EVSE may draw unheard."""

    budget: Mapping[int, int]
    base_a: int
    targets: Mapping[Key, int]
    orders: Sequence[Order]
    counted: Mapping[int, int]

    @property
    def over_a(self) -> int:
        """How much more than the budget may flow on the fullest phase; 0: none."""
        return max((self.counted.get(line, 0) - budget for line, budget in self.budget.items()), default=0)


def make_plan(
    places: Sequence[Place],
    stays: Mapping[Key, Stay],
    limit: SiteLimit,
    *,
    budget_a: int,
    now: datetime,
    pace: timedelta,
) -> Plan:
    """Room is what remains of the budget beside those who do not follow, and beside what every EVSE may draw unheard."""
    budget = dict.fromkeys(sorted(limit.lines), budget_a)
    base_a = limit.offline_a if _fits(places, limit.offline_a, budget) else 0
    room = {line: most - _outside(places, line) - _unheard(places, line, base_a) for line, most in budget.items()}
    vehicles = [
        _vehicle(place, stays[place.key], base_a, limit.min_a)
        for place in places
        if place.reach in _TOLD and place.key in stays
    ]
    targets = allocate(vehicles, room, min_a=limit.min_a, rotate=limit.rotate, now=now)
    wishes = {
        place.key: Wish(base_a=min(base_a, place.amps_max), session_a=targets.get(place.key))
        for place in places
        if place.reach in _TOLD
    }
    orders = next_orders(_by_need(places, stays), wishes, budget, min_a=limit.min_a, now=now, pace=pace)
    return Plan(budget=budget, base_a=base_a, targets=targets, orders=orders, counted=counted(places))


def _fits(places: Sequence[Place], base_a: int, budget: Mapping[int, int]) -> bool:
    return all(_outside(places, line) + _unheard(places, line, base_a) <= most for line, most in budget.items())


def _outside(places: Sequence[Place], line: int) -> int:
    return sum(place.counted_a for place in places if line in place.lines and place.reach not in _TOLD)


def _unheard(places: Sequence[Place], line: int, base_a: int) -> int:
    return sum(min(base_a, place.amps_max) for place in places if line in place.lines and place.reach in _TOLD)


def _vehicle(place: Place, stay: Stay, base_a: int, min_a: int) -> Vehicle:
    """One that rests keeps the minimum, so that it can begin again."""
    return Vehicle(
        key=place.key,
        lines=place.lines,
        want_a=min(min_a if stay.resting else stay.want_a, place.amps_max),
        allowed_a=place.allowed_a,
        since=stay.since,
        served=stay.served,
        floor_a=min(base_a, place.amps_max),
        resting=stay.resting,
    )


def _by_need(places: Sequence[Place], stays: Mapping[Key, Stay]) -> list[Place]:
    """Those who wait first, the longest wait first of all."""

    def rank(place: Place) -> tuple[bool, bool, float, Key]:
        stay = stays.get(place.key)
        if stay is None:
            return True, False, 0.0, place.key
        return False, stay.served, stay.since.timestamp(), place.key

    return sorted(places, key=rank)
