"""What stands between two programs and holds back what one says to the other, from a moment on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
CHUNK = 4096


@dataclass(slots=True)
class Relay:
    """`hears` is asked of each piece from the client; once it says yes, the next piece of that connection still goes
    through, and nothing comes back any more. `stops` is asked as well: a piece for which it says yes goes nowhere, nor does
    what follows on that connection. While `is_dumb`, nothing of the client goes through.
    """

    connect: Connect
    hears: Callable[[bytes], bool] = lambda _piece: False
    stops: Callable[[bytes], bool] = lambda _piece: False
    bytes_max: int | None = None
    """So much of all that clients say goes through."""
    is_dumb: bool = False
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Something was held back."""
    passed: int = 0
    _deaf: set[int] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await self.connect()
        except OSError:
            writer.transport.abort()
            return
        with contextlib.suppress(ConnectionError):
            async with asyncio.TaskGroup() as both:
                there = both.create_task(self._there(reader, to_writer, id(writer)))
                back = both.create_task(self._back(to_reader, writer, id(writer)))
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                there.cancel()
                back.cancel()
        for each in (writer, to_writer):
            each.transport.abort()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        heard = stopped = False
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(CHUNK):
                if heard:
                    self._deaf.add(connection)
                stopped = stopped or self.stops(piece)
                if stopped or self.is_dumb or (self.bytes_max is not None and self.passed >= self.bytes_max):
                    self.held.set()
                    continue
                self.passed += len(piece)
                writer.write(piece)
                heard = heard or self.hears(piece)

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(CHUNK):
                if connection in self._deaf:
                    self.held.set()
                    continue
                writer.write(piece)


@contextlib.asynccontextmanager
async def relaying(relay: Relay, *, path: str | None = None) -> AsyncIterator[int]:
    """On a port of its own, which is given, or on a unix socket."""
    if path is None:
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    else:
        server = await asyncio.start_unix_server(relay.serve, path)
    try:
        yield 0 if path is not None else server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)
