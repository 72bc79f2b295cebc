"""What a contract earns: revenue less energy cost less fees. Pure; everything is net of tax and exact until it is told.

What is paid for a period counts by days: a year that was paid in advance does not make its first month rich.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from billing.contracts.days import Days
from billing.money import Money, minor_digits
from billing.rating.series import SeriesValue

_MICROSECOND = timedelta(microseconds=1)
_PERCENT = Fraction(1, 100)
_WH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """A charge of the contract, net of tax, for some days or for one."""

    kind: str
    net_minor: Fraction
    days: Days


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """A session of one of its tokens, as its newest bill has it."""

    session: int
    started_at: datetime
    ended_at: datetime
    energy_wh: Decimal
    net_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyPrice:
    """What a kWh cost us, net, in major units: `per_kwh` always, or where `series` has no value. Without either: unknown."""

    per_kwh: Decimal | None = None
    series: Sequence[SeriesValue] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What payments and platforms cost us, net, in major units; `percent` is of the revenue."""

    percent: Decimal = Decimal(0)
    per_session: Decimal = Decimal(0)
    per_kwh: Decimal = Decimal(0)
    fixed: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Rounded once each; `margin` is the sum of the rounded. `energy_cost` and `margin` None: kWh without a price."""

    revenue_contract: Money
    revenue_sessions: Money
    energy_cost: Money | None
    fees: Money
    sessions: int
    kwh: Decimal
    kwh_without_price: Decimal

    @property
    def revenue(self) -> Money:
        return self.revenue_contract + self.revenue_sessions

    @property
    def margin(self) -> Money | None:
        return None if self.energy_cost is None else self.revenue - self.energy_cost - self.fees

    @property
    def percent(self) -> Decimal | None:
        """Of the revenue, with one decimal; None: there is none, or no margin."""
        if self.margin is None or self.revenue.minor <= 0:
            return None
        return round(Decimal(self.margin.minor) * 100 / self.revenue.minor, 1)


def margin_of(
    earned: Iterable[Earned], sold: Sequence[Sold], days: Days, *, currency: str, energy: EnergyPrice, fees: Fees
) -> Margin:
    """What is left in a stretch of days. `sold`: the sessions that ended in it."""
    unit = Fraction(1, 10 ** minor_digits(currency))
    charged = sum((each.net_minor * _overlap(each.days, days) for each in earned), Fraction(0)) * unit
    from_sessions = sum(each.net_minor for each in sold) * unit
    kwh = sum((Fraction(each.energy_wh) for each in sold), Fraction(0)) / _WH
    costs = [_energy_cost(each, energy) for each in sold]
    without = sum((missing for _, missing in costs), Fraction(0))
    cost = sum((amount for amount, _ in costs), Fraction(0))
    paid = (
        (charged + from_sessions) * Fraction(fees.percent) * _PERCENT
        + Fraction(fees.per_session) * len(sold)
        + Fraction(fees.per_kwh) * kwh
        + Fraction(fees.fixed)
    )
    return Margin(
        revenue_contract=Money.round_from(charged, currency),
        revenue_sessions=Money.round_from(from_sessions, currency),
        energy_cost=None if without else Money.round_from(cost, currency),
        fees=Money.round_from(paid, currency),
        sessions=len(sold),
        kwh=sum((each.energy_wh for each in sold), Decimal(0)).scaleb(-3),
        kwh_without_price=_three_places(without),
    )


def _overlap(of: Days, within: Days) -> Fraction:
    """Which share of some days lies within others."""
    assert of.until is not None, "a charge is for days that end"
    assert within.until is not None, "a margin is asked for up to a day"
    shared = (min(of.until, within.until) - max(of.first, within.first)).days
    return Fraction(max(shared, 0), (of.until - of.first).days)


def _energy_cost(sold: Sold, energy: EnergyPrice) -> tuple[Fraction, Fraction]:
    """What its kWh cost, taken evenly over its time, and the kWh that have no price."""
    kwh = Fraction(sold.energy_wh) / _WH
    if not energy.series:
        return _at(energy.per_kwh, kwh)
    whole = sold.ended_at - sold.started_at
    if whole <= timedelta(0):
        found = next((each for each in energy.series if each.start <= sold.started_at < each.end), None)
        return _at(energy.per_kwh if found is None else found.value, kwh)
    cost, priced = Fraction(0), timedelta(0)
    for each in energy.series:
        shared = min(each.end, sold.ended_at) - max(each.start, sold.started_at)
        if shared > timedelta(0):
            cost += Fraction(each.value) * kwh * _ratio(shared, whole)
            priced += shared
    rest, missing = _at(energy.per_kwh, kwh * _ratio(whole - priced, whole))
    return cost + rest, missing


def _at(per_kwh: Decimal | None, kwh: Fraction) -> tuple[Fraction, Fraction]:
    return (Fraction(0), kwh) if per_kwh is None else (Fraction(per_kwh) * kwh, Fraction(0))


def _ratio(part: timedelta, whole: timedelta) -> Fraction:
    return Fraction(part // _MICROSECOND, whole // _MICROSECOND)


def _three_places(value: Fraction) -> Decimal:
    """Up to the next Wh: what has no price is never told as nothing."""
    return Decimal(-(-value * _WH // 1)).scaleb(-3)


def net_minor(amount_minor: int, *, with_tax: bool, rate_percent: Decimal | None) -> Fraction:
    """Of a charge; one with tax needs the rate that is in it."""
    if not with_tax:
        return Fraction(amount_minor)
    assert rate_percent is not None, "the net of a price with tax needs its rate"
    return Fraction(amount_minor) / (1 + Fraction(rate_percent) * _PERCENT)
