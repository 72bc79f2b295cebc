"""What applies to a running session from now on, and when that changes by itself. Pure.

The rating looks back over a usage; this looks ahead by the same choice of elements. Only what the clock and the
session's own duration change can be foretold: what depends on energy, power or current is named as something to watch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from billing.rating.extended import expanded
from billing.rating.instants import instant, micro_of
from billing.rating.matching import (
    MICRO,
    MICRO_PER_KWH,
    Candidate,
    Menu,
    Moment,
    Phase,
    Special,
    choose,
    menu_of,
    restrictions_of,
)
from billing.rating.rating import component_of
from billing.rating.spans import PICO_PER_MICRO, clock_times, pico_of
from billing.rating.terms import NO_TERMS, Terms
from billing.rating.usage import Period, PeriodKind, Usage
from billing.rating.wall_clock import wall_cuts
from billing.tariffs.offer import taxed
from billing.tariffs.tariff import Component, Dimension, Restrictions, Tariff, TaxIncluded
from billing.time_zones import zone_named

Prices = Mapping[Dimension, Decimal]
"""Per unit (kWh, hour), with tax. 0: free then; absent: the tariff never prices it."""

_FREE: Final = Decimal(0)
DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=8)
"""Every day of the week comes within it; a price that a later date brings is not news yet."""
_DURATION_S_MAX: Final = 10**8
LOOKS_MAX: Final = 500
"""Instants that are looked at; a tariff with more before its next change is not foretold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grace:
    """Parking is free for so many seconds yet, and costs `then` per hour after them, with tax."""

    seconds: int
    then: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """From `at` on `prices` apply, if the session goes on."""

    at: datetime
    prices: Prices
    grace: Grace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """`now`: what applies. `change`: the next one by the clock or by duration, None: none, or it cannot be said exactly.

    `watch_wh`: the session's energy at which a price changes next; `watch_w`: the power, where there is just one such.
    `watch_idle`: another price holds while the vehicle takes nothing.
    """

    now: Prices
    change: PriceChange | None = None
    watch_wh: Decimal | None = None
    watch_w: Decimal | None = None
    watch_idle: bool = False
    grace: Grace | None = None


NO_OUTLOOK: Final = Outlook(now={})


def outlook(usage: Usage, tariff: Tariff, *, terms: Terms = NO_TERMS) -> Outlook:
    """From the end of the usage on. A usage in which no session has begun has none."""
    periods = [each for each in usage.periods if each.kind in {PeriodKind.CHARGING, PeriodKind.PARKING}]
    if not periods:
        return NO_OUTLOOK
    zone = zone_named(usage.time_zone)
    menu: Menu = expanded(menu_of(tariff, Phase.SESSION), terms)
    menu.pop(Dimension.FLAT, None)
    rules = list(restrictions_of(menu))
    began, at = periods[0].start.astimezone(UTC), periods[-1].end.astimezone(UTC)
    moment = _moment(periods, zone)
    vats = _Vats(tariff, terms)
    now = _prices(menu, moment, vats)
    is_parked = periods[-1].kind is PeriodKind.PARKING
    ahead = (
        []
        if _depends_on_the_meter(rules)
        else sorted({*_by_clock(rules, began, at, zone), *_bounds(menu, moment, parked=is_parked)})
    )
    later = ((then, _then(moment, then, zone, parked=is_parked)) for then in ahead[:LOOKS_MAX])
    changes = (
        PriceChange(at=then, prices=prices, grace=_grace(menu, there, vats))
        for then, there in later
        if (prices := _prices(menu, there, vats)) != now
    )
    grace = _grace(menu, moment, vats)
    return Outlook(
        now=now,
        change=next(changes, None),
        grace=grace,
        watch_wh=_watch_wh(menu, moment, rules, vats),
        watch_w=_watch_w(rules),
        watch_idle=grace is not None or now.get(Dimension.TIME, _FREE) != now.get(Dimension.PARKING_TIME, _FREE),
    )


def prices_at_start(tariff: Tariff, at: datetime, time_zone: str) -> Prices:
    """What a session that begins at this instant pays first, its fee included.

    What depends on the power or the current that it will take, or on a price series, is not in it. Taxed at the tariff's
    own rates: where rules of tax decide, it is given as `Offer.tariff` has it.
    """
    local = at.astimezone(zone_named(time_zone))
    moment = Moment(
        clock=local.time(), day=local.date(), energy=0, elapsed=0, instant=micro_of(at), parked=0, power_w=None,
        current_a=None,
    )  # fmt: skip
    menu = expanded(menu_of(tariff, Phase.SESSION), NO_TERMS)
    known = {key: each for key, each in menu.items() if not _is_open(each)}
    return _prices(known, moment, _Vats(tariff, NO_TERMS))


def _is_open(candidates: tuple[Candidate, ...]) -> bool:
    by_series = any(each.component.extensions.series is not None for each in candidates)
    return by_series or _depends_on_the_flow(each.restrictions for each in candidates)


def _depends_on_the_flow(rules: Iterable[Restrictions]) -> bool:
    return any(
        bound is not None
        for rule in rules
        for bound in (rule.min_power, rule.max_power, rule.min_current, rule.max_current)
    )


def _moment(periods: list[Period], zone: ZoneInfo) -> Moment:
    """What restrictions look at from the end of these on, if it goes on as in the newest stretch and no energy flows."""
    last = next((each for each in reversed(periods) if each.end > each.start or each.energy_wh), periods[0])
    at, local = micro_of(periods[-1].end), periods[-1].end.astimezone(zone)
    is_charging = last.kind is PeriodKind.CHARGING
    parked = sum(micro_of(each.end) - micro_of(each.start) for each in periods if each.kind is PeriodKind.PARKING)
    return Moment(
        clock=local.time(),
        day=local.date(),
        energy=sum(pico_of(each) for each in periods) // PICO_PER_MICRO,
        elapsed=at - micro_of(periods[0].start),
        instant=at,
        parked=parked,
        power_w=_power_w(last, is_charging=is_charging),
        current_a=Decimal(0) if last.current_a is None and not is_charging else last.current_a,
    )


def _power_w(last: Period, *, is_charging: bool) -> Fraction | None:
    """As the rating takes it: measured, else energy over time; a vehicle that requests nothing takes 0."""
    if last.power_w is not None:
        return Fraction(last.power_w)
    if last.energy_wh is not None and last.end > last.start:
        return Fraction(last.energy_wh) * 3600 * MICRO / (micro_of(last.end) - micro_of(last.start))
    return None if is_charging else Fraction(0)


def _then(moment: Moment, at: datetime, zone: ZoneInfo, *, parked: bool) -> Moment:
    """The moment with only the clock gone on; parking goes on where the vehicle is parked."""
    local, gone = at.astimezone(zone), micro_of(at) - moment.instant
    return replace(
        moment,
        clock=local.time(),
        day=local.date(),
        elapsed=moment.elapsed + gone,
        instant=moment.instant + gone,
        parked=moment.parked + (gone if parked else 0),
    )


def _grace(menu: Menu, moment: Moment, vats: _Vats) -> Grace | None:
    """What is left of the free parking; nothing where parking is free or priced by something else now."""
    chosen = choose(menu.get(Dimension.PARKING_TIME, ()), moment)
    if chosen is None or chosen.special is not Special.GRACE or chosen.parked_below is None:
        return None
    after = _prices(menu, replace(moment, parked=chosen.parked_below), vats)
    return Grace(seconds=(chosen.parked_below - moment.parked) // MICRO, then=after[Dimension.PARKING_TIME])


@dataclass(frozen=True, slots=True)
class _Vats:
    """How a price is taxed: by the rule where there is one, else as the tariff says (RULES.md 21)."""

    tariff: Tariff
    terms: Terms

    def taxed(self, dimension: Dimension, part: Component) -> Decimal:
        included = self.tariff.tax_included
        rule = self.terms.tax_of(component_of(Phase.SESSION, dimension)) if self.terms.taxes else None
        if rule is None or included is not TaxIncluded.NO:
            return taxed(part.price, part.vat, included)
        return taxed(part.price, rule.rate, included)


def _prices(menu: Menu, moment: Moment, vats: _Vats) -> dict[Dimension, Decimal]:
    found = {dimension: choose(candidates, moment) for dimension, candidates in menu.items()}
    return {
        dimension: Decimal(0) if each is None or each.free else vats.taxed(dimension, each.component)
        for dimension, each in found.items()
    }


def _depends_on_the_meter(rules: list[Restrictions]) -> bool:
    by_energy = any(bound is not None for rule in rules for bound in (rule.min_kwh, rule.max_kwh))
    return by_energy or _depends_on_the_flow(rules)


def _by_clock(rules: list[Restrictions], began: datetime, at: datetime, zone: ZoneInfo) -> set[datetime]:
    """After `at`: whenever the clock or the duration may end or begin a match."""
    by_day = any(rule.day_of_week or rule.start_date or rule.end_date for rule in rules)
    cuts = wall_cuts(at, at + (_WEEK if by_day else DAY + timedelta(hours=3)), clock_times(rules), zone)
    bounds = {
        began + timedelta(seconds=bound)
        for rule in rules
        for bound in (rule.min_duration, rule.max_duration)
        if bound is not None and bound <= _DURATION_S_MAX
    }
    return {*cuts, *(each for each in bounds if each > at)}


def _bounds(menu: Menu, moment: Moment, *, parked: bool) -> Iterator[datetime]:
    """After the moment: where a value of a price series begins or ends, and where the free parking does."""
    for candidate in (each for found in menu.values() for each in found):
        ends = [each for each in (candidate.since, candidate.until) if each is not None]
        if parked and candidate.parked_below is not None:
            ends.append(moment.instant + candidate.parked_below - moment.parked)
        yield from (instant(each) for each in ends if each > moment.instant)


def _watch_wh(menu: Menu, moment: Moment, rules: list[Restrictions], vats: _Vats) -> Decimal | None:
    bounds = {int(kwh * MICRO_PER_KWH) for rule in rules for kwh in (rule.min_kwh, rule.max_kwh) if kwh is not None}
    now = _prices(menu, moment, vats)
    for bound in sorted(each for each in bounds if each > moment.energy):
        if _prices(menu, replace(moment, energy=bound), vats) != now:
            return Decimal(bound) / MICRO
    return None


def _watch_w(rules: list[Restrictions]) -> Decimal | None:
    bounds = {kw for rule in rules for kw in (rule.min_power, rule.max_power) if kw}
    return bounds.pop() * 1000 if len(bounds) == 1 else None
