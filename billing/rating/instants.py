"""Instants as whole microseconds since 1970, so that nothing is rounded between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def instant(micro: int) -> datetime:
    """The UTC time of an instant in µs since 1970."""
    return EPOCH + timedelta(microseconds=micro)


def micro_of(moment: datetime) -> int:
    """An instant in µs since 1970."""
    return (moment - EPOCH) // _MICROSECOND
