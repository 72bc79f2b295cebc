"""Sessions become bills: once each, whatever crashes, and only when they may."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from billing.bills import history
from billing.bills.bill import BillKind, CommittedBill
from billing.bills.billable import BillableSession
from billing.bills.service import DATABASE_TROUBLE, BillingService, BillingSettings
from billing.bills.store import SQL as BILLS
from billing.errors import NotFound
from billing.policies import store as policies
from billing.policies.kinds import INTERIM
from billing.policies.store import SQL as POLICIES
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Scope
from billing.tariffs.store import SQL as TARIFFS
from tests.billing.bills.conftest import Clock
from tests.billing.bills.world import BEFORE, NOON, TableSource, World, tariff_file

MINUTE = timedelta(minutes=1)


async def test_a_complete_session_gets_one_final_bill(
    world: World, billing: BillingService, announced: list[CommittedBill]
) -> None:
    await world.tariff(tariff_file(price="0.50"))
    session = await world.session(energy_wh=10_000)

    await billing.drain()
    await world.tell_billing(session)
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "5.00")]
    assert [(each.bill.session, each.bill.kind, each.charge_point) for each in announced] == [
        (session, BillKind.FINAL, "CP-1")
    ]
    assert await world.pool.fetchval("SELECT count(*) FROM rating_due") == 0


async def test_a_bill_waits_until_the_facts_are_complete(world: World, billing: BillingService, clock: Clock) -> None:
    await world.tariff(tariff_file())
    session = await world.session(energy_wh=1000, complete_at=clock.now + MINUTE)

    await billing.drain()
    assert await world.bills(session) == []
    assert (await world.rating(session))["next_at"] == clock.now + MINUTE

    clock.now += MINUTE
    await billing.drain()
    assert await world.bills(session) == [("final", 1, "0.50")]


async def test_a_held_session_bills_nothing_until_it_is_released(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file())
    session = await world.session(holds=["energy_over_power"])

    await billing.drain()
    assert await world.bills(session) == []

    await world.release(session, "energy_over_power")
    await billing.drain()
    assert await world.bills(session) == [("final", 1, "5.00")]


async def test_a_held_running_session_gets_no_interim_bill(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file())
    session = await world.running(energy_wh=50_000, holds=["register_jump"])

    await billing.drain()

    assert await world.bills(session) == []


async def test_interim_bills_are_numbered_and_cumulative_and_the_final_supersedes_them(
    world: World, billing: BillingService, clock: Clock
) -> None:
    await world.tariff(tariff_file(price="0.50"))
    clock.now = NOON + MINUTE
    session = await world.running()

    for minutes, energy_wh in ((1, 100), (5, 5_000), (6, 5_500), (21, 6_000), (25, 20_000)):
        clock.now = NOON + minutes * MINUTE
        await world.change(session, energy_wh=Decimal(energy_wh))
        await billing.drain()
    clock.now = NOON + 60 * MINUTE
    await world.change(session, energy_wh=Decimal(21_000), ended_at=clock.now, complete_at=clock.now)
    await billing.drain()

    assert await world.bills(session) == [
        ("interim", 1, "2.50"),  # 5 kWh
        ("interim", 2, "3.00"),  # 15 minutes after the first, at minute 21
        ("interim", 3, "10.00"),  # more than 5 euros
        ("final", 4, "10.50"),
    ]


async def test_time_alone_makes_an_interim_bill_due(world: World, billing: BillingService, clock: Clock) -> None:
    await world.tariff(tariff_file())
    clock.now = NOON
    session = await world.running(energy_wh=1000)
    await billing.drain()
    assert (await world.rating(session))["next_at"] == NOON + 15 * MINUTE

    clock.now = NOON + 15 * MINUTE
    await billing.drain()

    assert await world.bills(session) == [("interim", 1, "0.50")]
    assert (await world.rating(session))["next_at"] > clock.now


async def test_a_silent_session_gets_no_interim_for_time_in_which_nobody_heard_of_it(
    world: World, billing: BillingService, clock: Clock, source: TableSource
) -> None:
    await world.tariff(tariff_file())
    source.online = False
    session = await world.running(energy_wh=1000)
    clock.now = NOON + timedelta(hours=1)

    await billing.drain()

    assert await world.bills(session) == []


async def test_a_lower_interim_replaces_one_that_showed_too_much(
    world: World, billing: BillingService, clock: Clock
) -> None:
    await world.tariff(tariff_file())
    clock.now = NOON + MINUTE
    session = await world.running(energy_wh=8_000)
    await billing.drain()

    await world.change(session, energy_wh=Decimal(7_900))
    await billing.drain()

    assert await world.bills(session) == [("interim", 1, "4.00"), ("interim", 2, "3.95")]


async def test_interim_thresholds_are_a_stored_policy(world: World, billing: BillingService, clock: Clock) -> None:
    await world.tariff(tariff_file())
    clock.now = NOON + MINUTE
    session = await world.running(energy_wh=1_000)
    async with world.pool.acquire() as connection:
        current = (await policies.current(connection)).interim
        stored = await policies.change(connection, INTERIM, ["every_wh=500"])

    await billing.drain()

    assert stored.version == current.version + 1
    assert await world.bills(session) == [("interim", 1, "0.50")]


async def test_without_a_tariff_a_session_is_held_and_never_free(world: World, billing: BillingService) -> None:
    session = await world.session()

    await billing.drain()

    assert (await world.rating(session))["holds"] == ["no_tariff"]
    assert await world.bills(session) == []


async def test_a_session_without_tariff_is_released_by_the_tariff_that_was_valid_at_its_start(
    world: World, billing: BillingService, clock: Clock
) -> None:
    session = await world.session()
    await billing.drain()

    await world.tariff(tariff_file(), now=clock.now)  # from now on: not for this session
    await billing.drain()
    assert (await world.rating(session))["holds"] == ["no_tariff"]

    await world.tariff(tariff_file(), now=clock.now, valid_from=NOON - MINUTE)
    await billing.drain()
    assert (await world.rating(session))["holds"] == []
    assert await world.bills(session) == [("final", 1, "5.00")]


async def test_a_tariff_in_force_at_the_start_is_not_replaced_by_what_is_entered_later(
    world: World, billing: BillingService, clock: Clock
) -> None:
    await world.tariff(tariff_file("old", "0.50"))
    clock.now = NOON + MINUTE
    running = await world.running(energy_wh=5_000)
    await billing.drain()

    await world.tariff(tariff_file("new", "0.90"), now=clock.now, valid_from=NOON - timedelta(hours=1))
    async with world.pool.acquire() as connection:
        await tariffs.create(connection, tariff_file("old", "0.70"), now=clock.now, valid_from=BEFORE)
    late = await world.session(energy_wh=10_000)  # arrives after the edits, started before them
    clock.now = NOON + timedelta(hours=2)
    await world.change(running, ended_at=NOON + 30 * MINUTE, complete_at=NOON + 30 * MINUTE)
    await billing.drain()

    assert await world.bills(running) == [("interim", 1, "2.50"), ("final", 2, "2.50")]
    assert await world.bills(late) == [("final", 1, "5.00")]


async def test_a_default_in_another_currency_than_the_site_holds_the_session(
    world: World, billing: BillingService, clock: Clock
) -> None:
    await world.site("lausanne", "CHF")
    await world.charge_point("CP-CH", "lausanne")
    await world.tariff(tariff_file())
    session = await world.session(charge_point="CP-CH")
    await billing.drain()
    assert (await world.rating(session))["holds"] == ["currency_mismatch"]

    async with world.pool.acquire() as connection:
        await tariffs.create(connection, tariff_file("swiss", "0.60", currency="CHF"), now=clock.now)
        await tariffs.assign(connection, "swiss", scope=Scope.SITE, target="lausanne", now=clock.now, valid_from=BEFORE)
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "6.00")]


async def test_an_outrageous_price_is_held_until_somebody_releases_it(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file(price="0.50"))
    session = await world.session(energy_wh=300_200)
    await billing.drain()
    assert (await world.rating(session))["holds"] == ["price_outlier"]

    await world.release(session, "price_outlier")
    await billing.drain()

    assert await world.bills(session) == [("final", 1, "150.10")]


async def test_the_price_limit_is_the_review_policys(world: World, billing: BillingService) -> None:
    await world.pool.execute(
        "INSERT INTO policy (kind, version, body) VALUES ('review', 1, $1::text::jsonb)", '{"price_max": "4.99"}'
    )
    await world.tariff(tariff_file(price="0.50"))
    session = await world.session(energy_wh=10_000)

    await billing.drain()

    assert (await world.rating(session))["holds"] == ["price_outlier"]


async def test_a_session_without_energy_is_waived(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file(flat="1.00"))
    session = await world.session(energy_wh=0)

    await billing.drain()

    assert await world.bills(session) == [("final", 1, "0.00")]
    assert "waived" in (await world.rating(session))["notes"]


async def test_a_dropped_session_gets_no_bill(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file())
    session = await world.session()
    await world.change(session, dropped="no token, no energy")

    await billing.drain()

    assert await world.bills(session) == []
    assert (await world.rating(session))["next_at"] is None


async def test_a_complete_session_without_token_waits_for_somebody(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file())
    session = await world.session(token=None)

    await billing.drain()

    assert (await world.rating(session))["holds"] == ["unpriced"]


async def test_a_fact_after_the_final_bill_is_said_and_changes_nothing(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file(price="0.50"))
    session = await world.session(energy_wh=10_000)
    await billing.drain()

    await world.change(session, energy_wh=Decimal(10_500))
    await billing.drain()

    state = await world.rating(session)
    assert await world.bills(session) == [("final", 1, "5.00")]
    assert state["flags"] == ["late_fact"]
    assert state["notes"] == ["late_fact: +0.500 kWh, +0.25 EUR"]
    assert state["next_at"] is None


async def test_a_change_that_prices_nothing_is_no_late_fact(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file())
    session = await world.session()
    await billing.drain()

    await world.change(session, flags=["clock_offset"])
    await billing.drain()

    assert (await world.rating(session))["flags"] == []


async def test_the_instant_that_prices_follows_the_facts_until_the_final_bill(
    world: World, billing: BillingService, clock: Clock
) -> None:
    await world.tariff(tariff_file("old", "0.50"))
    await world.tariff(tariff_file("new", "0.80"), valid_from=NOON)
    clock.now = NOON + 10 * MINUTE
    session = await world.running(started_at=NOON + MINUTE, energy_wh=1000)
    await billing.drain()
    assert (await world.rating(session))["tariff"] == "new"

    # The start arrives after the first samples, and it was earlier.
    await world.change(session, started_at=NOON - MINUTE, ended_at=clock.now, complete_at=clock.now)
    await billing.drain()

    assert (await world.rating(session))["tariff"] == "old"
    assert await world.bills(session) == [("final", 1, "0.50")]


async def test_settling_bills_at_once_and_returns_what_it_committed(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file())
    session = await world.session()

    first = await billing.settle([session], NOON + timedelta(hours=2))
    again = await billing.settle([session], NOON + timedelta(hours=2))

    assert [(each.bill.kind, each.bill.total_incl.text) for each in first] == [(BillKind.FINAL, "5.00")]
    assert again == []
    assert await world.pool.fetchval("SELECT count(*) FROM rating_due") == 0


async def test_a_session_that_our_code_fails_on_is_held_and_the_others_are_billed(
    world: World, billing: BillingService, source: TableSource
) -> None:
    await world.tariff(tariff_file())
    broken, sound = await world.session(), await world.session()
    source.broken = {broken}

    await billing.drain()

    assert (await world.rating(broken))["holds"] == ["rating_failed"]
    assert await world.bills(sound) == [("final", 1, "5.00")]


async def test_an_audience_that_fails_keeps_no_bill_from_the_others(world: World, clock: Clock) -> None:
    await world.tariff(tariff_file())
    sessions = [await world.session(), await world.session()]
    heard: list[int] = []

    def listen(committed: CommittedBill) -> None:
        heard.append(committed.bill.session)
        raise ValueError("the display is on fire")

    service = BillingService(world.pool, TableSource(), on_bill=listen, clock=clock)
    await service.drain()

    assert heard == sessions


async def test_the_worker_runs_by_signal_and_by_sweep(world: World, billing: BillingService) -> None:
    await world.tariff(tariff_file())
    running = asyncio.create_task(billing.run())
    try:
        for wake in (True, False):
            session = await world.session()
            if wake:
                billing.wake()
            async with asyncio.timeout(10):
                while not await world.bills(session):  # noqa: ASYNC110 - what is awaited happens in Postgres
                    await asyncio.sleep(0.01)
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_two_workers_on_one_database_bill_each_session_once(world: World, clock: Clock) -> None:
    await world.tariff(tariff_file())
    sessions = await world.sessions(200)
    await world.tell_billing(*sessions)  # and twice
    heard: list[int] = []

    def listen(committed: CommittedBill) -> None:
        heard.append(committed.bill.session)

    settings = BillingSettings(batch_size=7)
    workers = [BillingService(world.pool, TableSource(), settings, on_bill=listen, clock=clock) for _ in range(2)]
    await asyncio.gather(*(worker.drain() for worker in workers), workers[0].settle(sessions[:50], clock.now))
    await asyncio.gather(*(worker.drain() for worker in workers))

    counts = await world.pool.fetch("SELECT session, count(*) AS n FROM bill WHERE kind = 'final' GROUP BY session")
    assert {row["session"]: row["n"] for row in counts} == dict.fromkeys(sessions, 1)
    assert sorted(heard) == sessions


class _DyingConnection:
    """Kills its own backend before statement `n`, so that every statement of a transaction is a place to die once."""

    def __init__(self, pool: asyncpg.Pool, killer: asyncpg.Connection, dies_at: int) -> None:
        self._pool, self._killer, self._left = pool, killer, dies_at
        self.died = False

    def acquire(self) -> Any:
        return _Acquired(self)

    async def before_statement(self, connection: Any) -> None:
        self._left -= 1
        if self._left == 0:
            self.died = True
            await self._killer.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())


class _Acquired:
    def __init__(self, pool: _DyingConnection) -> None:
        self._pool = pool

    async def __aenter__(self) -> _Watched:
        self._context = self._pool._pool.acquire()
        return _Watched(await self._context.__aenter__(), self._pool)

    async def __aexit__(self, *error: object) -> None:
        await self._context.__aexit__(*error)


class _Watched:
    """Passes everything on; counts what goes to the server."""

    def __init__(self, connection: Any, pool: _DyingConnection) -> None:
        self._connection, self._pool = connection, pool

    def transaction(self) -> _WatchedTransaction:
        return _WatchedTransaction(self)

    def __getattr__(self, name: str) -> Any:
        async def statement(*arguments: Any, **options: Any) -> Any:
            await self._pool.before_statement(self._connection)
            return await getattr(self._connection, name)(*arguments, **options)

        return statement


class _WatchedTransaction:
    def __init__(self, watched: _Watched) -> None:
        self._watched = watched
        self._transaction = watched._connection.transaction()

    async def __aenter__(self) -> None:
        await self._watched._pool.before_statement(self._watched._connection)
        await self._transaction.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        if error[0] is None:
            await self._watched._pool.before_statement(self._watched._connection)
        await self._transaction.__aexit__(*error)


async def test_a_crash_at_any_statement_bills_nothing_twice_and_nothing_never(
    world: World, database: str, clock: Clock
) -> None:
    await world.tariff(tariff_file())
    killer = await asyncpg.connect(database)
    sessions: list[int] = []
    deaths = 0
    try:
        for dies_at in range(1, 40):
            sessions += [await world.session(), await world.running(energy_wh=6_000)]
            pool = _DyingConnection(world.pool, killer, dies_at)
            service = BillingService(pool, TableSource(), clock=clock)  # type: ignore[arg-type]  # a pool that dies
            if not await _drain_or_die(service):
                deaths += 1
            assert pool.died or deaths >= 12, "each statement of a batch was a place to die"
            if not pool.died:
                break
            await BillingService(world.pool, TableSource(), clock=clock).drain()
    finally:
        await killer.close()
    await BillingService(world.pool, TableSource(), clock=clock).drain()

    for index, session in enumerate(sessions):
        expected = [("interim", 1, "3.00")] if index % 2 else [("final", 1, "5.00")]
        assert await world.bills(session) == expected
    assert await world.pool.fetchval("SELECT count(*) FROM rating_due") == 0


async def _drain_or_die(service: BillingService) -> bool:
    try:
        await service.drain()
    except DATABASE_TROUBLE:
        return False
    return True


async def test_a_bill_recomputes_to_the_byte_and_explains_itself(
    world: World, billing: BillingService, pool: asyncpg.Pool
) -> None:
    await world.tariff(tariff_file(price="0.333", flat="0.99"))
    session = await world.session(energy_wh=Decimal("12345.678"))
    await billing.drain()

    async with pool.acquire() as connection:
        (bill,) = await history.bills_of(connection, session)
        explanation = await history.explain_bill(connection, session, None)
        counting = await history.newest_bills(connection, [session])
        state = await history.session_ratings(connection, [session])

    assert explanation.bill == bill == counting[session] == state[session].bill
    assert {line.what for line in explanation.lines} >= {"ENERGY", "FLAT", "total"}
    assert bill.total_incl.text == "5.10"  # 12.345678 x 0.333 + 0.99 = 5.101110774


async def test_what_does_not_exist_is_named(pool: asyncpg.Pool, world: World) -> None:
    session = await world.running()
    async with pool.acquire() as connection:
        with pytest.raises(NotFound, match="no session 4711"):
            await history.bills_of(connection, 4711)
        with pytest.raises(NotFound, match="no bill yet"):
            await history.explain_bill(connection, session, None)


@pytest.mark.parametrize("table", ["bill", "tariff", "tariff_assignment", "policy"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_bills_tariffs_and_policies_cannot_be_changed(
    world: World, billing: BillingService, table: str, statement: str
) -> None:
    await world.tariff(tariff_file())
    await world.session()
    await billing.drain()
    column = await world.pool.fetchval(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 2", table
    )

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.pool.execute(statement.format(table, column, column))
    assert await world.pool.fetchval(f"SELECT count(*) FROM {table}") >= 1


async def test_the_gauges_tell_what_is_held_and_unbilled(world: World, billing: BillingService) -> None:
    await world.session(energy_wh=10_000)
    await world.running(energy_wh=500)
    await billing.drain()
    await billing.measure()

    assert REGISTRY.get_sample_value("csms_unbilled_kwh") == 10.5
    assert REGISTRY.get_sample_value("csms_billing_held_sessions", {"reason": "no_tariff"}) == 2


async def test_every_query_is_one_that_postgres_accepts(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        for queries in (BILLS, POLICIES, TARIFFS):
            for query in queries.values():
                assert await connection.prepare(query.sql)


async def test_workers_that_find_the_same_time_come_rate_each_session_once(world: World, clock: Clock) -> None:
    """Nothing marks such a session as taken: who gets to it second must see that its time has not come any more."""
    workers, sessions = 4, 15
    loaded: Counter[int] = Counter()

    class Counting(TableSource):
        async def load(
            self, connection: Any, sessions: Sequence[int], *, now: datetime
        ) -> Mapping[int, BillableSession]:
            loaded.update(sessions)
            return await super().load(connection, sessions, now=now)

    await world.tariff(tariff_file())
    settings = BillingSettings(batch_size=sessions)
    billing = [BillingService(world.pool, Counting(), settings, clock=clock) for _ in range(workers)]
    waiting = [await world.session(complete_at=clock.now + MINUTE) for _ in range(sessions)]
    await billing[0].drain()
    loaded.clear()
    clock.now += MINUTE

    await asyncio.gather(*(each.drain() for each in billing))

    assert loaded == dict.fromkeys(waiting, 1)
    assert await world.pool.fetchval("SELECT count(*) FROM bill") == sessions
