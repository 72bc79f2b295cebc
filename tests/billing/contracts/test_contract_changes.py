"""Contracts as they are made, changed and ended: what is refused, what is kept of each change, who comes first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.contracts import discounting, ending, handover, items, service, subscribing, templates
from billing.contracts.contract import DeadlineKind, Renewal
from billing.contracts.days import Length, Unit
from billing.contracts.discount import Target
from billing.contracts.plan_json import project_from_json, project_to_json
from billing.contracts.plans import add_version, require_plan
from billing.contracts.project import (
    Offset,
    Partner,
    Project,
    WantedDiscount,
    WantedItem,
    WantedPart,
    WantedSplit,
    WantedSubscription,
    WantedTerms,
)
from billing.contracts.recurrence import Interval
from billing.errors import AlreadyDone, NotFound, Refused
from tests.billing.contracts.contract_world import START, ContractWorld, D
from tests.examples import tried

L = Length.parse
YEAR = WantedTerms(renewal=Renewal.RENEWS, term=L("12m"), renewal_length=L("12m"), notice=L("3m"))


async def test_every_change_is_told_with_who_why_before_and_after(world: ContractWorld) -> None:
    await world.contract()
    await world.plan("plus", "59.90")
    world.changes.clear()
    async with world.pool.acquire() as connection:
        new = await subscribing.change(
            connection, await world.only(), world.act("by phone"), on=D("2026-02-01"), plan="plus"
        )
        await discounting.add_discount(
            connection, "C-1", WantedDiscount(label="Welcome", percent=Decimal(10)), world.act("offer")
        )
        await ending.terminate(connection, "C-1", world.act("letter"))

    changed, discounted, ended = world.changes
    assert (changed.action, changed.subject, changed.actor, changed.reason, changed.at) == (
        "change", "C-1", "ada", "by phone", world.now,
    )  # fmt: skip
    assert changed.before is not None
    assert changed.after is not None
    assert (changed.before["plan"], changed.after["plan"], changed.after["subscription"]) == ("basic", "plus", new)
    assert changed.after["from_day"] == "2026-02-01"
    assert discounted.after is not None
    assert (discounted.action, discounted.after["percent"]) == ("discount", "10")
    assert (ended.action, ended.before, ended.after) == (
        "terminate", {"until_day": None}, {"until_day": "2026-02-02", "noticed_on": "2026-01-01", "for_cause": False},
    )  # fmt: skip


async def test_what_is_refused_has_changed_and_told_nothing(world: ContractWorld) -> None:
    await world.contract(terms=YEAR)
    before = await world.stored()
    told = len(world.changes)
    act = world.act()
    subscription = await world.only()
    async with world.pool.acquire() as connection:
        for doing, why in (
            (subscribing.change(connection, subscription, act, on=D("2025-12-31"), quantity=Decimal(2)), "not on 2025-12-31"),
            (subscribing.change(connection, subscription, act, on=START, quantity=Decimal(-1)), "no quantity"),
            (subscribing.change(connection, 999, act, on=START, quantity=Decimal(2)), "no subscription 999"),
            (subscribing.change(connection, subscription, act, on=START, plan="gold"), "no plan gold"),
            (subscribing.change(connection, subscription, act, on=START, plan="basic"), "is so already"),
            (ending.terminate(connection, "C-1", act, until=D("2026-06-01")), "at the earliest"),
            (ending.terminate(connection, "C-1", act, until=D("2027-02-01")), "ends with a term"),
            (ending.terminate(connection, "C-1", act, noticed_on=D("2026-01-03")), "has not come"),
            (ending.terminate(connection, "C-1", act, until=D("2025-12-01"), for_cause=True), "begins on 2026-01-01"),
            (ending.terminate(connection, "C-9", act), "no contract C-9"),
            (ending.prolong(connection, "C-1", act), "has no end"),
            (discounting.add_discount(connection, "C-1", WantedDiscount(label="x"), act), "either a percentage"),
            (
                discounting.add_discount(connection, "C-1", WantedDiscount(label="x", amount=Decimal("0.001")), act),
                "finer than its smallest unit",
            ),
            (
                discounting.add_discount(
                    connection, "C-1", WantedDiscount(label="x", percent=Decimal(1), only="gold"), act
                ),
                "no plan gold",
            ),
            (discounting.end_discount(connection, "C-1", 7, act, on=START), "no discount 7"),
            (items.add(connection, "C-1", WantedItem(name="", unit_price=Decimal(1)), act), "a name is one line"),
            (items.add(connection, "C-1", WantedItem(name="x", unit_price=Decimal(-1)), act), "from zero"),
            (
                items.add(connection, "C-1", WantedItem(name="x", unit_price=Decimal(1), after=Offset(days=99_999)), act),
                "days are between",
            ),
            (
                items.add(connection, "C-1", WantedItem(name="x", unit_price=Decimal(1), country="de"), act),
                "is no country",
            ),
            (items.reach(connection, 5, act, on=None), "no milestone 5"),
            (subscribing.subscribe(connection, "C-1", WantedSubscription(plan="basic", version=7), act), "no version 7"),
            (
                subscribing.subscribe(connection, "C-1", WantedSubscription(plan="basic"), act, start=D("2025-12-31")),
                "begins on 2026-01-01",
            ),
        ):  # fmt: skip
            with pytest.raises((Refused, NotFound, AlreadyDone), match=why):
                await doing

    assert await world.stored() == before
    assert len(world.changes) == told


async def test_a_closed_account_gets_no_contract(world: ContractWorld) -> None:
    await world.account("GONE", state="closed")

    with pytest.raises(Refused, match=r"account GONE is closed"):
        await world.contract(account="GONE")
    with pytest.raises(NotFound, match=r"no account B-7"):
        await world.contract(partners=(Partner(role="installer", name="Example Volt", account="B-7"),))
    with pytest.raises(Refused, match=r"is not one line"):
        await world.contract(partners=(Partner(role="installer", name="a\x00b"),))
    with pytest.raises(AlreadyDone, match=r"there is a contract C-1"):
        await asyncio.gather(world.contract(), world.contract())


async def test_the_country_of_a_contract_is_its_customer_s_unless_said(world: ContractWorld) -> None:
    await world.account("NL-1", country="NL")
    dutch = await world.contract("C-1", account="NL-1")
    belgian = await world.contract("C-2", account="NL-1", country="BE")

    assert (dutch.standing.country, belgian.standing.country) == ("NL", "BE")


async def test_a_version_of_a_plan_is_for_who_subscribes_from_then_on(world: ContractWorld) -> None:
    await world.contract("C-1")
    async with world.pool.acquire() as connection:
        plan = (await require_plan(connection, "basic")).plan
        with pytest.raises(AlreadyDone, match=r"version 1 of plan basic says the same"):
            await add_version(connection, "basic", plan, world.act())
    await world.pool.execute(
        "INSERT INTO plan_version SELECT plan, 2, jsonb_set(body, '{pricing,price}', '\"34.90\"'), currency, actor, created_at"
        " FROM plan_version"
    )
    await world.contract("C-2")
    await world.accrue("2026-02-01")
    async with world.pool.acquire() as connection:
        await subscribing.change(
            connection, await world.only("C-1"), world.act(), on=D("2026-03-01"), plan="basic", version=2
        )
        await subscribing.change(
            connection, await world.only("C-2"), world.act(), on=D("2026-03-01"), quantity=Decimal(2)
        )
    await world.accrue("2026-03-01")

    assert [amount for _, amount in await world.charged("C-1")] == ["29.90", "29.90", "34.90"]
    assert [amount for _, amount in await world.charged("C-2")] == ["34.90", "34.90", "69.80"]


async def test_a_change_of_interval_begins_periods_of_its_own(world: ContractWorld) -> None:
    await world.plan("yearly", "365", interval=Interval.YEAR)
    await world.contract()
    await world.accrue("2026-03-01")
    async with world.pool.acquire() as connection:
        await subscribing.change(connection, await world.only(), world.act(), on=D("2026-03-11"), plan="yearly")
    await world.accrue("2027-01-01")

    assert await world.charged() == [
        ("2026-01-01", "29.90"), ("2026-02-01", "29.90"), ("2026-03-01", "29.90"), ("2026-03-11", "-20.25"),
        ("2026-03-11", "296.00"), ("2027-01-01", "365.00"),
    ]  # fmt: skip


async def test_a_term_that_ends_by_itself_is_made_longer_or_open(world: ContractWorld) -> None:
    ends = WantedTerms(renewal=Renewal.ENDS, term=L("6m"))
    made = await world.contract(terms=ends)
    assert made.standing.until == D("2026-07-01")
    async with world.pool.acquire() as connection:
        with pytest.raises(Refused, match=r"ends by itself on 2026-06-30"):
            await ending.terminate(connection, "C-1", world.act(), until=D("2026-04-01"))
        with pytest.raises(AlreadyDone, match=r"ends on 2026-06-30"):
            await ending.terminate(connection, "C-1", world.act())
        with pytest.raises(Refused, match=r"choose|ends on 2026-06-30"):
            await ending.prolong(connection, "C-1", world.act(), until=D("2026-05-01"))
        longer = await ending.prolong(connection, "C-1", world.act(), until=D("2027-01-01"))
        with pytest.raises(AlreadyDone, match=r"ends on 2026-12-31"):
            await ending.terminate(connection, "C-1", world.act())
        opened = await ending.prolong(connection, "C-1", world.act())
        ended = await ending.terminate(connection, "C-1", world.act())

    assert longer.standing.until == D("2027-01-01")
    assert (opened.standing.until, opened.standing.terms.renewal) == (None, Renewal.OPEN)
    assert ended.standing.until == D("2026-07-01")
    world.now = datetime(2027, 1, 1, tzinfo=UTC)
    async with world.pool.acquire() as connection:
        with pytest.raises(Refused, match=r"ended on 2026-06-30"):
            await ending.prolong(connection, "C-1", world.act())


async def test_invoicing_and_cancelling_the_same_item_at_once_has_one_winner(world: ContractWorld) -> None:
    for n in range(8):
        await world.contract(f"C-{n}", plan=None, items=(WantedItem(name="Charger", unit_price=Decimal(900)),))
    await world.accrue()
    ids = [row["id"] for row in await world.pool.fetch("SELECT id FROM one_time_item ORDER BY id")]

    async def cancel(item: int) -> None:
        async with world.pool.acquire() as connection:
            await items.cancel(connection, item, world.act())

    for item in ids:
        both = await asyncio.gather(cancel(item), world.invoice(f"item:{item}"), return_exceptions=True)
        [lost] = [each for each in both if each is not None]
        assert isinstance(lost, AlreadyDone | Refused), lost
    fates = await world.pool.fetch(
        "SELECT f.fate, i.cancelled_at IS NOT NULL AS cancelled FROM contract_charge_fate f"
        " JOIN contract_charge USING (source) JOIN one_time_item i ON i.id = item"
    )
    assert len(fates) == 8
    assert all((row["fate"] == "cancelled") == row["cancelled"] for row in fates)


async def test_a_discount_that_ends_is_kept_by_what_was_charged(world: ContractWorld) -> None:
    await world.contract(discounts=(WantedDiscount(label="Half", percent=Decimal(50)),))
    await world.accrue("2026-01-01")
    [discount] = [row["id"] for row in await world.pool.fetch("SELECT id FROM contract_discount")]
    async with world.pool.acquire() as connection:
        await discounting.end_discount(connection, "C-1", discount, world.act(), on=D("2026-02-15"))
        with pytest.raises(AlreadyDone, match=r"ends on 2026-02-14"):
            await discounting.end_discount(connection, "C-1", discount, world.act(), on=D("2026-03-01"))
    await world.accrue("2026-02-01")

    first, *rest = await world.due()
    assert (first.amount.text, f"{first.discount}", first.discount_name) == ("14.95", "14.95", "Half")
    assert [(each.amount.text, f"{each.discount}") for each in rest] == [("7.48", "7.47"), ("14.95", "0.00")]


async def test_a_discount_for_three_periods_is_for_three_that_are_charged_after_it_was_entered(
    world: ContractWorld,
) -> None:
    await world.contract()
    await world.accrue("2026-01-15")
    world.now += timedelta(days=14)
    three = WantedDiscount(label="Thanks", percent=Decimal(50), periods=3)
    async with world.pool.acquire() as connection:
        await discounting.add_discount(connection, "C-1", three, world.act(), start=D("2026-01-15"))
    world.now += timedelta(days=120)
    await world.accrue("2026-05-15")

    assert [amount for _, amount in await world.charged()] == ["29.90", "14.95", "14.95", "14.95", "29.90"]


async def test_days_that_were_taken_back_before_a_discount_was_entered_count_as_not_charged(
    world: ContractWorld,
) -> None:
    await world.contract()
    await world.accrue("2026-02-01")
    async with world.pool.acquire() as connection:
        await ending.terminate(connection, "C-1", world.act(), until=D("2026-01-17"), for_cause=True)
    await world.accrue("2026-02-01")
    world.now += timedelta(days=14)
    two = WantedDiscount(label="Come back", percent=Decimal(100), periods=2)
    async with world.pool.acquire() as connection:
        await ending.prolong(connection, "C-1", world.act())
        await discounting.add_discount(connection, "C-1", two, world.act(), start=D("2026-01-15"))
    await world.accrue("2026-03-01")

    billed = await world.pool.fetch(
        "SELECT from_day, discounts <> '[]' AS is_discounted FROM billing_period WHERE from_day < until_day ORDER BY 1"
    )
    assert [(row["from_day"].isoformat(), row["is_discounted"]) for row in billed] == [
        ("2026-01-01", False), ("2026-01-17", True), ("2026-02-01", True), ("2026-03-01", False),
    ]  # fmt: skip


def test_an_offset_leads_from_a_begin_to_a_day_and_back() -> None:
    assert Offset.between(D("2026-01-31"), D("2026-02-28")) == Offset(months=1)
    assert Offset.between(D("2026-01-31"), D("2026-03-15")) == Offset(months=1, days=15)
    assert Offset.between(D("2026-01-31"), D("2026-01-21")) == Offset(days=-10)
    assert [str(Offset.parse(each)) for each in ("1m15d", "2m", "0d", "-10d", "1m-3d")] == [
        "1m15d", "2m", "0d", "-10d", "1m-3d",
    ]  # fmt: skip
    for wrong in ("", "soon", "1d2m", "m"):
        with pytest.raises(ValueError, match="no distance"):
            Offset.parse(wrong)


OFFSETS = st.builds(Offset, st.integers(0, 60), st.integers(0, 30))
DAYS = st.dates(D("2020-01-01"), D("2040-12-31"))
AMOUNTS = st.integers(1, 10**7).map(lambda cents: Decimal(cents).scaleb(-2))
NAMES = st.sampled_from(["Wallbox 22 kW", "Installation", "Prüfung nach VDE"])
LENGTHS = st.builds(Length, st.integers(1, 30), st.sampled_from(Unit))


@st.composite
def projects(draw: st.DrawFn) -> Project:
    renewal = draw(st.sampled_from(Renewal))
    splits = draw(st.integers(0, 2))
    return Project(
        currency="EUR",
        title=draw(NAMES),
        country="DE",
        price_with_tax=draw(st.booleans()),
        reference=draw(st.none() | NAMES),
        labels=draw(st.dictionaries(st.sampled_from(["cost_centre", "site"]), NAMES)),
        partners=tuple(draw(st.lists(st.builds(Partner, role=NAMES, name=NAMES), max_size=2))),
        remind_before={DeadlineKind.END: tuple(draw(st.lists(st.integers(0, 366), max_size=3)))},
        terms=WantedTerms(
            renewal=renewal,
            term=draw(LENGTHS if renewal is not Renewal.OPEN else st.none() | LENGTHS),
            renewal_length=draw(LENGTHS) if renewal is Renewal.RENEWS else None,
            notice=draw(LENGTHS),
        ),
        subscriptions=tuple(
            WantedSubscription(plan="basic", version=1, quantity=Decimal(n), after=draw(OFFSETS) if renewal is not Renewal.ENDS else Offset())
            for n in range(1, draw(st.integers(1, 3)))
        ),
        items=tuple(
            WantedItem(
                name=draw(NAMES), unit_price=draw(AMOUNTS), after=draw(OFFSETS), supply="hardware",
                price_with_tax=draw(st.booleans()),
            )
            for _ in range(draw(st.integers(0, 3)))
        ),
        splits=tuple(
            WantedSplit(
                name=draw(NAMES), total=draw(AMOUNTS), price_with_tax=False,
                parts=(
                    WantedPart(name="First", percent=Decimal("33.3"), after=draw(OFFSETS)),
                    WantedPart(name="Rest", percent=Decimal("66.7"), event="accepted"),
                ),
            )
            for _ in range(splits)
        ),
        discounts=tuple(
            WantedDiscount(label=draw(NAMES), target=Target.ITEMS, amount=draw(AMOUNTS), after=draw(OFFSETS), only="hardware")
            for _ in range(draw(st.integers(0, 2)))
        ),
    )  # fmt: skip


@tried(100)
@given(projects(), DAYS, OFFSETS)
def test_a_project_survives_being_written_and_its_days_being_moved(
    project: Project, start: Any, offset: Offset
) -> None:
    assert project_from_json(project_to_json(project)) == project
    day = offset.after(start)
    assert Offset.between(start, day).after(start) == day


async def test_a_contract_gives_back_the_project_that_it_was_made_of(world: ContractWorld) -> None:
    await world.account("B-1")
    project = Project(
        currency="EUR", title="Depot", country="DE", reference="PO-77", labels={"cost_centre": "4711"}, terms=YEAR,
        partners=(Partner(role="site owner", name="Harbour Estates"),), remind_before={DeadlineKind.NOTICE: (30,)},
        subscriptions=(
            WantedSubscription(plan="basic", version=1, quantity=Decimal(3), after=Offset(days=16)),
            WantedSubscription(plan="basic", version=1, after=Offset(months=1), until=Offset(months=6)),
        ),
        items=(
            WantedItem(
                name="Wallbox", unit_price=Decimal("899.99"), quantity=Decimal(3), supply="hardware", after=Offset(days=4),
                description="22 kW", price_with_tax=False,
            ),
        ),
        splits=(
            WantedSplit(
                name="Installation", total=Decimal("1000.01"), price_with_tax=False,
                parts=(
                    WantedPart(name="On order", percent=Decimal(30), after=Offset()),
                    WantedPart(name="On acceptance", percent=Decimal(70), event="acceptance"),
                ),
            ),
        ),
        discounts=(
            WantedDiscount(label="Welcome", percent=Decimal(50), periods=3),
            WantedDiscount(label="Frame", amount=Decimal(500), target=Target.ITEMS, only="hardware", until=Offset(months=2)),
        ),
    )  # fmt: skip
    start = D("2026-01-31")
    async with world.pool.acquire() as connection:
        saved = await templates.save(connection, "depot", project, world.act())
        read = await templates.require_template(connection, "depot")
        for name, account, first in (("C-1", "A-1", start), ("C-2", "B-1", D("2026-06-30"))):
            await service.create(
                connection, name, read.project, world.act(), account=account, start=first, template=saved.label
            )
            assert await templates.project_of(connection, name, world.act()) == project
    await world.accrue("2027-12-31")

    totals = [sum(Decimal(amount) for _, amount in await world.charged(name)) for name in ("C-1", "C-2")]
    items_ = Decimal("899.99") * 3 - 500 + Decimal("300.00")
    assert all(total > items_ for total in totals)
    assert [row["template"] for row in await world.pool.fetch("SELECT template FROM contract")] == [
        "depot:1",
        "depot:1",
    ]


async def test_a_reminder_of_a_payment_is_of_what_fell_due(world: ContractWorld) -> None:
    await world.contract(remind_before={DeadlineKind.PAYMENT: (3,)})
    await world.accrue("2026-01-01")
    world.now += timedelta(days=11)
    await world.accrue("2026-01-12")

    async with world.pool.acquire() as connection:
        [reminder] = await handover.due_reminders(connection, until=D("2026-01-12"))
    assert (reminder.kind, reminder.deadline_on, reminder.account, reminder.seller) == (
        "payment", D("2026-01-15"), "A-1", "acme",
    )  # fmt: skip
    assert reminder.about == f"subscription:{await world.only()}:2026-01-01"
