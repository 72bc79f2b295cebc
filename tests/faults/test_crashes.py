"""kill -9 of the server and of Postgres under load, and orderly restarts: nothing that was answered is lost (D14, C13)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from functools import partial
from pathlib import Path

from csms.database.pool import connect_once
from csms.sessions import listing
from tests.faults.books import assert_nothing_lost
from tests.faults.load import charging
from tests.faults.world import commission, embedded_dsn, installation, postmaster_pid, rounds, until

STATIONS = 10
NAMES = [f"CP-{n}" for n in range(STATIONS)]
BUSY = 20
"""So many more messages are answered between two kills, at the least."""


async def test_kill_9_of_the_server_under_load_loses_nothing_that_was_answered(data_home: Path) -> None:
    """D14. Its Postgres goes with it, and comes back with it."""
    chance = random.Random(14)
    async with installation(data_home) as server:
        passwords = await commission(embedded_dsn(data_home), data_home, NAMES)
        async with charging(server.url, passwords) as fleet:
            for _ in range(rounds(5, 50, of="D14")):
                await fleet.heard(BUSY)
                await asyncio.sleep(chance.random() * 0.3)
                await server.kill()
                await server.start()
            await fleet.heard(BUSY)

        summary = await assert_nothing_lost(embedded_dsn(data_home), fleet.truths)
        assert summary.sessions == summary.billed >= STATIONS
        async with connect_once(embedded_dsn(data_home)) as connection:
            assert await listing.orphans(connection) == []


async def test_kill_9_of_postgres_under_load_loses_nothing_and_no_message_is_refused(data_home: Path) -> None:
    """The supervisor starts it again; commits wait for it within their patience, sockets are closed beyond it."""
    chance = random.Random(15)
    async with installation(data_home) as server:
        passwords = await commission(embedded_dsn(data_home), data_home, NAMES)
        async with charging(server.url, passwords) as fleet:
            for _ in range(rounds(3, 20, of="kill -9 of Postgres")):
                await fleet.heard(BUSY)
                await asyncio.sleep(chance.random() * 0.3)
                before = postmaster_pid(data_home)
                os.kill(before, signal.SIGKILL)
                await until(partial(_is_replaced, data_home, before), what="Postgres was started again")
            await fleet.heard(BUSY)

        assert fleet.failures() == []
        summary = await assert_nothing_lost(embedded_dsn(data_home), fleet.truths)
        assert summary.sessions == summary.billed >= STATIONS
        assert server.runs
        assert server.bugs() == []


async def _is_replaced(data_dir: Path, before: int) -> bool:
    try:
        return postmaster_pid(data_dir) != before
    except (FileNotFoundError, IndexError, ValueError):
        return False


async def test_a_restart_by_sigterm_answers_what_is_in_flight_and_loses_nothing(data_home: Path) -> None:
    """C13. Sockets are closed with 1012; charge points come back by themselves."""
    async with installation(data_home) as server:
        passwords = await commission(embedded_dsn(data_home), data_home, NAMES)
        async with charging(server.url, passwords) as fleet:
            for _ in range(rounds(2, 10, of="C13")):
                await fleet.heard(BUSY)
                assert await server.terminate() == 0
                await server.start()
            await fleet.heard(BUSY)

        assert fleet.failures() == []
        assert set(fleet.closed(1012)) == set(NAMES)
        summary = await assert_nothing_lost(embedded_dsn(data_home), fleet.truths)
        assert summary.sessions == summary.billed >= STATIONS
        assert server.bugs() == []
