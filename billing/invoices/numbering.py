"""Numbers of documents: the shape that a seller gives to a series, and the next number in it. Pure."""

from __future__ import annotations

import re
from datetime import date
from itertools import zip_longest
from typing import Final

from billing.invoices.document import DocumentForm, DocumentKind

DEFAULTS: Final = {
    (DocumentKind.INVOICE, DocumentForm.FULL): "R{year}-{n:6}",
    (DocumentKind.CREDIT_NOTE, DocumentForm.FULL): "C{year}-{n:6}",
    (DocumentKind.INVOICE, DocumentForm.SIMPLIFIED): "B{year}-{n:6}",
    (DocumentKind.CREDIT_NOTE, DocumentForm.SIMPLIFIED): "BC{year}-{n:6}",
    (DocumentKind.INVOICE, DocumentForm.SELF_BILLED): "S{year}-{n:6}",
    (DocumentKind.CREDIT_NOTE, DocumentForm.SELF_BILLED): "SC{year}-{n:6}",
}
"""Shapes of series for which a seller said nothing."""
LENGTH_MAX: Final = 30
"""Of a number, all digits counted."""
_PATTERN: Final = re.compile(
    r"(?P<before>[A-Za-z0-9./_-]*)(?P<year>\{year\})?(?P<between>[A-Za-z0-9./_-]*)\{n(?::(?P<width>[1-9]))?\}"
)
_NUMBER_LENGTH: Final = 10
_YEAR_LENGTH: Final = 4
_DIGIT: Final = "any digit"


def mistake_in_pattern(pattern: str) -> str | None:
    """Why numbers cannot have this shape."""
    match = _PATTERN.fullmatch(pattern)
    if match is None:
        return (
            "write letters, digits and . / _ - , then {year} if it begins anew each year, and {n} or {n:6} at the end"
        )
    if match["year"] and not match["between"]:
        return "put something between {year} and {n}: 2026 and 1 would read as 20261"
    if len(match["before"]) + len(match["between"]) + 4 + _NUMBER_LENGTH > LENGTH_MAX:
        return f"numbers have at most {LENGTH_MAX} characters"
    return None


def could_meet(one: str, other: str) -> bool:
    """Whether some number fits both shapes, in whatever year and with however many digits {n} is written."""
    return all(_fit(*places) for places in zip_longest(_places(one), _places(other), fillvalue=_DIGIT))


def of_year(pattern: str, year: int) -> str:
    """The shape of the one series that began in a year; 0: it has none."""
    return pattern.replace("{year}", f"{year:04d}") if year else pattern


def _places(pattern: str) -> list[str]:
    """What stands before {n}, place by place; any digit where the year is, as behind them all."""
    match = _PATTERN.fullmatch(pattern)
    assert match is not None, "patterns are looked at before they are kept"
    return [*match["before"], *([_DIGIT] * _YEAR_LENGTH if match["year"] else []), *match["between"]]


def _fit(one: str, other: str) -> bool:
    if _DIGIT in {one, other}:
        return all(each == _DIGIT or each.isdigit() for each in (one, other))
    return one == other


def year_of(pattern: str, issued_on: date) -> int:
    """Which series of this shape a document belongs to: that of its year, or 0 where the series never ends."""
    return issued_on.year if "{year}" in pattern else 0


def number_of(pattern: str, year: int, n: int) -> str:
    """The n-th number of a series, from 1."""
    match = _PATTERN.fullmatch(pattern)
    assert match is not None, "patterns are looked at before they are kept"
    width = int(match["width"] or 1)
    return f"{match['before']}{year if match['year'] else ''}{match['between']}{n:0{width}d}"
