"""A new version goes in node by node, worker by worker: no transaction message fails, and each is stored once (C13)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
import trustme
from websockets.exceptions import ConnectionClosed

from csms.database.pool import connect_once
from csms.nodes.service import live_nodes
from tests.faults.balancer import PROXY, balanced, needs_haproxy
from tests.faults.books import assert_nothing_lost
from tests.faults.load import charging
from tests.faults.wire import Reply, Wire, start_16, wire
from tests.faults.world import ServerProcess, commission, furnish, installation, rounds, until
from tests.ports import free_port

BUSY = 40
PIPELINED = 60
T0 = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)


@contextlib.asynccontextmanager
async def two_nodes(database: str, directory: Path) -> AsyncIterator[tuple[list[ServerProcess], str]]:
    """Behind HAProxy, and where charge points connect."""
    certificate = directory / "both.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    await furnish(database)
    # HAProxy's example has three places: the third is a second name of the first node.
    nodes = [
        ServerProcess(data_dir=directory, dsn=database, given={"proxy_protocol_from": PROXY, "http_port": free_port()})
        for _ in range(2)
    ]
    try:
        await asyncio.gather(*(each.start() for each in nodes))
        async with balanced(directory, [*nodes, nodes[0]], certificate=certificate) as balancer:
            yield nodes, balancer.url
    finally:
        await asyncio.gather(*(each.terminate() for each in nodes if each.runs))
        for each in nodes:
            print(each.log_tail())  # noqa: T201 - pytest shows it with a failure only
            each.log_path.unlink()


@needs_haproxy
async def test_nodes_are_restarted_one_after_the_other_and_no_charge_point_counts_a_failed_attempt(
    database: str, tmp_path: Path
) -> None:
    count = rounds(10, 200, of="charge points while two nodes are restarted")
    async with two_nodes(database, tmp_path) as (nodes, url):

        async def restart(node: ServerProcess) -> None:
            assert await node.terminate() == 0
            await node.start()

        await _roll(database, tmp_path, url, count, [partial(restart, node) for node in nodes])
        bugs = [line for node in nodes for line in node.bugs()]

    assert not bugs


async def test_workers_are_restarted_one_after_the_other_and_no_charge_point_counts_a_failed_attempt(
    database: str, tmp_path: Path
) -> None:
    count = rounds(10, 200, of="charge points while two workers are restarted")
    async with (
        installation(tmp_path, dsn=database, workers=2) as server,
        connect_once(database) as connection,
    ):

        async def restart(pid: int) -> None:
            os.kill(pid, signal.SIGTERM)
            await until(partial(_replaced, connection, pid), what="another worker has taken its place")

        workers = [node["pid"] for node in await live_nodes(connection)]
        await _roll(database, tmp_path, server.url, count, [partial(restart, pid) for pid in workers])
        bugs = server.bugs()

    assert not bugs


async def _replaced(connection: asyncpg.Connection, pid: int) -> bool:
    nodes = [node["pid"] for node in await live_nodes(connection)]
    return len(nodes) == 2 and pid not in nodes


async def _roll(
    database: str, data_dir: Path, url: str, count: int, restarts: Sequence[Callable[[], Awaitable[None]]]
) -> None:
    """All of it under a load of transaction messages; every charge point is on a node that goes, once at least."""
    passwords = await commission(database, data_dir, [f"CP-{n}" for n in range(count)])
    async with charging(url, passwords) as fleet:

        async def all_are_there() -> bool:
            return len(fleet.connected()) == count

        await until(all_are_there, what="all charge points are connected", within_s=120)
        for restart in restarts:
            await restart()
            await fleet.heard(BUSY)
    summary = await assert_nothing_lost(database, fleet.truths)

    print(f"{summary}; closed with 1012: {len(fleet.closed(1012))} of {count}")  # noqa: T201 - what was run
    assert fleet.failures() == []
    assert sorted(fleet.closed(1012)) == sorted(passwords)
    assert fleet.closed(1011) == fleet.closed(1006) == []
    assert summary.sessions == summary.billed >= count


async def test_calls_in_flight_are_answered_or_end_with_their_socket_and_the_next_node_tells_repeats(
    database: str, tmp_path: Path
) -> None:
    """Sent without waiting for answers: whoever is told something was told what is stored, the others know nothing."""
    async with installation(tmp_path, dsn=database) as server:
        passwords = await commission(database, tmp_path, ["CP-1"])
        starts = [start_16(T0 + timedelta(seconds=each), meter_wh=1000 + each) for each in range(PIPELINED)]
        async with wire(server.url, "CP-1", passwords["CP-1"]) as station:
            calls = [await station.send("StartTransaction", start) for start in starts]
            await calls[0]
            ended, code = await asyncio.gather(server.terminate(), station.closed())
            first = await asyncio.gather(*calls, return_exceptions=True)
        await server.start()
        async with wire(server.url, "CP-1", passwords["CP-1"]) as station:
            second = [await _ask(station, start) for start in starts]
        async with connect_once(database) as connection:
            stored = await connection.fetchval("SELECT count(*) FROM session")
        bugs = server.bugs()

    told = [each for each in first if isinstance(each, Reply)]
    print(f"{len(told)} of {PIPELINED} were answered before the socket was closed")  # noqa: T201 - what was seen
    assert (ended, code) == (0, 1012)
    assert told
    assert all(isinstance(each, ConnectionClosed) for each in first[len(told) :])
    assert [each.error for each in (*told, *second)] == [None] * (len(told) + PIPELINED)
    assert [each.payload for each in told] == [each.payload for each in second[: len(told)]]
    assert stored == PIPELINED
    assert not bugs


async def _ask(station: Wire, start: dict[str, object]) -> Reply:
    return await station.call("StartTransaction", start)
