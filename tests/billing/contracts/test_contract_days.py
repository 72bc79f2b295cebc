"""The calendar of contracts: months that are shorter, leap years, periods that come back to their day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.contracts.days import FIRST_DAY, LAST_DAY, Days, Length, add_months, months_between
from billing.contracts.recurrence import CALENDAR, Interval, period_number, period_of
from tests.examples import tried

D = date.fromisoformat
DAYS = st.dates(FIRST_DAY, LAST_DAY)
INTERVALS = st.sampled_from(Interval)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-01-31", 2, "2026-03-31"),
        ("2026-01-31", 3, "2026-04-30"),
        ("2026-03-31", -1, "2026-02-28"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2096-02-29", 48, "2100-02-28"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2026-01-15", -1, "2025-12-15"),
        ("2026-08-30", 6, "2027-02-28"),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last_of_a_shorter_month(day: str, months: int, expected: str) -> None:
    assert add_months(D(day), months) == D(expected)


@pytest.mark.parametrize(
    ("interval", "anchor", "begins"),
    [
        (Interval.MONTH, "2026-01-31", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        (Interval.MONTH, "2027-12-30", ["2027-12-30", "2028-01-30", "2028-02-29", "2028-03-30"]),
        (Interval.MONTH, "2026-12-29", ["2026-12-29", "2027-01-29", "2027-02-28", "2027-03-29"]),
        (Interval.QUARTER, "2025-11-30", ["2025-11-30", "2026-02-28", "2026-05-30", "2026-08-30", "2026-11-30"]),
        (Interval.HALF_YEAR, "2026-08-31", ["2026-08-31", "2027-02-28", "2027-08-31", "2028-02-29"]),
        (Interval.YEAR, "2024-02-29", ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
        (Interval.WEEK, "2025-12-29", ["2025-12-29", "2026-01-05", "2026-01-12"]),
        (Interval.WEEK, "2026-03-23", ["2026-03-23", "2026-03-30"]),
    ],
)
def test_periods_come_back_to_their_day(interval: Interval, anchor: str, begins: list[str]) -> None:
    found = [period_number(interval, D(anchor), number).first for number in range(len(begins))]

    assert found == [D(each) for each in begins]


@pytest.mark.parametrize(
    ("interval", "day", "first", "last"),
    [
        (Interval.WEEK, "2026-03-29", "2026-03-23", "2026-03-29"),  # clocks go forward in Berlin on that Sunday
        (Interval.WEEK, "2026-01-01", "2025-12-29", "2026-01-04"),
        (Interval.MONTH, "2028-02-29", "2028-02-01", "2028-02-29"),
        (Interval.QUARTER, "2026-12-31", "2026-10-01", "2026-12-31"),
        (Interval.HALF_YEAR, "2026-06-30", "2026-01-01", "2026-06-30"),
        (Interval.YEAR, "2028-12-31", "2028-01-01", "2028-12-31"),
        (Interval.MONTH, "2000-01-01", "2000-01-01", "2000-01-31"),  # before the anchor too
    ],
)
def test_periods_of_the_calendar_are_those_that_people_mean(
    interval: Interval, day: str, first: str, last: str
) -> None:
    period = period_of(interval, CALENDAR, D(day))

    assert (period.first, period.days.last) == (D(first), D(last))


@tried(300)
@given(INTERVALS, DAYS, DAYS)
def test_every_day_lies_in_exactly_one_period(interval: Interval, anchor: date, day: date) -> None:
    period = period_of(interval, anchor, day)

    assert day in period.days
    assert period == period_number(interval, anchor, period.number)
    assert period_number(interval, anchor, period.number + 1).first == period.until
    assert period_number(interval, anchor, period.number - 1).until == period.first
    assert period_of(interval, anchor, anchor).first == anchor


@tried(300)
@given(DAYS, DAYS)
def test_months_between_are_the_most_that_do_not_pass_the_day(first: date, day: date) -> None:
    months = months_between(first, day)

    assert add_months(first, months) <= day < add_months(first, months + 1)


@pytest.mark.parametrize("interval", Interval)
def test_every_day_of_a_leap_cycle_is_in_one_period_from_every_anchor_at_a_month_end(interval: Interval) -> None:
    anchors = [add_months(date(2026, 1, 31), n) for n in range(14)] + [date(2024, 2, 29), date(2026, 1, 30)]
    for anchor in anchors:
        day, period = date(2026, 1, 1), period_of(interval, anchor, date(2026, 1, 1))
        while day < date(2029, 3, 2):
            if day == period.until:
                period = period_number(interval, anchor, period.number + 1)
            assert period_of(interval, anchor, day) == period, (anchor, day)
            day += timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "day", "expected"),
    [
        ("30d", "2026-03-01", "2026-03-31"),
        ("6w", "2026-03-01", "2026-04-12"),
        ("3m", "2026-11-30", "2027-02-28"),
        ("2y", "2024-02-29", "2026-02-28"),
    ],
)
def test_a_length_is_read_printed_and_added(text: str, day: str, expected: str) -> None:
    length = Length.parse(f" {text} ")

    assert (str(length), length.after(D(day))) == (text, D(expected))


@pytest.mark.parametrize("text", ["", "3", "m", "-1m", "3 m", "1.5y", "12345d", "3x"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no length"):
        Length.parse(text)


def test_days_have_their_first_and_not_the_one_that_ends_them() -> None:
    days = Days(D("2026-03-01"), D("2026-04-01"))

    assert D("2026-03-01") in days
    assert D("2026-03-31") in days
    assert D("2026-04-01") not in days
    assert days.last == D("2026-03-31")
    assert Days(D("2026-03-01"), D("2026-03-01")).is_empty
    assert D("2100-01-01") in Days(D("2026-03-01"), None)
