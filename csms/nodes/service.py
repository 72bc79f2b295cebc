"""This process as one node among equals: its lease, its sockets, and the commands it delivers."""

from __future__ import annotations

import asyncio
import os
import socket as sockets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import structlog

from billing import Queries
from csms.database.pool import UNAVAILABLE, in_transaction
from csms.nodes.routing import COMMANDS, GRACE, OUTCOMES, command_from_json, outcome_to_json
from csms.protocol.vocabulary import Command, Outcome

SQL = Queries.load(__package__)
PRICES = "csms_prices"
"""Somebody has changed what sessions would cost."""
BEATS = 5
"""In a lease: so many may be lost before a node counts as dead."""
FORGET = timedelta(hours=1)
SPARED_S = 0.5
"""So long another node has, or the charge point to come back, before a command that could not be sent is taken again."""
REASON_LENGTH_MAX = 500
"""Characters that are kept of why a socket was closed."""
UNBOOKED_MAX = 100_000
"""Sockets whose end could not be booked yet; beyond it the oldest are forgotten, and end with the node."""

log = structlog.get_logger()

Deliver = Callable[[str, Command, float], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A socket of a charge point, here."""

    socket: str
    charge_point: str
    protocol: str
    remote: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketEnd:
    """How a socket ended."""

    socket: str
    at: datetime
    code: int
    reason: str


class Node:
    """Presence is a lease: a node that stops beating loses its sockets in everybody's eyes.

    `deliver` sends a command on a socket that this process holds; `held` names the charge points of such sockets;
    `superseded` is told of charge points that have come to another node, and of the socket here that is the older one;
    `prices_changed` that sessions may cost something else from now on, whoever entered it.
    """

    def __init__(self, pool: asyncpg.Pool[Any], dsn: str, *, lease_s: float) -> None:
        self.id: UUID = uuid4()
        self._lease = timedelta(seconds=lease_s)
        self._beat_s = lease_s / BEATS
        self._pool = pool
        self._dsn = dsn
        self._wake = asyncio.Event()
        self._deliver: Deliver | None = None
        self._held: Callable[[], Iterable[str]] = tuple
        self._superseded: Callable[[str, str], Awaitable[None]] | None = None
        self._prices_changed: Callable[[], None] = lambda: None
        self._heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue(maxsize=10_000)
        self._unbooked: deque[SocketEnd] = deque(maxlen=UNBOOKED_MAX)
        self._urls = {"ocpp_url": "", "http_url": ""}
        self._takes = True
        self._carrying: set[asyncio.Task[None]] = set()
        self._spared: dict[str, float] = {}
        """Charge points whose sockets here could send nothing, and until when nothing is taken for them."""

    def attach(
        self,
        *,
        deliver: Deliver,
        held: Callable[[], Iterable[str]],
        superseded: Callable[[str, str], Awaitable[None]],
        prices_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._deliver, self._held, self._superseded = deliver, held, superseded
        self._prices_changed = prices_changed

    async def enter(self, *, ocpp_url: str, http_url: str) -> None:
        """Take the lease, and close in the books what dead nodes left open."""
        self._urls = {"ocpp_url": ocpp_url, "http_url": http_url}

        async def work(connection: Any) -> None:
            await SQL.close_orphaned_sockets.execute(connection)
            await self._insert(connection)

        await in_transaction(self._pool, work)

    async def _insert(self, connection: Any) -> None:
        await SQL.insert_node.execute(
            connection, id=self.id, pid=os.getpid(), host=sockets.gethostname(), lease=self._lease, **self._urls
        )

    def stop_taking(self) -> None:
        """Draining: commands that come from now on are for whichever node their charge points go to."""
        self._takes = False

    async def settled(self, *, within_s: float) -> None:
        """What became of the commands that were taken stands in the books; call it when their sockets are closed."""
        if self._carrying:
            await asyncio.wait(self._carrying, timeout=within_s)

    async def take_turn(self, work: str, *, every: timedelta) -> bool:
        """Whether it is this node that does `work` for all now; nobody else does before `every` has passed."""
        async with self._pool.acquire() as connection:
            return bool(await SQL.take_turn.fetchval(connection, work=work, node=self.id, every=every))

    async def leave(self) -> None:
        async def work(connection: Any) -> None:
            await SQL.close_sockets_of_node.execute(connection, id=self.id)
            await SQL.delete_node.execute(connection, id=self.id)

        await in_transaction(self._pool, work)

    async def book(self, connection: Any, opened: Sequence[Opened]) -> None:
        """In a transaction: book sockets, and tell other nodes that theirs of the same charge points are the older ones.

        The charge points in the order of their names, so that no two nodes wait for each other.
        """
        if not opened:
            return
        names = [each.charge_point for each in opened]
        await SQL.insert_sockets.execute(
            connection, ids=[each.socket for each in opened], charge_points=names, node=self.id,
            protocols=[each.protocol for each in opened], remotes=[each.remote for each in opened],
            opened_ats=[each.at for each in opened],
        )  # fmt: skip
        for row in await SQL.older_sockets_elsewhere.fetch(connection, charge_points=names, node=self.id):
            await SQL.notify.execute(
                connection, channel=f"csms_node_{row['node'].hex}", payload=f"{row['id']} {row['charge_point']}"
            )

    def book_later(self, end: SocketEnd) -> None:
        """The end of a socket could not be booked; the next beat does."""
        self._unbooked.append(end)

    async def run(self) -> None:
        """Beat, listen and deliver until cancelled; a database that is away is waited for."""
        while True:
            try:
                async with AsyncExitStack() as stack:
                    connection = await asyncpg.connect(self._dsn)
                    stack.push_async_callback(connection.close, timeout=1)
                    await connection.add_listener(COMMANDS, self._on_command)
                    await connection.add_listener(f"csms_node_{self.id.hex}", self._on_superseded)
                    await connection.add_listener(PRICES, self._on_prices)
                    self._prices_changed()  # as they may have while nobody listened
                    await self._serve(connection)
            except* (*UNAVAILABLE, asyncpg.PostgresError) as lost:
                log.warning("node_lost_database", error=str(lost.exceptions[0]))
            await asyncio.sleep(1)

    def _on_command(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Whoever does not hold the charge point has nothing to take; it may come here, and then the next look finds it."""
        if str(payload) in set(self._held()):
            self._wake.set()

    def _on_prices(self, _connection: object, _pid: int, _channel: str, _payload: object) -> None:
        self._prices_changed()

    def _on_superseded(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        socket, charge_point = str(payload).split(" ", 1)
        self._give_up(charge_point, socket)

    def _give_up(self, charge_point: str, socket: str) -> None:
        if not self._heard.full():
            self._heard.put_nowait((charge_point, socket))

    async def _serve(self, connection: asyncpg.Connection[Any]) -> None:
        await self._look_what_was_missed()  # while nobody listened
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._make_way())
            tasks.create_task(self._watch(connection))
            while True:
                try:
                    async with asyncio.timeout(1.0):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                for row in await self._take():
                    task = tasks.create_task(self._carry_out(row))
                    self._carrying.add(task)
                    task.add_done_callback(self._carrying.discard)

    async def _watch(self, connection: asyncpg.Connection[Any]) -> None:
        """Fail when the listening connection does: notifications would be lost in silence."""
        while True:
            await connection.execute("SELECT 1", timeout=5)
            await asyncio.sleep(self._beat_s)

    async def _beat(self) -> None:
        while True:
            lapsed = await in_transaction(self._pool, self._prolong)
            booked = list(self._unbooked)
            await in_transaction(self._pool, partial(_tidy, ends=booked))
            for end in booked:
                with suppress(ValueError):  # so many have come meanwhile that it was dropped
                    self._unbooked.remove(end)
            if lapsed is not False:
                log.warning("lease_lapsed", node=str(self.id))
                await self._look_what_was_missed()
            await asyncio.sleep(self._beat_s)

    async def _prolong(self, connection: Any) -> bool | None:
        """Whether the lease had lapsed; None: the node had been forgotten, because this process stood still for long."""
        lapsed: bool | None = await SQL.beat.fetchval(connection, id=self.id)
        if lapsed is None:
            await self._insert(connection)
        return lapsed

    async def _look_what_was_missed(self) -> None:
        """Sockets here that stopped counting while this node was not looking are closed, so that books and wires agree."""
        held = list(self._held())
        if not held:
            return
        async with self._pool.acquire() as connection:
            for row in await SQL.sockets_to_give_up.fetch(connection, node=self.id, charge_points=held):
                self._give_up(row["charge_point"], str(row["id"]))

    async def _make_way(self) -> None:
        while True:
            charge_point, socket = await self._heard.get()
            if self._superseded is not None:
                await self._superseded(charge_point, socket)

    async def _take(self) -> list[asyncpg.Record]:
        """Commands for the charge points here, in the order in which they were given."""
        now = asyncio.get_running_loop().time()
        self._spared = {name: until for name, until in self._spared.items() if until > now}
        held = [name for name in self._held() if name not in self._spared]
        if not held or self._deliver is None or not self._takes:
            return []
        rows = await in_transaction(
            self._pool, lambda connection: SQL.take_commands.fetch(connection, node=self.id, charge_points=held)
        )
        return sorted(rows, key=lambda row: row["created_at"])

    async def _carry_out(self, row: asyncpg.Record) -> None:
        if self._deliver is None:
            return
        try:
            command = command_from_json(row["body"])
        except (KeyError, TypeError, ValueError) as wrong:  # from another version of csms
            outcome = Outcome(accepted=False, status="invalid", detail=f"this node does not know it: {wrong!r}")
        else:
            outcome = await self._outcome_of(row["charge_point"], command, max(row["patience_s"], 0.1))
        if outcome.unsent:  # its charge point may come back in time, here or elsewhere
            self._spared[row["charge_point"]] = asyncio.get_running_loop().time() + SPARED_S

        async def work(connection: Any) -> None:
            if outcome.unsent:
                await SQL.give_back_command.execute(connection, id=row["id"], node=self.id)
                await SQL.notify.execute(connection, channel=COMMANDS, payload=row["charge_point"])
                return
            await SQL.finish_command.execute(connection, id=row["id"], outcome=outcome_to_json(outcome))
            await SQL.notify.execute(connection, channel=OUTCOMES, payload=str(row["id"]))

        await in_transaction(self._pool, work)

    async def _outcome_of(self, charge_point: str, command: Command, patience_s: float) -> Outcome:
        assert self._deliver is not None, "attach() comes first"
        try:
            return await self._deliver(charge_point, command, patience_s)
        except ValueError as wrong:  # a command that cannot be written in this version of OCPP
            return Outcome(accepted=False, status="invalid", detail=str(wrong))


async def _tidy(connection: Any, *, ends: Sequence[SocketEnd]) -> None:
    """What each node does for all at each beat."""
    await book_ends(connection, ends)
    await SQL.close_orphaned_sockets.execute(connection)
    await SQL.delete_dead_nodes.execute(connection, patience=FORGET)
    for row in await SQL.give_up_commands.fetch(connection, grace=GRACE):
        await SQL.notify.execute(connection, channel=OUTCOMES, payload=str(row["id"]))


async def book_ends(connection: Any, ends: Sequence[SocketEnd]) -> None:
    """Sockets have ended."""
    if ends:
        await SQL.close_sockets.execute(
            connection, ids=[each.socket for each in ends], ats=[each.at for each in ends],
            codes=[each.code for each in ends], reasons=[each.reason[:REASON_LENGTH_MAX] for each in ends],
        )  # fmt: skip


async def live_nodes(connection: Any) -> list[dict[str, Any]]:
    """Servers that run on this database."""
    return [dict(row) for row in await SQL.live_nodes.fetch(connection)]
