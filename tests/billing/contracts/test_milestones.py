"""Sums in parts, deadlines of all kinds, and reminders of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.contracts.contract import Deadline, DeadlineKind, Renewal, Terms
from billing.contracts.days import Days, Length
from billing.contracts.milestones import Part, amounts_minor, mistakes
from billing.contracts.one_time import milestones_due
from billing.contracts.reminding import deadlines_of, remind
from billing.contracts.standing import FallenDue, OpenItem, OpenMilestone
from tests.billing.contracts.standings import START, contract, subscription
from tests.examples import tried

D = date.fromisoformat


def part(percent: str, **more: Any) -> Part:
    return Part(**{"name": "Part", "percent": Decimal(percent), "due_on": START, **more})


def milestone(id_: int = 1, **more: Any) -> OpenMilestone:
    return OpenMilestone(
        **{
            "id": id_, "split": "Depot", "name": "On order", "percent": Decimal(30), "total_minor": 1_000_000,
            "amount_minor": 300_000, "price_with_tax": False, "supply": "milestone", "due_on": START, **more,
        }
    )  # fmt: skip


def test_a_sum_is_split_to_the_unit() -> None:
    thirds = [part("33.3333"), part("33.3333"), part("33.3334")]

    assert mistakes(thirds) == []
    assert amounts_minor(10_000, thirds) == [3333, 3333, 3334]
    assert amounts_minor(12_345, [part("30"), part("60"), part("10")]) == [3704, 7407, 1234]


@tried(200)
@given(st.integers(1, 10**12), st.lists(st.integers(1, 10_000), min_size=1, max_size=20))
def test_the_parts_are_the_whole_and_none_is_off_by_a_unit(total: int, weights: list[int]) -> None:
    parts = [part(f"{weight}") for weight in weights]

    amounts = amounts_minor(total, parts)

    assert sum(amounts) == total
    for amount, weight in zip(amounts, weights, strict=True):
        assert abs(amount - Decimal(total) * weight / sum(weights)) < 1


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([], "1 to 50 parts"),
        ([part("60"), part("30")], "add up to 90 percent"),
        ([part("100", event="accepted")], "either on a day or by an event"),
        ([part("100", due_on=None)], "either on a day or by an event"),
        ([part("0"), part("100")], "above zero percent"),
        ([part("100", name=" ")], "a name of one line"),
        ([part("100", due_on=None, event="\n")], "an event has a name"),
    ],
)
def test_a_sum_that_cannot_be_split_so_is_refused_with_the_reason(parts: list[Part], why: str) -> None:
    assert any(why in each for each in mistakes(parts))


def test_a_part_is_due_on_its_day_or_when_it_is_reached() -> None:
    waiting = milestone(2, name="On acceptance", due_on=None)
    later = milestone(3, due_on=D("2026-02-01"))
    [charge] = milestones_due(contract(milestones=(milestone(), waiting, later)), START)

    assert (charge.source, charge.name, charge.description) == (
        "milestone:1", "Depot: On order", "30 % x 10000.00",
    )  # fmt: skip
    assert (charge.amount_minor, charge.due_on, charge.tax_point) == (300_000, START, START)


def test_deadlines_are_those_of_terms_items_milestones_and_payments() -> None:
    renews = Terms(
        starts_on=START, renewal=Renewal.RENEWS, term=Length.parse("12m"), renewal_length=Length.parse("12m"),
        notice=Length.parse("3m"),
    )  # fmt: skip
    item = OpenItem(
        id=4, name="Charger", quantity=Decimal(1), unit="C62", unit_price=Decimal(900), price_with_tax=False,
        supply="hardware", due_on=D("2026-02-10"),
    )  # fmt: skip
    standing = contract(
        subscription(), terms=renews, items=(item,), milestones=(milestone(due_on=D("2026-03-01")), milestone(2, due_on=None)),
        fallen_due=(FallenDue(source="subscription:1:2026-02-01", due_on=D("2026-02-01")),),
    )  # fmt: skip

    found = deadlines_of(standing, Days(D("2026-02-02"), D("2027-02-01")))

    assert [(each.on.isoformat(), each.kind.value, each.about) for each in found] == [
        ("2026-02-10", "milestone", "item:4 Charger"),
        ("2026-02-15", "payment", "subscription:1:2026-02-01"),
        ("2026-02-24", "payment", "item:4"),
        ("2026-03-01", "milestone", "milestone:1 Depot: On order"),
        ("2026-03-15", "payment", "milestone:1"),
        ("2026-09-30", "notice", ""),
        ("2027-01-01", "renewal", ""),
    ]


def test_somebody_is_reminded_in_time_and_once_for_each_day() -> None:
    renews = Terms(
        starts_on=START, renewal=Renewal.RENEWS, term=Length.parse("12m"), renewal_length=Length.parse("12m"),
        notice=Length.parse("3m"),
    )  # fmt: skip
    standing = contract(terms=renews, remind_before={DeadlineKind.NOTICE: (90, 30, 7)})

    def told(day: str) -> list[str]:
        return [each.remind_on.isoformat() for each in remind(standing, D(day)).due if each.deadline.on.year == 2026]

    assert told("2026-07-01") == []
    assert remind(standing, D("2026-07-01")).next_on == D("2026-07-02")
    assert told("2026-07-02") == told("2026-08-30") == ["2026-07-02"]
    assert told("2026-08-31") == ["2026-08-31"]
    assert told("2026-09-23") == told("2026-09-30") == ["2026-09-23"]
    assert told("2026-10-01") == []
    assert remind(standing, D("2026-09-23")).due[0].deadline == Deadline(D("2026-09-30"), DeadlineKind.NOTICE)


def test_a_contract_that_is_over_is_not_looked_at_again() -> None:
    assert remind(contract(until=D("2026-03-01")), D("2026-03-01")).next_on is None
    assert remind(contract(until=D("2026-03-01")), D("2026-02-28")).next_on is not None
