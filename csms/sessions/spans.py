"""Spans of time, exactly; instants may be as absurd as charge points write them. Pure arithmetic."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_SECOND = Decimal(1_000_000)
_ZERO = Decimal(0)


def seconds_between(start: datetime, end: datetime) -> Decimal:
    """Seconds from `start` to `end`, exactly; 0 where `end` lies before."""
    microseconds = (end - start) // _MICROSECOND
    return Decimal(microseconds) / _MICROSECONDS_PER_SECOND if microseconds > 0 else _ZERO


def span(seconds: Decimal) -> timedelta:
    """A policy's seconds as a time span."""
    return timedelta(microseconds=int(seconds * 1_000_000))


def later(at: datetime, by: timedelta) -> datetime:
    """`at` moved by `by`; where the calendar ends there, `at` itself."""
    try:
        return at + by
    except OverflowError:
        return at
