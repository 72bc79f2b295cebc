"""Cuts a usage at every instant that matters for its price and finds the price of each part. Knows no money and no tax.

Exact without fractions in the result: instants are whole microseconds and running totals whole µWh, both read off the
straight line between two readings and rounded down. A total depends on the line and the instant alone, so cutting a
period on its line changes nothing, and parts are differences of totals, so they always add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, time
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from billing.rating.extended import expanded, is_extended
from billing.rating.instants import instant, micro_of
from billing.rating.matching import (
    MICRO,
    MICRO_PER_KWH,
    MIDNIGHT,
    Candidate,
    Menu,
    Moment,
    Phase,
    Special,
    choose,
    menu_of,
    needs_moment,
    restrictions_of,
)
from billing.rating.terms import NO_TERMS, Terms
from billing.rating.usage import Period, PeriodKind, Usage
from billing.rating.wall_clock import wall_cuts
from billing.tariffs.tariff import Component, Dimension, Restrictions, Tariff

PICO_PER_MICRO: Final = 1_000_000
_PHASES: Final = {
    PeriodKind.CHARGING: Phase.SESSION,
    PeriodKind.PARKING: Phase.SESSION,
    PeriodKind.RESERVATION: Phase.RESERVATION,
    PeriodKind.RESERVATION_EXPIRED: Phase.RESERVATION_EXPIRED,
}
_DIMENSIONS: Final = {
    PeriodKind.CHARGING: (Dimension.ENERGY, Dimension.TIME, Dimension.OCCUPANCY),
    PeriodKind.PARKING: (Dimension.ENERGY, Dimension.PARKING_TIME, Dimension.OCCUPANCY),
    PeriodKind.RESERVATION: (Dimension.TIME,),
    PeriodKind.RESERVATION_EXPIRED: (Dimension.TIME,),
}
_ORDER: Final = {dimension: rank for rank, dimension in enumerate(Dimension)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch in which one component (None: none, free) prices one dimension; µs since 1970, quantities in µ-units."""

    phase: Phase
    dimension: Dimension
    element: int | None
    component: Component | None
    start: int
    end: int
    used: int
    billed: int
    special: Special | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A period as a straight line of the running energy (in pWh, so that any reading is a whole number) over time."""

    period: Period
    start: int
    end: int
    pico_start: int
    pico: int
    parked_start: int
    """µs of parking before this period."""

    @property
    def energy_start(self) -> int:
        """Running total at the start, in µWh, rounded down."""
        return self.pico_start // PICO_PER_MICRO

    @property
    def energy_end(self) -> int:
        """Running total at the end, in µWh, rounded down."""
        return (self.pico_start + self.pico) // PICO_PER_MICRO

    def energy_at(self, instant: int) -> int:
        """Running total at an instant strictly inside the period, in µWh, rounded down."""
        length = self.end - self.start
        return (self.pico_start * length + self.pico * (instant - self.start)) // (length * PICO_PER_MICRO)

    def instant_of(self, energy: int) -> int:
        """The instant at which the running total reaches `energy` (µWh), in µs, rounded down."""
        return self.start + (energy * PICO_PER_MICRO - self.pico_start) * (self.end - self.start) // self.pico

    def parked_at(self, instant: int) -> int:
        """Parking so far at an instant of the period, in µs."""
        return self.parked_start + (instant - self.start if self.period.kind is PeriodKind.PARKING else 0)

    @property
    def power_w(self) -> Fraction | None:
        """Measured power in W, else energy over time; a vehicle that requests nothing takes 0; None where unknown."""
        if self.period.power_w is not None:
            return Fraction(self.period.power_w)
        if self.period.energy_wh is not None and self.end > self.start:
            return Fraction(self.period.energy_wh) * 3600 * MICRO / (self.end - self.start)
        return None if self.period.kind is PeriodKind.CHARGING else Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cuts:
    """Where a phase must be cut, whatever its periods are."""

    instants: tuple[int, ...]
    energies: tuple[int, ...]
    parkings: tuple[int, ...]


def spans_of(usage: Usage, tariff: Tariff, terms: Terms = NO_TERMS) -> list[Span]:
    """The usage as priced spans, neighbours of equal price merged: reservation first, then by start and dimension."""
    zone = ZoneInfo(usage.time_zone)
    phases: dict[Phase, list[Period]] = {}
    for period in usage.periods:
        phases.setdefault(_PHASES[period.kind], []).append(period)
    return [span for phase, periods in phases.items() for span in _phase_spans(phase, periods, tariff, zone, terms)]


def _phase_spans(phase: Phase, periods: list[Period], tariff: Tariff, zone: ZoneInfo, terms: Terms) -> list[Span]:
    menu = menu_of(tariff, phase)
    if is_extended(menu):
        menu = expanded(menu, terms)
    cuts = _cuts(menu, periods, zone)
    start = micro_of(periods[0].start)
    # An instant without energy prices nothing and knows no power, so it must not choose the FLAT either.
    lines = list(_lines([period for period in periods if period.end > period.start or period.energy_wh] or periods[:1]))
    done: list[Span] = []
    if Dimension.FLAT in menu:
        found = choose(menu[Dimension.FLAT], _moment(lines[0], start, start, 0, zone))
        done.append(_Run(found, start, start, MICRO).span(phase, Dimension.FLAT))
    runs: dict[Dimension, _Run] = {}
    watched = any(needs_moment(candidates) for candidates in menu.values())
    for line, since, until, energy_since, energy_until in _parts(lines, cuts):
        moment = _moment(line, start, since, energy_since, zone) if watched else None
        for dimension in _DIMENSIONS[line.period.kind]:
            if dimension not in menu:
                continue
            used = energy_until - energy_since if dimension is Dimension.ENERGY else until - since
            run = _Run(choose(menu[dimension], moment), since, until, used)
            if dimension in runs and not runs[dimension].lengthen(run):
                done.append(runs[dimension].span(phase, dimension))
                del runs[dimension]
            runs.setdefault(dimension, run)
    done += [run.span(phase, dimension) for dimension, run in runs.items()]
    return sorted(done, key=lambda span: (span.start, span.end, _ORDER[span.dimension]))


@dataclass(slots=True)
class _Run:
    """A span while it grows, part by part."""

    found: Candidate | None
    start: int
    end: int
    used: int

    def lengthen(self, following: _Run) -> bool:
        """Take in a part that continues this one at the same price; False where it does not."""
        if self.end != following.start or self.found is not following.found:
            return False
        self.end = following.end
        self.used += following.used
        return True

    def span(self, phase: Phase, dimension: Dimension) -> Span:
        """The finished span; nothing is billed yet beyond what was used."""
        return Span(
            phase=phase,
            dimension=dimension,
            element=None if self.found is None else self.found.element,
            component=None if self.found is None or self.found.free else self.found.component,
            start=self.start,
            end=self.end,
            used=self.used,
            billed=self.used,
            special=None if self.found is None else self.found.special,
        )


def _lines(periods: Iterable[Period]) -> Iterator[_Line]:
    total, parked = 0, 0
    for period in periods:
        pico, start, end = pico_of(period), micro_of(period.start), micro_of(period.end)
        yield _Line(period=period, start=start, end=end, pico_start=total, pico=pico, parked_start=parked)
        total += pico
        parked += end - start if period.kind is PeriodKind.PARKING else 0


def pico_of(period: Period) -> int:
    """A period's energy in pWh; the usage check leaves no reading with more decimals."""
    return int(period.energy_wh.scaleb(12)) if period.energy_wh else 0


def _cuts(menu: Menu, periods: list[Period], zone: ZoneInfo) -> _Cuts:
    rules = list(restrictions_of(menu))
    start, end = periods[0].start.astimezone(UTC), periods[-1].end.astimezone(UTC)
    first = micro_of(start)
    instants = {micro_of(moment) for moment in wall_cuts(start, end, _clock_times(rules), zone)}
    instants.update(
        first + bound * MICRO for rule in rules for bound in (rule.min_duration, rule.max_duration) if bound is not None
    )
    energies = {
        int(bound * MICRO_PER_KWH) for rule in rules for bound in (rule.min_kwh, rule.max_kwh) if bound is not None
    }
    candidates = [candidate for found in menu.values() for candidate in found]
    instants.update(bound for each in candidates for bound in (each.since, each.until) if bound is not None)
    parkings = {each.parked_below for each in candidates if each.parked_below is not None}
    return _Cuts(instants=tuple(sorted(instants)), energies=tuple(sorted(energies)), parkings=tuple(sorted(parkings)))


def _clock_times(rules: list[Restrictions]) -> frozenset[time]:
    """Times of day at which any restriction can begin or cease to match; days and dates turn at midnight."""
    times = {moment for rule in rules for moment in (rule.start_time, rule.end_time) if moment is not None}
    if times or any(rule.start_date or rule.end_date or rule.day_of_week for rule in rules):
        times.add(MIDNIGHT)
    return frozenset(times)


def _parts(lines: list[_Line], cuts: _Cuts) -> Iterator[tuple[_Line, int, int, int, int]]:
    """Each line cut into parts (line, start, end, energy at start, energy at end) within which no match can change.

    Instants and energies are sorted, so one pointer into each runs along with the lines.
    """
    next_instant, next_energy = 0, 0
    for line in lines:
        points = [(line.start, line.energy_start), (line.end, line.energy_end)]
        while next_instant < len(cuts.instants) and cuts.instants[next_instant] < line.end:
            cut = cuts.instants[next_instant]
            if cut > line.start:
                points.append((cut, line.energy_at(cut)))
            next_instant += 1
        while next_energy < len(cuts.energies) and cuts.energies[next_energy] < line.energy_end:
            limit = cuts.energies[next_energy]
            if limit > line.energy_start:
                points.append((line.instant_of(limit), limit))
            next_energy += 1
        for bound in cuts.parkings:
            cut = line.start + bound - line.parked_start
            if line.period.kind is PeriodKind.PARKING and line.start < cut < line.end:
                points.append((cut, line.energy_at(cut)))
        points.sort()
        for (since, energy_since), (until, energy_until) in pairwise(points):
            yield line, since, until, energy_since, energy_until


def _moment(line: _Line, phase_start: int, since: int, energy: int, zone: ZoneInfo) -> Moment:
    clock, day = _wall_clock(since, zone)
    current = line.period.current_a
    idle = current is None and line.period.kind is not PeriodKind.CHARGING
    return Moment(
        clock=clock,
        day=day,
        energy=energy,
        elapsed=since - phase_start,
        instant=since,
        parked=line.parked_at(since),
        power_w=line.power_w,
        current_a=Decimal(0) if idle else current,
    )


def _wall_clock(since: int, zone: ZoneInfo) -> tuple[time, date]:
    local = instant(since).astimezone(zone)
    return local.time(), local.date()
