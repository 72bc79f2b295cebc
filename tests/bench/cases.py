"""The cases: the same frames to csms and to the echo server, on sockets opened for the purpose."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import uuid4

from tests.bench import messages
from tests.bench.load import Run, speak
from tests.bench.processes import ServerProcess
from tests.bench.wire import Client, Target, open_client
from tests.bench.world import Login

OPENING_AT_ONCE = 50
_LOOK_S = 0.05
_BILLED_S = 120

T = TypeVar("T")


@dataclass(slots=True)
class _Talk:
    """What one charge point will say, and how often it has."""

    frames: Iterator[bytes]
    said: int = 0

    def __iter__(self) -> Iterator[bytes]:
        for frame in self.frames:
            self.said += 1
            yield frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A server under load. Each case takes fresh sockets of the first `connections` charge points."""

    server: ServerProcess
    logins: Sequence[Login]
    connections: int
    seconds: float
    trusting: ssl.SSLContext
    is_echo: bool = False
    final_bills: Callable[[], Awaitable[int]] | None = None
    """How many there are; None: nobody makes any."""

    def target(self, *, tls: bool = False, deflate: bool = False) -> Target:
        if tls:
            return Target(port=self.server.tls_port, is_echo=self.is_echo, tls=self.trusting, deflate=deflate)
        return Target(port=self.server.port, is_echo=self.is_echo, deflate=deflate)

    async def heartbeats(self, *, per_s: float | None = None) -> Run:
        async with self.clients(messages.V16) as clients:
            return await self.heartbeats_of(clients, per_s=per_s)

    async def heartbeats_of(self, clients: Sequence[Client], *, per_s: float | None = None) -> Run:
        return await self._speak(clients, [messages.heartbeats() for _ in clients], per_s)

    async def readings(self, protocol: str, *, values: int = 10, per_s: float | None = None) -> Run:
        async with self.clients(protocol) as clients:
            return await self.readings_of(clients, protocol, messages.session_start(), values=values, per_s=per_s)

    async def readings_of(
        self,
        clients: Sequence[Client],
        protocol: str,
        begin: datetime,
        *,
        values: int = 10,
        per_s: float | None = None,
        started: Callable[[], Awaitable[None]] | None = None,
    ) -> Run:
        """Inside a session of each, which began at `begin` and is ended properly. `started`: what to wait for before."""
        transactions = await in_groups(self.start(client, protocol, begin) for client in clients)
        if started is not None:
            await started()
        talks = [_Talk(messages.readings(protocol, transaction, begin, values=values)) for transaction in transactions]
        run = await self._speak(clients, [iter(talk) for talk in talks], per_s)
        await in_groups(
            self.stop(client, protocol, transaction, begin, talk.said + 1)
            for client, transaction, talk in zip(clients, transactions, talks, strict=True)
        )
        return run

    async def sessions(self, protocol: str) -> Run:
        """Whole ones: start, ten readings, stop. What is counted are sessions, until the last has its final bill."""
        loop = asyncio.get_running_loop()
        latencies_s = array("d")
        async with self.clients(protocol) as clients:
            billed = await self.final_bills() if self.final_bills else 0
            begin, cpu_begin_s = loop.time(), self.server.cpu_s

            async def charge(client: Client) -> None:
                for visit in messages.visits():
                    if loop.time() >= begin + self.seconds:
                        return
                    since = loop.time()
                    await self.visit(client, protocol, visit)
                    latencies_s.append(loop.time() - since)

            await asyncio.gather(*map(charge, clients))
            if self.final_bills is not None:
                async with asyncio.timeout(_BILLED_S):
                    while await self.final_bills() < billed + len(latencies_s):  # noqa: ASYNC110
                        await asyncio.sleep(_LOOK_S)
            return Run(
                messages=len(latencies_s),
                wall_s=loop.time() - begin,
                cpu_s=self.server.cpu_s - cpu_begin_s,
                latencies_s=latencies_s,
            )

    async def begin(self, client: Client, protocol: str, visit: messages.Visit) -> str:
        """The transaction id."""
        return await self._transaction(client, protocol, visit.start)

    async def visit(self, client: Client, protocol: str, visit: messages.Visit) -> None:
        transaction = await self.begin(client, protocol, visit)
        for frame in visit.readings(protocol, transaction):
            await client.ask(frame)
        await client.ask(visit.stop(protocol, transaction))

    async def connects(self, *, tls: bool = False) -> Run:
        """Connect, BootNotification, close: so many charge points after one another, OPENING_AT_ONCE at a time."""
        logins = itertools.cycle(self.logins)
        loop = asyncio.get_running_loop()
        latencies_s = array("d")
        end = loop.time() + self.seconds

        async def come_and_go() -> None:
            while loop.time() < end:
                begin = loop.time()
                client = await open_booted(self.target(tls=tls), next(logins), messages.V16)
                latencies_s.append(loop.time() - begin)
                await client.close()

        begin, cpu_begin_s = loop.time(), self.server.cpu_s
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(OPENING_AT_ONCE, len(self.logins) // 2)):
                tasks.create_task(come_and_go())
        return Run(
            messages=len(latencies_s),
            wall_s=loop.time() - begin,
            cpu_s=self.server.cpu_s - cpu_begin_s,
            latencies_s=latencies_s,
        )

    async def _speak(self, clients: Sequence[Client], frames: Sequence[Iterator[bytes]], per_s: float | None) -> Run:
        return await speak(self.server, clients, frames, seconds=self.seconds, per_s=per_s)

    async def start(self, client: Client, protocol: str, at: datetime) -> str:
        return await self._transaction(client, protocol, lambda *said: messages.start(*said, at))

    async def _transaction(self, client: Client, protocol: str, start: Callable[[str, str], bytes]) -> str:
        """The transaction id: ours to choose in 2.0.1, the server's in 1.6."""
        transaction = uuid4().hex
        answer = await client.ask(start(protocol, transaction))
        if protocol == messages.V201 or self.is_echo:
            return "1" if protocol == messages.V16 else transaction
        return messages.transaction_of(answer)

    async def stop(self, client: Client, protocol: str, transaction: str, begin: datetime, seq_no: int) -> None:
        await client.ask(messages.stop(protocol, transaction, begin + timedelta(seconds=seq_no), seq_no))

    @asynccontextmanager
    async def clients(self, protocol: str, *, count: int = 0) -> AsyncIterator[list[Client]]:
        """Open and booted: `connections` of them, or `count`."""
        clients = await open_all(self.target(), self.logins[: count or self.connections], protocol)
        try:
            yield clients
        finally:
            await close_all(clients)


async def in_groups(work: Iterable[Awaitable[T]]) -> list[T]:
    """All of it, OPENING_AT_ONCE at a time, in order."""
    waiting, done = list(work), []
    for n in range(0, len(waiting), OPENING_AT_ONCE):
        done += await asyncio.gather(*waiting[n : n + OPENING_AT_ONCE])
    return done


async def open_all(target: Target, logins: Sequence[Login], protocol: str) -> list[Client]:
    """Open and booted, OPENING_AT_ONCE at a time."""
    return await in_groups(open_booted(target, login, protocol) for login in logins)


async def open_booted(target: Target, login: Login, protocol: str) -> Client:
    client = await open_client(target, identity=login.identity, password=login.password, protocol=protocol)
    await client.ask(messages.boot(protocol))
    return client


async def close_all(clients: Sequence[Client]) -> None:
    await asyncio.gather(*(client.close() for client in clients))
