"""Whatever operators do and however many nodes look meanwhile: what is stored is what hindsight would have charged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.contracts import ending, subscribing
from billing.contracts.plan import Align, Timing
from billing.contracts.recurrence import Interval
from billing.contracts.store import load
from billing.errors import AlreadyDone, Refused
from csms.database.embedded import EmbeddedPostgres
from csms.database.pool import open_pool
from tests.billing.contracts.contract_world import START, ContractWorld
from tests.billing.contracts.standings import Books
from tests.conftest import _administer
from tests.examples import tried

NAMES = count(1)
STEP = st.tuples(
    st.integers(0, 80),  # days until it happens
    st.sampled_from(["change", "unsubscribe", "terminate", "prolong", "nothing"]),
    st.integers(-30, 30),  # for a day so far from then
    st.integers(1, 4),  # pieces
)


@pytest.fixture(scope="module")
def shared_database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """One for all examples; each has a contract of its own."""
    name = f"histories_{uuid4().hex}"
    asyncio.run(_administer(postgres, f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY"))
    yield postgres.dsn_of(name)
    asyncio.run(_administer(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


async def operate(world: ContractWorld, contract: str, what: str, away: int, pieces: int) -> None:
    """Try it; what is refused has changed nothing."""
    act = world.act()
    on = act.now.date() + timedelta(days=away)
    async with world.pool.acquire() as connection:
        try:
            match what:
                case "change":
                    last = await world.only(contract)
                    await subscribing.change(connection, last, act, on=on, quantity=Decimal(pieces))
                case "unsubscribe":
                    await subscribing.end_subscription(connection, await world.only(contract), act, on=on)
                case "terminate":
                    await ending.terminate(connection, contract, act, until=on, for_cause=True)
                case "prolong":
                    await ending.prolong(connection, contract, act)
        except (Refused, AlreadyDone):
            pass


async def live(
    dsn: str, interval: Interval, timing: Timing, align: Align, steps: list[tuple[int, str, int, int]]
) -> None:
    pool = await open_pool(dsn, size=4, name="histories", command_timeout_s=60)
    try:
        world = ContractWorld(pool, now=datetime(2026, 1, 1, 12, tzinfo=UTC))
        name = f"X-{next(NAMES)}"
        await world.account(name)
        await world.plan(name, "29.90", interval=interval, timing=timing, align=align)
        await world.contract(name, account=name, plan=name)
        for wait, what, away, pieces in steps:
            world.now += timedelta(days=wait)
            await asyncio.gather(
                world.accrue(None, name), operate(world, name, what, away, pieces), world.accrue(None, name)
            )
        world.now += timedelta(days=500)
        await world.accrue(None, name)
        async with pool.acquire() as connection:
            [loaded] = await load(connection, [name], since=START)
        bare = tuple(replace(each, cells=()) for each in loaded.standing.subscriptions)
        hindsight = Books(replace(loaded.standing, subscriptions=bare))
        hindsight.accrue(world.now.date())
        stored = await pool.fetchval(
            "SELECT coalesce(sum(amount_minor), 0) FROM contract_charge WHERE contract = $1", name
        )
        assert stored == hindsight.total_minor
        billed = sum(
            (cell.until - cell.days.first).days for each in hindsight.standing.subscriptions for cell in each.cells
        )
        assert billed == await pool.fetchval(
            "SELECT coalesce(sum(p.until_day - p.from_day), 0) FROM billing_period p"
            " JOIN subscription s ON s.id = p.subscription WHERE s.contract = $1",
            name,
        )
    finally:
        pool.terminate()


@tried(25)
@given(
    st.sampled_from(Interval), st.sampled_from(Timing), st.sampled_from(Align), st.lists(STEP, min_size=1, max_size=6)
)
def test_what_is_stored_is_what_hindsight_would_have_charged(
    shared_database: str, interval: Interval, timing: Timing, align: Align, steps: list[tuple[int, str, int, int]]
) -> None:
    asyncio.run(live(shared_database, interval, timing, align, steps))
