"""Acts that wait for each other in a circle: Postgres ends one of them, which is begun anew, and both are done."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

import asyncpg

from billing.bills.transaction import as_one_act
from billing.invoices import service
from billing.ledger import service as ledger
from billing.ledger.entry import AccountKind, DraftEntry, LedgerAccount, Posting
from tests.billing.invoices.books import NORTH, Books

DAY = date(2026, 4, 9)


def entry(key: str, owner: str) -> DraftEntry:
    postings = (
        Posting(LedgerAccount(AccountKind.RECEIVABLE, owner), 100, "EUR", None, None),
        Posting(LedgerAccount(AccountKind.REVENUE, owner), -100, "EUR", None, None),
    )
    return DraftEntry(seller=NORTH.id, fact_on=DAY, fact="card_captured", key=key, postings=postings)


async def test_two_who_open_the_same_accounts_in_opposite_order_both_succeed(books: Books) -> None:
    met, begun = asyncio.Barrier(2), []

    async def posts(name: str, *owners: str) -> None:
        async with books.pool.acquire() as connection:

            async def act() -> None:
                begun.append(name)
                for owner in owners:
                    await ledger.post(connection, [entry(f"{name}:{owner}", owner)], now=books.clock.now, actor="ada")
                    if begun.count(name) == 1 and owner == owners[0]:
                        await met.wait()

            await as_one_act(connection, act)

    await asyncio.gather(posts("one", "C-1", "C-2"), posts("other", "C-2", "C-1"))

    assert len(begun) > 2, "neither was in the other's way"
    assert await books.pool.fetchval("SELECT count(*) FROM ledger_entry") == 4
    assert await books.pool.fetchval("SELECT count(*) FROM ledger_account") == 4


async def test_corrections_beside_a_run_all_come_to_an_end(books: Books) -> None:
    sessions = []
    for n in range(1, 5):
        await books.customer(f"C-{n}", f"TAG-{n}")
        sessions.append(await books.charged(f"TAG-{n}"))
    await books.run()
    for n, session in enumerate(sessions, start=1):
        await books.charged(f"TAG-{n}", day=3)
        await books.rerated(session, kwh=Decimal(12))

    async def corrects(pool: asyncpg.Pool, session: int) -> None:
        async with pool.acquire() as connection:
            await service.correct_session(
                connection, session, issued_on=DAY, now=books.clock.now, actor="ada", reason="late facts"
            )

    await asyncio.gather(*(corrects(books.pool, each) for each in sessions), books.run(issued_on=DAY))

    kinds = [document.kind for document in await books.documents()]
    assert (kinds.count("invoice"), kinds.count("credit_note")) == (12, 4)
    assert not await books.problems()
