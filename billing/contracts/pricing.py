"""What a plan costs on a day: flat, stepped over time, or following an index. Pure.

An indexed price is its first price times the index then over the index at its base, as contracts say it. Whoever asks for a
day whose index is not known gets a reason and no price: nothing is guessed, and nothing is taken from the month before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias

from billing.contracts.days import LAST_DAY, add_months
from billing.contracts.written import Written
from billing.money import exact_text, round_units

IndexOn: TypeAlias = Callable[[str, date], Decimal | None]
"""The value of a series on a day; None: there is none."""

PLACES_MAX = 6
_HUNDRED = Fraction(100)
_FIRST_DAY = date(1900, 1, 1)
"""Of an index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat(Written):
    """Always the same."""

    price: Decimal
    kind: Literal["flat"] = "flat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Written):
    """From a day on, or so many months after the subscription began, it is `price`."""

    price: Decimal
    on: date | None = None
    after_months: int | None = None

    def day(self, start: date) -> date:
        if self.on is not None:
            return self.on
        assert self.after_months is not None, "a step has a day or a number of months"
        return add_months(start, self.after_months)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped(Written):
    """`price` until the first step. A step within a period divides it by days."""

    price: Decimal
    steps: tuple[Step, ...]
    kind: Literal["stepped"] = "stepped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed(Written):
    """`price` at the index of the day `base_on`; looked at again every so many months from `first_on` on.

    `first_on` None: for the first time so many months after the subscription began. The index that counts is that of
    `lag_months` before: it is published later than its month. Nothing changes while the index has moved by less than
    `threshold_percent` since the price last changed. `rise_max_percent` and `fall_max_percent` bound one change against
    the price before it (what was cut may follow the next time), `price_min` and `price_max` bound the price.
    `places` are the decimals to which each price is rounded, half up.
    """

    price: Decimal
    series: str
    base_on: date
    every_months: int = 12
    first_on: date | None = None
    lag_months: int = 0
    threshold_percent: Decimal = Decimal(0)
    rise_max_percent: Decimal | None = None
    fall_max_percent: Decimal | None = None
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    places: int = 2
    kind: Literal["indexed"] = "indexed"

    def looks(self, start: date, until: date) -> Iterator[date]:
        """The days on which it is looked at, up to `until`, that day too."""
        first, number = (start, 1) if self.first_on is None else (self.first_on, 0)
        while (day := add_months(first, self.every_months * number)) <= until:
            yield day
            number += 1


Pricing: TypeAlias = Flat | Stepped | Indexed


@dataclass(frozen=True, slots=True)
class Price:
    """A price, and how it came about where that is not plain."""

    amount: Decimal
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no price, and why."""

    why: str


def cuts(pricing: Pricing, start: date) -> list[date]:
    """The days within periods on which the price changes. An index counts from the period after its day."""
    return sorted({step.day(start) for step in pricing.steps}) if isinstance(pricing, Stepped) else []


def price_on(pricing: Pricing, day: date, *, start: date, index_on: IndexOn) -> Price | Missing:
    """What a period costs by the price of a day. `start`: when the subscription began to have this price."""
    match pricing:
        case Flat():
            return Price(pricing.price)
        case Stepped():
            return Price(_stepped(pricing, day, start))
        case Indexed():
            return _indexed(pricing, day, start, index_on)


def _stepped(pricing: Stepped, day: date, start: date) -> Decimal:
    begun = [(step.day(start), number) for number, step in enumerate(pricing.steps) if step.day(start) <= day]
    return pricing.steps[max(begun)[1]].price if begun else pricing.price


def _indexed(pricing: Indexed, day: date, start: date, index_on: IndexOn) -> Price | Missing:
    looks = list(pricing.looks(start, day))
    if not looks:
        return Price(pricing.price)
    base = _value(pricing, pricing.base_on, index_on)
    if isinstance(base, Missing):
        return base
    price, last, why = pricing.price, base, None
    for look in looks:
        found = _value(pricing, add_months(look, -pricing.lag_months), index_on)
        if isinstance(found, Missing):
            return found
        if abs(found / last - 1) * _HUNDRED < Fraction(pricing.threshold_percent):
            continue
        price, last = _bounded(pricing, price, Fraction(pricing.price) * found / base), found
        why = f"{pricing.series} {exact_text(found)} / {exact_text(base)} of {look.isoformat()}"
    return Price(price, why)


def _value(pricing: Indexed, day: date, index_on: IndexOn) -> Fraction | Missing:
    value = index_on(pricing.series, day)
    if value is None:
        return Missing(f"series {pricing.series} has no value on {day.isoformat()}")
    if value <= 0:
        return Missing(f"series {pricing.series} is {value:f} on {day.isoformat()}, and an index is above zero")
    return Fraction(value)


def _bounded(pricing: Indexed, before: Decimal, wanted: Fraction) -> Decimal:
    price = wanted
    if pricing.rise_max_percent is not None:
        price = min(price, Fraction(before) * (1 + Fraction(pricing.rise_max_percent) / _HUNDRED))
    if pricing.fall_max_percent is not None:
        price = max(price, Fraction(before) * (1 - Fraction(pricing.fall_max_percent) / _HUNDRED))
    rounded = Decimal(round_units(price * 10**pricing.places)).scaleb(-pricing.places)
    if pricing.price_max is not None:
        rounded = min(rounded, pricing.price_max)
    return rounded if pricing.price_min is None else max(rounded, pricing.price_min)


def mistakes(pricing: Pricing) -> list[str]:
    """Why such a price is not taken in; all of it."""
    match pricing:
        case Flat():
            return _of_price(pricing.price)
        case Stepped():
            return _of_price(pricing.price) + [each for step in pricing.steps for each in _of_step(step)]
        case Indexed():
            return _of_price(pricing.price) + _of_index(pricing)


def _of_price(price: Decimal) -> list[str]:
    if not price.is_finite() or not 0 <= price < 10**9:
        return [f"a price is from zero to below 10^9, not {price}"]
    if price != round(price, PLACES_MAX):
        return [f"a price has at most {PLACES_MAX} decimals, not {price}"]
    return []


def _of_step(step: Step) -> list[str]:
    found = _of_price(step.price)
    if (step.on is None) == (step.after_months is None):
        found.append("a step has either a day or a number of months")
    found += _of_day(step.on)
    if step.after_months is not None and not 1 <= step.after_months <= 600:  # noqa: PLR2004 - fifty years
        found.append(f"a step comes 1 to 600 months after the begin, not {step.after_months}")
    return found


def _of_day(day: date | None) -> list[str]:
    if day is None or _FIRST_DAY <= day <= LAST_DAY:
        return []
    return [f"a price changes between {_FIRST_DAY} and {LAST_DAY}, not on {day}"]


def _of_index(pricing: Indexed) -> list[str]:
    found = []
    if not pricing.series:
        found.append("an indexed price names its series")
    found += _of_day(pricing.base_on) + _of_day(pricing.first_on)
    if not 1 <= pricing.every_months <= 120:  # noqa: PLR2004 - ten years
        found.append(f"an index is looked at every 1 to 120 months, not {pricing.every_months}")
    if not 0 <= pricing.lag_months <= 24:  # noqa: PLR2004 - two years
        found.append(f"an index is 0 to 24 months old when it counts, not {pricing.lag_months}")
    if not 0 <= pricing.places <= PLACES_MAX:
        found.append(f"prices are rounded to 0 to {PLACES_MAX} decimals, not {pricing.places}")
    for name, percent in (
        ("threshold", pricing.threshold_percent),
        ("rise", pricing.rise_max_percent),
        ("fall", pricing.fall_max_percent),
    ):
        if percent is not None and not (percent.is_finite() and 0 <= percent <= 1000):  # noqa: PLR2004 - tenfold
            found.append(f"the {name} is a percentage from zero on, not {percent}")
    if None not in (pricing.price_min, pricing.price_max) and pricing.price_min > pricing.price_max:  # type: ignore[operator]
        found.append(f"the least price, {pricing.price_min}, is above the highest, {pricing.price_max}")
    return found
