"""Discounts on what recurs and on items: shared to the minor unit, never below zero, never more than was promised."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.contracts.days import DAY, Days, add_months
from billing.contracts.discount import Discount, Target, mistakes
from billing.contracts.one_time import items_due
from billing.contracts.pricing import Indexed
from billing.contracts.recurrence import Interval
from billing.contracts.standing import OpenItem
from tests.billing.contracts.standings import START, Books, contract, plan, subscription
from tests.examples import tried

D = date.fromisoformat


def discount(id_: int = 1, *, target: Target = Target.PLANS, until: str | None = None, **more: Any) -> Discount:
    first = more.pop("first", START)
    return Discount(
        **{
            "id": id_, "label": f"Discount {id_}", "target": target, "days": Days(first, None if until is None else D(until)),
            **more,
        }
    )  # fmt: skip


def item(id_: int = 1, price: str = "100.00", **more: Any) -> OpenItem:
    return OpenItem(
        **{
            "id": id_, "name": f"Item {id_}", "quantity": Decimal(1), "unit": "C62", "unit_price": Decimal(price),
            "price_with_tax": False, "supply": "hardware", "due_on": START, **more,
        }
    )  # fmt: skip


def taken(books: Books) -> list[list[tuple[int, int]]]:
    return [[(each.discount, each.minor) for each in charge.discounts] for charge in books.charges]


def test_discounts_act_one_after_the_other_on_what_is_left() -> None:
    tenth, euros = discount(1, percent=Decimal(10)), discount(2, amount_minor=500)
    books = Books(contract(subscription(of=plan("100")), discounts=(tenth, euros)))
    books.accrue(START)

    assert taken(books) == [[(1, 1000), (2, 500)]]
    assert books.total_minor == 8500
    turned = Books(contract(subscription(of=plan("100")), discounts=(euros, tenth)))
    turned.accrue(START)
    assert taken(turned) == [[(2, 500), (1, 950)]]


def test_a_discount_for_so_many_periods_counts_the_one_in_which_it_begins() -> None:
    three = discount(percent=Decimal(100), periods=3)
    books = Books(contract(subscription(days=Days(D("2026-01-17"), None)), discounts=(three,)))
    books.accrue(D("2026-05-01"))

    assert [each.amount_minor for each in books.charges] == [0, 0, 0, 2990, 2990]


@pytest.mark.parametrize(
    ("charged_until", "amounts"),
    [
        ("2026-02-01", [2990, 0, 0, 2990]),
        ("2026-03-01", [2990, 2990, 0, 0]),
        ("2026-01-17", [1543, 0, 0, 2990, 2990]),
    ],
)
def test_a_period_that_was_charged_before_a_discount_was_entered_is_none_of_its_periods(
    charged_until: str, amounts: list[int]
) -> None:
    books = Books(contract(subscription()))
    books.end(D("2026-01-17") if charged_until == "2026-01-17" else None)
    books.accrue(D(charged_until) - DAY)
    books.end(None)
    two = discount(percent=Decimal(100), periods=2)
    books.standing = replace(books.standing, discounts=(two,), charged_until={1: {1: D(charged_until)}})
    books.accrue(D("2026-04-01"))

    assert [each.amount_minor for each in books.charges] == amounts


@tried(100)
@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 8), st.sampled_from(Interval))
def test_whatever_was_charged_when_it_was_entered_a_discount_is_for_as_many_periods_as_it_says(
    charged: int, first: int, periods: int, interval: Interval
) -> None:
    books = Books(contract(subscription(of=plan(interval=interval))))
    books.accrue(START + charged * DAY)
    cells = books.standing.subscriptions[0].cells
    offer = discount(percent=Decimal(50), periods=periods, first=START + first * DAY)
    books.standing = replace(books.standing, discounts=(offer,), charged_until={1: {1: cells[-1].until}})
    before = len(books.charges)
    books.accrue(add_months(START, 130))

    assert not any(taken(books)[:before])
    discounted = {cell.period for cell in books.standing.subscriptions[0].cells if cell.discounts}
    assert len(discounted) == periods


def test_the_periods_of_a_line_go_on_where_its_plan_changes() -> None:
    books = Books(contract(subscription(), discounts=(discount(percent=Decimal(50), periods=2),)))
    books.accrue(D("2026-02-01"))
    books.change(D("2026-02-15"), quantity=Decimal(2))
    books.accrue(D("2026-03-01"))

    assert [each.amount_minor for each in books.charges] == [1495, 1495, 1495, 5980, -747]


def test_an_amount_is_shared_by_what_the_lines_of_a_period_cost() -> None:
    lines = (
        subscription(1, plan("10")), subscription(2, plan("20")), subscription(3, plan("70", Interval.YEAR)),
    )  # fmt: skip
    books = Books(contract(*lines, discounts=(discount(amount_minor=1000),)))
    books.accrue(START)

    assert taken(books) == [[(1, 333)], [(1, 667)], [(1, 1000)]]


def test_an_amount_above_the_price_takes_all_of_it_and_no_more() -> None:
    books = Books(contract(subscription(), discounts=(discount(amount_minor=99_999),)))
    books.accrue(START)

    assert [each.amount_minor for each in books.charges] == [0]


def test_an_amount_that_a_line_without_a_price_shares_is_held_with_it() -> None:
    indexed = Indexed(price=Decimal(30), series="cpi", base_on=START, first_on=START)
    lines = (subscription(1), subscription(2, plan(pricing=indexed)))
    books = Books(contract(*lines, discounts=(discount(amount_minor=1000),)))
    held = books.accrue(START)

    assert [each.why for each in held.holds] == ["series cpi has no value on 2026-01-01"] * 2
    assert books.charges == []


def test_only_the_plan_that_is_named_is_cheaper() -> None:
    lines = (subscription(1), subscription(2, plan_id="plus"))
    books = Books(contract(*lines, discounts=(discount(percent=Decimal(10), only="plus"),)))
    books.accrue(START)

    assert taken(books) == [[], [(1, 299)]]


def test_an_amount_on_items_is_given_once_and_shared_by_those_that_are_to_come() -> None:
    off = discount(amount_minor=10_000, target=Target.ITEMS)
    later = item(2, "300.00", due_on=D("2026-02-01"))
    project = contract(items=(item(), later), discounts=(off,))
    first = items_due(project, START)
    second = items_due(replace(project, items=(later,), given={1: 2500}), D("2026-02-01"))

    assert [(each.source, each.discount_minor, each.amount_minor) for each in [*first, *second]] == [
        ("item:1", 2500, 7500),
        ("item:2", 7500, 22500),
    ]
    assert items_due(project, D("2026-02-01")) == [*first, *second]


def test_an_item_of_another_kind_pays_its_price() -> None:
    off = discount(percent=Decimal(10), target=Target.ITEMS, only="hardware")
    charges = items_due(contract(items=(item(), item(2, supply="installation")), discounts=(off,)), START)

    assert [each.amount_minor for each in charges] == [9000, 10000]


AMOUNTS = st.lists(st.integers(0, 50_000), min_size=1, max_size=6)
OFFERS = st.lists(st.integers(1, 100).map(Decimal) | st.integers(1, 40_000), max_size=4)


def rules(offers: list[Decimal | int], target: Target) -> tuple[Discount, ...]:
    return tuple(
        discount(n, target=target, percent=each) if isinstance(each, Decimal)
        else discount(n, target=target, amount_minor=each)
        for n, each in enumerate(offers, start=1)
    )  # fmt: skip


@tried(200)
@given(AMOUNTS, OFFERS)
def test_no_line_falls_below_zero_and_an_amount_is_given_exactly_as_far_as_there_is_something(
    prices: list[int], offers: list[Decimal | int]
) -> None:
    lines = [subscription(n, plan(f"{Decimal(each).scaleb(-2)}")) for n, each in enumerate(prices, start=1)]
    books = Books(contract(*lines, discounts=rules(offers, Target.PLANS)))
    books.accrue(START)

    assert all(charge.amount_minor >= 0 for charge in books.charges)
    given_ = {n: sum(minor for each in taken(books) for id_, minor in each if id_ == n) for n in range(1, 5)}
    left = sum(prices)
    for n, offer in enumerate(offers, start=1):
        if isinstance(offer, int):
            assert given_[n] == min(offer, left)
        left -= given_[n]


@tried(200)
@given(AMOUNTS, OFFERS, st.data())
def test_items_that_fall_due_one_after_the_other_never_get_more_than_was_promised(
    prices: list[int], offers: list[Decimal | int], data: st.DataObject
) -> None:
    days = [data.draw(st.integers(0, 40)) for _ in prices]
    goods = tuple(item(n, f"{Decimal(each).scaleb(-2)}", due_on=START + days[n] * DAY) for n, each in enumerate(prices))
    project = contract(items=goods, discounts=rules(offers, Target.ITEMS))
    charges = items_due(project, add_months(START, 2))

    assert all(charge.amount_minor >= 0 for charge in charges)
    assert len({charge.source for charge in charges}) == len(prices)
    for n, offer in enumerate(offers, start=1):
        total = sum(each.minor for charge in charges for each in charge.discounts if each.discount == n)
        if isinstance(offer, int):
            assert total <= offer
            assert n > 1 or total == min(offer, sum(prices))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (discount(), "either a percentage or an amount"),
        (discount(percent=Decimal(10), amount_minor=5), "either a percentage or an amount"),
        (discount(percent=Decimal(101)), "up to 100 percent"),
        (discount(percent=Decimal(0)), "above 0"),
        (discount(amount_minor=0), "above zero"),
        (discount(percent=Decimal(1), until="2026-01-01"), "end is not after"),
        (discount(percent=Decimal(1), periods=0), "1 to 1000"),
        (discount(percent=Decimal(1), periods=1, target=Target.ITEMS), "no periods"),
        (discount(percent=Decimal(1), label="two\nlines"), "one line"),
        (discount(percent=Decimal(1), only=""), "only for has a name"),
    ],
)
def test_a_discount_that_cannot_be_is_refused_with_the_reason(wrong: Discount, why: str) -> None:
    assert any(why in each for each in mistakes(wrong))
