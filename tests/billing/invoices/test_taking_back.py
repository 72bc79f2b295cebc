"""What is no longer owed of a fee that was invoiced is credited on its line: once, under its tax, whatever else is bought."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import service as accounts
from billing.accounts.account import AccountKind, Rhythm
from billing.contracts import plans, service, subscribing
from billing.contracts.accruing import accrue
from billing.contracts.changes import Act
from billing.contracts.days import Days
from billing.contracts.earnings import margin
from billing.contracts.logged import record_contract_change
from billing.contracts.margin import Fees
from billing.contracts.plan import Plan
from billing.contracts.pricing import Flat
from billing.contracts.project import Project, WantedSubscription
from billing.contracts.recurrence import Interval
from billing.invoices import service as invoices
from billing.invoices.document import Document, DocumentKind, LineKind
from billing.invoices.taking_back import TakenBack
from billing.ledger.balance import balances
from billing.ledger.close import Closing, State, checklist
from billing.office.catching_up import invoice_the_rest
from billing.taxes import service as taxes
from billing.taxes.tax_rule import Category, TaxRule, supplied
from tests.billing.invoices.books import Books
from tests.examples import tried

JANUARY, FEBRUARY, JULY = date(2026, 1, 31), date(2026, 2, 28), date(2026, 7, 31)
YEAR = Days(date(2026, 1, 1), date(2027, 1, 1))


def act(books: Books) -> Act:
    return Act(actor="ada", reason="as agreed", now=books.clock.now, record=record_contract_change)


async def rule(books: Books, rate: str = "19", *, since: date = date(2021, 1, 1)) -> None:
    wanted = TaxRule(
        id=f"DE-FEES-{rate}", country="DE", rate=Decimal(rate), category=Category.STANDARD, valid_from=since,
        supply=supplied("subscription"),
    )  # fmt: skip
    async with books.pool.acquire() as connection:
        await taxes.add_rules(connection, [wanted], now=books.clock.now, actor="ada")


async def subscribed(books: Books, account: str, *, price: str = "240", interval: Interval = Interval.YEAR) -> int:
    """From the first of January on, paid in advance."""
    plan = Plan(name="Home", currency="EUR", interval=interval, pricing=Flat(price=Decimal(price)))
    project = Project(currency="EUR", title="Home", subscriptions=(WantedSubscription(plan="home"),), country="DE")
    async with books.pool.acquire() as connection:
        await plans.create_plan(connection, "home", plan, act(books))
        await service.create(connection, "K-1", project, act(books), account=account, start=date(2026, 1, 1))
        found: int = await connection.fetchval("SELECT id FROM subscription WHERE contract = 'K-1'")
    return found


async def ended(books: Books, subscription: int, on: date) -> None:
    async with books.pool.acquire() as connection:
        await subscribing.end_subscription(connection, subscription, act(books), on=on)


async def paid_for_a_year(books: Books, **customer: Any) -> int:
    """An invoice R2026-000001 of 285.60 on a year, and the clock in August."""
    books.clock.now = datetime(2026, 2, 2, tzinfo=UTC)
    await rule(books)
    await books.customer("C-1", "TAG-1", **customer)
    found = await subscribed(books, "C-1")
    await books.run(until=JANUARY, issued_on=JANUARY)
    books.clock.now = datetime(2026, 8, 2, tzinfo=UTC)
    return found


async def notes(books: Books) -> list[Document]:
    return [each for each in await books.documents() if each.kind is DocumentKind.CREDIT_NOTE]


async def credited_by_hand(books: Books, wanted: dict[int, int] | None = None) -> None:
    async with books.pool.acquire() as connection:
        await invoices.credit_invoice(
            connection,
            "R2026-000001",
            wanted=wanted,
            issued_on=FEBRUARY,
            now=books.clock.now,
            actor="ada",
            reason="goodwill",
        )


async def owes(books: Books) -> int:
    async with books.pool.acquire() as connection:
        found = await balances(connection, "north", as_of=date(2026, 12, 31))
    return sum(each.minor for each in found if str(each.account) == "receivable:C-1")


async def waits(books: Books) -> int:
    """Charges of contracts on no document."""
    async with books.pool.acquire() as connection:
        closing = Closing(
            connection=connection, seller="north", month=date(2026, 7, 1), now=books.clock.now, actor="ada"
        )
        [line] = [line for line in await checklist(closing) if line.check.name == "charges_invoiced"]
    assert (line.state is State.DONE) == (line.found.open == 0)
    return line.found.open


async def test_the_rest_of_a_year_that_was_paid_is_given_back_to_who_buys_nothing_more(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    await ended(books, subscription, date(2026, 7, 1))
    made, tally = await books.run(until=JULY, issued_on=JULY)
    again, _ = await books.run(until=JULY, issued_on=JULY)

    # 184 of 365 days: 240.00 x 184/365 = 120.99 net, of 285.60 with tax 143.98
    [note] = await notes(books)
    assert note.corrects is not None
    assert (note.corrects.number, note.gross_minor, note.net_minor, note.tax_minor) == (
        "R2026-000001",
        14398,
        12099,
        2299,
    )
    assert note.reason == "No longer owed: Home 2026-07-01 - 2026-12-31"
    assert (tally.documents, tally.gross_minor, tally.left_out, again) == (1, {"EUR": -14398}, 0, [])
    assert await owes(books) == 28560 - 14398
    assert await waits(books) == 0
    assert [each.document and each.document.number for each in made] == ["C2026-000001"]
    async with books.pool.acquire() as connection:
        fate = await connection.fetchrow(
            "SELECT fate, document FROM contract_charge_fate WHERE source LIKE '%:credit:%'"
        )
    assert tuple(fate) == ("invoiced", "C2026-000001")
    assert await books.problems() == []


async def test_it_counts_for_the_margin_on_the_days_that_were_given_back(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    await ended(books, subscription, date(2026, 7, 1))
    await books.run(until=JULY, issued_on=JULY)
    halves = (Days(date(2026, 1, 1), date(2026, 7, 1)), Days(date(2026, 7, 1), date(2027, 1, 1)), YEAR)
    async with books.pool.acquire() as connection:
        earned = [await margin(connection, "K-1", days, act(books), fees=Fees()) for days in halves]

    assert [each.revenue_contract.text for each in earned] == ["119.01", "0.00", "119.01"]


@pytest.mark.parametrize(
    ("before", "note", "fate"),
    [
        (None, None, "cancelled"),  # all of it was credited by hand
        ({1: 20_000}, 8560, "invoiced"),  # 85.60 remain
        ({1: 5_000}, 14398, "invoiced"),
    ],
)
async def test_what_was_credited_by_hand_is_not_given_back_again(
    books: Books, before: dict[int, int] | None, note: int | None, fate: str
) -> None:
    subscription = await paid_for_a_year(books)
    await credited_by_hand(books, before)
    await ended(books, subscription, date(2026, 7, 1))
    await books.run(until=JULY, issued_on=JULY)

    assert [each.gross_minor for each in (await notes(books))[1:]] == ([] if note is None else [note])
    assert sum(each.gross_minor for each in await notes(books)) <= 28560
    assert await books.pool.fetchval("SELECT fate FROM contract_charge_fate WHERE source LIKE '%:credit:%'") == fate
    assert await waits(books) == 0
    assert await books.problems() == []


async def test_nothing_that_was_given_back_can_be_credited_once_more(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    await ended(books, subscription, date(2026, 7, 1))
    await books.run(until=JULY, issued_on=JULY)
    async with books.pool.acquire() as connection:
        last = await invoices.credit_invoice(
            connection, "R2026-000001", issued_on=JULY, now=books.clock.now, actor="ada", reason="all of it"
        )

    assert last.document.gross_minor == 28560 - 14398
    assert await owes(books) == 0


async def test_sessions_do_not_wait_for_it_and_it_is_under_the_tax_of_its_own_invoice(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    async with books.pool.acquire() as connection:
        await taxes.end_rule(connection, "DE-FEES-19", last_day=JANUARY, now=books.clock.now, actor="ada")
    await rule(books, "7", since=FEBRUARY)  # from here on another tax is found for the last day of the year
    await ended(books, subscription, date(2026, 7, 1))
    await books.charged("TAG-1", month=7)
    await books.run(until=JULY, issued_on=JULY)

    [_, session, note] = sorted(
        await books.documents(), key=lambda each: (each.kind == DocumentKind.CREDIT_NOTE, each.number)
    )
    assert [line.kind for line in session.lines] == [LineKind.SESSION]
    assert session.gross_minor == 500
    assert [(each.tax.category, each.tax.rate) for each in note.tax_groups] == [("S", Decimal(19))]


async def test_an_upgrade_that_nobody_was_invoiced_for_yet_is_one_document(books: Books) -> None:
    books.clock.now = datetime(2026, 2, 2, tzinfo=UTC)
    await rule(books)
    await books.customer("C-1")
    subscription = await subscribed(books, "C-1", price="31", interval=Interval.MONTH)
    plus = Plan(name="Plus", currency="EUR", interval=Interval.MONTH, pricing=Flat(price=Decimal(62)))
    async with books.pool.acquire() as connection:
        await accrue(connection, now=books.clock.now, until=JANUARY)
        await plans.create_plan(connection, "plus", plus, act(books))
        await subscribing.change(connection, subscription, act(books), on=date(2026, 1, 11), plan="plus")
    await books.run(until=JANUARY, issued_on=JANUARY)

    [document] = await books.documents()
    assert [line.net_minor for line in document.lines if line.kind is LineKind.SUBSCRIPTION] == [3100, -2100, 4200]
    assert await waits(books) == 0


async def test_an_upgrade_of_a_month_that_was_invoiced_is_a_credit_note_and_an_invoice(books: Books) -> None:
    books.clock.now = datetime(2026, 2, 2, tzinfo=UTC)
    await rule(books)
    await books.customer("C-1", kind=AccountKind.FLEET)
    subscription = await subscribed(books, "C-1", price="31", interval=Interval.MONTH)
    await books.run(until=JANUARY, issued_on=JANUARY)
    plus = Plan(name="Plus", currency="EUR", interval=Interval.MONTH, pricing=Flat(price=Decimal(62)))
    async with books.pool.acquire() as connection:
        await plans.create_plan(connection, "plus", plus, act(books))
        await subscribing.change(connection, subscription, act(books), on=date(2026, 1, 11), plan="plus")
    await books.run(until=JANUARY, issued_on=JANUARY)

    documents = await books.documents()
    assert sorted((each.kind, each.net_minor) for each in documents) == [
        (DocumentKind.CREDIT_NOTE, 2100), (DocumentKind.INVOICE, 3100), (DocumentKind.INVOICE, 4200),
    ]  # fmt: skip
    assert await waits(books) == 0
    assert await books.problems() == []


async def test_many_runs_at_once_give_it_back_once_and_a_dry_run_not_at_all(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    await ended(books, subscription, date(2026, 7, 1))
    tried_, tally = await books.run(until=JULY, issued_on=JULY, dry_run=True)
    before = await notes(books)
    await asyncio.gather(*(books.run(until=JULY, issued_on=JULY) for _ in range(4)))

    assert (before, tally.gross_minor) == ([], {"EUR": -14398})
    assert [each.document and each.document.number for each in tried_] == [""]
    assert [each.gross_minor for each in await notes(books)] == [14398]


async def test_who_is_invoiced_with_each_session_gets_it_from_the_server(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    async with books.pool.acquire() as connection:
        await accounts.change(
            connection, "C-1", lambda before: replace(before, rhythm=Rhythm.SESSION), now=books.clock.now, actor="ada",
            reason="asked",
        )  # fmt: skip
    await ended(books, subscription, date(2026, 7, 1))
    async with books.pool.acquire() as connection:
        await accrue(connection, now=books.clock.now)
        made = await invoice_the_rest(connection, sends=True, now=books.clock.now)
        again = await invoice_the_rest(connection, sends=True, now=books.clock.now)

    assert (made, again) == (1, 0)
    assert [each.gross_minor for each in await notes(books)] == [14398]
    assert (
        await books.pool.fetchval("SELECT i.number FROM document_due d JOIN invoice i ON i.id = d.invoice")
        == "C2026-000001"
    )


@tried(300)
@given(
    base=st.integers(0, 10**7), whole=st.integers(1, 10**6),
    parts=st.lists(st.integers(0, 10**6), min_size=1, max_size=6), all_of_it=st.booleans(),
)  # fmt: skip
def test_parts_that_follow_each_other_never_give_back_more_than_the_line(
    base: int, whole: int, parts: list[int], all_of_it: bool
) -> None:
    taken, given_back = 0, 0
    for n, part in enumerate(parts):
        last = all_of_it and n == len(parts) - 1
        upto = whole if last else min(taken + part, whole)
        each = TakenBack(
            source=f"s:{n}", corrects="s", account="C-1", currency="EUR", name="Home", days=None, invoice=1, position=1,
            before=Fraction(taken, whole), upto=Fraction(upto, whole),
        )  # fmt: skip
        minor = each.base_of(base)
        assert minor >= 0
        given_back += minor
        taken = upto

    assert given_back <= base
    if all_of_it:
        assert given_back == base
