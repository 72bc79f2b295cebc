"""The rows of an issued document: nobody adds one, and one that was changed above all triggers is found with its field."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from billing.accounts.account import AccountKind
from billing.invoices import service
from tests.billing.invoices.books import APRIL_1, Books
from tests.billing.invoices.test_borne_parts import CITY, bears, knows_as

TABLES = ("invoice", "invoice_line", "invoice_tax", "invoice_source", "credit_allocation")
_R1 = "(SELECT id FROM invoice WHERE number = 'R2026-000001')"
_C1 = "(SELECT id FROM invoice WHERE number = 'C2026-000001')"


@pytest.fixture
async def issued(books: Books) -> Books:
    """A city that bears a part, a customer, a receipt, and a credit note of each: of the customer's only a part."""
    await bears(books, CITY, "1.00")
    await books.customer("CITY", kind=AccountKind.BUSINESS)
    await knows_as(books, "CITY", CITY)
    await books.customer("C-1", "TAG-1")
    for day in (2, 3):
        await books.charged("TAG-1", day=day)
    await books.charged("TAG-9", day=4)
    await books.run()
    numbers = [each.number for each in await books.documents()]
    async with books.pool.acquire() as connection:
        for number in numbers:
            await service.credit_invoice(
                connection, number, wanted={1: 50} if number == "R2026-000001" else None, issued_on=APRIL_1,
                now=books.clock.now, actor="ada", reason="complaint",
            )  # fmt: skip
    await books.run()
    return books


@pytest.fixture
async def owner(issued: Books, database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody above all triggers."""
    assert await issued.problems() == []
    connection = await asyncpg.connect(database)
    try:
        for table in TABLES:
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield connection
    finally:
        await connection.close()


async def problems(connection: asyncpg.Connection) -> list[str]:
    found = [each async for each in service.verify(connection)]
    return [f"{each.number}: {each.problem}" for each in found if isinstance(each, service.Finding)]


async def found_after(owner: asyncpg.Connection, statement: str) -> list[str]:
    change = owner.transaction()
    await change.start()
    try:
        done = await owner.execute(statement)
        assert done.split()[-1] == "1", f"{statement}: {done}"
        return await problems(owner)
    finally:
        await change.rollback()


HEAD = [
    ("account = 'CITY'", "account is CITY, and the document says C-1"),
    ("currency = 'SEK'", "currency is SEK, and the document says EUR"),
    ("issued_on = '2026-03-31'", "issued_on is 2026-03-31, and the document says 2026-04-01"),
    ("due_on = NULL", "due_on is nothing, and the document says 2026-04-15"),
    ("net_minor = net_minor + 1, tax_minor = tax_minor - 1", "net_minor is 841, and the document says 840"),
    ("tax_minor = tax_minor + 1, gross_minor = gross_minor + 1", "gross_minor is 1001, and the document says 1000"),
    ("borne_minor = 0", "borne_minor is 0, and the document says 200"),
    ("paid_minor = 1", "paid_minor is 1, and the document says 0"),
    ("issued_at = issued_at + interval '1 second'", "issued_at is "),
    ("actor = 'eve'", "actor is eve, and the document says ada"),
]


@pytest.mark.parametrize(("assignment", "told"), HEAD, ids=[each.split()[0] for each, _ in HEAD])
async def test_a_changed_column_of_a_document_is_named_with_what_the_document_says(
    owner: asyncpg.Connection, assignment: str, told: str
) -> None:
    found = await found_after(owner, f"UPDATE invoice SET {assignment} WHERE number = 'R2026-000001'")

    assert any(each.startswith(f"R2026-000001: it was changed: invoice: {told}") for each in found), found
    assert await problems(owner) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE invoice SET number = 'R2026-9' WHERE number = 'R2026-000001'", "R2026-9: it was changed: invoice: number is R2026-9, and"),
        (f"UPDATE invoice SET corrects = id WHERE id = {_C1}", "C2026-000001: it was changed: invoice: corrects is C2026-000001, and the document says R2026-000001"),
        (f"UPDATE invoice SET reason = 'none' WHERE id = {_C1}", "C2026-000001: it was changed: invoice: reason is none, and the document says complaint"),
        ("UPDATE invoice SET year = 2025 WHERE number = 'R2026-000001'", "R2026-000002: number 1 of its series is missing"),
        ("UPDATE invoice SET n = 9 WHERE number = 'R2026-000001'", "R2026-000002: number 1 of its series is missing"),
        ("UPDATE invoice SET seller = 'other' WHERE number = 'R2026-000001'", "R2026-000002: number 1 of its series is missing"),
        ("UPDATE invoice SET form = 'self_billed' WHERE number = 'R2026-000001'", "R2026-000002: number 1 of its series is missing"),
    ],
)  # fmt: skip
async def test_a_document_that_was_given_another_place_or_reason_is_found(
    owner: asyncpg.Connection, statement: str, told: str
) -> None:
    found = await found_after(owner, statement)

    assert any(each.startswith(told) for each in found), found


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (f"UPDATE invoice_line SET kind = 'item' WHERE position = 1 AND invoice = {_R1}", "invoice_line 1: kind is item, and"),
        (f"UPDATE invoice_line SET net_minor = net_minor + 1, tax_minor = tax_minor - 1 WHERE position = 1 AND invoice = {_R1}", "invoice_line 1: net_minor is 421, and the document says 420"),
        (f"UPDATE invoice_line SET tax_minor = tax_minor + 1, gross_minor = gross_minor + 1 WHERE position = 1 AND invoice = {_R1}", "invoice_line 1: gross_minor is 501, and"),
        (f"UPDATE invoice_line SET day = '2026-04-01' WHERE position = 1 AND invoice = {_R1}", "invoice_line 1: day is 2026-04-01, and the document says 2026-03-02"),
        (f"UPDATE invoice_line SET session = session + 1 WHERE position = 1 AND invoice = {_R1}", "invoice_line 1: session is "),
        (f"UPDATE invoice_line SET position = 7 WHERE position = 2 AND invoice = {_R1}", "invoice_line 2 is missing"),
        (f"UPDATE invoice_tax SET country = 'NL' WHERE invoice = {_R1}", "invoice_tax DE:S:19 is missing"),
        (f"UPDATE invoice_tax SET tax_category = 'Z' WHERE invoice = {_R1}", "invoice_tax DE:Z:19 was added"),
        (f"UPDATE invoice_tax SET tax_rate = 20 WHERE invoice = {_R1}", "invoice_tax DE:S:20 was added"),
        (f"UPDATE invoice_tax SET note = 'why' WHERE invoice = {_R1}", "invoice_tax DE:S:19 (why) was added"),
        (f"UPDATE invoice_tax SET net_minor = 1 WHERE invoice = {_R1}", "invoice_tax DE:S:19: net_minor is 1, and the document says 840"),
        (f"UPDATE invoice_tax SET tax_minor = 1 WHERE invoice = {_R1}", "invoice_tax DE:S:19: tax_minor is 1, and the document says 160"),
        (f"DELETE FROM invoice_tax WHERE invoice = {_R1}", "invoice_tax DE:S:19 is missing"),
        ("UPDATE invoice_source SET source = 'bill:1:9' WHERE source = 'bill:1:1'", "invoice_source bill:1:1 is missing"),
        ("UPDATE invoice_source SET invoice = invoice + 1 WHERE source = 'bill:1:1'", "invoice_source bill:1:1 is missing"),
        ("UPDATE invoice_source SET session = 9 WHERE source = 'bill:1:1'", "invoice_source bill:1:1: session is 9, and the document says 1"),
        ("UPDATE invoice_source SET after = 'x' WHERE source = 'bill:1:1'", "invoice_source bill:1:1: after is x, and the document says nothing"),
        ("DELETE FROM invoice_source WHERE source = 'bill:1:1'", "invoice_source bill:1:1 is missing"),
    ],
)  # fmt: skip
async def test_a_changed_row_of_a_document_is_named_with_its_field(
    owner: asyncpg.Connection, statement: str, told: str
) -> None:
    found = await found_after(owner, statement)

    assert any(each.startswith(f"R2026-000001: it was changed: {told}") for each in found), found


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("SET invoice = credit_note", "credit_allocation credit:R2026-000001:1: invoice is "),
        ("SET position = 2", "credit_allocation credit:R2026-000001:1 is missing"),
        ("SET base_minor = 51", "credit_allocation credit:R2026-000001:1: base_minor is 51, and the document says 50"),
        ("SET net_minor = 51", "credit_allocation credit:R2026-000001:1: net_minor is 51, and the document says 42"),
        ("SET credit_note = credit_note + 1", "credit_allocation credit:R2026-000001:1 is missing"),
    ],
)
async def test_a_changed_allocation_of_a_credit_note_is_named_with_its_field(
    owner: asyncpg.Connection, what: str, told: str
) -> None:
    await owner.execute(f"DELETE FROM credit_allocation WHERE credit_note = {_C1} + 1")  # the place is free
    found = await found_after(owner, f"UPDATE credit_allocation {what} WHERE credit_note = {_C1}")

    assert any(each.startswith(f"C2026-000001: it was changed: {told}") for each in found), found


ADDED = {
    "invoice_line": f"(invoice, position, kind, net_minor, tax_minor, gross_minor, body) VALUES ({_R1}, 9, 'item', 1, 0, 1, '{{}}')",
    "invoice_tax": f"(invoice, country, tax_category, tax_rate, net_minor, tax_minor) VALUES ({_R1}, 'NL', 'S', 21, 1, 0)",
    "invoice_source": f"(source, invoice) VALUES ('order', {_R1})",
    "credit_allocation": f"(credit_note, invoice, position, base_minor, net_minor) VALUES ({_C1}, {_R1}, 2, 1, 1)",
}


@pytest.mark.parametrize("table", ADDED)
async def test_nobody_adds_a_row_to_a_document_that_stands_and_one_that_was_added_is_found(
    issued: Books, database: str, table: str
) -> None:
    number = "C2026-000001" if table == "credit_allocation" else "R2026-000001"
    refusal = f"{table} of document {number} is complete since it was issued: INSERT is refused"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=refusal):
        await issued.pool.execute(f"INSERT INTO {table} {ADDED[table]}")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("SET session_replication_role = replica")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=refusal):
            await connection.execute(f"INSERT INTO {table} {ADDED[table]}")
        assert await issued.problems() == []
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        await connection.execute(f"INSERT INTO {table} {ADDED[table]}")
    finally:
        await connection.close()

    assert [each.partition(": ")[0] for each in await issued.problems()] == [number]


async def test_the_server_of_the_release_before_writes_a_document_with_its_taxes_in_one_statement(
    issued: Books,
) -> None:
    async with issued.pool.acquire() as connection:
        change = connection.transaction()
        await change.start()
        done = await connection.execute(
            """
            WITH written AS (
                INSERT INTO invoice
                SELECT (jsonb_populate_record(NULL::invoice, to_jsonb(i) || '{"id": 999, "n": 999, "number": "R999"}')).*
                  FROM invoice i WHERE number = 'R2026-000001' RETURNING id)
            INSERT INTO invoice_tax (invoice, country, tax_category, tax_rate, net_minor, tax_minor)
            VALUES (999, 'DE', 'S', 19, 840, 160)
            """
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="of document R999 is complete"):
            await connection.execute(
                "INSERT INTO invoice_tax (invoice, country, tax_category, tax_rate, net_minor, tax_minor)"
                " VALUES (999, 'NL', 'S', 21, 1, 0)"
            )
        await change.rollback()

    assert done == "INSERT 0 1"
