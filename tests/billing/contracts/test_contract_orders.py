"""Orders arise by themselves: once each, by the customer's own calendar, whoever and however many look, and after crashes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from billing.contracts import accruing, ending, handover, items, store, subscribing
from billing.contracts.contract import Renewal
from billing.contracts.days import Length
from billing.contracts.plan import Timing
from billing.contracts.pricing import Indexed
from billing.contracts.project import (
    Offset,
    WantedItem,
    WantedPart,
    WantedSplit,
    WantedSubscription,
    WantedTerms,
)
from billing.contracts.recurrence import Interval
from billing.errors import AlreadyDone, NotFound, Refused
from billing.price_series import store as series
from billing.rating.series import SeriesValue
from tests.billing.contracts.contract_world import START, ContractWorld, D, amounts


async def test_what_fell_due_is_handed_over_until_it_is_on_a_document(world: ContractWorld) -> None:
    await world.contract(labels={"cost_centre": "4711"})
    await world.accrue("2026-02-01")

    first, second = await world.due()
    assert amounts([first, second]) == [
        (f"subscription:{await world.only()}:2026-01-01", "29.90"),
        (f"subscription:{await world.only()}:2026-02-01", "29.90"),
    ]
    assert (first.account, first.contract, first.labels) == ("A-1", "C-1", {"cost_centre": "4711"})
    assert (first.days, first.country, first.supply) == ((START, D("2026-01-31")), "DE", "subscription")
    assert await world.due("2026-01-31") == [first]
    await world.invoice(first.source)
    assert await world.due() == [second]
    with pytest.raises(AlreadyDone, match=r"is on document INV-1"):
        await world.invoice(second.source, first.source, document="INV-2")
    with pytest.raises(NotFound, match=r"no charge bill:1"):
        await world.invoice("bill:1")
    assert await world.due() == [second]


async def test_charges_are_handed_over_by_account_and_by_seller(world: ContractWorld) -> None:
    await world.account("B-1", seller="other")
    await world.contract()
    await world.contract("C-2", account="B-1")
    await world.accrue("2026-01-01")

    assert [each.contract for each in await world.due()] == ["C-1", "C-2"]
    assert [each.contract for each in await world.due(accounts=["B-1"])] == ["C-2"]
    assert [each.contract for each in await world.due(seller="acme")] == ["C-1"]


async def test_a_second_run_changes_nothing(world: ContractWorld) -> None:
    await world.contract()
    await world.accrue("2026-06-15")
    before = await world.stored()

    again = await world.accrue("2026-06-15")

    assert (again.contracts, again.charges) == (0, [])
    assert await world.stored() == before
    assert len((await world.accrue("2026-07-01")).charges) == 1


async def test_a_dry_run_tells_what_a_run_then_does(world: ContractWorld) -> None:
    await world.contract()
    before = await world.stored()

    tried_ = await world.accrue("2026-03-01", dry_run=True)
    assert await world.stored() == before
    done = await world.accrue("2026-03-01")

    assert tried_.charges == done.charges
    assert len(done.charges) == 3


@pytest.mark.parametrize(
    ("time_zone", "first_instant"),
    [
        ("Pacific/Auckland", "2026-02-28T11:00:00Z"),  # ahead of UTC
        ("Pacific/Kiritimati", "2026-02-28T10:00:00Z"),
        ("Europe/Berlin", "2026-02-28T23:00:00Z"),
        ("UTC", "2026-03-01T00:00:00Z"),
        ("America/Los_Angeles", "2026-03-01T08:00:00Z"),  # behind it
        ("Pacific/Pago_Pago", "2026-03-01T11:00:00Z"),
    ],
)
async def test_a_day_begins_where_the_customer_is(pool: asyncpg.Pool, time_zone: str, first_instant: str) -> None:
    world = ContractWorld(pool)
    await world.account(time_zone=time_zone)
    await world.plan()
    await world.contract(start=D("2026-03-01"))
    at = datetime.fromisoformat(first_instant)

    world.now = at - timedelta(seconds=1)
    assert (await world.accrue()).charges == []
    world.now = at
    assert [each.due_on for each in (await world.accrue()).charges] == [D("2026-03-01")]


@pytest.mark.parametrize(
    ("time_zone", "day", "last_instant"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-29T21:59:59Z"),  # a day of 23 hours
        ("Europe/Berlin", "2026-10-25", "2026-10-25T22:59:59Z"),  # and one of 25
        ("America/Santiago", "2026-09-06", "2026-09-07T02:59:59Z"),  # begins at one o'clock
    ],
)
async def test_the_day_on_which_clocks_change_is_a_day(
    pool: asyncpg.Pool, time_zone: str, day: str, last_instant: str
) -> None:
    world = ContractWorld(pool)
    await world.account(time_zone=time_zone)
    await world.plan()
    await world.contract(start=D(day) + timedelta(days=1))

    world.now = datetime.fromisoformat(last_instant)
    assert (await world.accrue()).charges == []
    world.now += timedelta(seconds=1)
    assert len((await world.accrue()).charges) == 1


async def test_several_nodes_at_once_charge_everything_once(world: ContractWorld) -> None:
    for n in range(12):
        await world.contract(f"C-{n:02}")

    runs = await asyncio.gather(*(world.accrue("2026-04-01") for _ in range(4)))

    sources = [charge.source for run in runs for charge in run.charges]
    assert len(sources) == len(set(sources)) == 12 * 4
    assert await world.pool.fetchval("SELECT count(*) FROM contract_charge") == 12 * 4
    assert (await world.accrue("2026-04-01")).charges == []


async def test_operators_and_nodes_at_once_bill_no_day_twice(world: ContractWorld) -> None:
    await world.plan("plus", "59.90")
    await world.contract()

    async def change(day: str, plan: str) -> None:
        async with world.pool.acquire() as connection:
            await subscribing.change(connection, await world.only(), world.act(), on=D(day), plan=plan)

    for month, plan in (("01", "plus"), ("02", "basic"), ("03", "plus")):
        await asyncio.gather(
            world.accrue(f"2026-{month}-20"), change(f"2026-{month}-11", plan), world.accrue(f"2026-{month}-20")
        )
    await world.accrue("2026-03-31")

    cells = await world.pool.fetch(
        "SELECT from_day, until_day FROM billing_period WHERE from_day < until_day ORDER BY 1"
    )
    assert [cell["until_day"] for cell in cells[:-1]] == [cell["from_day"] for cell in cells[1:]]
    assert (cells[0]["from_day"], cells[-1]["until_day"]) == (START, D("2026-04-01"))
    total = sum(Decimal(amount) for _, amount in await world.charged())
    exact = {  # 29.90 up to the tenth of January, then a month of each in turn
        "basic": Decimal("29.90") * (Decimal(10) / 31 + Decimal(18) / 28 + Decimal(10) / 31),
        "plus": Decimal("59.90") * (Decimal(21) / 31 + Decimal(10) / 28 + Decimal(21) / 31),
    }
    assert abs(total - sum(exact.values())) <= Decimal("0.03")


class Crashed(Exception):
    """The process is gone."""


class Mortal:
    """A connection that is gone after so many statements, in the middle of whatever that is."""

    def __init__(self, connection: asyncpg.Connection, lives: int) -> None:
        self._connection = connection
        self._lives = lives

    def transaction(self) -> object:
        return self._connection.transaction()

    def __getattr__(self, name: str) -> object:
        async def run(*arguments: object) -> object:
            self._lives -= 1
            if self._lives < 0:
                raise Crashed
            return await getattr(self._connection, name)(*arguments)

        return run


async def test_a_run_that_dies_anywhere_is_taken_up_by_the_next_one(world: ContractWorld) -> None:
    lives, finished = 0, False
    while not finished:
        contract = f"C-{lives:03}"
        await world.contract(contract, items=(WantedItem(name="Charger", unit_price=Decimal(900)),))
        async with world.pool.acquire() as connection:
            try:
                await accruing.accrue(
                    Mortal(connection, lives),
                    now=world.now,
                    until=D("2026-03-01"),
                    contracts=[contract],  # type: ignore[arg-type]
                )
                finished = True
            except Crashed:
                pass
        await world.accrue("2026-03-01", contract)
        assert await world.charged(contract) == [
            ("2026-01-01", "900.00"), ("2026-01-01", "29.90"), ("2026-02-01", "29.90"), ("2026-03-01", "29.90"),
        ]  # fmt: skip
        lives += 1
    assert lives > 15


async def test_a_contract_that_changes_while_it_is_decided_is_left_to_be_looked_at_again(world: ContractWorld) -> None:
    await world.contract()
    async with world.pool.acquire() as connection:
        [loaded] = await store.load(connection, ["C-1"], since=START)
        found = accruing.dues(loaded.standing, START, lambda *_: None)
        async with world.pool.acquire() as other:
            await subscribing.end_subscription(other, await world.only(), world.act(), on=START)

        written = await accruing._write(connection, loaded, found, START, now=world.now, done=accruing.Accrual())

    assert written is None
    assert await world.charged() == []
    assert (await world.accrue("2026-02-01")).charges == []


async def test_a_contract_that_cannot_be_stored_stops_no_other_and_says_why(world: ContractWorld) -> None:
    await world.contract("C-1")
    await world.contract("C-2")
    source = f"subscription:{await world.only('C-1')}:2026-01-01"
    await world.pool.execute(
        "INSERT INTO contract_charge (source, contract, kind, subscription, name, quantity, unit, unit_price, currency,"
        " price_with_tax, discounts, amount_minor, supply, country, tax_point, due_on, from_day, until_day, created_at)"
        " VALUES ($1, 'C-1', 'subscription', $2, 'x', 1, 'C62', 1, 'EUR', false, '[]', 100, 'x', 'DE', $3, $3, $3, $4, now())",
        source, await world.only("C-1"), START, D("2026-02-01"),
    )  # fmt: skip

    done = await world.accrue("2026-01-01")

    assert [charge.contract for charge in done.charges] == ["C-2"]
    [(contract, hold)] = done.holds
    assert contract == "C-1"
    assert "contract_charge_pkey" in hold.why
    assert await world.pool.fetchval("SELECT why FROM contract_hold WHERE contract = 'C-1'") == hold.why


async def test_an_amount_that_no_row_can_hold_stops_nobody_else(world: ContractWorld) -> None:
    await world.plan("huge", "999999999", currency="CLF")
    huge = WantedSubscription(plan="huge", quantity=Decimal(10**6))
    await world.contract("C-1", currency="CLF", plan=None, subscriptions=(huge,))
    await world.contract("C-2")

    done = await world.accrue("2026-01-01")

    assert [charge.contract for charge in done.charges] == ["C-2"]
    assert [contract for contract, _ in done.holds] == ["C-1"]
    with pytest.raises(Refused, match=r"2200-01-01 is after"):
        await world.accrue("2200-01-01")


async def test_without_its_index_a_charge_is_held_with_a_reason_until_the_series_is_imported(
    world: ContractWorld,
) -> None:
    def value(month: int, points: str) -> SeriesValue:
        first, until = datetime(2026, month, 1, tzinfo=UTC), datetime(2026, month + 1, 1, tzinfo=UTC)
        return SeriesValue(start=first, end=until, value=Decimal(points))

    async with world.pool.acquire() as connection:
        await series.add(connection, "cpi", [value(1, "100"), value(2, "101")], currency=None)
    await world.plan(
        "indexed",
        pricing=Indexed(price=Decimal("30.00"), series="cpi", base_on=START, first_on=D("2026-02-01"), every_months=1),
    )
    await world.contract(plan="indexed")

    held = await world.accrue("2026-04-20")
    assert await world.charged() == [("2026-01-01", "30.00"), ("2026-02-01", "30.30")]
    assert [(contract, hold.why) for contract, hold in held.holds] == [("C-1", "series cpi has no value on 2026-03-01")]
    since = await world.pool.fetchval("SELECT since FROM contract_hold")
    world.now += timedelta(hours=1)
    await world.accrue("2026-04-20")
    assert await world.pool.fetchval("SELECT since FROM contract_hold") == since

    async with world.pool.acquire() as connection:  # a gap: April is there before March
        await series.add(connection, "cpi", [value(4, "103")], currency=None)
    assert (await world.accrue("2026-04-20")).charges == []
    async with world.pool.acquire() as connection:
        await series.add(connection, "cpi", [value(3, "102")], currency=None)
    assert (await world.accrue("2026-04-20")).holds == []
    assert await world.charged() == [
        ("2026-01-01", "30.00"), ("2026-02-01", "30.30"), ("2026-03-01", "30.60"), ("2026-04-01", "30.90"),
    ]  # fmt: skip
    assert await world.pool.fetchval("SELECT count(*) FROM contract_hold") == 0
    assert [each.description for each in await world.due()][1:2] == ["cpi 101 / 100 of 2026-02-01"]


async def test_an_upgrade_after_invoicing_is_handed_over_as_a_credit_that_says_what_it_corrects(
    world: ContractWorld,
) -> None:
    await world.plan("plus", "59.90")
    await world.contract()
    await world.accrue("2026-03-01")
    await world.invoice(*(each.source for each in await world.due()))
    async with world.pool.acquire() as connection:
        await subscribing.change(connection, await world.only(), world.act(), on=D("2026-03-17"), plan="plus")
    assert await world.due("2026-03-16") == []
    await world.accrue("2026-03-17")

    credit, charge = sorted(await world.due(), key=lambda each: each.quantity)
    assert (credit.quantity, credit.amount.text) == (Decimal(-1), "-14.47")
    assert credit.source == f"{credit.corrects}:credit:2026-03-17"
    assert credit.corrects is not None
    assert credit.corrects.endswith(":2026-03-01")
    assert (charge.amount.text, charge.days) == ("28.98", (D("2026-03-17"), D("2026-03-31")))


async def test_a_contract_that_renews_goes_on_by_itself_and_one_that_ends_stops(world: ContractWorld) -> None:
    year = Length.parse("12m")
    renews = WantedTerms(renewal=Renewal.RENEWS, term=year, renewal_length=year, notice=Length.parse("3m"))
    ends = WantedTerms(renewal=Renewal.ENDS, term=year)
    await world.plan("yearly", "365", interval=Interval.YEAR, timing=Timing.ARREARS)
    for name, terms in (("C-1", renews), ("C-2", ends)):
        await world.contract(name, plan="yearly", terms=terms, start=D("2026-07-01"))
    await world.accrue("2028-01-01")

    assert await world.charged("C-1") == [("2026-12-31", "184.00"), ("2027-12-31", "365.00")]
    assert await world.charged("C-2") == [("2026-12-31", "184.00"), ("2027-06-30", "181.00")]
    assert await world.pool.fetchval("SELECT next_on FROM contract WHERE id = 'C-2'") is None


async def test_items_and_milestones_fall_due_once(world: ContractWorld) -> None:
    parts = (
        WantedPart(name="On order", percent=Decimal(30), after=Offset()),
        WantedPart(name="On delivery", percent=Decimal(60), after=Offset(months=1)),
        WantedPart(name="On acceptance", percent=Decimal(10), event="acceptance"),
    )
    await world.contract(
        plan=None,
        items=(
            WantedItem(name="Charger", unit_price=Decimal("899.99"), quantity=Decimal(3), supply="hardware"),
            WantedItem(name="Inspection", unit_price=Decimal(120), after=Offset(months=12), supply="inspection"),
        ),
        splits=(WantedSplit(name="Installation", total=Decimal("1000.01"), parts=parts),),
    )
    await world.accrue("2026-12-31")
    expected = [("2026-01-01", "2699.97"), ("2026-01-01", "300.00"), ("2026-02-01", "600.01")]
    assert await world.charged() == expected

    acceptance = await world.pool.fetchval("SELECT id FROM milestone WHERE event IS NOT NULL")
    world.now = datetime(2026, 12, 31, 12, tzinfo=UTC)
    async with world.pool.acquire() as connection:
        await items.reach(connection, acceptance, world.act(), on=D("2026-12-20"))
        with pytest.raises(AlreadyDone, match=r"was reached on 2026-12-20"):
            await items.reach(connection, acceptance, world.act(), on=None)
    await world.accrue("2027-01-01")

    assert await world.charged() == [*expected, ("2026-12-20", "100.00"), ("2027-01-01", "120.00")]
    kinds = {each.name: (each.kind.value, each.supply) for each in await world.due()}
    assert kinds["Charger"] == ("item", "hardware")
    assert kinds["Installation: On acceptance"] == ("milestone", "milestone")


async def test_reminders_come_by_themselves_are_sent_once_and_go_when_they_are_moot(world: ContractWorld) -> None:
    year = Length.parse("12m")
    renews = WantedTerms(renewal=Renewal.RENEWS, term=year, renewal_length=year, notice=Length.parse("3m"))
    await world.contract(terms=renews)
    await world.accrue("2026-08-30")

    async def due(until: str) -> list[tuple[str, str, str]]:
        async with world.pool.acquire() as connection:
            found = await handover.due_reminders(connection, until=D(until))
        return [(each.kind, each.deadline_on.isoformat(), each.remind_on.isoformat()) for each in found]

    assert await due("2026-08-30") == []
    await world.accrue("2026-08-31")
    assert await due("2026-08-31") == [("notice", "2026-09-30", "2026-08-31")]
    async with world.pool.acquire() as connection:
        [first] = await handover.due_reminders(connection, until=D("2026-08-31"))
        assert await handover.mark_reminded(connection, [first.id], now=world.now) == [first.id]
        assert await handover.mark_reminded(connection, [first.id], now=world.now) == []
    await world.accrue("2026-09-23")
    assert await due("2026-09-23") == [("notice", "2026-09-30", "2026-09-23")]
    world.now = datetime(2026, 9, 23, 12, tzinfo=UTC)
    async with world.pool.acquire() as connection:
        await ending.terminate(connection, "C-1", world.act())
    await world.accrue("2026-09-24")

    assert await due("2026-09-24") == []
    assert await world.pool.fetchval("SELECT count(*) FROM reminder") == 1


async def test_what_is_billed_can_only_shrink_and_never_meets_itself(world: ContractWorld) -> None:
    await world.contract(items=(WantedItem(name="Charger", unit_price=Decimal(900)),))
    await world.accrue("2026-01-01")

    for change in (
        "UPDATE billing_period SET until_day = until_day + 1",
        "UPDATE billing_period SET gross_minor = 1",
        "DELETE FROM billing_period",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await world.pool.execute(change)
    with pytest.raises(asyncpg.ExclusionViolationError, match=r"billing_period_days"):
        await world.pool.execute(
            "INSERT INTO billing_period SELECT h.source, p.subscription, line, p.from_day + 3, p.until_day, period_from,"
            " period_until, price, gross_minor, p.discounts FROM billing_period p, contract_charge h WHERE h.kind = 'item'"
        )
    with pytest.raises(asyncpg.ExclusionViolationError, match=r"subscription_days"):
        await world.pool.execute(
            "INSERT INTO subscription (line, contract, plan, version, quantity, from_day, anchor, priced_from, created_at)"
            " SELECT line, contract, plan, version, 1, from_day + 40, anchor, from_day, now() FROM subscription"
        )


async def test_the_parts_of_a_sum_are_the_sum_in_the_database_too(world: ContractWorld) -> None:
    parts = (WantedPart(name="All", percent=Decimal(100), after=Offset()),)
    await world.contract(splits=(WantedSplit(name="Installation", total=Decimal(100), parts=parts),))

    with pytest.raises(asyncpg.CheckViolationError, match=r"are not its total"):
        await world.pool.execute("UPDATE milestone SET amount_minor = amount_minor - 1")
