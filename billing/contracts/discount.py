"""Discounts of a contract on what recurs and on its items. Those on charging sessions are another thing (billing.discounts). Pure.

Of a line several act one after the other, each on what those before it left, so that nothing falls below zero. An amount
that is for several lines is shared by what each costs, to the minor unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billing.contracts.days import Days
from billing.contracts.recurrence import Interval, Period, period_of
from billing.money import allocate, round_units

ALL_OF_IT: Final = 100
"""Percent."""
LABEL_MAX: Final = 100


class Target(StrEnum):
    """On what a discount acts."""

    PLANS = "plans"
    """What recurs; an amount is given once for each period."""
    ITEMS = "items"
    """One-time items; an amount is given once altogether."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """Either `percent`, or `amount_minor` shared by the lines it is for. It counts for what begins, or is due, in `days`.

    `periods`: only for so many periods of each plan, the first being that in which `days` begins, or where it was charged
    already when the discount was entered, the next on which it could act. `only`: of plans the id of one, of items their
    supply; None: all.
    """

    id: int
    label: str
    target: Target
    days: Days
    percent: Decimal | None = None
    amount_minor: int | None = None
    periods: int | None = None
    only: str | None = None

    def is_for(self, target: Target, name: str, day: date) -> bool:
        """Whether it is for a line of a plan or a kind of items, on the day on which that begins or is due."""
        return self.target is target and self.only in (None, name) and day in self.days


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that discounts may lower: what it costs, of which plan or kind it is. `begins`: when a plan first ran.

    `charged_until`: by discount, up to before which day a plan was charged already when the discount was entered.
    """

    key: str
    name: str
    gross_minor: int
    begins: date
    interval: Interval | None = None
    anchor: date | None = None
    period: Period | None = None
    charged_until: Mapping[int, date] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Given:
    """What a discount takes from a line."""

    discount: int
    label: str
    minor: int


def on_plan(discounts: Iterable[Discount], line: Line, beside: Sequence[Line], day: date) -> list[Given]:
    """What discounts take from a whole period of a line, from the day `day` in it on.

    `beside`: the lines of the contract that have the same period then, in a fixed order, this one among them.
    """
    assert line.period is not None, "a plan has periods"
    left = {each.key: each.gross_minor for each in beside}
    found: list[Given] = []
    for discount in discounts:
        shares = _shares(discount, [each for each in beside if _holds(discount, each, day)], left)
        if line.key in shares:
            found.append(Given(discount.id, discount.label, shares[line.key]))
        left = {key: minor - shares.get(key, 0) for key, minor in left.items()}
    return [each for each in found if each.minor]


def on_item(
    discounts: Iterable[Discount], item: Line, beside: Sequence[Line], day: date, given: Mapping[int, int]
) -> list[Given]:
    """What discounts take from an item that is due on a day.

    `beside`: the items of the contract that have not fallen due yet, in a fixed order, this one among them; `given`: how
    much of each discount others have had.
    """
    left = {each.key: each.gross_minor for each in beside}
    found: list[Given] = []
    for discount in discounts:
        group = [each for each in beside if discount.is_for(Target.ITEMS, each.name, day)]
        shares = _shares(discount, group, left, had=given.get(discount.id, 0))
        if item.key in shares:
            found.append(Given(discount.id, discount.label, shares[item.key]))
        left = {key: minor - shares.get(key, 0) for key, minor in left.items()}
    return [each for each in found if each.minor]


def _holds(discount: Discount, line: Line, day: date) -> bool:
    if not discount.is_for(Target.PLANS, line.name, day):
        return False
    if discount.periods is None:
        return True
    assert line.interval is not None, "a plan has an interval"
    assert line.anchor is not None, "a plan has an anchor"
    assert line.period is not None, "a plan has periods"
    counts_from = max(discount.days.first, line.begins, line.charged_until.get(discount.id, line.begins))
    first = period_of(line.interval, line.anchor, counts_from)
    # Days of an earlier period may be charged anew, at another plan: they were promised nothing.
    return 0 <= line.period.number - first.number < discount.periods


def _shares(discount: Discount, group: Sequence[Line], left: Mapping[str, int], had: int = 0) -> dict[str, int]:
    """What a discount takes from each line, never more than is left of it."""
    if not group:
        return {}
    if discount.percent is not None:
        share = Fraction(discount.percent) / ALL_OF_IT
        return {each.key: round_units(left[each.key] * share) for each in group}
    assert discount.amount_minor is not None, "a discount is a percentage or an amount"
    amount = min(discount.amount_minor - had, sum(left[each.key] for each in group))
    parts = allocate(amount, [left[each.key] for each in group])
    return {each.key: part for each, part in zip(group, parts, strict=True)}


def mistakes(discount: Discount) -> list[str]:
    """Why such a discount is not taken in; all of it."""
    found = []
    if not discount.label.strip() or not discount.label.isprintable() or len(discount.label) > LABEL_MAX:
        found.append(f"a label is one line of 1 to {LABEL_MAX} characters")
    if discount.only is not None and not (discount.only and discount.only.isprintable()):
        found.append("what it is only for has a name of one line")
    if (discount.percent is None) == (discount.amount_minor is None):
        found.append("a discount is either a percentage or an amount")
    if discount.percent is not None and not (discount.percent.is_finite() and 0 < discount.percent <= ALL_OF_IT):
        found.append(f"a discount takes above 0 up to {ALL_OF_IT} percent, not {discount.percent}")
    if discount.amount_minor is not None and discount.amount_minor <= 0:
        found.append("a discount takes an amount above zero")
    if discount.days.is_empty:
        found.append("its end is not after its begin")
    if discount.periods is not None and not 1 <= discount.periods <= 1000:  # noqa: PLR2004 - twenty years of weeks
        found.append(f"a discount is for 1 to 1000 periods, not {discount.periods}")
    if discount.periods is not None and discount.target is Target.ITEMS:
        found.append("items have no periods: leave --periods out")
    return found
