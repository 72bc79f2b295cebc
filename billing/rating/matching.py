"""Which component prices a dimension at one moment (OCPI mod_tariffs: the first element that matches wins)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billing.tariffs.tariff import Component, Dimension, ReservationKind, Restrictions, Tariff

MICRO: Final = 1_000_000
"""Quantities are integers of a millionth of their unit: µWh, µs."""
MICRO_PER_KWH: Final = 1_000 * MICRO
MIDNIGHT: Final = time(0)


class Phase(StrEnum):
    """Reservation elements price the reservation, all others the session; neither the other."""

    RESERVATION = "reservation"
    RESERVATION_EXPIRED = "reservation_expired"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What restrictions look at: the wall clock, the phase's running totals and the moment's power and current."""

    clock: time
    day: date
    energy: int
    """µWh since the session's start."""
    elapsed: int
    """µs since the phase's start."""
    instant: int
    """µs since 1970."""
    parked: int
    """µs of parking so far."""
    power_w: Fraction | None
    current_a: Decimal | None


class Special(StrEnum):
    """Why an extension's candidate is there; the values are those of the notes that tell it."""

    GRACE = "grace"
    QUIET = "quiet"
    VOLUME_TIER = "volume_tier"
    SERIES = "series"
    SERIES_FALLBACK = "series_fallback"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A component that may price its dimension, with its element's index and restrictions.

    What follows comes of extensions (`billing.rating.extended`): `free` prices nothing, `also` are restrictions that
    must match too, `since` and `until` (µs since 1970, half-open) bound the moment, `parked_below` (µs) the parking so far.
    """

    element: int
    component: Component
    restrictions: Restrictions
    free: bool = False
    also: Restrictions | None = None
    since: int | None = None
    until: int | None = None
    parked_below: int | None = None
    special: Special | None = None

    @property
    def is_plain(self) -> bool:
        """Whether its restrictions are all that it asks."""
        return self.also is None and self.since is None and self.until is None and self.parked_below is None


_UNRESTRICTED: Final = (Restrictions(), *(Restrictions(reservation=kind) for kind in ReservationKind))

_CALENDAR: Final = frozenset({"start_time", "end_time", "start_date", "end_date", "day_of_week", "reservation"})
_OF_THE_MOMENT: Final = tuple(item.name for item in fields(Restrictions) if item.name not in _CALENDAR)
"""What looks at more than the wall clock."""

Menu = dict[Dimension, tuple[Candidate, ...]]
"""The candidates of each dimension in the tariff's order; a dimension without any is absent."""


def menu_of(tariff: Tariff, phase: Phase) -> Menu:
    """What can price this phase.

    An expired reservation is priced, dimension by dimension, by RESERVATION_EXPIRES elements, or by RESERVATION
    elements where those have no component of the dimension (OCPI states it for TIME; FLAT follows the same way).
    """
    match phase:
        case Phase.SESSION:
            return _menu(tariff, None)
        case Phase.RESERVATION:
            return _reservable(_menu(tariff, ReservationKind.RESERVATION))
        case Phase.RESERVATION_EXPIRED:
            fallback = _menu(tariff, ReservationKind.RESERVATION)
            return _reservable(fallback | _menu(tariff, ReservationKind.RESERVATION_EXPIRES))


def _menu(tariff: Tariff, reservation: ReservationKind | None) -> Menu:
    found: dict[Dimension, list[Candidate]] = {}
    for index, element in enumerate(tariff.elements):
        if element.restrictions.reservation is reservation:
            for component in element.components:
                found.setdefault(component.type, []).append(Candidate(index, component, element.restrictions))
    return {dimension: tuple(candidates) for dimension, candidates in found.items()}


def _reservable(menu: Menu) -> Menu:
    return {dimension: menu[dimension] for dimension in (Dimension.FLAT, Dimension.TIME) if dimension in menu}


def restrictions_of(menu: Menu) -> Iterator[Restrictions]:
    """Every restriction set that this menu may have to look at."""
    for candidates in menu.values():
        for candidate in candidates:
            yield candidate.restrictions
            if candidate.also is not None:
                yield candidate.also


def needs_moment(candidates: tuple[Candidate, ...]) -> bool:
    """Whether the choice among these depends on the moment at all."""
    return candidates[0].restrictions not in _UNRESTRICTED or not candidates[0].is_plain


def is_by_clock(candidates: tuple[Candidate, ...]) -> bool:
    """Whether the clock alone decides among these: then a choice holds from one of its cuts to the next."""
    for candidate in candidates:
        if candidate.restrictions in _UNRESTRICTED and candidate.is_plain:
            return True
        rules = (candidate.restrictions, candidate.also or candidate.restrictions)
        if candidate.parked_below is not None or any(
            getattr(each, name) is not None for each in rules for name in _OF_THE_MOMENT
        ):
            return False
    return True


def choose(candidates: tuple[Candidate, ...], moment: Moment | None) -> Candidate | None:
    """The first candidate that matches; None: the dimension is free at this moment.

    `moment` may be None only where `needs_moment` says no.
    """
    if moment is None:
        return candidates[0]
    return next((candidate for candidate in candidates if _fits(candidate, moment)), None)


def _fits(candidate: Candidate, moment: Moment) -> bool:
    if not matches(candidate.restrictions, moment):
        return False
    return candidate.is_plain or (
        (candidate.also is None or matches(candidate.also, moment))
        and _within(moment.instant, candidate.since, candidate.until)
        and (candidate.parked_below is None or moment.parked < candidate.parked_below)
    )


def matches(rules: Restrictions, moment: Moment) -> bool:
    """Whether all restrictions hold at this moment."""
    return (
        _within(moment.energy, _micro(rules.min_kwh, MICRO_PER_KWH), _micro(rules.max_kwh, MICRO_PER_KWH))
        and _within(moment.elapsed, _micro(rules.min_duration, MICRO), _micro(rules.max_duration, MICRO))
        and _power_matches(rules, moment.power_w)
        and _current_matches(rules, moment.current_a)
        and _calendar_matches(rules, moment)
    )


def _within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value < high)


def _micro(bound: Decimal | int | None, scale: int) -> int | None:
    return None if bound is None else int(bound * scale)


def _power_matches(rules: Restrictions, power_w: Fraction | None) -> bool:
    """Power in kW; a restriction on a power that nobody knows does not match."""
    low, high = rules.min_power, rules.max_power
    if low is None and high is None:
        return True
    if power_w is None:
        return False
    return (low is None or power_w >= Fraction(low) * 1000) and (high is None or power_w < Fraction(high) * 1000)


def _current_matches(rules: Restrictions, current_a: Decimal | None) -> bool:
    """Current is never derived (phases and voltage are unknown here): unknown does not match."""
    low, high = rules.min_current, rules.max_current
    if low is None and high is None:
        return True
    if current_a is None:
        return False
    return (low is None or current_a >= low) and (high is None or current_a < high)


def _calendar_matches(rules: Restrictions, moment: Moment) -> bool:
    return (
        (rules.start_date is None or moment.day >= rules.start_date)
        and (rules.end_date is None or moment.day < rules.end_date)
        and (not rules.day_of_week or moment.day.weekday() in rules.day_of_week)
        and clock_matches(rules.start_time, rules.end_time, moment.clock)
    )


def clock_matches(start: time | None, end: time | None, clock: time) -> bool:
    """Half-open from start to end; 00:00 as end is the end of the day; an end before the start wraps past midnight.

    The day of a wrapped window is the moment's own day, since restrictions are ANDed at each moment.
    Equal times, which OCPI leaves open, mean the whole day.
    """
    low, high = start or MIDNIGHT, end or MIDNIGHT
    if low == high:
        return True
    if high == MIDNIGHT:
        return clock >= low
    return low <= clock < high if low < high else clock >= low or clock < high
