"""What falls due of contracts is on the customer's next document: once, under the tax that a rule finds, with its sessions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing.accounts import service as accounts
from billing.accounts.account import AccountKind, AccountState
from billing.accounts.seller import TaxRounding
from billing.contracts import accruing, ending, plans, service
from billing.contracts.changes import Act
from billing.contracts.days import Days
from billing.contracts.earnings import margin
from billing.contracts.logged import record_contract_change
from billing.contracts.margin import Fees, Margin
from billing.contracts.plan import Plan, Timing
from billing.contracts.pricing import Flat
from billing.contracts.project import Project, WantedSubscription
from billing.contracts.recurrence import Interval
from billing.errors import Refused
from billing.invoices import service as invoices
from billing.invoices.document import LineKind, TaxMode
from billing.ledger.close import Closing, State, checklist
from billing.taxes import service as taxes
from billing.taxes.tax_rule import Category, TaxRule, supplied
from tests.billing.invoices.books import MARCH, NORTH, Books

MARCH_1 = date(2026, 3, 1)


def act(books: Books) -> Act:
    return Act(actor="ada", reason="as agreed", now=books.clock.now, record=record_contract_change)


async def rule(books: Books, id_: str = "DE-FEES", rate: str = "19") -> None:
    wanted = TaxRule(
        id=id_, country="DE", rate=Decimal(rate), category=Category.STANDARD, valid_from=date(2021, 1, 1),
        supply=supplied("subscription"),
    )  # fmt: skip
    async with books.pool.acquire() as connection:
        await taxes.add_rules(connection, [wanted], now=books.clock.now, actor="ada")


async def subscribed(
    books: Books, account: str, *, price: str = "9.90", with_tax: bool = False, timing: Timing = Timing.ADVANCE
) -> None:
    """A contract from the first of March on, month by month."""
    plan = Plan(
        name="Home",
        currency="EUR",
        interval=Interval.MONTH,
        pricing=Flat(price=Decimal(price)),
        price_with_tax=with_tax,
        timing=timing,
    )
    project = Project(currency="EUR", title="Home", subscriptions=(WantedSubscription(plan="home"),), country="DE")
    async with books.pool.acquire() as connection:
        await plans.create_plan(connection, "home", plan, act(books))
        await service.create(connection, "K-1", project, act(books), account=account, start=MARCH_1)


async def test_a_fee_and_the_sessions_of_its_month_are_one_document(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await rule(books)
    await subscribed(books, "C-1", price="9.90")
    made, tally = await books.run()

    assert (tally.documents, tally.left_out) == (1, 0), made
    [document] = await books.documents()
    assert document.tax_mode is TaxMode.KEEP_GROSS
    fees = [line for line in document.lines if line.kind is LineKind.SUBSCRIPTION]
    # 9.90 net is 11.781 with tax: 11.78, of which 9.90 net again
    assert [(line.name, line.gross_minor, line.net_minor) for line in fees] == [("Home", 1178, 990)]
    assert fees[0].days == (MARCH_1, MARCH)
    assert document.gross_minor == 500 + 1178
    assert (await books.run())[1].documents == 0
    assert await books.problems() == []


async def test_a_dry_run_shows_what_will_fall_due_and_charges_nothing(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await rule(books)
    await subscribed(books, "C-1", price="9.90")
    left = "SELECT (SELECT count(*) FROM contract_charge) + (SELECT count(*) FROM billing_period) + (SELECT count(*) FROM invoice)"
    next_on = "SELECT next_on FROM contract"
    before = await books.pool.fetchval(next_on)
    made, tally = await books.run(dry_run=True)
    after = await books.pool.fetchval(left), await books.pool.fetchval(next_on)
    done, _ = await books.run()

    assert (tally.gross_minor, after) == ({"EUR": 500 + 1178}, (0, before))
    assert [each.document and each.document.lines for each in made] == [
        each.document and each.document.lines for each in done
    ]


@pytest.mark.parametrize(("rounding", "tax"), [(TaxRounding.PER_DOCUMENT, 381), (TaxRounding.PER_LINE, 380)])
async def test_a_seller_says_where_the_tax_of_net_prices_is_rounded(
    books: Books, rounding: TaxRounding, tax: int
) -> None:
    await books.customer("F-1", kind=AccountKind.FLEET)
    await rule(books)
    await subscribed(books, "F-1", price="10.02")
    books.clock.now = datetime(2026, 5, 2, tzinfo=UTC)
    books.seller = replace(NORTH, details=replace(NORTH.details, tax_rounding=rounding))
    made, _ = await books.run(until=date(2026, 4, 30), issued_on=date(2026, 4, 30))

    # 10.02 of March, 10.02 of April: 1.9038 of tax each, 3.8076 together
    [document] = [each.document for each in made if each.document is not None]
    assert (document.net_minor, document.tax_minor) == (2004, tax)
    assert await books.problems() == []


async def test_a_fee_in_arrears_is_on_the_document_of_its_own_month_with_its_sessions(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await rule(books)
    await subscribed(books, "C-1", timing=Timing.ARREARS)
    books.clock.now = datetime(2026, 4, 2, tzinfo=UTC)
    await books.run(issued_on=MARCH)

    [document] = await books.documents()
    assert (document.issued_on, document.days) == (MARCH, (MARCH_1, MARCH))
    assert [(line.kind, line.days) for line in document.lines if line.kind is not LineKind.ROUNDING] == [
        (LineKind.SESSION, (date(2026, 3, 2), date(2026, 3, 2))), (LineKind.SUBSCRIPTION, (MARCH_1, MARCH)),
    ]  # fmt: skip
    assert (await books.run(issued_on=MARCH))[1].documents == 0, "April's has not fallen due"
    assert await contract_checks(books) == [(State.DONE, 0), (State.DONE, 0)]
    assert await books.problems() == []


async def contract_checks(books: Books) -> list[tuple[State, int]]:
    """What March still waits for: contracts to charge, charges to invoice."""
    async with books.pool.acquire() as connection:
        closing = Closing(connection=connection, seller="north", month=MARCH_1, now=books.clock.now, actor="ada")
        lines = {line.check.name: line for line in await checklist(closing)}
    return [(lines[name].state, lines[name].found.open) for name in ("contracts_charged", "charges_invoiced")]


@pytest.mark.parametrize("timing", Timing)
async def test_a_month_waits_for_what_contracts_made_due_in_it(books: Books, timing: Timing) -> None:
    await books.customer("C-1", "TAG-1")
    await rule(books)
    await subscribed(books, "C-1", timing=timing)
    seen = []
    for day, invoiced in ((1, False), (2, False), (2, True)):
        books.clock.now = books.clock.now.replace(month=4, day=day)
        if day > 1 and not invoiced:
            async with books.pool.acquire() as connection:
                await accruing.accrue(connection, now=books.clock.now, until=MARCH)
        if invoiced:
            await books.run(issued_on=MARCH)
        seen.append(await contract_checks(books))

    assert seen == [
        [(State.OPEN, 1), (State.DONE, 0)], [(State.DONE, 0), (State.OPEN, 1)], [(State.DONE, 0), (State.DONE, 0)],
    ]  # fmt: skip


async def test_without_a_tax_rule_a_fee_waits_and_the_sessions_go(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await subscribed(books, "C-1")
    made, tally = await books.run()

    assert (tally.documents, tally.left_out) == (1, 1)
    [reason] = [each.left_out for each in made if each.left_out]
    assert "no rule fits" in reason
    await rule(books)
    assert (await books.run())[1].gross_minor == {"EUR": 1178}


async def test_nobody_is_forgotten_while_a_fee_is_on_no_document(books: Books) -> None:
    await books.customer("C-1")
    await subscribed(books, "C-1")
    async with books.pool.acquire() as connection:
        await accruing.accrue(connection, now=books.clock.now)
        with pytest.raises(Refused, match=r"2 charges of contracts of account C-1 are on no document"):
            await accounts.pseudonymise(connection, "C-1", now=books.clock.now, actor="ada", reason="asked")


async def test_nobody_is_forgotten_whose_contract_may_charge_yet(books: Books) -> None:
    await books.customer("C-1")
    await rule(books)
    await subscribed(books, "C-1")
    books.clock.now = datetime(2026, 4, 10, 12, tzinfo=UTC)
    await books.run(until=date(2026, 4, 30), issued_on=date(2026, 4, 10), account="C-1")
    async with books.pool.acquire() as connection:
        with pytest.raises(Refused, match=r"contracts of account C-1 may charge it yet: K-1") as refused:
            await accounts.pseudonymise(connection, "C-1", now=books.clock.now, actor="ada", reason="asked")
        await ending.terminate(connection, "K-1", act(books), until=date(2026, 5, 1), for_cause=True)
        books.clock.now = datetime(2026, 5, 1, 12, tzinfo=UTC)
        await accruing.accrue(connection, now=books.clock.now)
        done = await accounts.pseudonymise(connection, "C-1", now=books.clock.now, actor="ada", reason="asked")

    assert "csms contract terminate CONTRACT" in refused.value.next_step
    assert done.state is AccountState.PSEUDONYMISED


async def test_nobody_is_forgotten_who_is_named_as_anothers_payer(books: Books) -> None:
    await books.customer("BOSS", kind=AccountKind.EMPLOYER)
    await books.customer("C-1", "TAG-1", payer="BOSS")
    now = books.clock.now
    async with books.pool.acquire() as connection:
        with pytest.raises(Refused, match=r"account BOSS pays for others, so it is asked for them: C-1") as refused:
            await accounts.pseudonymise(connection, "BOSS", now=now, actor="ada", reason="asked")
        await accounts.take_token(connection, "C-1", "TAG-1", valid_from=now, now=now, actor="ada", reason="asked")
        await accounts.pseudonymise(connection, "C-1", now=now, actor="ada", reason="asked")
        done = await accounts.pseudonymise(connection, "BOSS", now=now, actor="ada", reason="asked")

    assert "give those another payer first" in refused.value.next_step
    assert done.state is AccountState.PSEUDONYMISED, "who is forgotten asks nobody to pay"


async def test_what_a_contract_changes_is_in_the_log(books: Books) -> None:
    await books.customer("C-1")
    await subscribed(books, "C-1")

    rows = await books.pool.fetch(
        "SELECT noun, subject, action, reason FROM audit_entry WHERE noun IN ('contract', 'plan')"
    )
    assert {(row["noun"], row["subject"], row["reason"]) for row in rows} == {
        ("plan", "home", "as agreed"), ("contract", "K-1", "as agreed"),
    }  # fmt: skip


async def margin_of(books: Books) -> Margin:
    async with books.pool.acquire() as connection:
        days = Days(MARCH_1, date(2026, 4, 1))
        return await margin(connection, "K-1", days, act(books), fees=Fees(), per_kwh=Decimal("0.10"))


async def test_a_contract_earns_what_documents_charge_less_what_was_credited(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await rule(books)
    await subscribed(books, "C-1", price="11.90", with_tax=True)
    await books.run()
    # 5.00 and 11.90 with 19 % in them: 4.20 and 10.00; 10 kWh at 0.10 cost 1.00
    whole = await margin_of(books)
    async with books.pool.acquire() as connection:
        await invoices.credit_invoice(
            connection, "R2026-000001", wanted={1: 238, 2: 119}, issued_on=date(2026, 4, 9), now=books.clock.now,
            actor="ada", reason="complaint",
        )  # fmt: skip
    less = await margin_of(books)

    assert (whole.revenue_contract.text, whole.revenue_sessions.text, str(whole.margin)) == (
        "10.00",
        "4.20",
        "13.20 EUR",
    )
    back = (whole.revenue.minor - less.revenue.minor, whole.energy_cost == less.energy_cost)
    assert back == (200 + 100, True)


async def test_many_runs_at_once_charge_and_invoice_a_fee_once(books: Books) -> None:
    await rule(books)
    await books.customer("C-1")
    await subscribed(books, "C-1")
    books.clock.now = datetime(2026, 4, 2, tzinfo=UTC)
    await asyncio.gather(*(books.run() for _ in range(4)))
    async with books.pool.acquire() as connection:
        await accruing.accrue(connection, now=books.clock.now, until=MARCH)

    assert [document.gross_minor for document in await books.documents()] == [1178]
