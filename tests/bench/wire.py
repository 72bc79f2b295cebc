"""A websocket client that costs next to nothing, so that what is measured is the server: one call at a time, no library.

Frames are masked with the key 0, which leaves them as they are; for the server that is a mask like any other.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_COMPRESSED = 0x40
"""RSV1 of the first byte (RFC 7692 6)."""
_EXTENSION = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
_TAIL = b"\x00\x00\xff\xff"
OPEN_S = 30
_KEY = base64.b64encode(b"charge point key").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a server listens. `is_echo`: it sends our own calls back as answers. `tls`: whom to trust; None: no TLS.

    `deflate`: ask for permessage-deflate without context takeover, as a charge point with little memory does.
    """

    port: int
    is_echo: bool = False
    tls: ssl.SSLContext | None = None
    deflate: bool = False


class Refused(Exception):
    """The server did not take the socket, or closed it."""


class Client(asyncio.Protocol):
    """One charge point's socket. `on_answer` gets the text of each answer to a call of ours."""

    def __init__(self, opened: asyncio.Future[Client], *, is_echo: bool) -> None:
        """`is_echo`: the other end sends our own calls back as answers."""
        self.on_answer: Callable[[bytes], None] = _ignore
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._opened = opened
        self._is_echo = is_echo
        self._deflates = False
        self._buffer = bytearray()

    def send(self, text: bytes) -> None:
        if self._deflates:
            self._transport.write(_frame(_TEXT | _COMPRESSED, _deflated(text)))
        else:
            self._transport.write(_frame(_TEXT, text))

    async def ask(self, text: bytes) -> bytes:
        """Send a call and wait for its answer."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.on_answer = answer.set_result
        self.send(text)
        async with asyncio.timeout(60):
            done, _ = await asyncio.wait((answer, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if answer not in done:
            raise Refused("the server closed the socket")
        return answer.result()

    async def close(self) -> None:
        """Say goodbye and wait for the server's."""
        if not self.lost.done():
            self._transport.write(_frame(_CLOSE, struct.pack("!H", 1000)))
            await asyncio.wait((self.lost,), timeout=10)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        if not self._opened.done():
            self._opened.set_exception(Refused(f"the handshake was cut: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._opened.done():
            self._read_handshake()
        while (frame := self._next_frame()) is not None:
            self._received(*frame)

    def _read_handshake(self) -> None:
        head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not end:
            return
        status = head.split(b"\r\n", 1)[0]
        if b" 101 " not in status:
            self._opened.set_exception(Refused(f"the server answered {status.decode(errors='replace')}"))
            self._transport.abort()
            return
        self._deflates = b"permessage-deflate" in head
        self._buffer = bytearray(rest)
        self._opened.set_result(self)

    def _next_frame(self) -> tuple[int, bytes] | None:
        """The first complete frame; servers do not mask, and ours does not fragment what is so short."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, begin = buffer[1], 2
        if length == 126:
            length, begin = int.from_bytes(buffer[2:4], "big"), 4
        elif length == 127:
            length, begin = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < begin + length:
            return None
        first, body = buffer[0], bytes(buffer[begin : begin + length])
        del buffer[: begin + length]
        return first & 0x0F, _inflated(body) if first & _COMPRESSED else body

    def _received(self, opcode: int, body: bytes) -> None:
        if opcode == _TEXT and body.startswith(b"[2,") and not self._is_echo:
            message_id = body.split(b'"', 2)[1]  # a call of the server's, agreed to whatever it is
            self.send(b'[3,"%s",{"status":"Accepted"}]' % message_id)
        elif opcode == _TEXT:
            self.on_answer(body)
        elif opcode == _PING:
            self._transport.write(_frame(_PONG, body))
        elif opcode == _CLOSE:
            self._transport.close()


async def open_client(target: Target, *, identity: str, password: str, protocol: str) -> Client:
    """Connect as a charge point does, with Basic auth.

    Raises:
        Refused: no socket came of it.
        OSError: likewise.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Client] = loop.create_future()
    transport, _ = await loop.create_connection(
        lambda: Client(opened, is_echo=target.is_echo), "127.0.0.1", target.port, ssl=target.tls, **_patience(target)
    )
    credentials = base64.b64encode(f"{identity}:{password}".encode()).decode()
    transport.write(
        (
            f"GET /ocpp/{identity} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {protocol}\r\nAuthorization: Basic {credentials}\r\n"
            + (f"Sec-WebSocket-Extensions: {_EXTENSION}\r\n\r\n" if target.deflate else "\r\n")
        ).encode()
    )
    try:
        async with asyncio.timeout(OPEN_S):
            return await opened
    except TimeoutError:
        transport.abort()
        raise Refused(f"no handshake within {OPEN_S} s") from None


def _patience(target: Target) -> dict[str, float]:
    return {} if target.tls is None else {"ssl_handshake_timeout": OPEN_S}


def _ignore(_answer: bytes) -> None:
    """Nobody asked."""


def _deflated(text: bytes) -> bytes:
    """RFC 7692 7.2.1."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)


def _inflated(body: bytes) -> bytes:
    return zlib.decompressobj(wbits=-15).decompress(body + _TAIL)


def _frame(first: int, body: bytes) -> bytes:
    if len(body) < 126:
        head = struct.pack("!BB", 0x80 | first, 0x80 | len(body))
    else:
        head = struct.pack("!BBH", 0x80 | first, 0x80 | 126, len(body))
    return head + b"\x00\x00\x00\x00" + body
