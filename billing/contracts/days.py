"""Days of a calendar: stretches of them, lengths such as two years, and what a length added to a day gives. Pure.

Days are those of the customer's own calendar; no instant and no time zone is known here. A month after the 31st is the last
day of a shorter month, and whoever counts months counts them from the first day, so that the 31st comes back.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

DAY: Final = timedelta(days=1)
FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(2199, 12, 31)
"""Contracts begin and end between these: sums with lengths then never leave what a calendar can say."""


@dataclass(frozen=True, slots=True)
class Days:
    """From `first` to before `until`; None: for good. Empty where both are the same day."""

    first: date
    until: date | None

    @property
    def last(self) -> date | None:
        """The last of them, as people name it."""
        return None if self.until is None else self.until - DAY

    @property
    def is_empty(self) -> bool:
        return self.until is not None and self.until <= self.first

    def __contains__(self, day: date) -> bool:
        return self.first <= day and (self.until is None or day < self.until)


class Unit(StrEnum):
    """In what a length is told."""

    DAY = "d"
    WEEK = "w"
    MONTH = "m"
    YEAR = "y"


_MONTHS: Final = {Unit.MONTH: 1, Unit.YEAR: 12}
_DAYS: Final = {Unit.DAY: 1, Unit.WEEK: 7}
_LENGTH: Final = re.compile(r"([0-9]{1,4})([dwmy])")


@dataclass(frozen=True, slots=True)
class Length:
    """So many days, weeks, months or years. As text `30d`, `6w`, `24m`, `2y`."""

    count: int
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Length:
        """Read `24m`.

        Raises:
            ValueError: it is no such text.
        """
        match = _LENGTH.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no length; write a number and d, w, m or y, such as 24m")
        return cls(int(match[1]), Unit(match[2]))

    def __str__(self) -> str:
        return f"{self.count}{self.unit.value}"

    def after(self, day: date, times: int = 1) -> date:
        """The day so much later; `times` below zero: earlier. Counted from `day`, whatever the months between."""
        if self.unit in _MONTHS:
            return add_months(day, self.count * _MONTHS[self.unit] * times)
        return day + timedelta(days=self.count * _DAYS[self.unit] * times)


A_MONTH: Final = Length(1, Unit.MONTH)


def add_months(day: date, months: int) -> date:
    """The same day of another month, or the last one where that month is shorter."""
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, month + 1, min(day.day, monthrange(years, month + 1)[1]))


def months_between(first: date, day: date) -> int:
    """How many whole months lie between: the most that can be added to `first` without passing `day`."""
    months = (day.year - first.year) * 12 + day.month - first.month
    return months if add_months(first, months) <= day else months - 1
