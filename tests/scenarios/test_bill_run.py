"""A period closed in one act: every session that ended in it in one state, every kWh of the meters accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from billing import Days, accounts_of_period, bill_period, count_unbilled
from billing.bills.batch import Account
from csms.database.pool import open_pool
from csms.sessions.bill_jobs import bill_in_jobs
from csms.sessions.rehearsal import rerate
from csms.sessions.service import Sessions
from tests.faults.wire import Wire, boot, start_16, stop_16, wire
from tests.world import SITE, TOKENS, World, tariff_document, until, usual_world

DAY = date(2026, 3, 28)
"""In Berlin the next one has 23 hours."""
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with usual_world(database, tmp_path, review={"late_days_hold": 100_000}) as opened:
        yield opened


@pytest.fixture
async def pool(world: World) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_pool(world.dsn, size=4)
    try:
        yield opened
    finally:
        await opened.close()


def at(hour: int, minute: int = 0, *, day: date = DAY) -> datetime:
    """By the wall clock of the site."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


async def charged(
    station: Wire, since: datetime, *, wh: int, register_wh: int, token: str = TOKENS[0], connector: int = 1
) -> int:
    answer = await station.call(
        "StartTransaction", start_16(since, meter_wh=register_wh, token=token, connector=connector)
    )
    session: int = answer.payload["transactionId"]
    await station.call("StopTransaction", stop_16(session, since + timedelta(minutes=30), meter_wh=register_wh + wh))
    return session


async def closed(pool: asyncpg.Pool, world: World, days: Days) -> list[Account]:
    sessions = Sessions(pool, world.settings)
    await sessions.prepare()
    async for _ in bill_period(pool, sessions, days, now=datetime.now(UTC)):
        pass
    async with pool.acquire() as connection:
        return await accounts_of_period(connection, days)


async def test_a_day_is_closed_with_each_session_and_each_kwh_in_its_place(world: World, pool: asyncpg.Pool) -> None:
    key = await world.charge_point("CLOSING", max_power_w=Decimal(22_000))
    async with wire(world.ocpp_url, key.id, key.password) as station:
        await boot(station)
        await charged(station, at(23, day=date(2026, 3, 27)), wh=1000, register_wh=10_000)  # ended the day before
        await charged(station, at(8), wh=5000, register_wh=11_000)
        corrected = await charged(station, at(9), wh=5000, register_wh=16_500)  # 500 Wh flowed in between
        await charged(station, at(10), wh=90_000, register_wh=21_500)  # in half an hour: held
        dropped = await charged(station, at(12), wh=95_000, register_wh=111_500)
        await charged(station, at(23, 15), wh=2000, register_wh=206_500)  # ends at 23:45 of the day, in UTC at 22:45
        await charged(station, at(23, 45), wh=2000, register_wh=208_500)  # ends on the day after
        await station.call("StopTransaction", stop_16(4711, at(7), meter_wh=9000))

        async def all_told() -> bool:
            return len([each for each in await world.sessions() if each["state"] in {"rated", "held"}]) == 7

        await until(all_told)
    await world.review(dropped, "drop", "a test run")
    await world.tariff(tariff_document("LESS", {"price_components": [_energy("0.40")]}), assigned=False)
    await rerate(
        pool, world.settings, corrected, choice=("LESS", None), reason="promised", actor="operator", dry_run=False
    )
    await world.quiet()

    day = Days(first=DAY, last=DAY)
    [account] = await closed(pool, world, day)
    again = await closed(pool, world, day)
    [month] = await closed(pool, world, Days(first=date(2026, 3, 1), last=date(2026, 3, 31), site=SITE))
    elsewhere = await closed(pool, world, Days(first=DAY, last=DAY, site="elsewhere"))
    async with pool.acquire() as connection:
        left = await count_unbilled(connection, day)

    assert (account.site, account.currency) == (SITE, "EUR")
    assert (account.ended, account.billed, account.corrected) == (5, 3, 1)
    assert (account.held, account.unrated, account.waiting, account.dropped, account.orphans) == (1, 0, 0, 1, 1)
    assert (account.kwh_metered, account.kwh_billed) == (Decimal(197), Decimal(12))
    assert (account.kwh_held, account.kwh_dropped, account.kwh_unexplained) == (90, 95, 0)
    assert account.kwh_between == Decimal("0.5")
    assert account.total_excl.text == "5.43"  # 7 kWh at 0.49 and 5 at 0.40
    assert again == [account]
    assert (month.ended, month.billed, elsewhere, left) == (7, 5, [], 1)


async def test_what_waited_for_a_tariff_is_billed_when_the_period_is_closed(world: World, pool: asyncpg.Pool) -> None:
    await world.connection.execute(
        "INSERT INTO site (id, name, country, time_zone, currency) VALUES ('alps', 'Alps', 'CH', 'Europe/Zurich', 'CHF')"
    )
    key = await world.charge_point("CLOSING-CH", site="alps", max_power_w=Decimal(22_000))
    async with wire(world.ocpp_url, key.id, key.password) as station:
        await boot(station)
        session = await charged(station, at(8), wh=5000, register_wh=1000)

        async def is_held() -> bool:
            return (await world.show(session))["hold_reasons"] == ["currency_mismatch"]

        await until(is_held)
    days = Days(first=DAY, last=DAY, site="alps")
    [before] = await closed(pool, world, days)
    await world.tariff(
        tariff_document("FRANCS", {"price_components": [_energy("0.50")]}, currency="CHF"), assigned=False
    )
    await world.connection.execute(
        "INSERT INTO tariff_assignment (tariff, scope, target, valid_from) VALUES ('FRANCS', 'site', 'alps', '2020-01-01')"
    )
    [after] = await closed(pool, world, days)

    assert (before.unrated, before.billed, before.kwh_held) == (1, 0, 5)
    assert (after.unrated, after.billed, after.total_excl.text, after.currency) == (0, 1, "2.50", "CHF")


def _energy(price: str) -> dict[str, object]:
    return {"type": "ENERGY", "price": price, "vat": "19", "step_size": 1}


async def test_a_period_that_two_operators_close_at_once_with_several_processes_is_billed_once(
    world: World, pool: asyncpg.Pool
) -> None:
    await world.connection.execute(
        "INSERT INTO site (id, name, country, time_zone, currency) VALUES ('fjord', 'Fjord', 'NO', 'Europe/Oslo', 'NOK')"
    )
    key = await world.charge_point("CLOSING-NO", site="fjord", max_power_w=Decimal(22_000))
    async with wire(world.ocpp_url, key.id, key.password) as station:
        await boot(station)
        sessions = [await charged(station, at(8 + n), wh=5000, register_wh=5000 * n) for n in range(4)]

        async def are_held() -> bool:
            return all([(await world.show(each))["hold_reasons"] == ["currency_mismatch"] for each in sessions])

        await until(are_held)
    await world.tariff(
        tariff_document("KRONER", {"price_components": [_energy("5.00")]}, currency="NOK"), assigned=False
    )
    await world.connection.execute(
        "INSERT INTO tariff_assignment (tariff, scope, target, valid_from) VALUES ('KRONER', 'site', 'fjord', '2020-01-01')"
    )
    days = Days(first=DAY, last=DAY, site="fjord")

    async def close_it() -> int:
        now = datetime.now(UTC)
        batches = bill_in_jobs(pool, world.dsn, world.settings, days, jobs=2, now=now)
        return sum([count async for count in batches])

    looked_at = await asyncio.gather(close_it(), close_it())
    async with pool.acquire() as connection:
        [account] = await accounts_of_period(connection, days)
        finals = await connection.fetchval(
            "SELECT count(*) FROM bill WHERE session = ANY($1) AND kind = 'final'", sessions
        )

    assert max(looked_at) == 4
    assert (account.ended, account.billed, finals) == (4, 4, 4)
    assert account.kwh_unexplained == 0
