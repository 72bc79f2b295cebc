"""Parts of a period: whatever the cuts, they add up to its whole price."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.contracts.days import FIRST_DAY, LAST_DAY, Days
from billing.contracts.proration import accrued_minor, part_minor
from billing.contracts.recurrence import Interval, period_of
from tests.examples import tried

D = date.fromisoformat


@pytest.mark.parametrize(
    ("interval", "part", "whole", "expected"),
    [
        (Interval.MONTH, ("2026-03-17", "2026-04-01"), 2990, 1447),  # 15 of 31 days
        (Interval.MONTH, ("2026-03-01", "2026-03-17"), 2990, 1543),  # the other 16
        (Interval.MONTH, ("2026-02-15", "2026-03-01"), 2990, 1495),
        (Interval.MONTH, ("2028-02-15", "2028-03-01"), 2990, 1547),  # of a leap year 15 of 29
        (Interval.MONTH, ("2026-03-29", "2026-03-30"), 3100, 100),  # a day of 23 hours is a day
        (Interval.MONTH, ("2026-10-25", "2026-10-26"), 3100, 100),  # and one of 25
        (Interval.YEAR, ("2028-07-01", "2029-01-01"), 36600, 18400),
        (Interval.WEEK, ("2026-03-25", "2026-03-30"), 700, 500),
        (Interval.QUARTER, ("2026-01-01", "2026-04-01"), 9999, 9999),
    ],
)
def test_a_part_is_its_share_by_days_of_the_whole_period(
    interval: Interval, part: tuple[str, str], whole: int, expected: int
) -> None:
    period = period_of(interval, date(2024, 1, 1), D(part[0]))

    assert part_minor(whole, period, Days(D(part[0]), D(part[1]))) == expected


@tried(500)
@given(
    st.sampled_from(Interval), st.dates(FIRST_DAY, LAST_DAY), st.dates(FIRST_DAY, LAST_DAY), st.integers(0, 10**9),
    st.data(),
)  # fmt: skip
def test_any_partition_of_a_period_sums_to_its_price(
    interval: Interval, anchor: date, day: date, whole: int, data: st.DataObject
) -> None:
    period = period_of(interval, anchor, day)
    offsets = data.draw(st.sets(st.integers(1, period.length - 1)))
    bounds = [period.first, *(period.first + timedelta(days=each) for each in sorted(offsets)), period.until]
    parts = [Days(first, until) for first, until in pairwise(bounds)]

    amounts = [part_minor(whole, period, part) for part in parts]

    assert sum(amounts) == whole
    for part, amount in zip(parts, amounts, strict=True):
        assert part.until is not None
        exact = Fraction(whole) * (part.until - part.first).days / period.length
        assert abs(amount - exact) <= 1
        assert amount >= 0


def test_what_accrues_begins_with_nothing_and_ends_with_all() -> None:
    period = period_of(Interval.MONTH, date(2024, 1, 1), D("2026-03-05"))

    assert accrued_minor(2990, period, period.first) == 0
    assert accrued_minor(2990, period, period.until) == 2990
    with pytest.raises(AssertionError, match="is not in"):
        accrued_minor(2990, period, D("2026-04-02"))
