"""Twenty charge points on a connection of 100 A: never more flows, whatever fails, and every vehicle gets its energy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from csms.database.pool import connect_once
from csms.settings import load_settings
from csms.site_limits import service
from csms.site_limits.grid import SiteLimit
from csms.site_limits.planner import timing_of
from simulators.grid import GridConnection
from tests.faults.site_day import Bay, bay
from tests.faults.world import commission, furnish, rounds, serving, until

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
HUNGRY_MAX = timedelta(hours=1)
ENERGY_WH_PER_HOUR = Decimal(1500)


def controlled(database: str) -> Callable[[], Awaitable[bool]]:
    """Whether every charge point has accepted a limit."""
    timing = timing_of(load_settings({}, **GIVEN))

    async def look() -> bool:
        async with connect_once(database) as connection:
            rows, _ = await service.show(connection, "harbour", timing)
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
            await service.set_limit(connection, "harbour", LIMIT, timing_of(load_settings({}, **GIVEN)), actor="test")
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
