"""Two servers on one Postgres: charge points wander between them, commands find them, and each session is billed once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from csms.database.pool import connect_once
from csms.nodes.routing import ask
from csms.nodes.service import live_nodes
from csms.protocol.vocabulary import TriggerMessage
from simulators.faults import FaultyProxy, faulty_proxy
from tests.faults.books import assert_nothing_lost
from tests.faults.load import charging
from tests.faults.wire import boot, start_16, wire
from tests.faults.world import ServerProcess, commission, furnish, installation, rounds, serving, until

NAMES = [f"CP-{n}" for n in range(8)]
BUSY = 20
T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)


@pytest.fixture
async def nodes(database: str, tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The OCPP addresses of two servers that share the database and the key of the passwords."""
    async with serving(database, tmp_path) as first, serving(database, tmp_path) as second:
        await furnish(database)
        yield first.ocpp_url, second.ocpp_url


@contextlib.asynccontextmanager
async def balanced(urls: tuple[str, str]) -> AsyncIterator[tuple[FaultyProxy, list[int]]]:
    """One address in front of both nodes; where it leads is the test's to turn."""
    async with faulty_proxy(urls[0]) as proxy:
        yield proxy, [int(url.split(":")[2].split("/")[0]) for url in urls]


async def test_charge_points_that_wander_between_two_nodes_are_billed_once(
    nodes: tuple[str, str], database: str, tmp_path: Path
) -> None:
    passwords = await commission(database, tmp_path, NAMES)
    async with balanced(nodes) as (proxy, ports), charging(proxy.url, passwords) as fleet:
        for turn in range(rounds(6, 40, of="wandering between nodes")):
            await fleet.heard(BUSY)
            proxy.target_port = ports[turn % 2]
            proxy.cut()
        await fleet.heard(BUSY)

    summary = await assert_nothing_lost(database, fleet.truths)
    assert summary.sessions == summary.billed >= len(NAMES)
    async with connect_once(database) as connection:
        used = await connection.fetchval("SELECT count(DISTINCT node) FROM socket")
    assert used == 2


async def test_copies_of_a_start_to_both_nodes_at_once_make_one_session(
    nodes: tuple[str, str], database: str, tmp_path: Path
) -> None:
    """Never a lock in one process: the database decides who was first."""
    names = [f"CP-{n}" for n in range(rounds(20, 200, of="starts at both nodes"))]
    passwords = await commission(database, tmp_path, names)

    async def copies(name: str) -> set[int]:
        # The socket at the second node makes the first node close its own: the copies go out before that.
        async with (
            wire(nodes[0], name, passwords[name]) as first,
            wire(nodes[1], name, passwords[name]) as second,
        ):
            sent = [await station.send("StartTransaction", start_16(T0)) for station in (first, second, second)]
            replies = await asyncio.gather(*sent, return_exceptions=True)
        return {reply.payload["transactionId"] for reply in replies if not isinstance(reply, BaseException)}

    for name in names:
        assert len(await copies(name)) == 1
    async with connect_once(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM session") == len(names)
        assert await connection.fetchval("SELECT count(*) FROM charging_event") == len(names)


async def test_a_newer_socket_at_another_node_takes_over(nodes: tuple[str, str], database: str, tmp_path: Path) -> None:
    passwords = await commission(database, tmp_path, ["CP-1"])
    async with wire(nodes[0], "CP-1", passwords["CP-1"]) as old, wire(nodes[1], "CP-1", passwords["CP-1"]) as new:
        assert await old.closed() == 1008
        assert (await new.call("Heartbeat", {})).error is None

        async with connect_once(database) as connection:
            await until(partial(_one_open, connection), what="one socket is open in the books")


async def test_a_node_that_died_is_out_of_the_books_when_its_own_lease_has_run_out(
    database: str, tmp_path: Path
) -> None:
    async with (
        serving(database, tmp_path, node_lease_s=60),
        installation(tmp_path, dsn=database, node_lease_s=2) as dying,
        connect_once(database) as connection,
    ):
        assert len(await live_nodes(connection)) == 2
        passwords = await commission(database, dying.data_dir, ["CP-1"])
        async with wire(dying.url, "CP-1", passwords["CP-1"]) as station:
            await boot(station)
            await dying.kill()
        await until(partial(_is_alone, connection), what="one node is left", within_s=20)
        await connection.execute("UPDATE node SET heard_at = now() - interval '30 seconds'")

        (left,) = await live_nodes(connection)
        assert left["pid"] == os.getpid()  # 30 s of silence are within its lease


async def _is_alone(connection: asyncpg.Connection[Any]) -> bool:
    return len(await live_nodes(connection)) == 1


async def _one_open(connection: asyncpg.Connection[Any]) -> bool:
    return bool(await connection.fetchval("SELECT count(*) = 1 FROM socket WHERE closed_at IS NULL"))


async def test_a_node_that_stood_still_gives_up_its_charge_points_when_it_goes_on(
    database: str, tmp_path: Path
) -> None:
    """The others took it for dead, and books and wires must agree again."""
    async with (
        serving(database, tmp_path),
        installation(tmp_path, dsn=database, node_lease_s=1.5) as stalled,
        connect_once(database) as connection,
    ):
        passwords = await commission(database, tmp_path, ["CP-1"])
        async with wire(stalled.url, "CP-1", passwords["CP-1"]) as station:
            await boot(station)
            os.kill(stalled.pid, signal.SIGSTOP)
            try:
                await until(partial(_none_open, connection), what="its sockets are closed in the books")
            finally:
                os.kill(stalled.pid, signal.SIGCONT)

            assert await station.closed() == 1008
        async with wire(stalled.url, "CP-1", passwords["CP-1"]) as station:
            await boot(station)
            await until(partial(_one_open, connection), what="it holds charge points as before")
            assert len(await live_nodes(connection)) == 2


async def _none_open(connection: asyncpg.Connection[Any]) -> bool:
    return bool(await connection.fetchval("SELECT count(*) = 0 FROM socket WHERE closed_at IS NULL"))


async def test_a_command_reaches_a_charge_point_whichever_node_holds_its_socket(
    nodes: tuple[str, str], database: str, tmp_path: Path
) -> None:
    passwords = await commission(database, tmp_path, ["CP-1", "CP-2"])
    command = TriggerMessage(message="Heartbeat")
    async with connect_once(database) as connection:
        for name, url in (("CP-1", nodes[0]), ("CP-2", nodes[1]), ("CP-1", nodes[1])):
            async with wire(url, name, passwords[name]) as station:
                station.answers["TriggerMessage"] = lambda _asked: {"status": "Accepted"}
                await boot(station)

                outcome = await ask(connection, name, command, actor="operator", timeout_s=5)

                assert outcome.accepted, outcome
                assert "TriggerMessage" in [action for action, _ in station.asked]

        gone = await ask(connection, "CP-2", command, actor="operator", timeout_s=0.5)
    assert (gone.accepted, gone.status) == (False, "offline")


async def test_a_command_of_another_version_of_csms_is_refused_and_ends_no_node(
    nodes: tuple[str, str], database: str, tmp_path: Path
) -> None:
    passwords = await commission(database, tmp_path, ["CP-1"])
    async with wire(nodes[0], "CP-1", passwords["CP-1"]) as station, connect_once(database) as connection:
        await boot(station)
        await connection.execute(
            """
            INSERT INTO command (id, charge_point, body, expires_at)
            VALUES (gen_random_uuid(), 'CP-1', '{"command": "PlayMusic"}', now() + interval '1 minute')
            """
        )
        await until(partial(_is_refused, connection), what="the command is refused")

        assert (await station.call("Heartbeat", {})).error is None


async def _is_refused(connection: asyncpg.Connection[Any]) -> bool:
    return bool(await connection.fetchval("SELECT outcome ->> 'status' = 'invalid' FROM command"))


async def test_when_one_node_is_killed_its_charge_points_go_on_at_the_other(database: str, tmp_path: Path) -> None:
    """Killing a node costs reconnects, never data; its leases run out."""
    await furnish(database)
    passwords = await commission(database, tmp_path, NAMES)
    processes = [ServerProcess(data_dir=tmp_path, dsn=database) for _ in range(2)]
    try:
        for process in processes:
            await process.start()
        urls = processes[0].url, processes[1].url
        async with balanced(urls) as (proxy, ports), charging(proxy.url, passwords) as fleet:
            for turn in range(rounds(2, 10, of="kill -9 of a node")):
                await fleet.heard(BUSY)
                proxy.target_port = ports[(turn + 1) % 2]
                await processes[turn % 2].kill()
                await fleet.heard(BUSY)
                await processes[turn % 2].start()
            await fleet.heard(BUSY)
        summary = await assert_nothing_lost(database, fleet.truths)
    finally:
        for process in processes:
            if process.runs:
                await process.kill()
            print(process.log_tail())  # noqa: T201 - pytest shows it with a failure only
    assert summary.sessions == summary.billed >= len(NAMES)
