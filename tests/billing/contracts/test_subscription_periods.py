"""What recurs: each period once, no day twice, and what was billed too much comes back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.contracts.days import Days, add_months
from billing.contracts.discount import Discount, Target
from billing.contracts.plan import Align, Timing
from billing.contracts.pricing import Indexed, Step, Stepped
from billing.contracts.recurrence import Interval, period_of
from tests.billing.contracts.standings import FAR, START, Books, contract, plan, subscription
from tests.examples import tried

D = date.fromisoformat
DAY = timedelta(days=1)


def lines(books: Books) -> list[tuple[str, str, str]]:
    """Source without its first word, due day and amount."""
    return [
        (each.source.partition(":")[2], each.due_on.isoformat(), f"{Decimal(each.amount_minor).scaleb(-2)}")
        for each in books.charges
    ]


def test_a_month_falls_due_in_advance_on_its_first_day_and_in_arrears_on_its_last() -> None:
    advance = Books(contract(subscription()))
    arrears = Books(contract(subscription(of=plan(timing=Timing.ARREARS))))
    waiting = [books.accrue(D("2026-01-30")).next_on for books in (advance, arrears)]

    assert waiting == [D("2026-02-01"), D("2026-01-31")]
    assert lines(advance) == [("1:2026-01-01", "2026-01-01", "29.90")]
    assert lines(arrears) == []
    assert arrears.accrue(D("2026-01-31")).next_on == D("2026-02-28")
    assert lines(arrears) == [("1:2026-01-01", "2026-01-31", "29.90")]
    assert arrears.charges[0].days == Days(D("2026-01-01"), D("2026-02-01"))
    assert arrears.charges[0].tax_point == D("2026-01-31")


def test_what_ends_within_a_month_falls_due_in_arrears_on_its_own_last_day() -> None:
    books = Books(contract(subscription(of=plan("31.00", timing=Timing.ARREARS))))
    books.end(D("2026-01-11"))

    assert books.accrue(D("2026-01-09")).next_on == D("2026-01-10")
    assert books.accrue(D("2026-01-10")).next_on is None
    assert lines(books) == [("1:2026-01-01", "2026-01-10", "10.00")]
    assert books.charges[0].days == Days(D("2026-01-01"), D("2026-01-11"))


@pytest.mark.parametrize("entered", ["2026-01-31", "2026-02-03"])
def test_an_end_that_is_entered_once_the_month_is_charged_in_arrears_gives_the_rest_back(entered: str) -> None:
    books = Books(contract(subscription(of=plan("31.00", timing=Timing.ARREARS))))
    books.accrue(D("2026-01-31"))
    books.end(D("2026-01-11"))

    assert books.accrue(D(entered)).next_on is None
    assert lines(books) == [
        ("1:2026-01-01", "2026-01-31", "31.00"),
        ("1:2026-01-01:credit:2026-01-11", "2026-01-11", "-21.00"),
    ]
    assert books.charges[1].tax_point == D("2026-01-31")  # taxed as it was


def test_in_arrears_what_ends_with_a_month_that_was_charged_gives_nothing_back() -> None:
    books = Books(contract(subscription(of=plan("31.00", timing=Timing.ARREARS))))
    books.accrue(D("2026-01-31"))
    books.end(D("2026-02-01"))

    assert books.accrue(D("2026-02-01")).next_on is None
    assert books.total_minor == 3100


def test_a_month_in_arrears_without_its_index_is_held_from_its_last_day_on() -> None:
    indexed = Indexed(price=Decimal("30.00"), series="cpi", base_on=D("2025-12-01"), first_on=START)
    books = Books(contract(subscription(of=plan(pricing=indexed, timing=Timing.ARREARS))))

    early = books.accrue(D("2026-01-30"))
    assert (early.holds, early.next_on) == ([], D("2026-01-31"))
    held = books.accrue(D("2026-01-31"))
    assert [each.why for each in held.holds] == ["series cpi has no value on 2025-12-01"]
    assert held.next_on == D("2026-01-31")

    known = {D("2025-12-01"): Decimal(100), START: Decimal(110)}
    assert books.accrue(D("2026-02-05"), lambda _, day: known.get(day)).next_on == D("2026-02-28")
    assert lines(books) == [("1:2026-01-01", "2026-01-31", "33.00")]


@pytest.mark.parametrize(
    ("interval", "begins"),
    [
        (Interval.WEEK, ["2026-03-17", "2026-03-23", "2026-03-30"]),
        (Interval.MONTH, ["2026-03-17", "2026-04-01", "2026-05-01"]),
        (Interval.QUARTER, ["2026-03-17", "2026-04-01", "2026-07-01"]),
        (Interval.HALF_YEAR, ["2026-03-17", "2026-07-01", "2027-01-01"]),
        (Interval.YEAR, ["2026-03-17", "2027-01-01", "2028-01-01"]),
    ],
)
def test_what_begins_within_a_calendar_period_pays_the_days_that_are_left(
    interval: Interval, begins: list[str]
) -> None:
    books = Books(contract(subscription(of=plan("100", interval), days=Days(D("2026-03-17"), None))))
    books.accrue(D(begins[-1]))

    assert [each.due_on for each in books.charges[:3]] == [D(day) for day in begins]
    period = period_of(interval, date(2024, 1, 1), D("2026-03-17"))
    exact = Decimal(10000) * (period.until - D("2026-03-17")).days / period.length
    assert abs(books.charges[0].amount_minor - exact) <= 1
    assert [each.amount_minor for each in books.charges[1:3]] == [10000, 10000]


def test_a_part_is_one_piece_at_what_it_costs_and_says_how_that_came_about() -> None:
    books = Books(contract(subscription(quantity=Decimal(2), days=Days(D("2026-03-17"), None))))
    books.accrue(D("2026-04-01"))

    part, whole = books.charges
    assert (part.quantity, f"{part.unit_price}", part.description) == (Decimal(1), "28.94", "2 x 29.90 x 15/31")
    assert part.days == Days(D("2026-03-17"), D("2026-04-01"))
    assert part.tax_point == D("2026-03-31")
    assert (whole.quantity, f"{whole.unit_price}", whole.description) == (Decimal(2), "29.90", None)


def test_periods_that_begin_as_the_subscription_did_are_whole_from_the_first() -> None:
    of = plan(align=Align.START)
    books = Books(contract(subscription(of=of, days=Days(D("2026-01-31"), None))))
    books.accrue(D("2026-05-31"))

    assert lines(books) == [
        ("1:2026-01-31", "2026-01-31", "29.90"),
        ("1:2026-02-28", "2026-02-28", "29.90"),
        ("1:2026-03-31", "2026-03-31", "29.90"),
        ("1:2026-04-30", "2026-04-30", "29.90"),
        ("1:2026-05-31", "2026-05-31", "29.90"),
    ]


def test_an_upgrade_within_a_paid_month_credits_the_rest_and_charges_the_new_plan_from_that_day() -> None:
    books = Books(contract(subscription()))
    books.accrue(D("2026-03-01"))
    books.change(D("2026-03-17"), plan_id="plus", plan=plan("59.90", name="Plus"), priced_from=D("2026-03-17"))
    books.accrue(D("2026-04-01"))

    assert lines(books)[2:] == [
        ("1:2026-03-01", "2026-03-01", "29.90"),
        ("2:2026-03-17", "2026-03-17", "28.98"),
        ("2:2026-04-01", "2026-04-01", "59.90"),
        ("1:2026-03-01:credit:2026-03-17", "2026-03-17", "-14.47"),
    ]
    credit = books.charges[-1]
    assert (credit.quantity, credit.corrects) == (Decimal(-1), "subscription:1:2026-03-01")
    assert credit.days == Days(D("2026-03-17"), D("2026-04-01"))
    assert credit.tax_point == D("2026-03-31")  # taxed as it was


def test_a_change_in_arrears_divides_the_month_and_credits_nothing() -> None:
    books = Books(contract(subscription(of=plan("31.00", timing=Timing.ARREARS))))
    books.accrue(D("2026-03-01"))
    books.change(D("2026-03-11"), quantity=Decimal(2))
    books.accrue(D("2026-04-01"))

    assert lines(books)[2:] == [("1:2026-03-01", "2026-03-10", "10.00"), ("2:2026-03-11", "2026-03-31", "42.00")]


def test_an_end_that_is_to_come_credits_when_it_has_come() -> None:
    books = Books(contract(subscription(of=plan("365", Interval.YEAR))))
    books.accrue(D("2026-01-01"))
    books.end(D("2026-07-01"))

    assert books.accrue(D("2026-06-30")).next_on == D("2026-07-01")
    assert books.total_minor == 36500
    assert books.accrue(D("2026-07-01")).next_on is None
    assert lines(books)[1:] == [("1:2026-01-01:credit:2026-07-01", "2026-07-01", "-184.00")]


def test_days_that_were_credited_can_be_billed_again() -> None:
    books = Books(contract(subscription()))
    books.accrue(D("2026-03-20"))
    books.end(D("2026-03-01"))
    books.accrue(D("2026-03-20"))
    assert books.total_minor == 2 * 2990
    books.end(None)
    books.accrue(D("2026-03-21"))

    assert lines(books)[3:] == [
        ("1:2026-03-01:credit:2026-03-01", "2026-03-01", "-29.90"),
        ("1:2026-03-01:2", "2026-03-01", "29.90"),
    ]
    assert books.total_minor == 3 * 2990


def test_a_step_divides_the_month_in_which_it_comes() -> None:
    stepped = Stepped(price=Decimal("31.00"), steps=(Step(price=Decimal("62.00"), on=D("2026-03-11")),))
    books = Books(contract(subscription(of=plan(pricing=stepped))))
    books.accrue(D("2026-04-01"))

    assert lines(books)[2:] == [
        ("1:2026-03-01", "2026-03-01", "10.00"),
        ("1:2026-03-11", "2026-03-01", "42.00"),
        ("1:2026-04-01", "2026-04-01", "62.00"),
    ]


def test_without_its_index_a_month_is_held_and_the_ones_before_stay() -> None:
    indexed = Indexed(price=Decimal("30.00"), series="cpi", base_on=D("2025-12-01"), first_on=D("2026-03-01"))
    books = Books(contract(subscription(of=plan(pricing=indexed))))
    held = books.accrue(D("2026-04-15"))

    assert [each[0] for each in lines(books)] == ["1:2026-01-01", "1:2026-02-01"]
    [hold] = held.holds
    assert (hold.source, hold.why) == ("subscription:1:2026-03-01", "series cpi has no value on 2025-12-01")
    assert held.next_on == D("2026-03-01")

    known = {D("2025-12-01"): Decimal(100), D("2026-03-01"): Decimal(110)}
    assert books.accrue(D("2026-04-15"), lambda _, day: known.get(day)).holds == []
    assert [each[2] for each in lines(books)] == ["30.00", "30.00", "33.00", "33.00"]


def test_an_index_that_is_corrected_later_changes_nothing_that_was_billed() -> None:
    indexed = Indexed(price=Decimal("30.00"), series="cpi", base_on=START, first_on=START, every_months=1)
    books = Books(contract(subscription(of=plan(pricing=indexed))))
    books.accrue(D("2026-02-01"), lambda _, day: Decimal(100) + day.month)
    books.end(D("2026-02-15"))
    books.accrue(D("2026-02-15"), lambda *_: Decimal(77))

    assert [each[2] for each in lines(books)] == ["30.00", "30.30", "-15.15"]


def test_a_discount_is_part_of_the_price_that_is_divided_and_given_back() -> None:
    half = Discount(
        id=1, label="Half", target=Target.PLANS, percent=Decimal(50), days=Days(START, D("2026-02-15")), periods=None
    )
    books = Books(contract(subscription(of=plan("28.00")), discounts=(half,)))
    books.accrue(D("2026-02-01"))
    books.end(D("2026-02-08"))
    books.accrue(D("2026-02-08"))

    assert lines(books) == [
        ("1:2026-01-01", "2026-01-01", "14.00"),
        ("1:2026-02-01", "2026-02-01", "7.00"),
        ("1:2026-02-15", "2026-02-01", "14.00"),
        ("1:2026-02-01:credit:2026-02-08", "2026-02-08", "-3.50"),
        ("1:2026-02-15:credit:2026-02-15", "2026-02-15", "-14.00"),
    ]
    assert [each.discount_minor for each in books.charges] == [1400, 700, 0, 0, 0]


STEPS = st.lists(
    st.tuples(
        st.integers(1, 70),  # days until it happens
        st.sampled_from(["change", "end", "go on", "nothing"]),
        st.integers(-40, 40),  # on a day so far from then
        st.integers(1, 5),  # pieces
    ),
    max_size=8,
)


@tried(300)
@given(
    st.sampled_from(Interval), st.sampled_from(Timing), st.sampled_from(Align), st.integers(0, 5000),
    st.dates(D("2026-01-01"), D("2028-12-31")), STEPS,
)  # fmt: skip
def test_no_day_is_billed_twice_or_missed_and_the_sum_is_that_of_hindsight(
    interval: Interval, timing: Timing, align: Align, cents: int, begin: date, steps: list[tuple[int, str, int, int]]
) -> None:
    price = f"{Decimal(cents).scaleb(-2)}"
    of = plan(price, interval, timing=timing, align=align)
    books = Books(contract(subscription(of=of, days=Days(begin, None))))
    today = begin
    for wait, what, away, pieces in steps:
        today += timedelta(days=wait)
        books.accrue(today)
        on = today + timedelta(days=away)
        last = books.standing.subscriptions[-1]
        if what == "change" and on in books.standing.days_of(last):
            books.change(on, quantity=Decimal(pieces))
        elif what == "end" and on >= begin:
            books.end(on)
        elif what == "go on":
            books.end(None)
        books.accrue(today)
        books.accrue(today)
    end = today + timedelta(days=800)
    books.accrue(end)

    billed = Counter(
        cell.days.first + n * DAY
        for each in books.standing.subscriptions
        for cell in each.cells
        for n in range((cell.until - cell.days.first).days)
    )
    assert set(billed.values()) <= {1}
    for each in books.standing.subscriptions:
        held = books.standing.days_of(each)
        covered = [cell for cell in each.cells if not cell.days.is_empty]
        for before, after in pairwise(covered):
            assert before.until == after.days.first
        if covered:
            assert covered[0].days.first == held.first
            assert held.until is None or covered[-1].until <= held.until
    sources = [charge.source for charge in books.charges]
    assert len(sources) == len(set(sources))

    hindsight = Books(
        replace(books.standing, subscriptions=tuple(replace(each, cells=()) for each in books.standing.subscriptions))
    )
    hindsight.accrue(end)
    assert books.total_minor == hindsight.total_minor
    assert all(charge.amount_minor >= 0 for charge in hindsight.charges)


@tried(200)
@given(
    st.sampled_from(Interval), st.integers(0, 10**6), st.lists(st.integers(0, 800), max_size=6),
    st.lists(st.integers(1, 99).map(Decimal), max_size=2), st.none() | st.integers(1, 2000),
)  # fmt: skip
def test_changes_that_change_no_price_change_no_sum(
    interval: Interval, cents: int, days: list[int], percents: list[Decimal], amount: int | None
) -> None:
    """The invariant of proration: any partition of a period adds up to its whole price, discounts included."""
    of = plan(f"{Decimal(cents).scaleb(-2)}", interval)
    discounts = [
        Discount(id=n, label="Less", target=Target.PLANS, percent=each, days=Days(START, None))
        for n, each in enumerate(percents)
    ]
    if amount is not None:
        discounts.append(Discount(id=9, label="Off", target=Target.PLANS, amount_minor=amount, days=Days(START, None)))
    whole = Books(contract(subscription(of=of), discounts=tuple(discounts)))
    cut = Books(contract(subscription(of=of), discounts=tuple(discounts)))
    for day in sorted({START + timedelta(days=each) for each in days}):
        cut.accrue(day)
        cut.change(day)
    until = add_months(START, 36) - DAY
    for books in (whole, cut):
        books.end(until + DAY)
        books.accrue(until)
        books.accrue(FAR)

    assert cut.total_minor == whole.total_minor
    per_period = {each.amount_minor for each in whole.charges}
    if interval is not Interval.WEEK:
        assert len(per_period) == 1


def test_a_subscription_that_was_entered_long_ago_is_charged_in_bounded_portions() -> None:
    books = Books(contract(subscription(of=plan("1", Interval.WEEK), days=Days(D("2000-01-03"), None))))

    first = books.accrue(D("2026-01-01"))
    assert (len(first.cells), first.next_on) == (600, D("2011-07-04"))
    while books.accrue(D("2026-01-01")).cells:
        pass
    assert books.total_minor == 100 * len(books.charges)
    assert len(books.charges) == (D("2025-12-29") - D("2000-01-03")).days // 7 + 1
