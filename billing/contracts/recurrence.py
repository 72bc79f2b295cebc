"""The periods of something that recurs: weeks, months, quarters, half-years and years from an anchor day. Pure.

Period n begins n intervals after the anchor, counted from the anchor itself: from the 31st of January the months begin on
the 28th of February and again on the 31st of March. A whole calendar tiles without gap or overlap, before the anchor too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from billing.contracts.days import Days, add_months, months_between


class Interval(StrEnum):
    """How often it recurs."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half_year"
    YEAR = "year"


WEEK_DAYS: Final = 7
_MONTHS: Final = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.HALF_YEAR: 6, Interval.YEAR: 12}

CALENDAR: Final = date(2024, 1, 1)
"""A Monday, and the first day of everything longer: periods from here are those of the calendar."""


@dataclass(frozen=True, slots=True)
class Period:
    """A whole period: from `first` to before `until`, the `number`-th after the one that begins on the anchor."""

    first: date
    until: date
    number: int

    @property
    def days(self) -> Days:
        return Days(self.first, self.until)

    @property
    def length(self) -> int:
        """Its days."""
        return (self.until - self.first).days


def period_number(interval: Interval, anchor: date, number: int) -> Period:
    """The period so many after the anchor's."""
    return Period(_begin(interval, anchor, number), _begin(interval, anchor, number + 1), number)


def period_of(interval: Interval, anchor: date, day: date) -> Period:
    """The period in which a day lies."""
    if interval is Interval.WEEK:
        return period_number(interval, anchor, (day - anchor).days // WEEK_DAYS)
    return period_number(interval, anchor, months_between(anchor, day) // _MONTHS[interval])


def _begin(interval: Interval, anchor: date, number: int) -> date:
    if interval is Interval.WEEK:
        return anchor + timedelta(days=WEEK_DAYS * number)
    return add_months(anchor, _MONTHS[interval] * number)
