"""A websocket client that may break every rule: handshakes and frames byte by byte (RFC 6455)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import struct
from dataclasses import dataclass
from urllib.parse import quote

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LENGTH_16, LENGTH_64 = 126, 127
MESSAGE_MAX = 4 * 1024 * 1024
HEAD_MAX = 65_536
NO_CLOSE_FRAME = 1006


@dataclass(frozen=True, slots=True)
class Text:
    """A text message from the server."""

    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; 1006 when no close frame said why."""

    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """The parts of an upgrade request; any of them may be wrong."""

    path: str
    authorization: str | None
    subprotocol: str | None
    method: str = "GET"
    version: str = "HTTP/1.1"
    headers: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()
    key: str = ""

    def encode(self, host: str) -> bytes:
        """The request as bytes."""
        headers = [
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", self.key or base64.b64encode(os.urandom(16)).decode()),
        ]
        if self.subprotocol is not None:
            headers.append(("Sec-WebSocket-Protocol", self.subprotocol))
        if self.authorization is not None:
            headers.append(("Authorization", self.authorization))
        headers = [(name, value) for name, value in headers if name not in self.without]
        lines = [f"{self.method} {self.path} {self.version}", *(f"{name}: {value}" for name, value in headers)]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def basic(identity: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{identity}:{password}".encode()).decode()


def path_of(base: str, identity: str) -> str:
    """The path of a charge point."""
    return f"{base.rstrip('/')}/{quote(identity, safe='')}"


def frame(
    payload: bytes,
    *,
    opcode: int = TEXT,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    declared: int | None = None,
) -> bytes:
    """One frame; ``declared`` lies about the length."""
    length = len(payload) if declared is None else declared
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    mask_bit = 0x80 if masked else 0
    if length < LENGTH_16:
        head += bytes([mask_bit | length])
    elif length < 1 << 16:
        head += bytes([mask_bit | LENGTH_16]) + struct.pack("!H", length)
    else:
        head += bytes([mask_bit | LENGTH_64]) + struct.pack("!Q", length)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


class RawSocket:
    """A connected TCP socket that speaks, or abuses, websocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parts = b""
        self.closed: Closed | None = None

    @classmethod
    async def connect(cls, host: str, port: int, request: bytes, timeout_s: float) -> tuple[int, RawSocket]:
        """Send a request, read the status; 0 when the server closed or kept silent instead of answering."""
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port, limit=HEAD_MAX)
        socket = cls(reader, writer)
        try:
            async with asyncio.timeout(timeout_s):
                writer.write(request)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), socket
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError, ValueError, IndexError):
            return 0, socket

    async def send(self, raw: bytes, timeout_s: float) -> None:
        """Bytes onto the wire; a server that has gone away meanwhile shows in `next`."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                self._writer.write(raw)
                await self._writer.drain()

    async def next(self, timeout_s: float) -> Text | Closed | None:
        """The next text message or the end; None when nothing came in time."""
        if self.closed is not None:
            return self.closed
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    message = await self._frame()
                    if message is not None:
                        return message
        except TimeoutError:
            return None
        except (EOFError, OSError):
            self.closed = Closed(NO_CLOSE_FRAME)
            return self.closed

    async def _frame(self) -> Text | Closed | None:
        first, second = await self._reader.readexactly(2)
        length = second & 0x7F
        if length == LENGTH_16:
            [length] = struct.unpack("!H", await self._reader.readexactly(2))
        elif length == LENGTH_64:
            [length] = struct.unpack("!Q", await self._reader.readexactly(8))
        if length > MESSAGE_MAX:
            raise OSError("the server sends more than this probe reads")
        payload = await self._reader.readexactly(length)
        match first & 0x0F:
            case 8:
                code = int.from_bytes(payload[:2], "big") if payload else 1005
                self.closed = Closed(code)
                await self.send(frame(payload[:2], opcode=CLOSE), 1)
                return self.closed
            case 9:
                await self.send(frame(payload, opcode=PONG), 1)
            case 0 | 1:
                self._parts += payload
                if first & 0x80:
                    whole, self._parts = self._parts, b""
                    return Text(whole.decode("utf-8", "replace"))
        return None

    async def close(self) -> None:
        """Let go of the socket, politely if it is still open."""
        if self.closed is None:
            await self.send(frame(struct.pack("!H", 1000), opcode=CLOSE), 1)
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
