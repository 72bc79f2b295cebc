"""A bill that another one has replaced is on no new document, and no session is invoiced twice, whoever was faster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import asyncpg
import pytest

from billing.accounts.account import AccountKind
from billing.errors import AlreadyDone, Refused
from billing.invoices import service
from billing.invoices.document import Document, DocumentKind
from billing.invoices.drafting import Terms, invoice_of
from billing.invoices.gathering import owed_by
from billing.invoices.issuing import NoLongerBillable, Prepared, issue
from billing.invoices.service import Corrected
from billing.invoices.store import Issued
from csms.database.migrate import migrate
from csms.database.migration import own_migrations
from csms.database.pool import connect_once
from tests.billing.invoices.books import APRIL_1, MARCH, NORTH, Books

APRIL_9 = date(2026, 4, 9)


async def gathered(books: Books, account: str) -> Document:
    """What a run has in its hands before it issues."""
    async with books.pool.acquire() as connection:
        [owed] = await owed_by(connection, [account], until=MARCH)
    return invoice_of(NORTH, owed.account, owed.charges, Terms(issued_on=APRIL_1, until=MARCH))


async def issued(books: Books, document: Document) -> Issued:
    async with books.pool.acquire() as connection:
        prepared = Prepared(seller=NORTH.id, document=document)
        return await issue(connection, prepared, now=books.clock.now, actor="ada", reason="month")


async def corrected(books: Books, session: int) -> Corrected:
    async with books.pool.acquire() as connection:
        return await service.correct_session(
            connection, session, issued_on=APRIL_9, now=books.clock.now, actor="ada", reason="late facts"
        )


async def held(books: Books, session: int, *holds: str) -> None:
    await books.pool.execute("UPDATE rating SET holds = $2 WHERE session = $1", session, list(holds))


async def in_force(books: Books) -> dict[str, int]:
    """By source, what documents charge for it less what credit notes take back of it."""
    found: dict[str, int] = {}
    documents = {each.number: each for each in await books.documents()}
    for each in documents.values():
        for line in each.lines:
            if each.kind is DocumentKind.INVOICE:
                found[line.source] = found.get(line.source, 0) + line.gross_minor
            else:
                _, number, position = line.source.split(":")
                found[documents[number].lines[int(position) - 1].source] -= line.gross_minor
    return {source: minor for source, minor in found.items() if minor}


@asynccontextmanager
async def numbers_withheld(books: Books) -> AsyncIterator[None]:
    """While it lasts, whoever issues waits for his number; from its first statement on somebody does."""
    async with books.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM number_series FOR UPDATE")
        yield


async def somebody_waits(books: Books) -> None:
    async with asyncio.timeout(20):
        while not await books.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - Postgres tells nobody
            await asyncio.sleep(0.01)


async def test_a_run_leaves_out_what_was_billed_anew_or_held_since_it_looked_and_the_next_takes_it(
    books: Books,
) -> None:
    await books.charged("TAG-9")
    await books.run(receipts=True)
    sessions = {}
    for n in range(1, 5):
        await books.customer(f"C-{n}", f"TAG-{n}", kind=AccountKind.PRIVATE)
        sessions[n] = await books.charged(f"TAG-{n}", kwh=20)
    await books.customer("C-0", "TAG-0")
    await books.charged("TAG-0")
    await books.run(account="C-0")
    await books.charged("TAG-0", day=3)
    async with numbers_withheld(books):
        run = asyncio.create_task(books.run(workers=1))
        await somebody_waits(books)
        await books.rerated(sessions[2], kwh=16)
        await held(books, sessions[3], "disputed")
    made, tally = await run
    left_out = {each.account: each.left_out for each in made if each.left_out}

    assert left_out == {
        "C-2": f"of session {sessions[2]} bill 2 counts by now, not bill 1",
        "C-3": f"session {sessions[3]} is held: disputed",
    }
    assert (tally.documents, tally.left_out) == (3, 2)
    await held(books, sessions[3])
    await books.run()
    assert {source: minor for source, minor in (await in_force(books)).items() if minor > 500} == {
        f"bill:{sessions[1]}:1": 1000, f"bill:{sessions[2]}:2": 800, f"bill:{sessions[3]}:1": 1000,
        f"bill:{sessions[4]}:1": 1000,
    }  # fmt: skip
    assert await books.problems() == []


async def test_what_was_gathered_is_refused_where_the_session_is_invoiced_by_its_new_bill(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    session = await books.charged("TAG-1", kwh=20)
    before = await gathered(books, "C-1")
    await books.rerated(session, kwh=16)
    with pytest.raises(NoLongerBillable, match=f"of session {session} bill 2 counts by now, not bill 1"):
        await issued(books, before)
    await books.run()
    with pytest.raises(AlreadyDone, match="has been invoiced already"):
        await issued(books, before)

    assert await in_force(books) == {f"bill:{session}:2": 800}
    assert await books.problems() == []


async def test_of_two_who_invoice_a_session_by_different_bills_at_once_one_does(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    session = await books.charged("TAG-1", kwh=20)
    before = await gathered(books, "C-1")
    async with books.pool.acquire() as connection, connection.transaction():
        prepared = Prepared(seller=NORTH.id, document=before)
        await issue(connection, prepared, now=books.clock.now, actor="ada", reason="month")
        await books.rerated(session, kwh=16)
        other = asyncio.create_task(books.run())
        await somebody_waits(books)
    _, tally = await other

    assert tally.documents == 0
    assert await in_force(books) == {f"bill:{session}:1": 1000}
    await corrected(books, session)
    assert await in_force(books) == {f"bill:{session}:2": 800}


async def test_of_two_corrections_the_second_takes_back_what_the_first_has_invoiced(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    session = await books.charged("TAG-1", kwh=20)
    await books.run()
    await books.rerated(session, kwh=16)
    async with books.pool.acquire() as connection, connection.transaction():
        await service.correct_session(
            connection, session, issued_on=APRIL_9, now=books.clock.now, actor="ada", reason="late facts"
        )
        await books.rerated(session, kwh=14)
        other = asyncio.create_task(corrected(books, session))
        await somebody_waits(books)
    done = await other

    assert done.credit_note is not None
    assert done.credit_note.document.gross_minor == 800
    assert await in_force(books) == {f"bill:{session}:3": 700}
    claims = await books.pool.fetch("SELECT source, after FROM invoice_source ORDER BY invoice")
    assert [tuple(each) for each in claims] == [
        (f"bill:{session}:1", ""), (f"bill:{session}:2", f"bill:{session}:1"), (f"bill:{session}:3", f"bill:{session}:2"),
    ]  # fmt: skip
    assert await books.problems() == []


async def test_a_session_that_is_held_is_corrected_when_it_no_longer_is(books: Books) -> None:
    session = await books.charged("TAG-9")
    await books.run()
    await books.rerated(session, kwh=12)
    await held(books, session, "disputed")
    with pytest.raises(Refused, match=f"session {session} is held: disputed"):
        await corrected(books, session)
    assert len(await books.documents()) == 1, "nothing was credited either"
    await held(books, session)
    await corrected(books, session)

    assert await in_force(books) == {f"bill:{session}:2": 600}


async def test_claims_of_before_follow_each_other_in_the_order_of_their_documents(empty_database: str) -> None:
    own = own_migrations()
    await migrate(empty_database, migrations=[each for each in own if each.version < 42])
    async with connect_once(empty_database, as_owner=True) as owner:
        await owner.execute("SET session_replication_role = replica")  # no documents, no sessions: only the claims
        await owner.executemany(
            "INSERT INTO invoice_source (source, invoice, session) VALUES ($1, $2, $3)",
            [("bill:1:9", 1, 1), ("bill:1:10", 5, 1), ("bill:1:11", 7, 1), ("bill:2:1", 2, 2), ("order", 3, None)],
        )
    await migrate(empty_database, migrations=own)
    async with connect_once(empty_database, as_owner=True) as owner:
        rows = await owner.fetch("SELECT source, after FROM invoice_source ORDER BY invoice")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute("UPDATE invoice_source SET after = ''")

    assert [tuple(row) for row in rows] == [
        ("bill:1:9", ""), ("bill:2:1", ""), ("order", ""), ("bill:1:10", "bill:1:9"), ("bill:1:11", "bill:1:10"),
    ]  # fmt: skip
