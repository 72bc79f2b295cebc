"""Prices of plans: flat, in steps, and by an index that may have gaps."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.contracts.days import add_months
from billing.contracts.pricing import (
    Flat,
    Indexed,
    IndexOn,
    Missing,
    Price,
    Pricing,
    Step,
    Stepped,
    cuts,
    mistakes,
    price_on,
)
from tests.examples import tried

D = date.fromisoformat
START = D("2026-03-17")
MONTHS = {"2025-12": "100", "2026-12": "104", "2027-12": "104.9", "2028-12": "112.35", "2029-12": "90"}


def by_month(values: dict[str, str]) -> IndexOn:
    """A series with one value for each of these months."""

    def on(series: str, day: date) -> Decimal | None:
        assert series == "cpi"
        return Decimal(values[f"{day:%Y-%m}"]) if f"{day:%Y-%m}" in values else None

    return on


def nothing(_series: str, _day: date) -> Decimal | None:
    raise AssertionError("nobody needs an index here")


def indexed(**more: Any) -> Indexed:
    """30.00 at the index of December 2025, looked at each January by the index of the month before."""
    return Indexed(
        **{
            "price": Decimal("30.00"), "series": "cpi", "base_on": D("2025-12-01"), "first_on": D("2027-01-01"),
            "lag_months": 1, **more,
        }
    )  # fmt: skip


def price(pricing: Pricing, day: str, index_on: IndexOn = nothing, start: date = START) -> str:
    found = price_on(pricing, D(day), start=start, index_on=index_on)
    assert isinstance(found, Price), found
    return f"{found.amount:f}"


def test_a_flat_price_is_always_the_same() -> None:
    assert price(Flat(price=Decimal("29.90")), "2050-01-01") == "29.90"


def test_steps_come_on_their_day_or_so_many_months_after_the_begin() -> None:
    pricing = Stepped(
        price=Decimal("19.90"),
        steps=(Step(price=Decimal("29.90"), after_months=12), Step(price=Decimal("34.90"), on=D("2028-01-01"))),
    )

    assert cuts(pricing, START) == [D("2027-03-17"), D("2028-01-01")]
    assert [price(pricing, day) for day in ("2026-03-17", "2027-03-16", "2027-03-17", "2027-12-31", "2028-01-01")] == [
        "19.90", "19.90", "29.90", "29.90", "34.90",
    ]  # fmt: skip
    assert mistakes(pricing) == []


def test_an_indexed_price_is_the_first_price_times_the_index_over_its_base() -> None:
    on = by_month(MONTHS)

    days = ("2026-12-31", "2027-01-01", "2027-12-31", "2028-06-01", "2029-01-01", "2030-01-01")
    assert [price(indexed(), day, on) for day in days] == ["30.00", "31.20", "31.20", "31.47", "33.71", "27.00"]
    told = price_on(indexed(), D("2029-05-05"), start=START, index_on=on)
    assert told == Price(Decimal("33.71"), "cpi 112.35 / 100 of 2029-01-01")


def test_below_the_threshold_nothing_changes_and_what_gathers_is_made_up_for() -> None:
    on = by_month(MONTHS)
    pricing = indexed(threshold_percent=Decimal(5))

    # 4 % and 4.9 % since the base are less than 5 %, 12.35 % are not; then the fall since that price counts
    assert [price(pricing, f"{year}-01-01", on) for year in (2027, 2028, 2029, 2030)] == [
        "30.00", "30.00", "33.71", "27.00",
    ]  # fmt: skip
    assert price(indexed(threshold_percent=Decimal(4)), "2027-01-01", on) == "31.20"


def test_one_change_and_the_price_are_bounded() -> None:
    on = by_month(MONTHS)

    bounded = indexed(rise_max_percent=Decimal(3), fall_max_percent=Decimal(0))
    assert [price(bounded, f"{year}-01-01", on) for year in (2027, 2028, 2029, 2030)] == [
        "30.90", "31.47", "32.41", "32.41",
    ]  # fmt: skip
    between = indexed(price_min=Decimal("29.00"), price_max=Decimal("33.00"))
    assert [price(between, f"{year}-01-01", on) for year in (2029, 2030)] == ["33.00", "29.00"]


def test_a_price_is_rounded_to_its_places_half_up() -> None:
    on = by_month({"2025-12": "3", "2026-12": "4"})

    assert price(indexed(price=Decimal("0.3333"), places=4), "2027-01-01", on) == "0.4444"
    assert price(indexed(price=Decimal("0.0015"), places=3), "2027-01-01", on) == "0.002"
    assert price(indexed(price=Decimal(1000), places=0), "2027-01-01", on) == "1333"


@pytest.mark.parametrize("gone", ["2025-12", "2026-12", "2028-12"])
def test_an_index_that_is_not_there_gives_a_reason_and_no_price(gone: str) -> None:
    on = by_month({month: value for month, value in MONTHS.items() if month != gone})

    found = price_on(indexed(), D("2029-01-01"), start=START, index_on=on)

    assert found == Missing(f"series cpi has no value on {gone}-01")


@pytest.mark.parametrize("value", ["0", "-3"])
def test_an_index_that_is_not_above_zero_is_none(value: str) -> None:
    found = price_on(indexed(), D("2027-01-01"), start=START, index_on=by_month(MONTHS | {"2025-12": value}))

    assert isinstance(found, Missing)
    assert "above zero" in found.why


def test_before_it_is_looked_at_first_no_index_is_needed() -> None:
    assert price(indexed(), "2026-12-31", nothing) == "30.00"
    of_own = indexed(first_on=None, every_months=12)
    assert price(of_own, "2027-03-16", nothing) == "30.00"
    assert list(of_own.looks(START, D("2028-12-31"))) == [D("2027-03-17"), D("2028-03-17")]


@tried(200)
@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=12), st.integers(0, 60), st.none() | st.integers(0, 50))
def test_an_unbounded_index_is_exact_and_a_bounded_one_never_jumps(
    values: list[int], threshold: int, rise: int | None
) -> None:
    months = {f"{add_months(D('2025-12-01'), n):%Y-%m}": str(value) for n, value in enumerate(values)}
    pricing = indexed(
        every_months=1, first_on=D("2026-02-01"), threshold_percent=Decimal(threshold),
        rise_max_percent=None if rise is None else Decimal(rise), places=6,
    )  # fmt: skip
    before = Fraction(pricing.price)
    last = 0
    for n in range(1, len(values)):
        found = price_on(pricing, add_months(D("2026-02-01"), n - 1), start=START, index_on=by_month(months))
        assert isinstance(found, Price)
        amount, change = Fraction(found.amount), abs(Fraction(values[n], values[last]) - 1) * 100
        if change < threshold:
            assert amount == before
        else:
            last = n
            exact = Fraction(30) * values[n] / values[0]
            bound = exact if rise is None else min(exact, before * (1 + Fraction(rise, 100)))
            assert abs(amount - bound) <= Fraction(1, 2 * 10**6)
        before = amount


@pytest.mark.parametrize(
    ("pricing", "why"),
    [
        (Flat(price=Decimal(-1)), "from zero"),
        (Flat(price=Decimal("NaN")), "from zero"),
        (Flat(price=Decimal("0.0000001")), "at most 6 decimals"),
        (Stepped(price=Decimal(1), steps=(Step(price=Decimal(1)),)), "either a day or"),
        (Stepped(price=Decimal(1), steps=(Step(price=Decimal(1), on=START, after_months=1),)), "either a day or"),
        (Stepped(price=Decimal(1), steps=(Step(price=Decimal(1), after_months=0),)), "1 to 600"),
        (indexed(series=""), "names its series"),
        (indexed(base_on=date.min), "between 1900-01-01"),
        (Stepped(price=Decimal(1), steps=(Step(price=Decimal(1), on=date.max),)), "not on 9999-12-31"),
        (indexed(every_months=0), "every 1 to 120"),
        (indexed(lag_months=25), "0 to 24"),
        (indexed(places=7), "0 to 6 decimals"),
        (indexed(rise_max_percent=Decimal(-1)), "the rise is a percentage"),
        (indexed(price_min=Decimal(2), price_max=Decimal(1)), "above the highest"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_the_reason(pricing: Pricing, why: str) -> None:
    assert any(why in each for each in mistakes(pricing))
