"""Is what stands in the books right? Each check recomputes something that the tables and the code promise; changes nothing.

A room whose rows must fit the books adds its check to CHECKS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from billing.ledger.month import month_text
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


Look: TypeAlias = Callable[[Connection, str], Awaitable[list[tuple[str, str]]]]
"""The subjects of a seller with which something is wrong, and what."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise and how it is looked at."""

    name: str
    what: str
    look: Look


async def _in_months(query: Query, connection: Connection, seller: str) -> list[tuple[str, Any]]:
    """What a query finds in each month, with the month: no statement is longer the older the books are."""
    months = [row["month"] for row in await SQL.months_of.fetch(connection, seller=seller)]
    return [
        (month_text(month), row)
        for month in months
        for row in await query.fetch(connection, seller=seller, month=month, limit=FOUND_MAX)
    ]


async def _entries_balanced(connection: Connection, seller: str) -> list[tuple[str, str]]:
    return [
        (
            f"entry {row['id']}",
            f"{row['key']} has {row['found']} postings of {row['postings']}"
            + (f" and does not sum to zero in {', '.join(row['currencies'])}" if row["currencies"] else ""),
        )
        for _, row in await _in_months(SQL.unequal_sums, connection, seller)
    ]


async def _trial_balance(connection: Connection, seller: str) -> list[tuple[str, str]]:
    return [
        (f"{month} {row['currency']}", f"debits exceed credits by {Money(row['difference_minor'], row['currency'])}")
        for month, row in await _in_months(SQL.unequal_trial_balance, connection, seller)
    ]


async def _reversals(connection: Connection, seller: str) -> list[tuple[str, str]]:
    return [
        (f"entry {row['id']}", f"{row['key']} is not the exact negative of entry {row['reverses']}")
        for _, row in await _in_months(SQL.unequal_reversals, connection, seller)
    ]


async def _projections(connection: Connection, seller: str) -> list[tuple[str, str]]:
    return [
        (
            f"{row['kind']}:{row['owner']} {month}",
            f"{_turnover(row, 'kept_')} is kept, its postings come to {_turnover(row, '')}",
        )
        for month, row in await _in_months(SQL.unequal_balances, connection, seller)
    ]


def _turnover(row: Any, prefix: str) -> str:
    debit, credit = (Money(row[f"{prefix}{side}"], row["currency"]).text for side in ("debit", "credit"))
    return f"debit {debit}, credit {credit} {row['currency']}"


async def _export_chains(connection: Connection, seller: str) -> list[tuple[str, str]]:
    rows = await SQL.broken_export_chains.fetch(connection, seller=seller, limit=FOUND_MAX)
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
    Check("reversals", "each reversal is the exact negative of its entry", _reversals),
    Check("projections", "what was kept of locked months is what their postings come to", _projections),
    Check("exports", "each export of a month begins where the one before ended", _export_chains),
)
"""All of them, in the order in which they are made."""


async def check(connection: Connection, seller: str | None = None) -> list[Finding]:
    """What is wrong in the books of a seller, or of all; nothing, if all is right."""
    sellers = [seller] if seller else [row["id"] for row in await SQL.sellers.fetch(connection)]
    return [
        Finding(check=each.name, seller=name, subject=subject, message=message)
        for name in sellers
        for each in CHECKS
        for subject, message in await each.look(connection, name)
    ]
