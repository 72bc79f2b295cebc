"""Network faults: a TCP proxy that delays, swallows, freezes and cuts, and a layer that drops, doubles and swaps messages."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from simulators.charge_point.link import Connection, only_loopback

CHUNK = 65_536
CONNECTIONS_MAX = 10_000


@dataclass(eq=False, slots=True)
class Pair:
    """One proxied connection."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    bytes_up: int = 0
    bytes_down: int = 0
    number: int = 0
    """In the order in which they came."""
    vanished: bool = False
    """Neither bytes nor the end of one side reach the other any more."""

    def abort(self) -> None:
        """Reset both sides, without a goodbye."""
        self.client.transport.abort()
        self.server.transport.abort()


@dataclass(slots=True)
class FaultyProxy:
    """A TCP proxy in front of a server. ``up`` is towards the server, ``down`` towards the charge point.

    Switches may be turned at any time: ``delay_s`` before each chunk; ``blackhole_up`` / ``blackhole_down`` read and
    throw away; ``pause()`` freezes both directions with the sockets open (half-open); ``refuse`` closes newcomers at once;
    ``cut_answers`` cuts a connection instead of passing the next ``n`` chunks from the server.
    """

    target_host: str
    target_port: int
    delay_s: float = 0.0
    blackhole_up: bool = False
    blackhole_down: bool = False
    refuse: bool = False
    cut_answers: int = 0
    accepted: int = 0
    swallowed_bytes: int = 0
    port: int = 0
    pairs: set[Pair] = field(default_factory=set)
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where charge points connect, with the usual path."""
        return f"ws://127.0.0.1:{self.port}/ocpp"

    def pause(self) -> None:
        """Half-open: both sides believe in a connection through which nothing comes."""
        self._flowing.clear()

    def resume(self) -> None:
        """Everything that was held back flows."""
        self._flowing.set()

    def vanish(self) -> list[Pair]:
        """Half-open for good, as when a modem comes back with another address: nothing of these gets through, not even
        their end, while newcomers do. Abort a pair for its late close; when the server ends it, it is gone as well.
        """
        pairs = list(self.pairs)
        for pair in pairs:
            pair.vanished = True
        return pairs

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        pairs = list(self.pairs)
        for pair in pairs:
            pair.abort()
        return len(pairs)

    async def start(self) -> None:
        """Listen on a free port."""
        self._flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self._flowing.set()
        self.cut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refuse or len(self.pairs) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None  # stream callbacks run in a task of their own
        self._tasks.add(task)
        try:
            await self._relay(reader, writer)
        except asyncio.CancelledError:  # only `stop` cancels, and the stream protocol would report it as an error
            return
        finally:
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(self.target_host, self.target_port)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(writer, server_writer, number=self.accepted)
        self.pairs.add(pair)
        pumps = [
            asyncio.create_task(self._pump(reader, server_writer, pair, up=True)),
            asyncio.create_task(self._pump(server_reader, writer, pair, up=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if pair.vanished:  # the client has gone, and the server does not know
                await asyncio.wait(pumps[1:])
        finally:
            self.pairs.discard(pair)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, server_writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: Pair, *, up: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                if pair.vanished or (self.blackhole_up if up else self.blackhole_down):
                    self.swallowed_bytes += len(chunk)
                    continue
                if not up and self.cut_answers > 0:
                    self.cut_answers -= 1
                    pair.abort()
                    return
                writer.write(chunk)
                await writer.drain()
                if up:
                    pair.bytes_up += len(chunk)
                else:
                    pair.bytes_down += len(chunk)


@contextlib.asynccontextmanager
async def faulty_proxy(url: str) -> AsyncIterator[FaultyProxy]:
    """A running proxy in front of ``url`` (ws://127.0.0.1:PORT/...)."""
    parts = urlsplit(only_loopback(url))
    proxy = FaultyProxy(parts.hostname or "127.0.0.1", parts.port or 80)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


@dataclass(slots=True, kw_only=True)
class MessageFaults:
    """How often, 0 to 1, a message that a charge point sends is dropped, doubled or held back behind the next one.

    ``lose_answer``: how often a received message is not seen. One seed, one course of events.
    ``own_calls_only``: what the server asks, and what it is answered, is spared.
    """

    seed: int = 1
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    lose_answer: float = 0.0
    faults_max: int = 1_000_000
    own_calls_only: bool = False
    injected: dict[str, int] = field(default_factory=dict)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def strikes(self, kind: str, probability: float) -> bool:
        """Whether this fault happens now; counted."""
        if self._chance.random() >= probability or sum(self.injected.values()) >= self.faults_max:
            return False
        self.injected[kind] = self.injected.get(kind, 0) + 1
        return True

    def wrap(self, connection: Connection) -> Connection:
        """For `Build(wrap=...)`: this connection with the faults; a message held back dies with its connection."""
        return FaultyConnection(connection, self)


class FaultyConnection:
    """A websocket whose messages suffer `MessageFaults`."""

    def __init__(self, connection: Connection, faults: MessageFaults) -> None:
        self._connection = connection
        self._faults = faults
        self._held: str | None = None

    async def send(self, message: str) -> None:
        """Send it, or not, or twice, or after the next."""
        faults = self._faults
        if faults.own_calls_only and not message.startswith("[2,"):
            await self._connection.send(message)
            return
        if faults.strikes("drop", faults.drop):
            return
        if self._held is None and faults.strikes("reorder", faults.reorder):
            self._held = message
            return
        await self._connection.send(message)
        if faults.strikes("duplicate", faults.duplicate):
            await self._connection.send(message)
        if self._held is not None:
            held, self._held = self._held, None
            await self._connection.send(held)

    async def recv(self) -> Any:
        """The next message that is not lost."""
        while True:
            message = await self._connection.recv()
            if self._faults.own_calls_only and message.startswith("[2,"):
                return message
            if not self._faults.strikes("lose_answer", self._faults.lose_answer):
                return message
