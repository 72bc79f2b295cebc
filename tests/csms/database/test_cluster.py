"""The embedded Postgres: who owns it, and that no kill costs a committed row. With fsync on, as in operation."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from csms.database.cluster import open_cluster, owner_of
from csms.database.embedded import SOCKET_PATH_BYTES_MAX, EmbeddedPostgres
from csms.database.errors import ClusterInUse, DatabaseUnavailable, PostgresNotStarted
from csms.database.pool import UNAVAILABLE, connect_once

PROGRAM = Path(__file__).with_name("cluster_process.py")


@asynccontextmanager
async def process(data_dir: Path, mode: str, *options: str) -> AsyncIterator[tuple[Process, str]]:
    """Another process that has opened the cluster, and its DSN."""
    command = [sys.executable, str(PROGRAM), str(data_dir), mode, *options]
    child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        assert child.stdout is not None
        said = await child.stdout.readline()
        yield child, json.loads(said)["dsn"]
    finally:
        if child.returncode is None:
            assert child.stdin is not None
            child.stdin.close()
        await child.wait()


async def value(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def postmaster_pid(data_home: Path) -> int:
    return int((data_home / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def exists(path: Path) -> bool:
    return path.exists()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_server_that_finds_the_cluster_taken_refuses_with_the_pid(data_home: Path) -> None:
    async with process(data_home, "own") as (other, _):
        with pytest.raises(ClusterInUse, match=f"pid {other.pid}") as refusal:
            async with open_cluster(data_home, "own", wait_s=0.1):
                pass
    assert refusal.value.pid == other.pid


async def test_a_command_attaches_to_the_cluster_of_a_server(data_home: Path) -> None:
    async with process(data_home, "own") as (_, dsn):
        async with open_cluster(data_home, "attach_or_own", wait_s=0.1) as attached:
            assert attached == dsn
        assert await value(dsn, "SELECT 1") == 1


async def test_a_server_waits_until_a_command_has_finished(data_home: Path) -> None:
    async with process(data_home, "attach_or_own") as (command, _):
        server = open_cluster(data_home, "own", wait_s=30)
        entering = asyncio.create_task(server.__aenter__())
        await asyncio.sleep(0.2)
        assert not entering.done()
        assert command.stdin is not None
        command.stdin.close()
        assert await value(await entering, "SELECT 1") == 1
        await server.__aexit__(None, None, None)


async def test_nobody_attaches_to_the_cluster_of_a_command(data_home: Path) -> None:
    async with process(data_home, "attach_or_own") as (command, _):
        with pytest.raises(ClusterInUse, match=f"pid {command.pid}"):
            async with open_cluster(data_home, "attach_or_own", wait_s=0.1):
                pass


async def test_the_owner_is_known_while_it_lives_and_forgotten_after(data_home: Path) -> None:
    assert owner_of(data_home) is None
    async with open_cluster(data_home, "own") as dsn:
        owner = owner_of(data_home)
        assert owner is not None
        assert (owner.pid, owner.dsn) == (os.getpid(), dsn)
    assert owner_of(data_home) is None


async def test_a_kill_of_the_supervising_process_loses_no_committed_row(data_home: Path) -> None:
    acknowledged: set[int] = set()
    for _ in range(3):
        async with process(data_home, "own", "write") as (writer, _):
            assert writer.stdout is not None
            for _ in range(50):
                acknowledged.add(int(await writer.stdout.readline()))
            writer.kill()
            # What was printed between our last look and the kill; a line that was cut off says nothing.
            acknowledged |= {int(line) for line in (await writer.stdout.read()).split(b"\n")[:-1]}

        async with open_cluster(data_home, "own") as dsn:
            assert acknowledged - await numbers(dsn) == set()


async def test_a_kill_of_postgres_under_writes_loses_no_committed_row_and_it_comes_back(data_home: Path) -> None:
    acknowledged: asyncio.Queue[int] = asyncio.Queue()
    seen: set[int] = set()

    async def write(dsn: str) -> None:
        while True:
            try:
                async with connect_once(dsn) as connection:
                    while True:
                        await acknowledged.put(
                            await connection.fetchval("INSERT INTO acknowledged DEFAULT VALUES RETURNING number")
                        )
            except (DatabaseUnavailable, *UNAVAILABLE):
                await asyncio.sleep(0.01)

    async with open_cluster(data_home, "own") as dsn:
        await value(dsn, "CREATE TABLE acknowledged (number bigserial PRIMARY KEY)")
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write(dsn))
            for _ in range(3):
                seen |= {await acknowledged.get() for _ in range(50)}
                os.kill(postmaster_pid(data_home), signal.SIGKILL)
            seen |= {await acknowledged.get() for _ in range(50)}
            writing.cancel()

        assert seen - await numbers(dsn) == set()


async def numbers(dsn: str) -> set[int]:
    """What is kept, once the database is there: what was acknowledged before a kill may be read before it is back."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with connect_once(dsn) as connection:
                    return {row["number"] for row in await connection.fetch("SELECT number FROM acknowledged")}
            except (DatabaseUnavailable, *UNAVAILABLE):
                await asyncio.sleep(0.05)


async def test_a_pid_file_that_names_a_foreign_process_does_not_keep_postgres_from_starting(data_home: Path) -> None:
    async with open_cluster(data_home, "own", fast=True) as dsn:
        await value(dsn, "CREATE TABLE kept ()")
    # As after a crash whose pid was given to somebody else since: here, to us.
    stale = data_home / "postgres" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{data_home / 'postgres'}\n1\n5432\n\n\n\nready\n")
    async with open_cluster(data_home, "own", fast=True) as dsn:
        assert await value(dsn, "SELECT to_regclass('kept') IS NOT NULL")


async def test_an_initialisation_that_was_cut_off_is_begun_again(data_home: Path) -> None:
    (data_home / "postgres.new").mkdir()
    (data_home / "postgres.new" / "PG_VERSION").write_text("18\n")

    async with open_cluster(data_home, "own", fast=True) as dsn:
        assert await value(dsn, "SELECT 1") == 1


async def test_a_cluster_of_another_major_version_is_refused_by_name(data_home: Path) -> None:
    (data_home / "postgres").mkdir()
    (data_home / "postgres" / "PG_VERSION").write_text("14\n")

    with pytest.raises(PostgresNotStarted, match="written by Postgres 14"):
        await EmbeddedPostgres(data_home).start()


async def test_only_private_sockets_are_opened_however_long_the_path(data_home: Path) -> None:
    deep = data_home / ("d" * 60) / ("e" * 60)
    cluster = EmbeddedPostgres(deep, fast=True)
    await cluster.start()
    try:
        directory = Path(str(await value(cluster.dsn, "SHOW unix_socket_directories")))
        assert len(str(directory / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES_MAX
        assert mode_of(directory) == 0o700
        assert await value(cluster.dsn, "SHOW listen_addresses") == ""
        assert await value(cluster.dsn, "SHOW server_encoding") == "UTF8"
    finally:
        await cluster.stop()
    assert not exists(directory)


async def test_the_log_and_the_data_are_for_their_owner_only(data_home: Path) -> None:
    async with open_cluster(data_home, "own", fast=True):
        for name, mode in (("postgres.log", 0o600), ("cluster.lock", 0o600), ("postgres", 0o700), ("socket", 0o700)):
            assert mode_of(data_home / name) == mode, name


async def test_durability_is_on_unless_a_test_asks_otherwise(data_home: Path) -> None:
    async with open_cluster(data_home, "own") as dsn:
        assert [await value(dsn, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")] == [
            "on",
            "on",
            "on",
        ]


async def test_data_that_was_moved_away_is_not_replaced_by_an_empty_database(data_home: Path) -> None:
    (data_home / "location").write_text(f"{data_home / 'gone'}\n")

    with pytest.raises(PostgresNotStarted, match="which is gone"):
        await EmbeddedPostgres(data_home).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands Postgres to another account")
async def test_root_with_data_below_a_closed_directory_opens_no_directory(data_home: Path) -> None:
    closed = data_home / "closed"
    closed.mkdir(mode=0o700)
    shelter = data_home / "shelter"
    first = EmbeddedPostgres(closed / "data", fast=True, shelter=shelter)
    await first.start()
    await value(first.dsn, "CREATE TABLE kept ()")
    await first.stop()

    again = EmbeddedPostgres(closed / "data", fast=True, shelter=shelter)
    await again.start()
    try:
        assert await value(again.dsn, "SELECT to_regclass('kept') IS NOT NULL")
        assert again.home == first.home
        assert shelter in again.home.parents
        assert mode_of(closed) == 0o700
    finally:
        await again.stop()
