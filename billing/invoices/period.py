"""Periods as operators write them: 2026-03, 2026-Q1, 2026-H1, 2026-W10, 2026. Pure."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final

_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_PART: Final = re.compile(r"([0-9]{4})-([QHW])([0-9]{1,2})")
_YEAR: Final = re.compile(r"[0-9]{4}")
_MONTHS: Final = {"Q": 3, "H": 6}
_SUNDAY: Final = 7


def last_day(period: str) -> date | None:
    """The last day of a period; None if it is none."""
    try:
        return _last_day(period)
    except ValueError:  # the year 0000, a week 60, a fifth quarter
        return None


def _last_day(period: str) -> date | None:
    if found := _MONTH.fullmatch(period):
        return _month_end(int(found[1]), int(found[2]))
    if _YEAR.fullmatch(period):
        return date(int(period), 12, 31)
    found = _PART.fullmatch(period)
    if found is None:
        return None
    year, n = int(found[1]), int(found[3])
    if found[2] == "W":
        return date.fromisocalendar(year, n, _SUNDAY)
    return _month_end(year, n * _MONTHS[found[2]])


def _month_end(year: int, month: int) -> date:
    following = (date(year, month, 1) + timedelta(days=31)).replace(day=1)
    return following - timedelta(days=1)
