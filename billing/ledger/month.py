"""A calendar month of the books, as its first day. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

_MONTH_LENGTH_MAX: Final = timedelta(days=31)
_LAST_ON_EARTH: Final = timedelta(hours=12)
"""Behind UTC, a month ends last at UTC-12."""


def month_of(day: date) -> date:
    """The first day of its month."""
    return day.replace(day=1)


def following(month: date) -> date:
    """The month after."""
    return (month + _MONTH_LENGTH_MAX).replace(day=1)


def last_day(month: date) -> date:
    return following(month) - timedelta(days=1)


def is_over(month: date, now: datetime) -> bool:
    """Has it ended everywhere on earth?"""
    return now >= datetime.combine(following(month), time(), UTC) + _LAST_ON_EARTH


def month_text(month: date) -> str:
    """2026-03."""
    return f"{month:%Y-%m}"
