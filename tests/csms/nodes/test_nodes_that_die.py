"""Commands, turns and sockets between nodes of which one dies, drains, or stood still for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from csms.database.pool import connect_once, in_transaction
from csms.nodes.routing import ask
from csms.nodes.service import Node, Opened
from csms.protocol.blocks.local_lists import GetLocalListVersion
from csms.protocol.vocabulary import Command, Outcome, TriggerMessage

LEASE_S = 1.0
ACCEPTED = Outcome(accepted=True, status="Accepted")
NOT_SENT = Outcome(accepted=False, status="offline", unsent=True)
COMMAND = TriggerMessage(message="Heartbeat")

Deliver = Callable[[str, Command, float], Awaitable[Outcome]]


class Peer:
    """A node with one charge point, which answers as `deliver` says."""

    def __init__(self, pool: asyncpg.Pool, dsn: str, deliver: Deliver, *, holds: bool = True) -> None:
        self.node = Node(pool, dsn, lease_s=LEASE_S)
        self.holds = holds
        self.given_up: list[tuple[str, str]] = []
        self._deliver = deliver
        self.node.attach(deliver=self._carry_out, held=self._held, superseded=self._give_up)
        self.asked: list[Command] = []
        self._run: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.node.enter(ocpp_url="ws://node.example/ocpp", http_url="http://node.example")
        self._run = asyncio.create_task(self.node.run())

    async def die(self) -> None:
        """No good-bye, and nothing more is heard of it."""
        if self._run is not None:
            self._run.cancel()
            await asyncio.wait({self._run})
            self._run = None

    def _held(self) -> list[str]:
        return ["CP-1"] if self.holds else []

    async def _carry_out(self, charge_point: str, command: Command, timeout_s: float) -> Outcome:
        self.asked.append(command)
        return await self._deliver(charge_point, command, timeout_s)

    async def _give_up(self, charge_point: str, socket: str) -> None:
        self.given_up.append((charge_point, socket))


async def accepts(_charge_point: str, _command: Command, _timeout_s: float) -> Outcome:
    return ACCEPTED


async def never_answers(_charge_point: str, _command: Command, _timeout_s: float) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


Start = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def start(pool: asyncpg.Pool, database: str) -> AsyncIterator[Start]:
    """Starts nodes; they end with the test."""
    async with pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO site (id, name, country, time_zone, currency) VALUES ('s', 's', 'DE', 'UTC', 'EUR')"
        )
        await connection.execute("INSERT INTO charge_point (id, site) VALUES ('CP-1', 's')")
    peers: list[Peer] = []

    async def start_one(deliver: Deliver = accepts, *, holds: bool = True) -> Peer:
        peer = Peer(pool, database, deliver, holds=holds)
        peers.append(peer)
        await peer.start()
        return peer

    yield start_one
    for peer in peers:
        await peer.die()


@contextlib.asynccontextmanager
async def asked(dsn: str, command: Command = COMMAND, *, timeout_s: float = 20) -> AsyncIterator[asyncio.Task[Outcome]]:
    """An operator who asks something."""
    async with connect_once(dsn) as connection, asyncio.TaskGroup() as tasks:
        yield tasks.create_task(ask(connection, "CP-1", command, actor="operator", timeout_s=timeout_s))


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not claim():  # noqa: ASYNC110 - what is waited for happens in another task
            await asyncio.sleep(0.02)


async def test_a_command_whose_node_dies_with_it_fails_with_the_reason_and_is_never_sent_twice(
    start: Start, database: str
) -> None:
    dying = await start(never_answers)
    async with asked(database) as outcome:
        await until(lambda: bool(dying.asked))
        other = await start()
        await dying.die()
        answered = await outcome

    assert (answered.accepted, answered.status) == (False, "timeout")
    assert "died" in (answered.detail or "")
    assert other.asked == []


async def test_a_command_that_no_socket_took_goes_with_the_charge_point_to_another_node(
    start: Start, database: str
) -> None:
    async def loses_its_socket(_charge_point: str, _command: Command, _timeout_s: float) -> Outcome:
        first.holds = False
        second.holds = True
        return NOT_SENT

    first = await start(loses_its_socket)
    second = await start(holds=False)
    async with asked(database) as outcome:
        assert await outcome == ACCEPTED

    assert (first.asked, second.asked) == ([COMMAND], [COMMAND])


async def test_a_command_that_a_dead_socket_cannot_send_is_not_tried_without_pause(start: Start, database: str) -> None:
    async def cannot(_charge_point: str, _command: Command, _timeout_s: float) -> Outcome:
        return NOT_SENT

    node = await start(cannot)
    async with asked(database, timeout_s=1.5) as outcome:
        assert (await outcome).status == "offline"

    assert 1 <= len(node.asked) <= 4


async def test_a_command_waits_for_its_charge_point_as_long_as_its_asker_does(start: Start, database: str) -> None:
    peer = await start(holds=False)
    async with asked(database, timeout_s=0.2) as outcome:
        gone = await outcome
    async with asked(database) as outcome:
        await asyncio.sleep(0.1)
        peer.holds = True
        came = await outcome

    assert (gone.status, gone.detail) == ("offline", "no node had a socket of it in time")
    assert came == ACCEPTED
    assert len(peer.asked) == 1  # the one that nobody waits for any more is not sent


async def test_a_draining_node_takes_no_commands_and_books_what_it_took(
    start: Start, database: str, pool: asyncpg.Pool
) -> None:
    answer = asyncio.Event()

    async def answers_late(_charge_point: str, _command: Command, _timeout_s: float) -> Outcome:
        await answer.wait()
        return ACCEPTED

    draining = await start(answers_late)
    async with asked(database) as in_flight:
        await until(lambda: bool(draining.asked))
        draining.node.stop_taking()
        async with asked(database, GetLocalListVersion()) as later:
            await asyncio.sleep(0.3)
            answer.set()
            await draining.node.settled(within_s=5)
            await draining.die()
            async with pool.acquire() as connection:
                booked = await connection.fetchval("SELECT count(*) FROM command WHERE done_at IS NOT NULL")
            await draining.node.leave()
            other = await start()
            assert await later == ACCEPTED
        assert await in_flight == ACCEPTED

    assert booked == 1
    assert draining.asked == [COMMAND]
    assert other.asked == [GetLocalListVersion()]


async def test_commands_to_a_charge_point_go_in_the_order_in_which_they_were_given(start: Start, database: str) -> None:
    messages = ("Heartbeat", "StatusNotification", "MeterValues", "BootNotification", "FirmwareStatusNotification")
    peer = await start(holds=False)
    async with contextlib.AsyncExitStack() as stack:
        for message in messages:
            await stack.enter_async_context(asked(database, TriggerMessage(message=message)))
            await asyncio.sleep(0.05)
        peer.holds = True

    assert [each.message for each in peer.asked if isinstance(each, TriggerMessage)] == list(messages)


async def book(pool: asyncpg.Pool, peer: Peer, socket: UUID, at: datetime) -> None:
    async def work(connection: Any) -> None:
        opened = Opened(socket=str(socket), charge_point="CP-1", protocol="ocpp1.6", remote="192.0.2.1", at=at)
        await peer.node.book(connection, [opened])

    await in_transaction(pool, work)


async def test_a_node_that_stood_still_closes_the_sockets_that_were_given_up_meanwhile(
    start: Start, pool: asyncpg.Pool
) -> None:
    """Others took it for dead and closed them in the books: on the wire they must not go on."""
    stalled = await start()
    socket = uuid4()
    await book(pool, stalled, socket, datetime.now(UTC))
    await stalled.die()
    await start(holds=False)
    async with pool.acquire() as connection:

        async def is_lost() -> bool:
            return bool(
                await connection.fetchval("SELECT close_reason = 'node lost' FROM socket WHERE id = $1", socket)
            )

        async with asyncio.timeout(15):
            while not await is_lost():  # noqa: ASYNC110 - a row of another task's
                await asyncio.sleep(0.05)
        await connection.execute("DELETE FROM node WHERE id = $1", stalled.node.id)  # as after an hour
        stalled._run = asyncio.create_task(stalled.node.run())
        await until(lambda: bool(stalled.given_up))

        async def is_known() -> bool:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM node WHERE id = $1)", stalled.node.id))

        async with asyncio.timeout(15):
            while not await is_known():  # noqa: ASYNC110 - a row of another task's
                await asyncio.sleep(0.05)

    assert set(stalled.given_up) == {("CP-1", str(socket))}


async def test_a_socket_that_was_replaced_while_its_node_was_deaf_is_closed_when_it_hears_again(
    start: Start, database: str, pool: asyncpg.Pool
) -> None:
    deaf = Peer(pool, database, accepts)
    other = await start(holds=False)
    await deaf.node.enter(ocpp_url="ws://node.example/ocpp", http_url="http://node.example")
    old, new = uuid4(), uuid4()
    now = datetime.now(UTC)
    await book(pool, deaf, old, now - timedelta(seconds=1))
    await book(pool, other, new, now)  # it tells whoever listens, and nobody does
    deaf._run = asyncio.create_task(deaf.node.run())
    try:
        await until(lambda: bool(deaf.given_up))
    finally:
        await deaf.die()

    assert ("CP-1", str(old)) in deaf.given_up
    assert other.given_up == []


async def test_of_all_nodes_one_takes_the_turn_and_the_next_only_after_a_while(
    start: Start, pool: asyncpg.Pool
) -> None:
    nodes = [(await start(holds=False)).node for _ in range(3)]
    every = timedelta(minutes=1)
    rounds = 5
    taken: Counter[int] = Counter()
    for _ in range(rounds):
        turns = await asyncio.gather(*(each.take_turn("sweep", every=every) for each in nodes * 4))
        taken[sum(turns)] += 1
        assert sum(await asyncio.gather(*(each.take_turn("sweep", every=every) for each in nodes))) == 0
        assert await nodes[0].take_turn("other work", every=timedelta(0))
        async with pool.acquire() as connection:
            await connection.execute("UPDATE turn SET taken_at = taken_at - interval '1 minute' WHERE work = 'sweep'")

    assert taken == {1: rounds}


async def test_a_turn_taken_before_the_clock_was_set_back_keeps_nobody_waiting(
    start: Start, pool: asyncpg.Pool
) -> None:
    """O2."""
    node, every = (await start(holds=False)).node, timedelta(minutes=1)
    assert await node.take_turn("sweep", every=every)
    async with pool.acquire() as connection:
        await connection.execute("UPDATE turn SET taken_at = taken_at + interval '1 hour'")

    assert await node.take_turn("sweep", every=every)
    assert not await node.take_turn("sweep", every=every)
