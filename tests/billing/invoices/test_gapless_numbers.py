"""Numbers of a series are 1 to n, whatever happens to those who issue: aborts, kills, twenty at once (invariants 15, 16; M13)."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from dataclasses import replace
from itertools import pairwise

import asyncpg
import pytest

from billing.invoices.composition import compose
from billing.invoices.document import TaxMode
from billing.invoices.issuing import Prepared, issue
from csms.database.pool import open_pool
from tests.billing.invoices.books import APRIL_1, NORTH, Books
from tests.billing.invoices.charges import document_of, priced
from tests.conftest import LONG

ISSUERS = 20


def prepared(n: int) -> Prepared:
    figures = compose([priced(n, "1.00")], mode=TaxMode.SUM_THEN_ROUND, currency="EUR")
    document = document_of(figures, TaxMode.SUM_THEN_ROUND)
    return Prepared(
        seller="north",
        document=replace(document, number="", account="C-1", issued_on=APRIL_1, seller=NORTH.details.party),
    )


@pytest.mark.parametrize("seed", range(20 if LONG else 3))
async def test_twenty_issuers_of_whom_some_abort_leave_no_gap(books: Books, database: str, seed: int) -> None:
    await books.customer("C-1")
    dice = random.Random(seed)
    pool = await open_pool(database, size=ISSUERS, name="issuers")
    done: list[str] = []

    async def one(n: int, fate: float) -> None:
        async with pool.acquire() as connection:
            begun = connection.transaction()
            await begun.start()
            issued = await issue(connection, prepared(n), now=books.clock.now, actor="ada", reason="test")
            await asyncio.sleep(dice.random() / 200)
            if fate < 0.2:
                await begun.rollback()
            elif fate < 0.4:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            else:
                await begun.commit()
                done.append(issued.document.number)

    fates = [dice.random() for _ in range(ISSUERS * 4)]
    said = await asyncio.gather(*(one(n, fate) for n, fate in enumerate(fates)), return_exceptions=True)
    await pool.close()

    assert all(each is None or isinstance(each, asyncpg.PostgresError) for each in said), said
    assert len(done) == sum(fate >= 0.4 for fate in fates)
    assert sorted(done) == [f"R2026-{n:06}" for n in range(1, len(done) + 1)]
    assert await books.problems() == []
    rows = await books.pool.fetch("SELECT n, xmin::text::bigint AS written FROM invoice ORDER BY n")
    assert [row["n"] for row in rows] == list(range(1, len(done) + 1))


async def test_numbers_grow_with_the_time_of_issue(books: Books) -> None:
    await books.customer("C-1")
    for n in range(5):
        async with books.pool.acquire() as connection:
            await issue(connection, prepared(n), now=books.clock.now, actor="ada", reason="test")
        books.clock.now = books.clock.now.replace(minute=n + 1)

    rows = await books.pool.fetch("SELECT n, issued_at FROM invoice ORDER BY n")
    assert all(before["issued_at"] < after["issued_at"] for before, after in pairwise(rows))


async def run_issuer(database: str, deadly: int) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.billing.invoices.issuer", database, str(deadly), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode().strip()


async def test_a_run_that_is_killed_at_any_statement_is_run_again_and_nothing_is_missing_or_twice(
    books: Books, database: str
) -> None:
    for n in range(4):
        await books.customer(f"C-{n}", f"TAG-{n}")
        await books.charged(f"TAG-{n}")
    sessions = {await books.charged(f"TAG-{n}", day=3) for n in range(4)} | {await books.charged("LOOSE", day=4)}
    steps = range(1, 80, 1 if LONG else 11)
    for deadly in steps:
        code, _ = await run_issuer(database, deadly)
        assert code in (0, -signal.SIGKILL)
        assert await books.problems() == []
    code, _ = await run_issuer(database, 0)
    documents = await books.documents()
    sources = [line.source for document in documents for line in document.lines]

    assert code == 0
    assert len(sources) == len(set(sources)) == 9
    assert {f"bill:{session}:1" for session in sessions} <= set(sources)
    assert await books.problems() == []
