"""csms close run: what is done towards the end of a month, told with counts, and done again without any harm."""

from __future__ import annotations

from datetime import date

import asyncpg

from billing.invoices import service
from billing.invoices.month_end import STEPS
from billing.ledger import close
from billing.ledger.close import Closing, Found, Outcome
from billing.ledger.store import SQL
from tests.billing.invoices.books import MARCH, Books
from tests.billing.invoices.test_contracts_on_invoices import rule, subscribed

MARCH_1, APRIL_1, MAY_1 = date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)
APRIL_9, APRIL_30 = date(2026, 4, 9), date(2026, 4, 30)
CORRECTIONS = "corrections_invoiced"


async def run(books: Books, month: date = MARCH_1, *, dry_run: bool = False) -> dict[str, Outcome]:
    async with books.pool.acquire() as connection:
        closing = Closing(
            connection=connection, seller="north", month=month, now=books.clock.now, actor="ada", dry_run=dry_run
        )
        return {step.name: await step.act(closing) for step in STEPS}


async def found(books: Books, check: str) -> Found:
    async with books.pool.acquire() as connection:
        closing = Closing(connection=connection, seller="north", month=MARCH_1, now=books.clock.now, actor="ada")
        [line] = [each for each in await close.checklist(closing) if each.check.name == check]
    return line.found


async def changed_by_hand(database: str, *statements: str) -> None:
    owner = await asyncpg.connect(database)
    try:
        for table in ("invoice", "ledger_posting"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for statement in statements:
            await owner.execute(statement)
    finally:
        await owner.close()


async def test_what_fell_due_of_contracts_is_charged_once_and_then_waits_for_the_invoice_run(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await rule(books)
    await subscribed(books, "C-1")
    books.clock.now = books.clock.now.replace(day=2)
    tried = await run(books, dry_run=True)
    nothing = await books.pool.fetchval("SELECT count(*) FROM contract_charge")
    ran, again = await run(books), await run(books)
    waits = await found(books, "charges_invoiced")
    await books.run(issued_on=MARCH)

    assert [each["contracts"].count for each in (tried, ran, again)] == [1, 1, 0]
    assert nothing == 0
    assert (waits.open, waits.note) == (1, "of C-1")
    assert waits.next_step == "csms invoice run --seller north --until 2026-03-31 --account C-1 --reason ..."
    assert (await found(books, "charges_invoiced")).open == 0


async def test_of_a_month_that_goes_on_only_what_is_due_today_is_charged(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await subscribed(books, "C-1")
    books.clock.now = books.clock.now.replace(month=3, day=20)

    await run(books, APRIL_1)

    due = await books.pool.fetch("SELECT due_on FROM contract_charge")
    assert [row["due_on"] for row in due] == [MARCH_1]


async def corrected(books: Books, session: int) -> None:
    async with books.pool.acquire() as connection:
        await service.correct_session(
            connection, session, issued_on=APRIL_9, now=books.clock.now, actor="ada", reason="late facts"
        )


async def test_corrections_of_what_was_invoiced_are_told_until_they_are_on_a_document(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    sessions = [await books.charged("TAG-1", day=day) for day in (2, 3, 4, 5)]
    await books.charged("TAG-1", month=4)
    await books.rerated(sessions[3], kwh=15)
    await books.run()
    nothing = await found(books, CORRECTIONS)
    for session in sessions[:3]:
        await books.rerated(session, kwh=12)
    await books.rerated(sessions[0], kwh=0)
    waits = await found(books, CORRECTIONS)
    for session in sessions[:2]:
        await corrected(books, session)
    waits_still = await found(books, CORRECTIONS)
    await corrected(books, sessions[2])

    assert (nothing.open, nothing.note) == (0, "")
    assert (waits.open, waits.note) == (3, f"sessions {sessions[0]}, {sessions[1]}, {sessions[2]}")
    assert waits.next_step == "csms credit correct SESSION --reason ..."
    assert (waits_still.open, waits_still.note) == (1, f"sessions {sessions[2]}")
    assert (await found(books, CORRECTIONS)).open == 0, "what was corrected to nothing is credited, and on no document"


async def test_corrections_of_later_months_and_of_what_was_never_invoiced_are_in_no_months_way(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    late = await books.charged("TAG-1", month=4)
    await books.run(until=date(2026, 4, 30), issued_on=date(2026, 5, 1))
    never = await books.charged("TAG-1")
    for session in (late, never):
        await books.rerated(session, kwh=12)

    assert (await found(books, CORRECTIONS)).open == 0


async def test_what_looks_for_corrections_reads_no_other_bills(books: Books) -> None:
    async with books.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")  # there are few rows: as if there were many
        query = SQL.uninvoiced_corrections
        plan = await connection.fetch("EXPLAIN " + query.sql, *query.args({"seller": "north", "last": MARCH}))

    assert any("bill_correction on bill b" in row["QUERY PLAN"] for row in plan), [row["QUERY PLAN"] for row in plan]


async def test_sessions_that_no_document_shows_are_told_with_their_customers_and_their_worth(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    for day in (2, 3):
        await books.charged("TAG-1", day=day)
    await books.charged("TAG-9", kwh=2, day=4)
    waits, worth = await found(books, "sessions_invoiced"), (await run(books))["unbilled"]

    assert (waits.open, waits.note) == (3, "of 1 customers; of no customer: 1")
    assert (worth.count, worth.note, worth.open) == (3, "11.00 EUR incl. tax", 0)
    assert "csms invoice run" in waits.next_step


async def test_the_documents_of_the_month_are_followed_and_those_of_others_are_not(books: Books, database: str) -> None:
    await books.customer("C-1", "TAG-1")
    for day, issued_on in ((2, MARCH), (3, MARCH), (4, APRIL_30), (5, MAY_1)):
        await books.charged("TAG-1", day=day)
        await books.run(issued_on=issued_on)
    right = [(await run(books, month))["documents"] for month in (date(2026, 2, 1), MARCH_1, APRIL_1, MAY_1)]
    await changed_by_hand(
        database, """UPDATE invoice SET body = jsonb_set(body, '{language}', '"fr"') WHERE number = 'R2026-000003'"""
    )
    wrong = [(await run(books, month))["documents"] for month in (MARCH_1, APRIL_1, MAY_1)]

    assert [(each.count, each.open) for each in right] == [(0, 0), (2, 0), (1, 0), (1, 0)]
    assert [(each.count, each.open) for each in wrong] == [(2, 0), (1, 1), (1, 0)]
    assert wrong[1].note == "R2026-000003: it was changed: its hash is of something else"
    assert wrong[1].next_step == "csms invoice verify lists them all"


async def test_a_document_that_was_taken_out_of_the_month_is_missing(books: Books, database: str) -> None:
    await books.customer("C-1", "TAG-1")
    for day, issued_on in ((2, MARCH), (3, APRIL_1), (4, APRIL_1)):
        await books.charged("TAG-1", day=day)
        await books.run(issued_on=issued_on)
    await changed_by_hand(database, "DELETE FROM invoice WHERE number = 'R2026-000002'")

    april = (await run(books, APRIL_1))["documents"]
    assert april.open == 2
    assert april.note.startswith("R2026-000003: number 2 of its series is missing before it")


async def test_entries_of_the_month_that_are_not_whole_are_told(books: Books, database: str) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run(issued_on=MARCH)
    right = (await run(books))["ledger"]
    await changed_by_hand(database, "UPDATE ledger_posting SET amount_minor = amount_minor + 1 WHERE n = 1")
    wrong, elsewhere = (await run(books))["ledger"], (await run(books, APRIL_1))["ledger"]

    assert (right.open, elsewhere.open) == (0, 0)
    assert wrong.open == 3
    assert "does not sum to zero in EUR" in wrong.note


async def test_the_whole_series_is_followed_where_no_days_are_said(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    for day, issued_on in ((2, MARCH), (3, APRIL_1)):
        await books.charged("TAG-1", day=day)
        await books.run(issued_on=issued_on)
    async with books.pool.acquire() as connection:
        looked = [each async for each in service.verify(connection, "north")]

    assert sum(each for each in looked if isinstance(each, int)) == 2
    assert await books.problems() == []
