"""Cuts a usage at every instant that matters for its price and finds the price of each part. Knows no money and no tax.

Exact without fractions in the result: instants are whole microseconds and running totals whole µWh, both read off the
straight line between two readings and rounded down. A total depends on the line and the instant alone, so cutting a
period on its line changes nothing, and parts are differences of totals, so they always add up.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple
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
    is_by_clock,
    menu_of,
    needs_moment,
    restrictions_of,
)
from billing.rating.terms import Terms
from billing.rating.usage import Period, PeriodKind
from billing.rating.wall_clock import wall_cuts
from billing.tariffs.tariff import Component, Dimension, Restrictions, Tariff

PICO_PER_MICRO: Final = 1_000_000
_PHASES: Final = {
    PeriodKind.CHARGING: Phase.SESSION,
    PeriodKind.PARKING: Phase.SESSION,
    PeriodKind.RESERVATION: Phase.RESERVATION,
    PeriodKind.RESERVATION_EXPIRED: Phase.RESERVATION_EXPIRED,
}
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = 86_400 * MICRO
_NOT_BEGUN: Final = -1
"""Before any instant that a usage may have."""
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


class _Line(NamedTuple):
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
    """Where a phase must be cut, whatever its periods are.

    By the wall clock, at instants (µs since 1970), so long after its start, at running totals of energy and of parking.
    """

    times: frozenset[time]
    instants: tuple[int, ...]
    durations: tuple[int, ...]
    energies: tuple[int, ...]
    parkings: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What a tariff says of a phase. `steady` dimensions keep their price from one cut of the clock to the next."""

    phase: Phase
    menu: Menu
    cuts: _Cuts
    priced: Mapping[Dimension, tuple[Candidate, ...]]
    """What is priced by quantity."""
    steady: frozenset[Dimension]
    dimensions: Mapping[PeriodKind, tuple[Dimension, ...]]
    watched: bool
    is_plain: bool
    """Only the clock cuts and decides."""
    by_power: bool
    by_current: bool


def _rules_of(tariff: Tariff, phase: Phase, terms: Terms) -> _Rules:
    """Worked out once for each tariff; anew for other terms where they count."""
    known: tuple[Terms | None, _Rules] | None = tariff.worked_out.get(phase)
    if known is None or (known[0] is not None and known[0] is not terms):
        menu = menu_of(tariff, phase)
        extended = is_extended(menu)
        rules = _rules(phase, expanded(menu, terms) if extended else menu)
        known = tariff.worked_out[phase] = (terms if extended else None, rules)
    return known[1]


def _rules(phase: Phase, menu: Menu) -> _Rules:
    priced: dict[Dimension, tuple[Candidate, ...]] = {
        dimension: found for dimension, found in menu.items() if dimension is not Dimension.FLAT
    }
    cuts, asked = _cuts(menu), list(restrictions_of(menu))
    steady = frozenset(dimension for dimension, candidates in priced.items() if is_by_clock(candidates))
    return _Rules(
        phase=phase,
        menu=menu,
        cuts=cuts,
        priced=priced,
        steady=steady,
        dimensions={kind: tuple(each for each in some if each in menu) for kind, some in _DIMENSIONS.items()},
        watched=any(needs_moment(candidates) for candidates in menu.values()),
        is_plain=len(steady) == len(priced) and not cuts.durations and not cuts.energies and not cuts.parkings,
        by_power=any(each.min_power is not None or each.max_power is not None for each in asked),
        by_current=any(each.min_current is not None or each.max_current is not None for each in asked),
    )


class Trace:
    """The spans of a usage as far as its periods have been taken; later ones can be added to a copy.

    What is added costs what is added: nothing of the earlier periods is looked at again.
    """

    __slots__ = ("_blind", "_end", "_moment", "_phases", "_tariff", "_terms", "_zone", "energy")

    def __init__(self, tariff: Tariff, zone: ZoneInfo, terms: Terms) -> None:
        self._tariff = tariff
        self._terms = terms
        self._zone = zone
        self._phases: list[_Track] = []
        self._moment: datetime | None = None
        self._end = 0
        self._blind = (False, False)
        self.energy = 0
        """Everything delivered so far, in pWh, priced or not."""

    def copy(self) -> Trace:
        """A trace that takes more periods without changing this one."""
        other = Trace(self._tariff, self._zone, self._terms)
        other._phases = [
            track.copy() if index + 1 == len(self._phases) else track for index, track in enumerate(self._phases)
        ]
        other._moment, other._end, other._blind = self._moment, self._end, self._blind
        other.energy = self.energy
        return other

    def take(self, periods: Iterable[Period]) -> None:
        """Go on with these periods; they have been checked, and follow those that were taken before."""
        moment, end, track = self._moment, self._end, None
        no_power, no_current = self._blind
        for period in periods:
            start = end if period.start == moment else micro_of(period.start)
            moment = period.end
            end = micro_of(moment)
            pico = pico_of(period)
            phase = _PHASES[period.kind]
            if track is None or track.phase is not phase:
                track = self._track(phase, start)
            track.take(period, start, end, pico)
            self.energy += pico
            if period.kind is PeriodKind.CHARGING:
                no_power = no_power or (period.power_w is None and period.energy_wh is None)
                no_current = no_current or period.current_a is None
        self._moment, self._end, self._blind = moment, end, (no_power, no_current)

    @property
    def is_power_missed(self) -> bool:
        """Whether the tariff asks for a power that was unknown for some time."""
        return self._blind[0] and any(track.rules.by_power for track in self._phases if track.phase is Phase.SESSION)

    @property
    def is_current_missed(self) -> bool:
        """Whether the tariff asks for a current that was unknown for some time."""
        return self._blind[1] and any(track.rules.by_current for track in self._phases if track.phase is Phase.SESSION)

    @property
    def settled(self) -> list[Span]:
        """The spans that no later period changes."""
        return [span for track in self._phases for span in track.settled]

    def spans(self) -> list[Span]:
        """Neighbours of equal price merged, also what may still grow: reservation first, then by start and dimension."""
        return [span for track in self._phases for span in track.spans()]

    def _track(self, phase: Phase, start: int) -> _Track:
        for track in self._phases:
            if track.phase is phase:
                return track
        self._phases.append(_Track(_rules_of(self._tariff, phase, self._terms), self._zone, start))
        return self._phases[-1]


class _Track:
    """The spans of one phase while its periods are taken, one after the other."""

    __slots__ = (
        "_chosen",
        "_empty",
        "_parked",
        "_pico",
        "_quiet_until",
        "_runs",
        "_start",
        "_zone",
        "phase",
        "rules",
        "settled",
    )

    def __init__(self, rules: _Rules, zone: ZoneInfo, start: int) -> None:
        self.phase = rules.phase
        self.rules = rules
        self._zone = zone
        self._start = start
        self._pico = 0
        self._parked = 0
        self.settled: list[Span] = []
        self._runs: dict[Dimension, _Run] = {}
        self._chosen: dict[Dimension, Candidate | None] = {}
        self._quiet_until = _NOT_BEGUN
        self._empty: _Line | None = None

    def copy(self) -> _Track:
        other = _Track(self.rules, self._zone, self._start)
        other._pico, other._parked = self._pico, self._parked
        other.settled, other._empty = self.settled.copy(), self._empty
        other._runs = {dimension: run.copy() for dimension, run in self._runs.items()}
        other._chosen, other._quiet_until = self._chosen, self._quiet_until
        return other

    def take(self, period: Period, start: int, end: int, pico: int) -> None:
        if self.rules.is_plain and end > start and self._start < end <= self._quiet_until:
            # nothing but the sums is needed here: where parking counts, nothing is plain
            low, self._pico = self._pico, self._pico + pico
            self._lengthen(period.kind, start, end, low // PICO_PER_MICRO, self._pico // PICO_PER_MICRO, self._chosen)
            return
        line = _Line(period, start, end, self._pico, pico, self._parked)
        if end > start or pico:
            self._begin(line)
            self._take(line)
        elif self._empty is None:
            # An instant without energy prices nothing and knows no power, so it must not choose the FLAT either.
            self._empty = line

    def spans(self) -> list[Span]:
        """In order of start, end and dimension."""
        if self._quiet_until == _NOT_BEGUN and self._empty is not None:
            alone = _Track(self.rules, self._zone, self._start)
            alone._begin(self._empty)
            alone._take(self._empty)
            return alone.spans()
        growing = [run.span(self.phase, dimension) for dimension, run in self._runs.items()]
        return sorted(self.settled + growing, key=lambda span: (span.start, span.end, _ORDER[span.dimension]))

    def _begin(self, line: _Line) -> None:
        """The first line with any length or energy chooses what is due once per phase."""
        if self._quiet_until > _NOT_BEGUN:
            return
        self._quiet_until = self._start
        flat = self.rules.menu.get(Dimension.FLAT)
        if flat:
            found = choose(flat, _moment(line, self._start, self._start, 0, self._zone))
            self.settled.append(_Run(found, self._start, self._start, MICRO).span(self.phase, Dimension.FLAT))

    def _take(self, line: _Line) -> None:
        self._pico += line.pico
        self._parked += line.end - line.start if line.period.kind is PeriodKind.PARKING else 0
        for since, until, energy_since, energy_until in _parts(line, self.rules.cuts, self._start, self._zone):
            chosen = self._choices(line, since, energy_since)
            self._lengthen(line.period.kind, since, until, energy_since, energy_until, chosen)

    def _lengthen(
        self,
        kind: PeriodKind,
        since: int,
        until: int,
        energy_since: int,
        energy_until: int,
        chosen: Mapping[Dimension, Candidate | None],
    ) -> None:
        """Add a part to the run of each dimension, or begin a new one where it does not continue at the same price."""
        runs = self._runs
        for dimension in self.rules.dimensions[kind]:
            used = energy_until - energy_since if dimension is Dimension.ENERGY else until - since
            run, found = runs.get(dimension), chosen[dimension]
            if run is not None and run.end == since and run.found is found:
                run.end = until
                run.used += used
                continue
            if run is not None:
                # taken out first: what begins anew comes last
                self.settled.append(runs.pop(dimension).span(self.phase, dimension))
            runs[dimension] = _Run(found, since, until, used)

    def _choices(self, line: _Line, since: int, energy: int) -> dict[Dimension, Candidate | None]:
        """What prices each dimension at an instant. What only the wall clock decides is looked up once per window."""
        rules = self.rules
        is_quiet = since < self._quiet_until
        if is_quiet and rules.is_plain:
            return self._chosen
        moment = _moment(line, self._start, since, energy, self._zone) if rules.watched else None
        chosen = {
            dimension: self._chosen[dimension] if is_quiet and dimension in rules.steady else choose(candidates, moment)
            for dimension, candidates in rules.priced.items()
        }
        if not is_quiet:
            self._quiet_until, self._chosen = _next_cut(rules.cuts, self._zone, since), chosen
        return chosen


@dataclass(slots=True)
class _Run:
    """A span while it grows, part by part, for as long as the parts continue one another at one price."""

    found: Candidate | None
    start: int
    end: int
    used: int

    def copy(self) -> _Run:
        return _Run(self.found, self.start, self.end, self.used)

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


def pico_of(period: Period) -> int:
    """A period's energy in pWh; the usage check leaves no reading with more decimals."""
    return int(period.energy_wh.scaleb(12)) if period.energy_wh else 0


def _cuts(menu: Menu) -> _Cuts:
    rules = list(restrictions_of(menu))
    durations = {
        bound * MICRO for rule in rules for bound in (rule.min_duration, rule.max_duration) if bound is not None
    }
    energies = {
        int(bound * MICRO_PER_KWH) for rule in rules for bound in (rule.min_kwh, rule.max_kwh) if bound is not None
    }
    candidates = [candidate for found in menu.values() for candidate in found]
    instants = {bound for each in candidates for bound in (each.since, each.until) if bound is not None}
    parkings = {each.parked_below for each in candidates if each.parked_below is not None}
    return _Cuts(
        times=clock_times(rules),
        instants=tuple(sorted(instants)),
        durations=tuple(sorted(durations)),
        energies=tuple(sorted(energies)),
        parkings=tuple(sorted(parkings)),
    )


def clock_times(rules: list[Restrictions]) -> frozenset[time]:
    """Times of day at which any restriction can begin or cease to match; days and dates turn at midnight."""
    times = {moment for rule in rules for moment in (rule.start_time, rule.end_time) if moment is not None}
    if times or any(rule.start_date or rule.end_date or rule.day_of_week for rule in rules):
        times.add(MIDNIGHT)
    return frozenset(times)


def _parts(line: _Line, cuts: _Cuts, phase_start: int, zone: ZoneInfo) -> Iterator[tuple[int, int, int, int]]:
    """A line cut into parts (start, end, energy at start, energy at end) within which no match can change."""
    start, end, low, high = line.start, line.end, line.energy_start, line.energy_end
    points = [(start, low), (end, high)]
    instants = _wall_cuts(cuts.times, zone, start, end) if cuts.times else []
    instants += cuts.instants[bisect_right(cuts.instants, start) : bisect_left(cuts.instants, end)]
    instants += [phase_start + duration for duration in cuts.durations]
    if line.period.kind is PeriodKind.PARKING:
        instants += [start + bound - line.parked_start for bound in cuts.parkings]
    points += [(cut, line.energy_at(cut)) for cut in instants if start < cut < end]
    points += [(line.instant_of(limit), limit) for limit in cuts.energies if low < limit < high]
    if len(points) == 2:  # noqa: PLR2004 - nothing between begin and end
        yield start, end, low, high
        return
    points.sort()
    for (since, energy_since), (until, energy_until) in pairwise(points):
        yield since, until, energy_since, energy_until


def _wall_cuts(times: frozenset[time], zone: ZoneInfo, start: int, end: int) -> list[int]:
    """Instants strictly between two at which the wall clock shows one of `times` or changes its offset."""
    days = range(start // _DAY, (end - 1) // _DAY + 1)
    return [cut for day in days for cut in _cuts_of_day(times, zone, day) if start < cut < end]


def _next_cut(cuts: _Cuts, zone: ZoneInfo, since: int) -> int:
    """The next instant at which the clock may matter, no later than a day ahead."""
    day = since // _DAY
    following = next((cut for cut in _cuts_of_day(cuts.times, zone, day) if cut > since), (day + 1) * _DAY)
    index = bisect_right(cuts.instants, since)
    return min([following, *cuts.instants[index : index + 1]])


@lru_cache(maxsize=4096)
def _cuts_of_day(times: frozenset[time], zone: ZoneInfo, day: int) -> tuple[int, ...]:
    """The cuts of a UTC day, its first instant included; sessions of one day and one tariff share them."""
    if not times:
        return ()
    first, following = instant(day * _DAY), instant((day + 1) * _DAY)
    return tuple(micro_of(moment) for moment in wall_cuts(first - _MICROSECOND, following, times, zone))


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
