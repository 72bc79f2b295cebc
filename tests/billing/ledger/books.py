"""Books for tests: two sellers, and drafts that are valid unless the test says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import asyncpg

from billing.ledger import service
from billing.ledger.balance import balances
from billing.ledger.entry import AccountKind, DraftEntry, LedgerAccount, Posting
from billing.ledger.service import PostedEntry

SELLER = "acme"
OTHER = "bolt"
NOW = datetime(2026, 4, 2, 9, 0, tzinfo=UTC)
DAY = date(2026, 3, 5)
MARCH = date(2026, 3, 1)
APRIL = date(2026, 4, 1)
FOREVER = date(9999, 12, 31)

BANK = LedgerAccount(AccountKind.BANK)
REVENUE = LedgerAccount(AccountKind.REVENUE, "session:DE:S:19")
TAX = LedgerAccount(AccountKind.TAX_PAYABLE, "DE:S:19")


def customer(account: str = "C-1") -> LedgerAccount:
    return LedgerAccount(AccountKind.RECEIVABLE, account)


def sale(number: str = "R-1", net: int = 1000, tax: int = 190, *, account: str = "C-1", **more: Any) -> DraftEntry:
    """A document of so much, to be paid within a fortnight."""
    due_on = more.pop("due_on", date(2026, 3, 19))
    given: dict[str, Any] = {
        "seller": SELLER, "fact": "invoice_issued", "key": f"document:{number}", "fact_on": DAY, "text": number,
        "document": number, **more,
    }  # fmt: skip
    postings = (
        Posting(customer(account), net + tax, "EUR", number, due_on),
        Posting(REVENUE, -net, "EUR"),
        Posting(TAX, -tax, "EUR"),
    )
    return DraftEntry(**{"postings": tuple(each for each in postings if each.amount_minor), **given})


def paid(number: str = "R-1", amount: int = 1190, *, account: str = "C-1", **more: Any) -> DraftEntry:
    """Money for a document."""
    given: dict[str, Any] = {
        "seller": SELLER, "fact": "payment_received", "key": f"payment:{number}", "fact_on": date(2026, 3, 20), **more,
    }  # fmt: skip
    postings = (Posting(BANK, amount, "EUR"), Posting(customer(account), -amount, "EUR", number))
    return DraftEntry(**{"postings": postings, **given})


def transfer(key: str, amounts: Sequence[tuple[LedgerAccount, int, str]], **more: Any) -> DraftEntry:
    """Any postings."""
    given: dict[str, Any] = {"seller": SELLER, "fact": "transfer", "key": key, "fact_on": DAY, **more}
    return DraftEntry(postings=tuple(Posting(*each) for each in amounts), **given)


@dataclass
class Books:
    """A ledger with its two sellers, as whoever posts sees it."""

    pool: asyncpg.Pool

    async def post(self, *entries: DraftEntry, now: datetime = NOW) -> list[PostedEntry]:
        async with self.pool.acquire() as connection:
            return await service.post(connection, entries, now=now, actor="ada")

    async def reverse(self, id_: int, reason: str = "a mistake", now: datetime = NOW) -> PostedEntry:
        async with self.pool.acquire() as connection:
            return await service.reverse(connection, id_, reason=reason, now=now, actor="ada")

    async def balances(self, seller: str = SELLER, *, as_of: date = FOREVER) -> dict[str, int]:
        """By account and currency, in minor units, where it is not zero."""
        async with self.pool.acquire() as connection:
            found = await balances(connection, seller, as_of=as_of)
        return {f"{each.account} {each.currency}": each.minor for each in found if each.minor}

    async def lock(self, month: date, seller: str = SELLER) -> None:
        """As a locked month stands in the tables."""
        async with self.pool.acquire() as connection, connection.transaction():
            await service.SQL.insert_lock.execute(
                connection, seller=seller, month=month, accepted=[], reason="month is done", actor="ada", at=NOW
            )
            await service.SQL.snapshot_month.execute(connection, seller=seller, month=month)
