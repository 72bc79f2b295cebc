"""How long documents are kept: classes, years by country, and the day on which it ends. Pure; the operator's own years go first."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

EVERYWHERE: Final = "*"


class RetentionClass(StrEnum):
    """What a document is to the law that has it kept."""

    VOUCHER = "voucher"
    """What a posting rests on: invoices, credit notes, receipts, bank statements."""
    BOOK = "book"
    """Ledgers, journals, closings."""
    LETTER = "letter"
    """Commercial letters, reminders, notices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """So many years; `country` None: everywhere."""

    retention_class: RetentionClass
    country: str | None
    years: int


@cache
def default_rules() -> tuple[RetentionRule, ...]:
    """What holds where the operator has said nothing; the law of each is in retention.toml."""
    read: Mapping[str, Mapping[str, int]] = tomllib.loads(
        (files("billing.archive") / "retention.toml").read_text(encoding="utf-8")
    )
    return tuple(
        RetentionRule(
            retention_class=RetentionClass(name), country=None if country == EVERYWHERE else country, years=years
        )
        for name, by_country in read.items()
        for country, years in by_country.items()
    )


def years_of(retention_class: RetentionClass, country: str | None, own: Iterable[RetentionRule]) -> int:
    """The operator's own for the country, or for everywhere; else the defaults likewise."""
    by_place = [
        {rule.country: rule.years for rule in rules if rule.retention_class is retention_class}
        for rules in (own, default_rules())
    ]
    return next(years[place] for years in by_place for place in (country, None) if place in years)


def retain_until(day: date, years: int) -> date:
    """The last day on which a document of `day` is kept: years begin with the end of its calendar year (AO 147 (4))."""
    return date(day.year + years, 12, 31)
