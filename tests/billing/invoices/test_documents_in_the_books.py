"""Each document has its entry, made with it: what documents charge, what the ledger says and what reports add up are one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
from hypothesis import given, reject
from hypothesis import strategies as st

from billing.invoices import service as invoices
from billing.invoices.composition import CannotBeInvoiced, compose
from billing.invoices.document import Address, Party, TaxMode
from billing.invoices.store import SQL
from billing.ledger import close
from billing.ledger.balance import balances
from billing.ledger.check import check
from billing.ledger.close import Closing, State
from billing.ledger.entry import AccountKind
from billing.ledger.posting_rules import entry_of
from billing.rating.rating import ComponentName
from billing.taxes import service as taxes
from billing.taxes.tax_rule import Category, TaxRule
from tests.billing.bills.world import BEFORE, tariff_file
from tests.billing.invoices.books import APRIL_1, MARCH, Books
from tests.billing.invoices.charges import CURRENCIES, charges_with_refunds, document_of
from tests.examples import tried


async def balance_of(books: Books, day: date = date(2026, 12, 31)) -> dict[str, int]:
    async with books.pool.acquire() as connection:
        return {str(each.account): each.minor for each in await balances(connection, "north", as_of=day)}


async def problems(books: Books) -> list[str]:
    async with books.pool.acquire() as connection:
        return [f"{each.check} {each.subject}" for each in await check(connection, "north")]


async def take_back(books: Books, number: str, wanted: dict[int, int] | None = None) -> None:
    async with books.pool.acquire() as connection:
        await invoices.credit_invoice(
            connection,
            number,
            wanted=wanted,
            issued_on=date(2026, 4, 9),
            now=books.clock.now,
            actor="ada",
            reason="complaint",
        )


async def test_documents_are_owed_sold_and_taxed_in_the_ledger_to_the_cent(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    for day in (2, 3, 4, 5):
        await books.charged("TAG-1", kwh="0.2", day=day)
    await books.charged("TAG-9", kwh=3, day=6)
    await books.run()

    # 4 x 0.10 with 19 % in it: 0.08 net each on the receipts, 0.34 on the document; 1.50 is 1.26 net
    assert await balance_of(books) == {
        "receivable:C-1": 40, "receivable": 150, "revenue:session:DE:S:19": -32 - 126, "rounding": -2,
        "tax_payable:DE:S:19": -6 - 24,
    }  # fmt: skip
    await take_back(books, "R2026-000001", {1: 10})
    assert (await balance_of(books))["receivable:C-1"] == 30
    await take_back(books, "R2026-000001")
    await take_back(books, "B2026-000001")

    assert {name: minor for name, minor in (await balance_of(books)).items() if minor} == {}
    assert await problems(books) == []


async def test_reports_add_up_to_the_ledger(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1", kwh=10)
    await books.charged("TAG-9", kwh=4, day=3)
    await books.run()
    await take_back(books, "R2026-000001", {1: 100})

    async with books.pool.acquire() as connection:
        rows = {
            by: await SQL.revenue.fetch(connection, seller="north", by=by, since=None, until=None)
            for by in ("site", "charge_point", "tariff", "channel", "kind", "month")
        }
        charged = await SQL.taxes_charged.fetch(connection, seller="north", since=None, until=None)
    booked = await balance_of(books)
    gross = {by: {row["of"]: row["gross_minor"] for row in found} for by, found in rows.items()}
    assert gross["channel"] == {"ad_hoc": 200, "contract": 400}
    assert gross["charge_point"] == {"CP-1": 600}, "what is credited in part counts where its line does"
    assert [row["kwh"] for row in rows["charge_point"]] == [14]
    assert gross["month"] == {"2026-04": 600}
    await take_back(books, "B2026-000001")
    async with books.pool.acquire() as connection:
        [row] = await SQL.revenue.fetch(connection, seller="north", by="site", since=None, until=None)
    assert (row["kwh"], row["gross_minor"]) == (10, 400), "4 kWh and 2.00 were taken back whole"
    for found in rows.values():
        assert sum(row["net_minor"] for row in found) == -booked["revenue:session:DE:S:19"]
    assert [(row["country"], row["tax_rate"], row["net_minor"], row["tax_minor"]) for row in charged] == [
        ("DE", Decimal(19), -booked["revenue:session:DE:S:19"], -booked["tax_payable:DE:S:19"]),
    ]  # fmt: skip


async def test_the_kwh_of_a_session_under_two_taxes_count_once_and_go_back_with_the_whole_session(books: Books) -> None:
    rules = [
        TaxRule(id=id_, country="DE", rate=Decimal(rate), category=Category.STANDARD, valid_from=date(2021, 1, 1), supply=part)
        for id_, rate, part in (("ENERGY", 19, ComponentName.ENERGY), ("FEE", 7, ComponentName.FLAT))
    ]  # fmt: skip
    async with books.pool.acquire() as connection:
        await taxes.add_rules(connection, rules, now=BEFORE, actor="ada")
    await books.world.tariff(tariff_file("both", flat="1.00"), now=BEFORE + timedelta(hours=1))
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1", kwh=10)
    await books.charged("TAG-1", kwh=4, day=3)
    await books.run()

    async def kwh() -> Decimal:
        async with books.pool.acquire() as connection:
            rows = await SQL.revenue.fetch(connection, seller="north", by="site", since=None, until=None)
        return sum((row["kwh"] for row in rows), Decimal(0))

    [document] = await books.documents()
    assert [line.tax.rate for line in document.lines if line.session] == [19, 7, 19, 7]
    assert await kwh() == 14
    await take_back(books, "R2026-000001", {3: 200, 4: 100})
    assert await kwh() == 10


async def test_a_document_without_its_entry_is_found(books: Books, database: str) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run()
    owner = await asyncpg.connect(database)
    try:
        for table in ("ledger_posting", "ledger_entry"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            await owner.execute(f"DELETE FROM {table}")
    finally:
        await owner.close()

    assert await problems(books) == ["documents R2026-000001"]


async def checklist(books: Books, month: date) -> dict[str, tuple[State, int]]:
    async with books.pool.acquire() as connection:
        closing = Closing(connection=connection, seller="north", month=month, now=books.clock.now, actor="ada")
        return {line.check.name: (line.state, line.found.open) for line in await close.checklist(closing)}


async def lock(books: Books, month: date) -> None:
    async with books.pool.acquire() as connection:
        closing = Closing(connection=connection, seller="north", month=month, now=books.clock.now, actor="ada")
        await close.lock(closing, reason="it is done")


async def test_a_month_is_locked_when_all_is_invoiced_and_what_comes_late_goes_to_the_next(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    books.clock.now = books.clock.now.replace(day=2)
    march = date(2026, 3, 1)
    assert (await checklist(books, march))["sessions_invoiced"] == (State.OPEN, 1)
    await books.run(issued_on=MARCH)
    assert {state for state, _ in (await checklist(books, march)).values()} == {State.DONE}
    await lock(books, march)
    late = await books.charged("TAG-1", day=30)
    await books.run(until=MARCH, issued_on=MARCH)

    entries = await books.pool.fetch("SELECT document, booked_on, fact_on FROM ledger_entry ORDER BY id")
    assert [tuple(entry) for entry in entries] == [
        ("R2026-000001", MARCH, MARCH), ("R2026-000002", APRIL_1, MARCH),
    ]  # fmt: skip
    [_, second] = await books.documents()
    assert [line.source for line in second.lines] == [f"bill:{late}:1"]
    assert await problems(books) == []


async def reported(books: Books, since: date, until: date) -> dict[str, list[dict[str, Any]]]:
    """Both reports of some days."""
    days = {"seller": "north", "since": since, "until": until}
    async with books.pool.acquire() as connection:
        found = {by: await SQL.revenue.fetch(connection, by=by, **days) for by in ("kind", "month", "site")}
        found["tax"] = await SQL.taxes_charged.fetch(connection, **days)
    return {name: [dict(row) for row in rows] for name, rows in found.items()}


async def turned_over(books: Books, since: date, until: date) -> dict[str, int]:
    """Net and tax of some days by the ledger's accounts."""
    before, after = await balance_of(books, since - timedelta(days=1)), await balance_of(books, until)
    moved = {name: before.get(name, 0) - minor for name, minor in after.items()}
    kinds = {"net_minor": ("revenue", "rounding"), "tax_minor": ("tax_payable",)}
    return {
        amount: sum(minor for name, minor in moved.items() if name.startswith(names)) for amount, names in kinds.items()
    }


async def test_what_comes_late_leaves_the_reports_of_a_locked_month_as_they_were(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1", kwh=10)
    await books.charged("TAG-9", kwh=3, day=6)
    books.clock.now = books.clock.now.replace(day=2)
    await books.run(issued_on=MARCH)
    march, april = date(2026, 3, 1), date(2026, 4, 30)
    known = await reported(books, march, MARCH)
    await lock(books, march)
    await books.charged("TAG-1", kwh=4, day=30)
    await books.run(issued_on=MARCH)
    await take_back(books, "R2026-000002", {1: 50})

    assert (await books.documents())[-2].issued_on == MARCH
    assert await reported(books, march, MARCH) == known
    of_april = await reported(books, APRIL_1, april)
    # 4 x 0.50 with tax, of which 0.50 are taken back: 1.50, without tax 1.68 - 0.42
    [month] = of_april["month"]
    assert tuple(month.values()) == ("2026-04", "EUR", 2, Decimal(4), 126, 24, 150)
    assert [(row["documents"], row["net_minor"], row["tax_minor"]) for row in of_april["tax"]] == [(2, 126, 24)]
    for since, until in (
        (march, MARCH),
        (APRIL_1, april),
        (APRIL_1, APRIL_1),
        (date(2026, 4, 2), april),
        (march, april),
    ):
        in_the_ledger = await turned_over(books, since, until)
        for rows in (await reported(books, since, until)).values():
            assert {name: sum(row[name] for row in rows) for name in in_the_ledger} == in_the_ledger


@tried(100)
@given(data=st.data(), currency=st.sampled_from(CURRENCIES))
def test_the_entry_of_any_document_sums_to_zero_and_says_what_the_document_says(
    data: st.DataObject, currency: str
) -> None:
    mode = data.draw(st.sampled_from(TaxMode))
    try:
        figures = compose(data.draw(charges_with_refunds(currency)), mode=mode, currency=currency)
    except CannotBeInvoiced:
        reject()
    seller = Party(name="North", address=Address(street="Kai 1", city="Hamburg", country="DE"))
    document = replace(document_of(figures, mode, currency), seller=seller, account="C-1")
    entry = entry_of(document, "north")
    by_kind: dict[AccountKind, int] = {}
    for posting in entry.postings:
        by_kind[posting.account.kind] = by_kind.get(posting.account.kind, 0) + posting.amount_minor

    assert sum(posting.amount_minor for posting in entry.postings) == 0
    assert by_kind.get(AccountKind.RECEIVABLE, 0) == document.gross_minor
    assert by_kind.get(AccountKind.TAX_PAYABLE, 0) == -document.tax_minor
    assert by_kind.get(AccountKind.REVENUE, 0) + by_kind.get(AccountKind.ROUNDING, 0) == -document.net_minor
