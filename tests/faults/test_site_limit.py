"""Twenty charge points on a connection of 100 A: never more flows, whatever fails, and every vehicle gets its energy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from csms.database.pool import connect_once
from csms.settings import load_settings
from csms.site_limits import service
from csms.site_limits.allocation import GAIN_A
from csms.site_limits.grid import SiteLimit
from csms.site_limits.planner import timing_of
from simulators.charge_point import Battery, Credentials, ModelClock, SimulatedChargePoint
from simulators.faults import faulty_proxy
from simulators.grid import GridConnection
from tests.faults.load import usual_build
from tests.faults.site_day import Bay, bay
from tests.faults.world import TOKEN, ServerProcess, commission, furnish, rounds, serving, until

LIMIT_A = 100
COUNT = 20
SPEED = 600.0
"""Model seconds in a second: an hour takes six."""
CALL_TIMEOUT_S = 1.0
TURN = timedelta(minutes=15)
GIVEN = {
    "call_timeout_s": CALL_TIMEOUT_S,
    "site_limit_interval_s": 0.1,
    "site_limit_pace_s": 60 / SPEED,
    "database_patience_s": 30,
}
LIMIT = SiteLimit(amps=LIMIT_A, rotate=TURN / SPEED)
JUDGED_HOURS = 0.5
TIMING = timing_of(load_settings({}, **GIVEN))
FEW = 6
NARROW = SiteLimit(amps=40)
HUNGRY_MAX = timedelta(hours=1)
ENERGY_WH_PER_HOUR = Decimal(1500)


def controlled(database: str) -> Callable[[], Awaitable[bool]]:
    """Whether every charge point has accepted a limit."""

    async def look() -> bool:
        async with connect_once(database) as connection:
            rows, _ = await service.show(connection, "harbour", TIMING)
        return len(rows) == COUNT and all(row["accepted"] is not None for row in rows)

    return look


async def test_a_site_of_twenty_never_passes_its_limit_on_a_day_of_failures_and_nobody_starves(
    database: str, tmp_path: Path
) -> None:
    hours = rounds(4, 24, of="hours of a day at a site")
    grid = GridConnection()
    async with serving(database, tmp_path, **GIVEN) as running:
        await furnish(database)
        passwords = await commission(database, tmp_path, [f"CP-{n:02}" for n in range(COUNT)])
        async with connect_once(database) as connection:
            await service.set_limit(connection, "harbour", LIMIT, TIMING, actor="test")
        bays = [
            bay(
                running.ocpp_url, name, password, grid=grid, n=n, speed=SPEED, hours=hours,
                too_late_s=CALL_TIMEOUT_S * 1.5,
            )
            for n, (name, password) in enumerate(passwords.items())
        ]  # fmt: skip
        await pass_the_day(bays, database)

    stays = [stay for each in bays for stay in each.stays]
    judged = [stay for stay in stays if not stay.disturbed and stay.hours >= JUDGED_HOURS]
    print(  # noqa: T201 - shown with a failure
        f"peak {grid.peak_a:.2f} A in {grid.looks} looks, {len(stays)} stays, {len(judged)} of them judged, "
        f"least {min(stay.energy_wh / Decimal(stay.hours) for stay in judged):.0f} Wh/h, "
        f"longest wait {max(stay.hungry for stay in judged)}"
    )
    assert grid.peak_a <= LIMIT_A, grid.peaks
    assert grid.peak_a > LIMIT_A * Decimal("0.8")  # it was needed
    assert len(judged) >= COUNT
    assert [stay for stay in judged if stay.hungry > HUNGRY_MAX] == []
    served = [stay for stay in judged if stay.is_full or stay.energy_wh >= ENERGY_WH_PER_HOUR * Decimal(stay.hours)]
    assert len(served) == len(judged), [stay for stay in judged if stay not in served]
    assert {what for each in bays for what in each.befell} >= {"offline", "reboot"}
    assert len({mood for each in bays for mood in each.link.met}) == 6


async def test_when_a_node_is_killed_in_the_middle_another_goes_on_and_the_limit_is_kept(
    database: str, tmp_path: Path
) -> None:
    await furnish(database)
    passwords = await commission(database, tmp_path, [f"CP-{n}" for n in range(FEW)])
    async with connect_once(database) as connection:
        await service.set_limit(connection, "harbour", NARROW, TIMING, actor="test")
    processes = [ServerProcess(data_dir=tmp_path, dsn=database, given=GIVEN) for _ in range(2)]
    grid = GridConnection()
    try:
        for process in processes:
            await process.start()
        async with faulty_proxy(processes[0].url) as proxy, contextlib.AsyncExitStack() as stack:
            stations = [
                await stack.enter_async_context(station(proxy.url, name, password, grid, n))
                for n, (name, password) in enumerate(passwords.items())
            ]
            for each in stations:
                await each.boot()
                await charge(each)
            await all_shared(database, FEW)
            grid.forget()
            for turn in range(rounds(1, 6, of="kill -9 of the node that keeps a limit")):
                leaver = stations[turn % FEW]
                await leaver.stop()
                proxy.target_port = processes[(turn + 1) % 2].port
                await processes[turn % 2].kill()
                await all_shared(database, FEW - 1)
                await processes[turn % 2].start()
                await leaver.advance(timedelta(minutes=1))  # a start at the same instant would be the same start
                await charge(leaver)
                await all_shared(database, FEW)
            assert grid.peak_a <= NARROW.amps, grid.peaks
            assert all(amperes(each) in {6, 7} for each in stations)
    finally:
        for process in processes:
            if process.runs:
                await process.kill()
            print(process.log_tail())  # noqa: T201 - pytest shows it with a failure only


def station(url: str, name: str, password: str, grid: GridConnection, n: int) -> SimulatedChargePoint:
    build = usual_build(n, settle_timeout_s=5.0)
    clock = ModelClock(datetime.now(UTC) - timedelta(days=1))
    made = SimulatedChargePoint(Credentials(url=url, identity=name, password=password), clock, build)
    grid.connect(made)
    return made


async def charge(station: SimulatedChargePoint) -> None:
    await station.plug()
    await station.start(token=TOKEN)
    await station.draw(1, Battery(power_max_w=Decimal(22_000)))


def amperes(station: SimulatedChargePoint) -> Decimal:
    return station.evses[1].power_w / 690


async def all_shared(database: str, vehicles: int) -> None:
    """Until so many vehicles have been granted all of the limit that is worth a message, beyond doubt."""
    seen: list[dict[str, Any]] = []

    async def look() -> bool:
        async with connect_once(database) as connection:
            seen[:], whole = await service.show(connection, "harbour", TIMING)
        granted = [row["accepted"] for row in seen if row["session"] is not None]
        if None in granted:
            return False  # one has a vehicle, and has accepted no limit yet
        is_all = sum(granted) == whole["counted"] >= whole["budget"] - GAIN_A
        return len(granted) == vehicles and is_all and min(granted) >= NARROW.min_a

    try:
        await until(look, what=f"{vehicles} vehicles share the limit", within_s=60)
    except AssertionError as never:
        raise AssertionError(f"{never}: {seen}") from None


async def pass_the_day(bays: list[Bay], database: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for each in bays:
            await stack.enter_async_context(each.station)
        for each in bays:
            await each.station.boot()
        await until(controlled(database), what="every charge point has accepted a limit")
        async with asyncio.TaskGroup() as tasks:
            troubles = [tasks.create_task(each.fail()) for each in bays]
            await asyncio.gather(*(each.live() for each in bays))
            for trouble in troubles:
                trouble.cancel()
