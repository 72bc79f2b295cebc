"""The kWh that are in a plan, as sessions get them and as a contract's margin sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import click
import pytest
from click.testing import CliRunner

from billing.bills.service import BillingService
from billing.contracts import bearing, ending, subscribing
from billing.contracts.days import Days
from billing.contracts.earnings import margin
from billing.contracts.margin import Fees, Margin
from billing.contracts.recurrence import Interval
from billing.discounts import store as discounts
from billing.discounts.nouns import discount_group
from billing.errors import AlreadyDone, NotFound, Refused
from billing.price_series import store as series
from billing.rating.rating import Effect
from billing.rating.series import SeriesValue
from billing.tariffs.assignment import Customer, Place
from tests.billing.bills.conftest import Clock, announced, billing, clock, source, world
from tests.billing.bills.world import NOON, TableSource, World, tariff_file
from tests.billing.contracts.contract_world import ContractWorld

__all__ = ["announced", "billing", "clock", "source", "world"]

MARCH = date(2026, 3, 1)
DAY = timedelta(days=1)


@pytest.fixture
async def contracts(world: World) -> ContractWorld:
    """0.50 per kWh for everybody, and a plan with 100 kWh a month from the first of March."""
    await world.tariff(tariff_file(price="0.50"))
    await world.token("TAG-1", "TAG-2")
    made = ContractWorld(world.pool, now=datetime(2026, 2, 20, 9, tzinfo=UTC))
    await made.account()
    await made.plan("basic", "29.90", included_kwh=Decimal(100))
    await made.contract(start=MARCH)
    return made


async def give(contracts: ContractWorld, *tokens: str, group: str | None = None) -> None:
    async with contracts.pool.acquire() as connection:
        for token in tokens:
            await bearing.add_token(connection, "C-1", contracts.act(), token=token)
        if group is not None:
            await bearing.add_token(connection, "C-1", contracts.act(), token_group=group)
    await contracts.accrue()


async def bill(world: World, billing: BillingService, kwh: int, **more: object) -> str:
    """What a session costs in the end."""
    session = await world.session(energy_wh=kwh * 1000, **more)
    await billing.drain()
    [(_, _, total)] = await world.bills(session)
    return total


async def test_sessions_use_up_the_kwh_of_a_period_and_then_pay(
    world: World, billing: BillingService, contracts: ContractWorld
) -> None:
    await give(contracts, "tag-1")

    assert await bill(world, billing, 60) == "0.00"
    assert await bill(world, billing, 60, started_at=NOON + DAY, ended_at=NOON + DAY * 2) == "10.00"
    assert await bill(world, billing, 10, started_at=NOON + DAY * 3, ended_at=NOON + DAY * 4) == "5.00"
    assert await bill(world, billing, 10, token="TAG-2") == "5.00"


async def test_a_quarter_is_one_allowance_over_its_months(
    world: World, billing: BillingService, contracts: ContractWorld, clock: Clock
) -> None:
    await contracts.plan("quarterly", "90", included_kwh=Decimal(100), interval=Interval.QUARTER)
    await contracts.contract("C-2", plan="quarterly", start=date(2026, 1, 1))
    async with contracts.pool.acquire() as connection:
        await bearing.add_token(connection, "C-2", contracts.act(), token="TAG-2", on=date(2026, 1, 1))
    await contracts.accrue()
    contracts.now = datetime(2026, 3, 10, 9, tzinfo=UTC)
    await contracts.accrue()
    clock.now = NOON + 40 * DAY
    april = datetime(2026, 4, 2, 12, tzinfo=UTC)

    totals = [
        await bill(world, billing, 80, token="TAG-2", started_at=at, ended_at=at + DAY, complete_at=at + DAY)
        for at in (datetime(2026, 2, 25, 12, tzinfo=UTC), NOON, april)
    ]

    assert totals == ["0.00", "30.00", "0.00"]


async def test_a_group_shares_its_kwh(
    world: World, billing: BillingService, contracts: ContractWorld, source: TableSource
) -> None:
    await world.token("VAN-1", "VAN-2", group="VANS")
    source.groups |= {"VAN-1": "VANS", "VAN-2": "VANS"}
    await give(contracts, group="VANS")

    assert await bill(world, billing, 70, token="VAN-1") == "0.00"
    assert await bill(world, billing, 70, token="VAN-2") == "20.00"


async def test_a_session_of_before_the_rule_was_made_gets_none_of_it(
    world: World, billing: BillingService, contracts: ContractWorld
) -> None:
    contracts.now = NOON + timedelta(minutes=10)
    await give(contracts, "TAG-1")

    assert await bill(world, billing, 10) == "5.00"


async def test_an_upgrade_gives_the_share_of_the_new_plan_from_that_day(contracts: ContractWorld) -> None:
    await contracts.plan("plus", "59.90", included_kwh=Decimal(310))
    await give(contracts, "TAG-1")
    contracts.now = datetime(2026, 3, 16, 12, tzinfo=UTC)
    async with contracts.pool.acquire() as connection:
        await subscribing.change(connection, await contracts.only(), contracts.act(), on=date(2026, 3, 17), plan="plus")
    await contracts.accrue()

    rules = await contracts.pool.fetch("SELECT kwh, from_day, until_day FROM included_kwh ORDER BY from_day, kwh")
    assert [(f"{row['kwh']:f}", row["from_day"].isoformat(), row["until_day"].isoformat()) for row in rows(rules)] == [
        ("100", "2026-03-01", "2026-03-17"),
        ("150", "2026-03-17", "2026-04-01"),
        ("310", "2026-04-01", "2026-05-01"),
    ]
    async with contracts.pool.acquire() as connection:
        known = await discounts.all_rules(connection, [Effect.DISCOUNT], included=None)
        hidden = await discounts.all_rules(connection, [Effect.DISCOUNT])
    at = contracts.now + DAY
    assert hidden == []
    assert {rule.label: rule.ended_at(at) for rule in known if rule.valid_from < at and rule.value == 100} == {
        "Basic": datetime(2026, 3, 16, 23, tzinfo=UTC)  # midnight where the customer is
    }


async def test_lists_of_discounts_show_rules_for_included_kwh_only_where_they_are_asked_for(
    contracts: ContractWorld, database: str
) -> None:
    await give(contracts, "TAG-1")

    @asynccontextmanager
    async def connect(_context: click.Context) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(database)
        try:
            yield connection
        finally:
            await connection.close()

    async def place_of(_connection: Any, charge_point: str, _token: str | None, at: datetime) -> Place:
        return Place(charge_point=charge_point, site="depot", currency="EUR", at=at, customer=Customer())

    group = discount_group(connect, place_of=place_of, default_actor=lambda: "ada")

    async def told(*arguments: str) -> Any:
        result = await asyncio.to_thread(CliRunner().invoke, group, [*arguments, "-o", "json"])
        assert result.exit_code == 0, (result.stderr, result.exception)
        return json.loads(result.stdout)

    assert await told("list") == []
    assert {(each["label"], each["value"]) for each in await told("list", "--included")} == {("Basic", "100 kWh free")}
    at = ("which", "--cp", "CP-1", "--at", "2026-03-05")
    assert await told(*at, "--token", "TAG-2") == []
    assert [each["why"] for each in await told(*at, "--token", "TAG-1")] == ["100 kWh left"]


def rows(found: Collection[asyncpg.Record]) -> list[asyncpg.Record]:
    """Those that last at least a day."""
    return [row for row in found if row["from_day"] < row["until_day"]]


async def test_a_token_is_in_one_contract_at_a_time(contracts: ContractWorld) -> None:
    await give(contracts, "TAG-1")
    await contracts.contract("C-2", start=MARCH)
    act = contracts.act()
    async with contracts.pool.acquire() as connection:
        with pytest.raises(AlreadyDone, match=r"TAG-1 is in contract C-1"):
            await bearing.add_token(connection, "C-1", act, token="tag-1")
        with pytest.raises(Refused, match=r"TAG-1 is in contract C-1"):
            await bearing.add_token(connection, "C-2", act, token="TAG-1")
        with pytest.raises(NotFound, match=r"no token TAG-9"):
            await bearing.add_token(connection, "C-2", act, token="TAG-9")
        await bearing.end_token(connection, "C-1", act, token="TAG-1", on=date(2026, 3, 10))
        with pytest.raises(NotFound, match=r"TAG-1 is not in contract C-1"):
            await bearing.end_token(connection, "C-1", act, token="TAG-1")
        await bearing.add_token(connection, "C-2", act, token="TAG-1", on=date(2026, 3, 10))
    await contracts.accrue()

    found = await contracts.pool.fetch("SELECT kwh, from_day, until_day FROM included_kwh ORDER BY from_day")
    assert [(row["from_day"].day, f"{row['kwh']:f}") for row in rows(found)] == [(1, "100"), (10, "70.968")]


async def margin_of(contracts: ContractWorld, days: Days, contract: str = "C-1", **more: object) -> Margin:
    named = {"fees": Fees(), "per_kwh": Decimal("0.30"), **more}
    async with contracts.pool.acquire() as connection:
        return await margin(connection, contract, days, contracts.act(), **named)  # type: ignore[arg-type]


async def test_a_margin_counts_charges_by_days_and_the_bills_of_the_contract_s_tokens(
    world: World, billing: BillingService, contracts: ContractWorld
) -> None:
    await give(contracts, "TAG-1")
    await contracts.accrue("2026-03-01")
    await bill(world, billing, 120)
    await bill(world, billing, 50, token="TAG-2")

    found = await margin_of(contracts, Days(MARCH, date(2026, 4, 1)), fees=Fees(percent=Decimal(1)))

    # 20 of 120 kWh were paid: 10.00 with 19 % tax in it
    assert (found.revenue_contract.text, found.revenue_sessions.text) == ("29.90", "8.40")
    assert found.energy_cost is not None
    assert found.margin is not None
    assert (found.energy_cost.text, found.fees.text, found.margin.text) == ("36.00", "0.38", "1.92")
    assert (found.sessions, found.kwh) == (1, Decimal(120))
    third = await margin_of(contracts, Days(date(2026, 3, 22), date(2026, 4, 1)))
    assert (third.revenue_contract.text, third.sessions) == ("9.65", 0)


async def test_without_tokens_of_its_own_a_contract_counts_those_of_its_account(
    world: World, billing: BillingService, contracts: ContractWorld
) -> None:
    await contracts.pool.execute(
        "INSERT INTO account_token (token, valid_from, account) VALUES ('TAG-2', $1, 'A-1'), ('TAG-2', $2, NULL)",
        NOON - DAY, NOON + DAY,
    )  # fmt: skip
    await bill(world, billing, 10, token="TAG-2")
    await bill(world, billing, 10, token="TAG-2", started_at=NOON + 2 * DAY, ended_at=NOON + 3 * DAY)

    assert (await margin_of(contracts, Days(MARCH, date(2026, 4, 1)))).sessions == 1


async def test_energy_may_cost_what_a_series_says(
    world: World, billing: BillingService, contracts: ContractWorld
) -> None:
    await give(contracts, "TAG-1")
    await bill(world, billing, 10)
    hour = SeriesValue(start=NOON, end=NOON + timedelta(minutes=30), value=Decimal("0.20"))
    async with contracts.pool.acquire() as connection:
        await series.add(connection, "spot", [hour], currency="EUR")
    days = Days(MARCH, date(2026, 4, 1))

    mixed = await margin_of(contracts, days, series_name="spot")
    unknown = await margin_of(contracts, days, series_name="spot", per_kwh=None)

    assert mixed.energy_cost is not None
    assert mixed.energy_cost.text == "2.50"
    assert (unknown.margin, unknown.kwh_without_price) == (None, Decimal("5.000"))


async def test_prices_with_tax_need_its_rate_for_a_margin(contracts: ContractWorld) -> None:
    await contracts.plan("gross", "119", price_with_tax=True)
    await contracts.contract("C-3", plan="gross", start=MARCH)
    await contracts.accrue("2026-03-01")
    days = Days(MARCH, date(2026, 4, 1))

    with pytest.raises(Refused, match=r"is with tax and on no document, a margin is without"):
        await margin_of(contracts, days, "C-3")
    assert (await margin_of(contracts, days, "C-3", tax_percent=Decimal(19))).revenue.text == "100.00"


async def test_who_ends_before_it_began_has_no_kwh_left(contracts: ContractWorld) -> None:
    await give(contracts, "TAG-1")
    async with contracts.pool.acquire() as connection:
        await ending.terminate(connection, "C-1", contracts.act(), until=MARCH, for_cause=True)
    await contracts.accrue()

    left = await contracts.pool.fetch("SELECT * FROM included_kwh")
    assert rows(left) == []
    async with contracts.pool.acquire() as connection:
        rules = await discounts.all_rules(connection, [Effect.DISCOUNT], included=None)
    for rule in rules:
        ended = rule.ended_at(contracts.now)
        assert ended is not None
        assert ended <= rule.valid_from
