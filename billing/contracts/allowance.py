"""The kWh that are in a plan: who has how many of them on which days. Pure.

They are given as a discount rule of the rating (billing.discounts): so many kWh without energy price for a token or a group
of tokens, counted over the life of the rule. A rule is there before its days begin, since a session gets what was
entered when it began; of a period that is cut the kWh are cut by days. What a driver has used already is not taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.contracts.days import Days
from billing.contracts.proration import part_minor
from billing.contracts.recurrence import Period, period_of
from billing.contracts.standing import Allowance, Bearer, Standing, Subscription, within
from billing.money import round_units

AHEAD: Final = timedelta(days=31)
"""So long before their days rules are made."""
_WH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAllowance:
    """A rule that is to be made."""

    rule: str
    label: str
    subscription: int
    bearer: Bearer
    days: Days
    kwh: Decimal


@dataclass(frozen=True, slots=True)
class Ended:
    """A rule that ends sooner."""

    rule: str
    until: date


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is to be done about a contract's included kWh. `next_on`: when to look again."""

    new: tuple[NewAllowance, ...] = ()
    ended: tuple[Ended, ...] = ()
    next_on: date | None = None


def allow(contract: Standing, today: date) -> Allowed:
    """The rules that are missing up to some weeks ahead, and those that last longer than they should."""
    new: list[NewAllowance] = []
    ended: list[Ended] = []
    looks: list[date] = []
    for subscription in contract.subscriptions:
        if subscription.plan.included_kwh is None:
            continue
        for bearer in contract.bearers:
            held = [
                each for each in contract.allowances
                if each.subscription == subscription.id and each.bearer == bearer.id
            ]  # fmt: skip
            days = _both(contract.days_of(subscription), bearer.days)
            ended += _too_long(held, days)
            made, reached = _missing(subscription, bearer, days, held, today)
            new += made
            if reached in days:
                looks.append(reached - AHEAD)
    return Allowed(tuple(new), tuple(ended), min(looks, default=None))


def _both(one: Days, other: Days) -> Days:
    first = max(one.first, other.first)
    return within(within(Days(first, None), one.until), other.until)


def _end(days: Days) -> date:
    assert days.until is not None, "kWh are for a period"
    return days.until


def _too_long(held: list[Allowance], days: Days) -> Iterator[Ended]:
    for each in held:
        if days.until is not None and _end(each.days) > days.until and not each.days.is_empty:
            yield Ended(each.rule, max(days.until, each.days.first))


def _missing(
    subscription: Subscription, bearer: Bearer, days: Days, held: list[Allowance], today: date
) -> tuple[list[NewAllowance], date]:
    """And up to which day there are rules then."""
    left = [within(each.days, days.until) for each in held]
    begin = max([days.first, *(_end(each) for each in left if not each.is_empty)])
    made: list[NewAllowance] = []
    taken = {each.rule for each in held}
    while begin in days and begin <= today + AHEAD:
        period = period_of(subscription.plan.interval, subscription.anchor, begin)
        part = within(Days(begin, period.until), days.until)
        kwh = _kwh(subscription, period, part)
        if kwh and _end(part) > today:
            rule = _rule(subscription.id, bearer.id, begin, taken)
            taken.add(rule)
            made.append(
                NewAllowance(
                    rule=rule,
                    label=subscription.plan.name,
                    subscription=subscription.id,
                    bearer=bearer,
                    days=part,
                    kwh=kwh,
                )
            )
        begin = _end(part)
    return made, begin


def _kwh(subscription: Subscription, period: Period, part: Days) -> Decimal:
    """Of the whole period its share by days, without zeros behind."""
    assert subscription.plan.included_kwh is not None, "it was asked for"
    whole_wh = round_units(Fraction(subscription.plan.included_kwh) * Fraction(subscription.quantity) * _WH)
    return Decimal(f"{Decimal(part_minor(whole_wh, period, part)).scaleb(-3).normalize():f}")


def _rule(subscription: int, bearer: int, day: date, taken: set[str]) -> str:
    first = f"included-{subscription}-{bearer}-{day.isoformat()}"
    names = (first if number == 1 else f"{first}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
