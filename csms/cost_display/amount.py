"""The one amount of a bill that a driver is shown: what is to pay (RULES.md 19, 30)."""

from __future__ import annotations

from decimal import Decimal

from asyncpg import Record

from billing import Money


def amount_shown(row: Record) -> Decimal:
    """Of a bill's row: its total with tax, less what third parties pay where there are such."""
    payable: str | None = row["payable"]
    return Money(row["total_incl_minor"], row["currency"]).decimal if payable is None else Decimal(payable)
