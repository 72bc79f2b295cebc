"""R1, C16: hostile charge points against the server as operators run it, in a process of its own, on Postgres."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest

from simulators.abuse import run_abuse
from tests.faults.conftest import BUGS
from tests.faults.world import ServerProcess, commission, installation, until
from tests.hostile.peers import ask, charge_point, rss_kb

FLOOD = 20_000
GROWTH_KB_MAX = 8 * 1024
"""What buffers and the allocator take for themselves varies by some MB; the answers themselves are 20 MB."""


def nothing_broke(server: ServerProcess) -> None:
    """No bug is in the log: no traceback, no line that is no JSON, no event that only a bug brings about."""
    lines = server.log_lines()
    assert [each for each in lines if each["event"] in BUGS | {"not json"} or "exception" in each] == []


async def asked(dsn: str, statement: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()


async def drained(dsn: str) -> None:
    """Every session that facts have touched is folded: none is stuck on what a hostile charge point said of it."""

    async def empty() -> bool:
        return await asked(dsn, "SELECT count(*) FROM session_due") == 0

    await until(empty, what="session_due drained")


@pytest.mark.parametrize(("protocol", "least"), [("ocpp1.6", 305), ("ocpp2.0.1", 251), ("ocpp2.1", 251)])
async def test_no_hostile_input_is_answered_wrongly_or_felt_by_a_neighbour(
    database: str, data_home: Path, protocol: str, least: int
) -> None:
    async with installation(data_home / "data", dsn=database) as server:
        keys = await commission(database, server.data_dir, ["EVIL", "CANARY"])
        report = await run_abuse(server.url, protocol, ("EVIL", keys["EVIL"]), ("CANARY", keys["CANARY"]))
        await drained(database)
        nothing_broke(server)

    assert report.cases >= least
    assert report.must_failed == []
    assert report.should_failed == []
    assert report.canary_bad == []
    assert report.canary_ms
    assert await asked(database, "SELECT count(*) FROM socket WHERE close_code = 1011") == 0
    assert await asked(database, "SELECT count(*) FROM bill") == 0


async def test_answers_that_nobody_asked_for_cost_no_memory(database: str, data_home: Path) -> None:
    async with installation(data_home / "data", dsn=database) as server:
        keys = await commission(database, server.data_dir, ["EVIL"])
        async with charge_point(server.url, "EVIL", keys["EVIL"]) as socket:
            await ask(socket, "Heartbeat", {}, "before")
            before_kb = rss_kb(server.pid)
            for number in range(FLOOD):
                await socket.send(json.dumps([3, f"unknown-{number}", {"padding": "x" * 1000}]))
            answer = await ask(socket, "Heartbeat", {}, "after")
            after_kb = rss_kb(server.pid)
        nothing_broke(server)

    assert answer[0] == 3
    assert after_kb - before_kb <= GROWTH_KB_MAX
    assert await asked(database, "SELECT count(*) FROM frame WHERE body LIKE '%unknown-%'") == 0
