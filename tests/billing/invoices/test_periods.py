"""Periods as operators write them, and whose turn it is at their end."""

from __future__ import annotations

from datetime import date

import pytest

from billing.accounts.account import Rhythm
from billing.invoices.drafting import first_day, rhythms_ending
from billing.invoices.period import last_day


@pytest.mark.parametrize(
    ("period", "last"),
    [
        ("2026-03", date(2026, 3, 31)),
        ("2024-02", date(2024, 2, 29)),
        ("2026-12", date(2026, 12, 31)),
        ("2026-Q1", date(2026, 3, 31)),
        ("2026-Q4", date(2026, 12, 31)),
        ("2026-H1", date(2026, 6, 30)),
        ("2026-W01", date(2026, 1, 4)),
        ("2026-W53", date(2027, 1, 3)),
        ("2026", date(2026, 12, 31)),
    ],
)
def test_a_period_ends_with_its_last_day(period: str, last: date) -> None:
    assert last_day(period) == last


@pytest.mark.parametrize(
    "period", ["", "2026-13", "2026-0", "2026-Q5", "2026-Q0", "2026-H3", "2025-W53", "2026-W00", "0000-01", "march"]
)
def test_what_is_no_period_has_no_last_day(period: str) -> None:
    assert last_day(period) is None


@pytest.mark.parametrize(
    ("day", "ending"),
    [
        (date(2026, 3, 30), {Rhythm.SESSION}),
        (date(2026, 3, 29), {Rhythm.SESSION, Rhythm.WEEK}),
        (date(2026, 2, 28), {Rhythm.SESSION, Rhythm.MONTH}),
        (date(2026, 3, 31), {Rhythm.SESSION, Rhythm.MONTH, Rhythm.QUARTER}),
        (date(2026, 6, 30), {Rhythm.SESSION, Rhythm.MONTH, Rhythm.QUARTER, Rhythm.HALF_YEAR}),
        (date(2026, 12, 31), set(Rhythm) - {Rhythm.WEEK, Rhythm.ON_DEMAND}),
    ],
)
def test_whose_turn_it_is_when_a_day_has_ended(day: date, ending: set[Rhythm]) -> None:
    assert set(rhythms_ending(day)) == ending


@pytest.mark.parametrize(
    ("rhythm", "last", "first"),
    [
        (Rhythm.WEEK, date(2026, 3, 29), date(2026, 3, 23)),
        (Rhythm.MONTH, date(2026, 3, 31), date(2026, 3, 1)),
        (Rhythm.QUARTER, date(2026, 3, 31), date(2026, 1, 1)),
        (Rhythm.HALF_YEAR, date(2026, 12, 31), date(2026, 7, 1)),
        (Rhythm.YEAR, date(2026, 12, 31), date(2026, 1, 1)),
        (Rhythm.WEEK, date(2026, 3, 25), date(2026, 3, 23)),
        (Rhythm.MONTH, date(2026, 2, 20), date(2026, 2, 1)),
        (Rhythm.QUARTER, date(2026, 2, 20), date(2026, 1, 1)),
        (Rhythm.QUARTER, date(2026, 11, 1), date(2026, 10, 1)),
        (Rhythm.HALF_YEAR, date(2026, 12, 1), date(2026, 7, 1)),
        (Rhythm.YEAR, date(2026, 3, 20), date(2026, 1, 1)),
        (Rhythm.SESSION, date(2026, 3, 31), None),
    ],
)
def test_a_period_of_a_rhythm_begins_on_its_first_day_whenever_in_it_one_asks(
    rhythm: Rhythm, last: date, first: date | None
) -> None:
    assert first_day(rhythm, last) == first
