"""A file of a price series: CSV with a begin, perhaps an end, and a value in each row. Pure; reports every mistake."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Final

from billing.errors import Refused
from billing.rating.series import SeriesValue
from billing.tariffs.ocpi_json import as_decimal

ROWS_MAX: Final = 500_000
VALUE_MAX: Final = Decimal(1_000_000)
_PLACES: Final = 6
PROBLEMS_SHOWN: Final = 50


class PerUnit(StrEnum):
    """What a value is for; it is stored per kWh."""

    KWH = "kWh"
    MWH = "MWh"


def read_series(text: str, *, per: PerUnit, every: timedelta) -> tuple[SeriesValue, ...]:
    """The values of a CSV with the columns `start`, `value` and perhaps `end`, in time order.

    Without an end a value holds for `every`, and at most until the next begins. Times are RFC 3339 with an offset.

    Raises:
        Refused: what cannot be read, line by line.
    """
    rows = csv.DictReader(io.StringIO(text))
    if not {"start", "value"} <= set(rows.fieldnames or ()):
        raise Refused("the file has no columns start and value", "write a first line such as start,value")
    problems: list[dict[str, object]] = []
    values: list[tuple[int, SeriesValue]] = []
    for line, row in enumerate(rows, start=2):
        if line - 1 > ROWS_MAX:
            raise Refused(f"the file has more than {ROWS_MAX} rows", "split it")
        try:
            values.append((line, _value(row, per, every)))
        except ValueError as wrong:
            problems.append({"line": line, "message": str(wrong)})
    values.sort(key=lambda each: each[1].start)
    problems += _doubles(values)
    if problems:
        raise Refused(
            f"{len(problems)} line(s) cannot be used",
            "correct what is listed",
            details={"problems": problems[:PROBLEMS_SHOWN]},
        )
    if not values:
        raise Refused("the file has no values", "give at least one row")
    return tuple(cut_to_next([each for _, each in values], has_end=bool(rows.fieldnames and "end" in rows.fieldnames)))


def _value(row: dict[str, str | None], per: PerUnit, every: timedelta) -> SeriesValue:
    start = _instant(row.get("start"), "start")
    end = _instant(row["end"], "end") if row.get("end") else start + every
    number = as_decimal((row.get("value") or "").strip())
    if number is None or abs(number) >= VALUE_MAX:
        raise ValueError(f"value {str(row.get('value'))[:40]!r} is no number below {VALUE_MAX}")
    value = number.scaleb(-3) if per is PerUnit.MWH else number
    exponent = value.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_PLACES:
        raise ValueError(f"value {row.get('value')} has more than {_PLACES} decimals per kWh")
    if end <= start:
        raise ValueError("end is not after start")
    return SeriesValue(start=start, end=end, value=value)


def _instant(text: str | None, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{name} {str(text)[:40]!r} is no time with an offset, such as 2026-03-01T08:00:00+01:00")
    return moment.astimezone(UTC)


def _doubles(values: list[tuple[int, SeriesValue]]) -> Iterator[dict[str, object]]:
    for (first, early), (second, late) in pairwise(values):
        if early.start == late.start:
            yield {"line": max(first, second), "message": f"begins as line {min(first, second)} does"}


def cut_to_next(values: list[SeriesValue], *, has_end: bool = False) -> Iterator[SeriesValue]:
    """Sorted values, none reaching into the next.

    Raises:
        Refused: `has_end` and one does; who writes ends means them.
    """
    for each, following in zip(values, [*values[1:], None], strict=True):
        if following is None or each.end <= following.start:
            yield each
        elif has_end:
            raise Refused(f"the value from {each.start.isoformat()} reaches into the next", "correct its end")
        else:
            yield SeriesValue(start=each.start, end=following.start, value=each.value)
