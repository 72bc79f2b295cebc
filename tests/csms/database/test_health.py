"""When the database counts as unavailable: refusing, dead, or frozen; and when it is back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from csms.database.cluster import open_cluster
from csms.database.health import DatabaseHealth
from csms.database.pool import connect_once, in_transaction, open_pool

PATIENCE_S = 0.4
DEADLINE_S = 30


@asynccontextmanager
async def watched(dsn: str) -> AsyncIterator[DatabaseHealth]:
    health = DatabaseHealth(dsn, patience_s=PATIENCE_S, probe_interval_s=0.1)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(health.run())
        try:
            yield health
        finally:
            watch.cancel()


@pytest.fixture
async def cluster(data_home: Path) -> AsyncIterator[str]:
    async with open_cluster(data_home, "own", fast=True) as dsn:
        yield dsn


def server_processes(data_home: Path) -> list[int]:
    """The postmaster and all its children."""
    at_work = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == data_home / "postgres":
                at_work.append(int(process.name))
        except OSError:
            continue
    return at_work


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event, as nobody else waits for it
            await asyncio.sleep(0.01)


def send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, number)


async def test_a_working_database_is_available_and_its_last_commit_known(cluster: str) -> None:
    async with watched(cluster) as health:
        await eventually(lambda: health.last_commit_at is not None)
        first = health.last_commit_at
        await eventually(lambda: health.last_commit_at != first)
        assert health.available
        assert health.unavailable_since is None


async def test_a_frozen_postgres_is_noticed_although_it_refuses_nothing(cluster: str, data_home: Path) -> None:
    async with watched(cluster) as health:
        frozen = server_processes(data_home)
        send(signal.SIGSTOP, frozen)
        try:
            await health.wait_until(available=False)
            assert health.unavailable_since is not None
        finally:
            send(signal.SIGCONT, frozen)
        await health.wait_until(available=True)
        assert health.unavailable_since is None


async def test_a_frozen_postgres_makes_a_transaction_fail_and_not_hang(cluster: str, data_home: Path) -> None:
    pool = await open_pool(cluster, size=2)
    frozen = server_processes(data_home)
    send(signal.SIGSTOP, frozen)
    try:
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(TimeoutError, match="did not finish a transaction"):
                await in_transaction(pool, lambda connection: connection.fetchval("SELECT 1"), timeout_s=0.2)
    finally:
        send(signal.SIGCONT, frozen)
    assert await in_transaction(pool, lambda connection: connection.fetchval("SELECT 1")) == 1
    pool.terminate()


async def test_a_killed_postgres_that_is_started_again_soon_is_not_an_outage(cluster: str, data_home: Path) -> None:
    changes: list[bool] = []
    health = DatabaseHealth(cluster, patience_s=DEADLINE_S, probe_interval_s=0.05, on_change=changes.append)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(health.run())
        await eventually(lambda: health.last_commit_at is not None)
        os.kill(int((data_home / "postgres" / "postmaster.pid").read_text().split("\n")[0]), signal.SIGKILL)
        await eventually(lambda: health.unavailable_since is not None)
        await eventually(lambda: health.unavailable_since is None)
        watch.cancel()
    assert changes == []


async def test_a_database_that_refuses_connections_is_unavailable(cluster: str) -> None:
    nowhere = cluster.replace("port=5432", "port=5433")
    async with watched(nowhere) as health:
        await health.wait_until(available=False)
        assert health.last_error


async def test_failing_commits_of_others_count_until_a_commit_succeeds(database: str) -> None:
    async with watched(database) as health:
        health.failed(OSError("disk full"))
        assert health.unavailable_since is not None
        await eventually(lambda: health.unavailable_since is None)
    async with connect_once(database) as connection:
        assert await connection.fetchval("SELECT to_regclass('csms_space_probe')") is None
