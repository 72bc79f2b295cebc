"""The invoice run: each customer one document, each session once, whoever runs it, and however often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from decimal import Decimal

import asyncpg
import pytest

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import AccountKind, Rhythm
from billing.accounts.seller import Seller
from billing.e_invoices.profiles import Profile
from billing.e_invoices.service import e_invoice
from billing.errors import Refused
from billing.invoices.document import DocumentForm, GroupBy, LineKind, TaxMode
from tests.billing.bills.world import tariff_file
from tests.billing.invoices.books import APRIL_1, DOK, MARCH, Books


async def test_a_month_becomes_one_invoice_for_the_customer_and_a_receipt_for_whoever_has_no_contract(
    books: Books,
) -> None:
    await books.customer("C-1", "TAG-1", language="de", payment_days=30)
    first, second = await books.charged("TAG-1"), await books.charged("TAG-1", kwh=4, day=30)
    stranger = await books.charged("TAG-9", kwh=3)

    made, tally = await books.run()
    invoice, receipt = await books.documents()

    assert (tally.documents, tally.left_out, tally.gross_minor) == (2, 0, {"EUR": 850})
    assert [each.account for each in made] == ["C-1", None]
    assert (invoice.number, invoice.form, invoice.account) == ("R2026-000001", DocumentForm.FULL, "C-1")
    assert (invoice.days, invoice.issued_on, invoice.due_on) == ((date(2026, 3, 1), MARCH), APRIL_1, date(2026, 5, 1))
    assert (invoice.net_minor, invoice.tax_minor, invoice.gross_minor) == (588, 112, 700)
    assert [(line.source, line.gross_minor, line.name) for line in invoice.lines] == [
        (f"bill:{first}:1", 500, "Ladevorgang 02.03.2026, depot"), (f"bill:{second}:1", 200, "Ladevorgang 30.03.2026, depot"),
    ]  # fmt: skip
    detail = invoice.lines[0].session
    assert detail is not None
    assert (detail.token, detail.energy_wh, detail.started_at.isoformat()) == (
        "*AG-1",
        10_000,
        "2026-03-02T13:00:00+01:00",
    )
    assert [(part.name, part.quantity, part.price, part.amount) for part in detail.components] == [
        ("energy", Decimal("10.000"), Decimal("0.5"), "5.0000"),
    ]  # fmt: skip
    assert (receipt.number, receipt.form, receipt.buyer, receipt.account) == (
        "B2026-000001",
        DocumentForm.SIMPLIFIED,
        None,
        None,
    )
    assert [line.source for line in receipt.lines] == [f"bill:{stranger}:1"]
    assert await books.problems() == []


async def test_running_it_again_changes_nothing_and_later_sessions_are_taken_then_told_to_be_late(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run()

    assert (await books.run())[1].documents == 0
    late = await books.charged("TAG-1", day=31)
    await books.charged("TAG-1", day=3, month=4)
    assert (await books.run())[1].documents == 1
    late_too = await books.charged("TAG-1", day=30)
    await books.run(until=date(2026, 4, 30), issued_on=date(2026, 5, 1))

    *_, march, april = await books.documents()
    assert [line.source for line in march.lines] == [f"bill:{late}:1"]
    assert april.lines[0].source == f"bill:{late_too}:1"
    assert [line.session and line.session.late for line in april.lines] == [True, False]
    assert april.days == (date(2026, 4, 1), date(2026, 4, 30))


async def test_a_fleet_gets_one_document_for_all_whom_it_pays_for_grouped_as_it_asked(books: Books) -> None:
    await books.customer(
        "F-1", "VAN-1", kind=AccountKind.FLEET, grouped_by=(GroupBy.COST_CENTRE,), labels={GroupBy.COST_CENTRE: "4712"}
    )
    await books.customer("C-1", "TAG-1", payer="F-1", labels={GroupBy.COST_CENTRE: "4711"})
    await books.charged("VAN-1")
    await books.charged("TAG-1", day=5)
    await books.run()

    [document] = await books.documents()
    assert (document.account, document.grouped_by, document.tax_mode) == (
        "F-1",
        (GroupBy.COST_CENTRE,),
        TaxMode.KEEP_GROSS,
    )
    assert [(line.labels["cost_centre"], line.labels.get("driver")) for line in document.lines] == [
        ("4711", "Example C-1"), ("4712", None),
    ]  # fmt: skip


async def test_a_business_with_net_prices_pays_tax_on_the_sum(books: Books) -> None:
    await books.world.tariff(
        tariff_file("net", price="0.013").replace('"YES"', '"NO"'), now=books.clock.now.replace(month=3, day=10)
    )
    await books.customer("F-1", "VAN-1", kind=AccountKind.BUSINESS)
    for day in (11, 12, 13):
        await books.charged("VAN-1", day=day)  # 0.13 net and 0.02 tax each; on 0.39 it is 0.07
    await books.run()

    [document] = await books.documents()
    assert (document.tax_mode, document.net_minor, document.tax_minor) == (TaxMode.SUM_THEN_ROUND, 39, 7)


async def test_whose_turn_it_is_depends_on_the_rhythm(books: Books) -> None:
    for rhythm in Rhythm:
        await books.customer(f"C-{rhythm.value}", f"TAG-{rhythm.value}".upper(), rhythm=rhythm)
        await books.charged(f"TAG-{rhythm.value}".upper())

    week = {made.account for made in (await books.run(until=date(2026, 3, 15)))[0]}
    march = {made.account for made in (await books.run())[0]}
    asked = {made.account for made in (await books.run(account="C-on_demand"))[0]}
    june = {made.account for made in (await books.run(until=date(2026, 6, 30), issued_on=date(2026, 7, 1)))[0]}
    december = {made.account for made in (await books.run(until=date(2026, 12, 31), issued_on=date(2027, 1, 1)))[0]}

    assert week == {"C-session", "C-week"}
    assert march == {"C-month", "C-quarter"}
    assert asked == {"C-on_demand"}
    assert june == {"C-half_year"}
    assert december == {"C-year"}


async def test_what_was_tried_is_what_is_done_and_leaves_nothing(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.customer("C-2", "TAG-2")
    await books.charged("TAG-1")
    await books.charged("TAG-2", kwh=1)

    tried, tally = await books.run(dry_run=True, workers=1)
    assert (
        await books.pool.fetchval("SELECT (SELECT count(*) FROM invoice) + (SELECT count(*) FROM number_series)") == 0
    )
    done, _ = await books.run(workers=1)

    assert (tally.documents, tally.gross_minor) == (2, {"EUR": 550})
    assert [(made.account, made.document and made.document.lines) for made in tried] == [
        (made.account, made.document and made.document.lines) for made in done
    ]
    assert [made.document and made.document.number for made in tried] == ["", ""]


async def test_free_sessions_ride_along_and_alone_make_no_document(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    free = await books.charged("TAG-1", kwh=0)
    assert await books.run() == ([], (await books.run())[1])
    assert (await books.run())[1].documents == 0
    await books.charged("TAG-1", day=4)
    await books.run()

    [document] = await books.documents()
    assert (document.lines[0].source, document.lines[0].gross_minor) == (f"bill:{free}:1", 0)
    assert document.gross_minor == 500


async def test_a_receipt_above_the_limit_names_nobody_and_is_left_out_with_what_to_do(books: Books) -> None:
    session = await books.charged("TAG-9", kwh=501)
    await books.world.release(session, "price_outlier")
    await books.billing.drain()
    made, tally = await books.run()

    assert (tally.documents, tally.left_out) == (0, 1)
    assert made[0].left_out is not None
    assert "250.50 EUR: above 250.00 EUR a document names the customer" in made[0].left_out
    assert "csms account token give" in (made[0].next_step or "")


async def test_who_wants_an_e_invoice_gets_none_that_its_rules_would_turn_down(books: Books) -> None:
    await books.customer("F-1", "VAN-1", kind=AccountKind.BUSINESS, e_invoice=Profile.XRECHNUNG_UBL)
    await books.charged("VAN-1")
    made, _ = await books.run()
    assert made[0].left_out is not None
    assert all(rule in made[0].left_out for rule in ("[BR-DE-15]", "[BR-DE-2]")), made[0].left_out
    assert made[0].next_step == "csms account set F-1 and csms seller set enter what is missing"

    contact = {
        "contact": "Accounts",
        "phone": "+49 40 0000",
        "email": "books@north.example",
        "electronic_address": "DE136695976",
        "electronic_scheme": "9930",
    }
    async with books.pool.acquire() as connection:
        await sellers.change(
            connection, "north", lambda known: replace(known, party=replace(known.party, **contact)),
            now=books.clock.now, actor="ada", reason="asked for",
        )  # fmt: skip
        await accounts.change(
            connection, "F-1",
            lambda known: replace(
                known,
                details=replace(
                    known.details, buyer_reference="04011000-12345-03",
                    party=replace(
                        known.details.party, electronic_address="van@example.org", electronic_scheme="EM",
                        address=replace(known.details.party.address or DOK, postal_code="3500 AA"),
                    ),
                ),
            ),
            now=books.clock.now, actor="ada", reason="asked for",
        )  # fmt: skip
        books.seller = await sellers.get(connection, "north")
    made, _ = await books.run()

    assert made[0].left_out is None
    [issued] = await books.documents()
    sent = e_invoice(issued, Profile.XRECHNUNG_UBL)
    assert (sent.file_name, b"R2026-000001" in sent.content) == ("R2026-000001.xml", True)


async def test_held_sessions_wait(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    session = await books.charged("TAG-1")
    await books.pool.execute("UPDATE rating SET holds = '{disputed}' WHERE session = $1", session)
    assert (await books.run())[1].documents == 0

    await books.pool.execute("UPDATE rating SET holds = '{}' WHERE session = $1", session)
    assert (await books.run())[1].documents == 1


async def test_many_cents_make_a_rounding_line_in_the_language_of_the_document(books: Books) -> None:
    await books.customer("C-1", "TAG-1", language="nl")
    for day in (2, 3, 4, 5):
        await books.charged("TAG-1", kwh="0.2", day=day)
    await books.run()

    [document] = await books.documents()
    assert [(line.kind, line.net_minor) for line in document.lines] == [(LineKind.SESSION, 8)] * 4 + [
        (LineKind.ROUNDING, 2)
    ]
    assert document.lines[-1].name == "Afrondingsverschil met de bonnen"


async def test_two_runs_at_once_invoice_everything_once(books: Books) -> None:
    for n in range(12):
        await books.customer(f"C-{n:02}", f"TAG-{n:02}")
        await books.charged(f"TAG-{n:02}")
        await books.charged(f"LOOSE-{n:02}", day=3)
    await asyncio.gather(*(books.run(workers=2) for _ in range(3)))

    documents = await books.documents()
    sources = [line.source for document in documents for line in document.lines]
    assert (len(documents), len(sources)) == (24, len(set(sources)))
    assert sorted(document.number for document in documents) == [
        *(f"B2026-{n:06}" for n in range(1, 13)), *(f"R2026-{n:06}" for n in range(1, 13)),
    ]  # fmt: skip
    assert await books.problems() == []


async def test_no_document_is_issued_before_the_last_of_its_series(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run(issued_on=date(2026, 4, 2))
    await books.charged("TAG-1", day=3)

    with pytest.raises(Refused, match=r"was issued on 2026-04-02: none can be on 2026-04-01"):
        await books.run()
    assert len(await books.documents()) == 1


async def test_what_was_issued_cannot_be_changed_and_a_change_by_the_owner_is_found(
    books: Books, database: str
) -> None:
    await books.customer("C-1", "TAG-1")
    for day in (2, 3):
        await books.charged("TAG-1", day=day)
    await books.run()
    await books.charged("TAG-1", day=4)
    await books.run()
    for table in ("invoice", "invoice_line", "invoice_tax", "invoice_source", "credit_allocation"):
        for act in (
            f"UPDATE {table} SET invoice = 1" if table != "invoice" else "UPDATE invoice SET number = 'x'",
            f"DELETE FROM {table}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await books.pool.execute(act)
    assert await books.problems() == []

    owner = await asyncpg.connect(database)
    try:
        for table in ("invoice", "invoice_line"):
            await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        await owner.execute("UPDATE invoice_line SET body = jsonb_set(body, '{name}', '\"other\"') WHERE position = 2")
        assert await books.problems() == ["R2026-000001: it was changed: its hash is of something else"]
        await owner.execute("DELETE FROM invoice WHERE n = 2")
        assert [problem.split(": ")[1] for problem in await books.problems()][
            1
        ] == "the series counts 2 documents, and 1 are there"
    finally:
        await owner.close()


async def test_what_is_invoiced_before_a_quarter_has_ended_is_of_no_day_of_the_one_before(books: Books) -> None:
    await books.customer("C-1", "TAG-1", rhythm=Rhythm.QUARTER)
    await books.charged("TAG-1", day=15, month=3)
    await books.charged("TAG-1", day=10, month=4)
    until = date(2026, 5, 20)
    await books.run(until=until, issued_on=until, account="C-1")
    [document] = await books.documents()

    assert document.days == (date(2026, 4, 1), until)
    assert [line.session and line.session.late for line in document.lines] == [True, False]


async def test_who_pays_for_others_stays_a_customer_of_their_seller(books: Books) -> None:
    south = Seller(id="south", details=books.seller.details)
    async with books.pool.acquire() as connection:
        await sellers.create(connection, south, now=books.clock.now, actor="ada", reason="second")
    await books.customer("BOSS", kind=AccountKind.EMPLOYER)
    await books.customer("C-1", "TAG-1", payer="BOSS")

    async def moves(id_: str, **terms: str | None) -> None:
        async with books.pool.acquire() as connection:
            await accounts.change(
                connection,
                id_,
                lambda account: replace(account, **terms),
                now=books.clock.now,
                actor="ada",
                reason="asked",
            )

    with pytest.raises(
        Refused, match=r"BOSS pays for customers of seller north, and .* the same seller: C-1"
    ) as refused:
        await moves("BOSS", seller="south")
    await moves("C-1", payer=None)
    await moves("BOSS", seller="south")
    with pytest.raises(Refused, match="BOSS is a customer of seller south"):
        await moves("C-1", payer="BOSS")

    assert "give those another payer first" in refused.value.next_step


async def test_whoever_names_a_payer_while_it_moves_to_another_seller_is_not_left_behind(books: Books) -> None:
    south = Seller(id="south", details=books.seller.details)
    async with books.pool.acquire() as connection:
        await sellers.create(connection, south, now=books.clock.now, actor="ada", reason="second")
    for n in range(8):
        await books.customer(f"BOSS-{n}", kind=AccountKind.EMPLOYER)
        await books.customer(f"C-{n}")

    async def moves(id_: str, **terms: str) -> None:
        async with books.pool.acquire() as connection:
            await accounts.change(
                connection,
                id_,
                lambda account: replace(account, **terms),
                now=books.clock.now,
                actor="ada",
                reason="asked",
            )

    both = [moves(f"BOSS-{n}", seller="south") for n in range(8)] + [
        moves(f"C-{n}", payer=f"BOSS-{n}") for n in range(8)
    ]
    await asyncio.gather(*both, return_exceptions=True)
    apart = "SELECT count(*) FROM account a JOIN account p ON p.id = a.payer WHERE p.seller <> a.seller"

    assert await books.pool.fetchval(apart) == 0
