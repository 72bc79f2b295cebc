"""What third parties bear of sessions: the driver's document leaves it out, and the party's account is asked for it, once."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

import csms.database
from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.account import Account, AccountKind, Rhythm
from billing.accounts.seller import SellerDetails
from billing.discounts import entry
from billing.discounts.rule import Rule
from billing.e_invoices.profiles import Profile
from billing.errors import AlreadyDone, NotFound, Refused
from billing.invoices import service
from billing.invoices.document import Document, DocumentKind, LineKind
from billing.invoices.reissuing import reissue
from billing.invoices.store import SQL, Issued
from billing.ledger import check
from billing.ledger.balance import balances
from billing.ledger.entry import AccountKind as LedgerAccountKind
from billing.ledger.open_items import open_items
from billing.rating.rating import Basis, Effect
from csms.database.embedded import EmbeddedPostgres
from csms.database.pool import open_pool
from tests.billing.bills.world import BEFORE
from tests.billing.invoices.books import Books
from tests.conftest import _fresh_database
from tests.examples import tried

MIGRATIONS = Path(csms.database.__file__).parent / "migrations"
APRIL = date(2026, 4, 30)
MAY_1 = date(2026, 5, 1)
CITY, EMPLOYER = "City of Example", "E-1"
WHOLE = 80
"""A share above which a line is credited as a whole."""


async def bears(books: Books, party: str, value: str, *, basis: Basis = Basis.FIXED, id_: str | None = None) -> None:
    """From long ago on a party bears so much of each session."""
    rule = Rule(
        id=id_ or f"of-{len(party)}-{value.replace('.', '-')}", label="Incentive", effect=Effect.INCENTIVE, basis=basis, value=Decimal(value), turn=100,
        valid_from=BEFORE, entered_at=BEFORE, party=party, currency="EUR" if basis is Basis.FIXED else None,
    )  # fmt: skip
    async with books.pool.acquire() as connection:
        await entry.add(connection, rule, actor="ada")


async def knows_as(books: Books, account: str, *names: str) -> None:
    async with books.pool.acquire() as connection:
        await accounts.change(
            connection, account, lambda before: _named(before, names), now=books.clock.now, actor="ada", reason="is it"
        )


async def test_nobody_is_forgotten_who_was_not_asked_for_what_it_bears(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER, rhythm=Rhythm.QUARTER)
    await knows_as(books, "E-1", "Works council")
    await bears(books, "Works council", "0.50")
    await books.charged("TAG-1")
    await books.run(account="C-1")

    async def forget() -> Account:
        async with books.pool.acquire() as connection:
            return await accounts.pseudonymise(connection, "E-1", now=books.clock.now, actor="ada", reason="asked")

    with pytest.raises(Refused, match=r"E-1 bears parts that it was not asked for, of R2026-000001") as refused:
        await forget()
    await books.run(account="E-1")
    done = await forget()

    assert "csms invoice run --seller north --account E-1 --until DAY" in refused.value.next_step
    assert done.details.parties == ()


def _registered(details: SellerDetails) -> SellerDetails:
    return replace(details, party=replace(details.party, register="Amtsgericht Hamburg, HRB 123456"))


def _named(account: Account, names: tuple[str, ...]) -> Account:
    return replace(account, details=replace(account.details, parties=names))


async def owed(books: Books) -> dict[str, int]:
    """What stands on each account of the ledger but revenue and tax, which has to be sound."""
    async with books.pool.acquire() as connection:
        assert await check.check(connection, None) == []
        found = await balances(connection, "north", as_of=date(2026, 12, 31))
    return {
        str(each.account): each.minor for each in found if each.account.kind.value.endswith("receivable") and each.minor
    }


async def claims(books: Books) -> dict[str, int]:
    """What third parties have still to be asked for or to pay, by the document that it is open of."""
    async with books.pool.acquire() as connection:
        found = await open_items(connection, "north", as_of=date(2026, 12, 31))
    return {
        f"{each.document} {each.account.owner}": each.open_minor
        for each in found
        if each.account.kind is LedgerAccountKind.INCENTIVE_RECEIVABLE
    }


async def taken_back(
    books: Books, number: str, wanted: dict[int, int] | None = None, on: date = date(2026, 4, 9)
) -> Issued:
    async with books.pool.acquire() as connection:
        return await service.credit_invoice(
            connection, number, wanted=wanted, issued_on=on, now=books.clock.now, actor="ada", reason="broken"
        )


async def test_what_is_taken_back_before_anybody_was_asked_leaves_the_open_item_of_its_document(books: Books) -> None:
    await bears(books, CITY, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run()
    await taken_back(books, "R2026-000001", {1: 250})
    early = await claims(books)
    await books.customer("P-7", kind=AccountKind.PARTNER)
    await knows_as(books, "P-7", CITY)
    await books.run(until=APRIL, issued_on=MAY_1)

    assert early == {f"R2026-000001 {CITY}": 50}
    [asked] = of(await books.documents(), "P-7")
    assert {line.source: line.gross_minor for line in asked.lines} == {
        f"borne:north:R2026-000001:{CITY}": 100, f"borne:north:C2026-000001@R2026-000001:{CITY}": -50,
    }  # fmt: skip
    assert await claims(books) == {}
    assert await books.pool.fetchval("SELECT count(*) FROM borne_due") == 0


async def test_documents_from_before_there_was_a_queue_are_asked_for_like_those_after(books: Books) -> None:
    await bears(books, CITY, "1.00", id_="first")
    await bears(books, CITY, "0.30", id_="second")
    await bears(books, EMPLOYER, "0.10", basis=Basis.PER_KWH)
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    await books.charged("TAG-1")
    await books.charged("TAG-9", day=2)
    await books.run()
    await taken_back(books, "R2026-000001", {1: 250})
    queue = "SELECT * FROM borne_due ORDER BY source"
    written = await books.pool.fetch(queue)
    await books.pool.execute("DELETE FROM borne_due")
    statements = (MIGRATIONS / "0041_borne_due.sql").read_text().split(";\n")
    [fill] = [each for each in statements if each.strip().startswith("INSERT INTO borne_due")]
    await books.pool.execute(fill)

    assert [row["minor"] for row in written] == [130, -65, -50, 130]
    assert await books.pool.fetch(queue) == written


def of(documents: list[Document], account: str | None) -> list[Document]:
    return [each for each in documents if each.account == account]


async def test_what_a_city_and_an_employer_bear_is_on_documents_of_their_own_without_tax(books: Books) -> None:
    await bears(books, CITY, "1.00")
    await bears(books, EMPLOYER, "0.10", basis=Basis.PER_KWH)
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER, language="de")
    await books.customer("P-7", kind=AccountKind.PARTNER)
    await knows_as(books, "P-7", CITY)
    await books.charged("TAG-1")  # 5.00, of which 1.00 and 1.00
    await books.charged("TAG-1", kwh=4, day=3)  # 2.00, of which 1.00 and 0.40
    await books.charged("TAG-9", day=4)  # nobody's: a receipt
    _, tally = await books.run()
    documents = await books.documents()
    again, _ = await books.run()

    [bill], [receipt], [employers], [citys] = (of(documents, each) for each in ("C-1", None, "E-1", "P-7"))
    assert (bill.gross_minor, bill.borne_minor, bill.due_minor) == (700, 340, 360)
    assert (employers.gross_minor, citys.gross_minor) == (140 + 100, 200 + 100)
    assert bill.due_minor + receipt.due_minor + employers.gross_minor + citys.gross_minor == 1_200
    assert {line.kind for line in citys.lines} == {LineKind.BORNE}
    assert [(group.tax.category, group.tax_minor) for group in citys.tax_groups] == [("O", 0)]
    assert [line.name for line in employers.lines] == [
        f"Ihr Anteil an {each.number} vom 01.04.2026" for each in (bill, receipt)
    ]
    assert (tally.documents, tally.left_out, again) == (4, 0, [])
    assert await owed(books) == {
        "receivable:C-1": 360, "receivable": receipt.due_minor, "receivable:E-1": 240, "receivable:P-7": 300,
    }  # fmt: skip
    assert await books.problems() == []


async def test_a_party_that_is_no_account_stays_a_claim_and_becomes_one_when_somebody_says_so(books: Books) -> None:
    await bears(books, CITY, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run()
    before = await owed(books)
    await books.customer("P-7", kind=AccountKind.PARTNER)
    await knows_as(books, "P-7", CITY)
    await books.customer("P-8", kind=AccountKind.PARTNER)
    with pytest.raises(Refused, match=r"City of Example is account P-7 already"):
        await knows_as(books, "P-8", CITY)
    await books.run(account="P-7")

    assert before == {"receivable:C-1": 400, f"incentive_receivable:{CITY}": 100}
    assert await owed(books) == {"receivable:C-1": 400, "receivable:P-7": 100}


async def test_it_comes_in_the_rhythm_of_the_account_or_of_its_payer(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("H-1", kind=AccountKind.EMPLOYER, rhythm=Rhythm.QUARTER)
    await books.customer("E-1", kind=AccountKind.EMPLOYER, payer="H-1")
    await books.charged("TAG-1", day=2, month=4)
    await books.run(until=APRIL, issued_on=MAY_1)
    early = of(await books.documents(), "H-1")
    await books.run(until=date(2026, 6, 30), issued_on=date(2026, 7, 1))

    assert early == []
    assert [each.gross_minor for each in of(await books.documents(), "H-1")] == [100]


async def test_what_a_party_was_asked_for_and_no_longer_bears_is_credited_where_it_was_asked(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    await books.charged("TAG-1")
    await books.run()
    await taken_back(books, "R2026-000001", {1: 250})
    made, tally = await books.run(until=APRIL, issued_on=MAY_1)
    again, _ = await books.run(until=APRIL, issued_on=MAY_1)
    await books.charged("TAG-1", day=2, month=5)
    await books.run(until=date(2026, 5, 31), issued_on=date(2026, 6, 1))

    assert ([each.left_out for each in made], tally.gross_minor, again) == ([None], {"EUR": -50}, [])
    asked, back, more = of(await books.documents(), "E-1")
    assert back.corrects is not None
    assert (asked.gross_minor, back.gross_minor, back.corrects.number, more.gross_minor) == (100, 50, asked.number, 100)
    assert back.reason == "No longer owed: Your part of C2026-000001 of 2026-04-09"
    assert await owed(books) == {"receivable:C-1": 400 - 200 + 400, "receivable:E-1": 150}
    assert await claims(books) == {}
    assert await books.problems() == []


async def test_what_a_party_got_back_by_hand_it_does_not_get_back_again(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    await books.charged("TAG-1")
    await books.run()
    [asked] = of(await books.documents(), "E-1")
    await taken_back(books, asked.number)
    await taken_back(books, "R2026-000001")
    made, _ = await books.run(until=APRIL, issued_on=MAY_1)

    assert made == []
    assert await owed(books) == {}
    assert await claims(books) == {}
    assert await books.pool.fetchval("SELECT count(*) FROM borne_due") == 0


async def test_a_document_on_borne_parts_is_taken_back_like_any_other(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    await books.charged("TAG-1")
    await books.run()
    [document] = of(await books.documents(), "E-1")
    await taken_back(books, document.number)

    assert await owed(books) == {"receivable:C-1": 400, "incentive_receivable:E-1": 100}


async def test_a_party_that_wants_e_invoices_gets_one_that_its_rules_allow(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER, e_invoice=Profile.ZUGFERD)
    async with books.pool.acquire() as connection:  # where no tax is charged VAT ids are not told (BR-O-02): so it is
        books.seller = await sellers.change(
            connection, "north", _registered, now=books.clock.now, actor="ada", reason="asked"
        )
    await books.charged("TAG-1")
    made, tally = await books.run()

    assert [each.left_out for each in made if each.left_out] == []
    assert tally.left_out == 0
    assert [each.gross_minor for each in of(await books.documents(), "E-1")] == [100]


async def test_sessions_of_its_own_tokens_are_on_another_document_than_what_it_bears(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", "TAG-2", kind=AccountKind.EMPLOYER)
    await books.customer("C-3", "TAG-3", payer="E-1")
    for token in ("TAG-1", "TAG-2", "TAG-3"):
        await books.charged(token)
    await books.run()

    own, part = of(await books.documents(), "E-1")
    assert [(each.due_minor, {line.kind for line in each.lines}) for each in (own, part)] == [
        (800, {LineKind.SESSION}), (300, {LineKind.BORNE}),
    ]  # fmt: skip


async def test_a_dry_run_leaves_nothing_and_ends(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    await books.charged("TAG-1")
    await books.run(account="C-1")
    made, _ = await books.run(dry_run=True)

    assert [(each.account, each.document and each.document.gross_minor) for each in made] == [("E-1", 100)]
    assert of(await books.documents(), "E-1") == []


async def test_runs_at_once_ask_nobody_twice(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    for n in range(6):
        await books.customer(f"C-{n}", f"TAG-{n}")
        await books.charged(f"TAG-{n}")
    await asyncio.gather(*(books.run() for _ in range(3)))
    await books.run()

    lines = [line for each in of(await books.documents(), "E-1") for line in each.lines]
    assert len({line.source for line in lines}) == len(lines) == 6
    assert await owed(books) == {"receivable:E-1": 600} | {f"receivable:C-{n}": 400 for n in range(6)}


async def test_revenue_and_taxes_count_a_session_once_whoever_pays_for_it(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    await books.charged("TAG-1")
    await books.run()
    async with books.pool.acquire() as connection:
        revenue = await SQL.revenue.fetch(connection, seller="north", by="kind", since=None, until=None)
        taxed = await SQL.taxes_charged.fetch(connection, seller="north", since=None, until=None)

    assert [(row["of"], row["gross_minor"]) for row in revenue] == [("session", 500)]
    assert [(row["tax_category"], row["net_minor"] + row["tax_minor"]) for row in taxed] == [("S", 500)]


sessions = st.lists(
    st.tuples(st.sampled_from(["TAG-1", "TAG-2", "TAG-9"]), st.integers(1, 30), st.sampled_from([3, 4])),
    min_size=1, max_size=6,
)  # fmt: skip
parts = st.lists(
    st.tuples(st.sampled_from([CITY, EMPLOYER, "Nobody"]), st.integers(1, 900), st.sampled_from([Basis.FIXED, Basis.PERCENT])),
    min_size=1, max_size=3, unique_by=lambda each: each[0],
)  # fmt: skip
steps = st.lists(
    st.tuples(st.sampled_from(["credit", "rerate", "run", "reissue"]), st.integers(0, 5), st.integers(1, 99)),
    max_size=4,
)


@tried(12)
@given(charged=sessions, rules=parts, then=steps)
def test_what_drivers_and_parties_are_asked_for_is_what_was_billed(
    postgres: EmbeddedPostgres, migrated_template: str, charged: list[Any], rules: list[Any], then: list[Any]
) -> None:
    async def live() -> None:
        async for dsn in _fresh_database(postgres, template=migrated_template):
            pool = await open_pool(dsn, size=4, name="borne")
            try:
                await _whole(pool, charged, rules, then)
            finally:
                pool.terminate()

    asyncio.run(live())


async def _whole(pool: asyncpg.Pool, charged: list[Any], rules: list[Any], then: list[Any]) -> None:
    books = Books(pool)
    await books.open()
    for n, (party, value, basis) in enumerate(rules):
        amount = Decimal(value) / (100 if basis is Basis.FIXED else 10)
        await bears(books, party, str(min(amount, Decimal(100))), basis=basis, id_=f"rule-{n}")
    await books.customer("C-1", "TAG-1")
    await books.customer("C-2", "TAG-2", kind=AccountKind.BUSINESS)
    await books.customer(EMPLOYER, kind=AccountKind.EMPLOYER)
    await books.customer("P-7", kind=AccountKind.PARTNER)
    await knows_as(books, "P-7", CITY)
    made = [
        await books.charged(token, kwh=kwh, day=n + 1, month=month) for n, (token, kwh, month) in enumerate(charged)
    ]
    await books.run()
    for what, which, share in then:
        await _step(books, made, what, which, share)
    last: datetime = books.clock.now
    await books.run(until=date(2026, 6, 30), issued_on=max(date(2026, 7, 1), last.date()))
    await _require_whole(books)


async def _step(books: Books, made: list[int], what: str, which: int, share: int) -> None:
    documents = await books.documents()
    invoices = [
        each for each in documents if each.kind is DocumentKind.INVOICE and each.account in {"C-1", "C-2", None}
    ]
    match what:
        case "credit" if invoices:
            async with books.pool.acquire() as connection:
                invoice = await service.get(connection, invoices[which % len(invoices)].number)
                left = {at: minor for at, minor in (await service.remaining_of(connection, invoice)).items() if minor}
            if left:
                at, minor = min(left.items())
                wanted = {at: minor if share > WHOLE else max(1, minor * share // 100)}
                await taken_back(books, invoice.document.number, wanted, on=MAY_1)
        case "rerate":
            session = made[which % len(made)]
            with contextlib.suppress(AlreadyDone):  # by as many kWh as before
                await books.rerated(session, kwh=share)
            async with books.pool.acquire() as connection:
                with contextlib.suppress(AlreadyDone, NotFound):
                    await service.correct_session(
                        connection, session, issued_on=MAY_1, now=books.clock.now, actor="ada", reason="late"
                    )
        case "run":
            await books.run(until=APRIL, issued_on=MAY_1)
        case "reissue" if documents:
            number = documents[which % len(documents)].number
            async with books.pool.acquire() as connection:
                with contextlib.suppress(AlreadyDone, Refused):  # a credit note, or one that is credited in part
                    await reissue(
                        connection, number, issued_on=MAY_1, now=books.clock.now, actor="ada", reason="their address"
                    )
        case _:
            pass


async def _require_whole(books: Books) -> None:
    documents = await books.documents()
    sign = {DocumentKind.INVOICE: 1, DocumentKind.CREDIT_NOTE: -1}
    replaced = {claim["after"] for claim in await books.pool.fetch("SELECT after FROM invoice_source")}
    asked: dict[str, int] = {}
    borne: dict[str, int] = {}
    drivers = gross = 0
    sources = []
    for each in documents:
        claims = [line for line in each.lines if line.kind is LineKind.BORNE]
        for line in claims:
            party = line.source.split(":", 3)[3]
            asked[party] = asked.get(party, 0) + sign[each.kind] * line.gross_minor
            if each.kind is DocumentKind.INVOICE and f"north:{each.number}" not in replaced:
                sources.append(line.source)
        if not claims:
            drivers += sign[each.kind] * each.due_minor
            gross += sign[each.kind] * each.gross_minor
            for part in each.borne:
                borne[part.party] = borne.get(part.party, 0) + sign[each.kind] * part.amount_minor
    waiting = {party: minor - asked.get(party, 0) for party, minor in borne.items()}

    assert drivers + sum(borne.values()) == gross
    assert len(set(sources)) == len(sources)
    assert all(waiting[party] <= 0 for party in (CITY, EMPLOYER) if party in waiting), "only what is taken back waits"
    assert asked.get("Nobody", 0) == 0
    queue = await books.pool.fetch("SELECT party, sum(minor)::bigint AS minor FROM borne_due GROUP BY party")
    assert {row["party"]: row["minor"] for row in queue if row["minor"]} == {
        party: minor for party, minor in waiting.items() if minor
    }
    books_say = await owed(books)
    assert {name.split(":", 1)[1]: minor for name, minor in books_say.items() if name.startswith("incentive")} == {
        party: minor for party, minor in waiting.items() if minor
    }
    assert await books.problems() == []
