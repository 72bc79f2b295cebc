"""The cases: the same frames to csms and to the echo server, on sockets opened for the purpose."""

from __future__ import annotations

import asyncio
import itertools
import re
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from tests.bench import messages
from tests.bench.load import Run, speak
from tests.bench.processes import ServerProcess
from tests.bench.wire import Client, Target, open_client
from tests.bench.world import Login

OPENING_AT_ONCE = 50
_SETTLED_S = 1.0


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
    is_echo: bool = False

    @property
    def target(self) -> Target:
        return Target(port=self.server.port, is_echo=self.is_echo)

    async def heartbeats(self, *, per_s: float | None = None) -> Run:
        async with self._clients(messages.V16) as clients:
            return await self._speak(clients, [messages.heartbeats() for _ in clients], per_s)

    async def readings(self, protocol: str, *, per_s: float | None = None) -> Run:
        """Inside a running session of each charge point, which is ended properly."""
        begin = messages.session_start()
        async with self._clients(protocol) as clients:
            transactions = [await self._start(client, protocol, begin) for client in clients]
            talks = [_Talk(messages.readings(protocol, transaction, begin)) for transaction in transactions]
            run = await self._speak(clients, [iter(talk) for talk in talks], per_s)
            for client, transaction, talk in zip(clients, transactions, talks, strict=True):
                await self._stop(client, protocol, transaction, begin, talk.said + 1)
        return run

    async def connects(self) -> Run:
        """Connect, BootNotification, close: so many charge points after one another, OPENING_AT_ONCE at a time."""
        logins = itertools.cycle(self.logins)
        loop = asyncio.get_running_loop()
        latencies_s = array("d")
        end = loop.time() + self.seconds

        async def come_and_go() -> None:
            while loop.time() < end:
                begin = loop.time()
                client = await self._open(next(logins), messages.V16)
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

    async def memory_per_connection(self, count: int) -> tuple[float, float]:
        """Bytes by which the server grows per open socket that has booted and is silent: resident, and of its own."""
        async with self._clients(messages.V16):
            pass  # whatever a server makes once is made now
        await asyncio.sleep(_SETTLED_S)
        before = self.server.memory
        clients = await self._open_all(self.logins[:count], messages.V16)
        await asyncio.sleep(_SETTLED_S)
        after = self.server.memory
        await _close_all(clients)
        return (after.rss - before.rss) / count, (after.uss - before.uss) / count

    async def _speak(self, clients: Sequence[Client], frames: Sequence[Iterator[bytes]], per_s: float | None) -> Run:
        return await speak(self.server, clients, frames, seconds=self.seconds, per_s=per_s)

    async def _start(self, client: Client, protocol: str, at: datetime) -> str:
        """The transaction id: ours to choose in 2.0.1, the server's in 1.6."""
        transaction = uuid4().hex
        answer = await client.ask(messages.start(protocol, transaction, at))
        if protocol == messages.V201 or self.is_echo:
            return "1" if protocol == messages.V16 else transaction
        found = re.search(rb'"transactionId":(\d+)', answer)
        assert found is not None, f"no transaction was given: {answer!r}"
        return found[1].decode()

    async def _stop(self, client: Client, protocol: str, transaction: str, begin: datetime, seq_no: int) -> None:
        await client.ask(messages.stop(protocol, transaction, begin + timedelta(seconds=seq_no), seq_no))

    @asynccontextmanager
    async def _clients(self, protocol: str) -> AsyncIterator[list[Client]]:
        clients = await self._open_all(self.logins[: self.connections], protocol)
        try:
            yield clients
        finally:
            await _close_all(clients)

    async def _open_all(self, logins: Sequence[Login], protocol: str) -> list[Client]:
        clients: list[Client] = []
        for n in range(0, len(logins), OPENING_AT_ONCE):
            some = logins[n : n + OPENING_AT_ONCE]
            clients += await asyncio.gather(*(self._open(login, protocol) for login in some))
        return clients

    async def _open(self, login: Login, protocol: str) -> Client:
        client = await open_client(self.target, identity=login.identity, password=login.password, protocol=protocol)
        await client.ask(messages.boot(protocol))
        return client


async def _close_all(clients: Sequence[Client]) -> None:
    await asyncio.gather(*(client.close() for client in clients))
