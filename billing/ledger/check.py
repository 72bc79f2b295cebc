"""Is what stands in the books right? Each check recomputes something that the tables and the code promise; changes nothing.

A room whose rows must fit the books adds its check to CHECKS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeAlias

from billing.ledger.month import last_day, month_text
from billing.ledger.store import SQL
from billing.money import Money
from billing.sql import Connection, Query

FOUND_MAX: Final = 100
"""Of one check: who has more has one cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it must be. `subject` is what it is about, such as an entry."""

    check: str
    seller: str
    subject: str
    message: str

    def to_dict(self) -> dict[str, object]:
        return {"check": self.check, "seller": self.seller, "subject": self.subject, "message": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is looked at: the books of a seller, all of them or those of a month."""

    connection: Connection
    seller: str
    month: date | None = None

    async def months(self) -> list[date]:
        if self.month is not None:
            return [self.month]
        return [row["month"] for row in await SQL.months_of.fetch(self.connection, seller=self.seller)]

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last that are looked at."""
        return (date.min, date.max) if self.month is None else (self.month, last_day(self.month))


Look: TypeAlias = Callable[[Books], Awaitable[list[tuple[str, str]]]]
"""The subjects with which something is wrong, and what."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise and how it is looked at."""

    name: str
    what: str
    look: Look


async def _in_months(query: Query, books: Books) -> list[tuple[str, Any]]:
    """What a query finds in each month, with the month: no statement is longer the older the books are."""
    return [
        (month_text(month), row)
        for month in await books.months()
        for row in await query.fetch(books.connection, seller=books.seller, month=month, limit=FOUND_MAX)
    ]


async def _entries_balanced(books: Books) -> list[tuple[str, str]]:
    return [
        (
            f"entry {row['id']}",
            f"{row['key']} has {row['found']} postings of {row['postings']}"
            + (f" and does not sum to zero in {', '.join(row['currencies'])}" if row["currencies"] else ""),
        )
        for _, row in await _in_months(SQL.unequal_sums, books)
    ]


async def _trial_balance(books: Books) -> list[tuple[str, str]]:
    return [
        (f"{month} {row['currency']}", f"debits exceed credits by {Money(row['difference_minor'], row['currency'])}")
        for month, row in await _in_months(SQL.unequal_trial_balance, books)
    ]


async def _reversals(books: Books) -> list[tuple[str, str]]:
    return [
        (f"entry {row['id']}", f"{row['key']} is not the exact negative of entry {row['reverses']}")
        for _, row in await _in_months(SQL.unequal_reversals, books)
    ]


async def _projections(books: Books) -> list[tuple[str, str]]:
    return [
        (
            f"{row['kind']}:{row['owner']} {month}",
            f"{_turnover(row, 'kept_')} is kept, its postings come to {_turnover(row, '')}",
        )
        for month, row in await _in_months(SQL.unequal_balances, books)
    ]


def _turnover(row: Any, prefix: str) -> str:
    debit, credit = (Money(row[f"{prefix}{side}"], row["currency"]).text for side in ("debit", "credit"))
    return f"debit {debit}, credit {credit} {row['currency']}"


async def _documents(books: Books) -> list[tuple[str, str]]:
    first, last = books.days
    rows = await SQL.unposted_documents.fetch(
        books.connection, seller=books.seller, first=first, last=last, limit=FOUND_MAX
    )
    return [(row["number"], "no entry is of it, or its entry comes to something else") for row in rows]


async def _export_chains(books: Books) -> list[tuple[str, str]]:
    rows = await SQL.broken_export_chains.fetch(books.connection, seller=books.seller, limit=FOUND_MAX)
    return [
        (
            f"export {row['id']}",
            f"{month_text(row['month'])} as {row['format']} goes on after {row['after_entry']}, not {row['before']}",
        )
        for row in rows
    ]


CHECKS: Final = (
    Check("entries", "each entry has all of its postings and sums to zero in every currency", _entries_balanced),
    Check("trial_balance", "debits are credits in every currency", _trial_balance),
    Check("documents", "each document has its entry, which comes to its gross amount", _documents),
    Check("reversals", "each reversal is the exact negative of its entry", _reversals),
    Check("projections", "what was kept of locked months is what their postings come to", _projections),
    Check("exports", "each export of a month begins where the one before ended", _export_chains),
)
"""All of them, in the order in which they are made."""


async def check(connection: Connection, seller: str | None = None, *, month: date | None = None) -> list[Finding]:
    """What is wrong in the books of a seller, or of all; of all months or of one. Nothing, if all is right."""
    sellers = [seller] if seller else [row["id"] for row in await SQL.sellers.fetch(connection)]
    return [
        Finding(check=each.name, seller=name, subject=subject, message=message)
        for name in sellers
        for each in CHECKS
        for subject, message in await each.look(Books(connection=connection, seller=name, month=month))
    ]
