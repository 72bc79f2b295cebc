"""`csms serve --workers N`: several processes on one port are several nodes, and one server for everybody outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from billing import Refused
from csms.database.pool import connect_once
from csms.nodes.service import live_nodes
from csms.settings import load_settings
from csms.workers.restarts import DEATHS_MAX
from csms.workers.service import serve_with_workers
from csms.workers.supervisor import Supervisor
from tests.faults.books import assert_nothing_lost
from tests.faults.load import charging
from tests.faults.wire import boot, wire
from tests.faults.world import (
    DIVIDED,
    ServerProcess,
    commission,
    embedded_dsn,
    installation,
    postmaster_pid,
    rounds,
    until,
)

NAMES = [f"CP-{n}" for n in range(8)]
WORKERS = 2
BUSY = 20


async def page(server: ServerProcess, path: str) -> str:
    def get() -> str:
        with urllib.request.urlopen(server.ready["http_url"] + path, timeout=10) as answer:  # noqa: S310 - ours
            return str(answer.read().decode())

    return await asyncio.to_thread(get)


async def pids(connection: asyncpg.Connection[Any]) -> set[int]:
    """Of the workers whose leases run."""
    return {each["pid"] for each in await live_nodes(connection)}


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_worker_that_is_killed_costs_reconnects_and_is_started_again(database: str, tmp_path: Path) -> None:
    async with (
        installation(tmp_path, dsn=database, workers=WORKERS) as server,
        connect_once(database) as connection,
    ):
        before = await pids(connection)
        assert len(before) == server.ready["workers"] == WORKERS
        assert server.pid not in before
        passwords = await commission(database, tmp_path, NAMES)
        async with charging(server.url, passwords) as fleet:
            # Each in its turn: one that dies six times within a minute each is given up.
            for _ in range(rounds(1, 10, of="kill -9 of a worker")):
                await fleet.heard(BUSY)
                present = await pids(connection)
                victim = min(pid for pid in present if lives(pid))
                os.kill(victim, signal.SIGKILL)
                await until(partial(_is_replaced, connection, victim), what="another worker has taken its place")
            await fleet.heard(BUSY)
        # While there is a node: whoever is left books the sockets of the dead one when its lease has run out.
        summary = await assert_nothing_lost(database, fleet.truths)
        assert await server.terminate() == 0
        assert not server.bugs()
        assert "worker_ended" in {line["event"] for line in server.log_lines()}

    assert summary.sessions == summary.billed >= len(NAMES)


async def _is_replaced(connection: asyncpg.Connection[Any], victim: int) -> bool:
    living = {pid for pid in await pids(connection) if lives(pid)}
    return victim not in living and len(living) == WORKERS


async def test_from_outside_the_workers_are_one_server(database: str, tmp_path: Path) -> None:
    """One page with the figures of each, one answer to who asks whether it is ready, one socket of each charge point."""
    turns = 12
    async with (
        installation(tmp_path, dsn=database, workers=WORKERS) as server,
        connect_once(database) as connection,
    ):
        passwords = await commission(database, tmp_path, ["CP-1"])
        async with contextlib.AsyncExitStack() as stack:
            old = None
            for _ in range(turns):
                new = await stack.enter_async_context(wire(server.url, "CP-1", passwords["CP-1"]))
                await boot(new)
                if old is not None:
                    assert await old.closed() == 1008
                old = new
            await until(partial(_one_open, connection), what="one socket is open in the books")
            metrics = await page(server, "/metrics")
            ready = json.loads(await page(server, "/readyz"))
            alive = json.loads(await page(server, "/healthz"))
            used = await connection.fetchval("SELECT count(DISTINCT node) FROM socket")

    held = [line for line in metrics.splitlines() if line.startswith("csms_connections{")]
    assert used == WORKERS
    assert sorted(line.split()[1] for line in held) == ["0.0", "1.0"]
    assert [line.partition("}")[0] for line in held] == [
        f'csms_connections{{worker="{number}"' for number in range(1, WORKERS + 1)
    ]
    assert "csms_workers{" in metrics
    assert (ready["status"], sorted(ready["workers"]), alive["status"]) == ("ready", ["1", "2"], "alive")


async def _one_open(connection: asyncpg.Connection[Any]) -> bool:
    return bool(await connection.fetchval("SELECT count(*) = 1 FROM socket WHERE closed_at IS NULL"))


async def test_when_the_parent_is_killed_its_workers_and_its_postgres_end_and_nothing_is_lost(data_home: Path) -> None:
    async with installation(data_home / "csms", workers=WORKERS) as server:
        dsn = embedded_dsn(server.data_dir)
        passwords = await commission(dsn, server.data_dir, NAMES)
        async with charging(server.url, passwords) as fleet:
            await fleet.heard(BUSY)
            async with connect_once(dsn) as connection:
                left = {*await pids(connection), postmaster_pid(server.data_dir)}
            await server.kill()
            await until(partial(_all_gone, left), what="workers and Postgres have ended")
            await server.start()
            await fleet.heard(BUSY)
        summary = await assert_nothing_lost(embedded_dsn(server.data_dir), fleet.truths)

    assert summary.sessions == summary.billed >= len(NAMES)


async def _all_gone(left: set[int]) -> bool:
    return not any(lives(pid) for pid in left)


async def test_more_workers_than_the_database_has_connections_for_are_refused_before_any_is_started(
    database: str, tmp_path: Path
) -> None:
    settings = load_settings({}, **{**DIVIDED, "data_dir": tmp_path, "workers": 12})

    with pytest.raises(Refused, match="12 workers need 308") as refused:
        await serve_with_workers(settings, database, started=lambda _: None)

    assert "max_connections" in refused.value.next_step


async def test_a_worker_that_cannot_start_ends_the_server_by_name(tmp_path: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    settings = load_settings({}, **{**DIVIDED, "data_dir": tmp_path, "reuse_port": True})
    supervisor = Supervisor(settings, nowhere, count=WORKERS)

    await supervisor.run(started=lambda _: None)

    assert supervisor.given_up is not None
    assert "ended at its start with exit status 1" in supervisor.given_up


@pytest.mark.slow
async def test_a_worker_that_dies_at_once_again_and_again_ends_the_server_with_a_reason(
    database: str, tmp_path: Path
) -> None:
    settings = load_settings({}, **{**DIVIDED, "data_dir": tmp_path, "reuse_port": True})
    supervisor = Supervisor(settings, database, count=1)
    loop = asyncio.get_running_loop()
    started = asyncio.Event()
    begin = loop.time()
    run = asyncio.create_task(supervisor.run(started=lambda _: started.set()))
    await started.wait()
    deaths = 0
    while not run.done():
        for worker in list(supervisor._workers.values()):
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
                deaths += 1
            await worker.process.wait()
        await asyncio.sleep(0.05)
    await run

    assert supervisor.given_up is not None
    assert "again and again, the last time with SIGKILL" in supervisor.given_up
    assert deaths >= DEATHS_MAX
    assert loop.time() - begin > 1  # it paused between them
