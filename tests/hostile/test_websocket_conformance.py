"""W1, W2 in small: what Autobahn's groups 1-7, 9 and 10 try, against our listener with an echo behind it.

The whole of Autobahn's suite runs against the same echo: see tests/hostile/echo.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from simulators.abuse.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, Handshake, frame
from tests.hostile.echo import BYTES_MAX, listening

CONTINUED = 0
PATIENCE_S = 10.0
CHOPPED_MAX = 200
NORMAL, PROTOCOL_ERROR, NOT_UTF8, TOO_BIG = 1000, 1002, 1007, 1009
SECRET_OF_THE_GREEKS = "κόσμε €𝄞"


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame of the server."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        return int(struct.unpack("!H", self.payload[:2])[0])


class Peer:
    """The client's end as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, raw: bytes, *, chop: int = 0) -> None:
        """At once, or in pieces of so many bytes."""
        for begin in range(0, len(raw), chop or len(raw) or 1):
            self._writer.write(raw[begin : begin + (chop or len(raw))])
            await self._writer.drain()
            if chop:
                await asyncio.sleep(0)

    async def hear(self) -> Heard:
        async with asyncio.timeout(PATIENCE_S):
            first, second = await self._reader.readexactly(2)
            assert not second & 0x80, "a server masks nothing (RFC 6455 5.1)"
            length = second & 0x7F
            if length > 125:
                form = "!H" if length == 126 else "!Q"
                [length] = struct.unpack(form, await self._reader.readexactly(struct.calcsize(form)))
            return Heard(first & 0x0F, await self._reader.readexactly(length))

    async def ended(self) -> bool:
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read(1) == b""


@contextlib.asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    async with listening(0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = Handshake(path="/ocpp/ECHO", authorization=None, subprotocol="ocpp1.6")
        writer.write(request.encode(f"127.0.0.1:{port}"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        try:
            yield Peer(reader, writer)
        finally:
            writer.close()


def close(code: int | None, reason: bytes = b"") -> bytes:
    return frame(b"" if code is None else struct.pack("!H", code) + reason, opcode=CLOSE)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_messages_of_every_length_come_through(opcode: int) -> None:
    """Group 1, 9.1, 9.2: also where the length changes its form, and in small pieces."""
    async with peer() as one:
        for length in (0, 1, 125, 126, 127, 128, 65_535, 65_536, 1024 * 1024):
            await one.send(frame(b"*" * length, opcode=opcode), chop=0 if length > CHOPPED_MAX else 1)
            assert await one.hear() == Heard(opcode, b"*" * length)


async def test_pings_are_answered_with_what_they_hold() -> None:
    """Group 2: an answer to each, in order; pongs that nobody asked for are passed over."""
    async with peer() as one:
        await one.send(b"".join(frame(bytes([n]) * n, opcode=PING) for n in (0, 1, 2, 3, 125)))
        assert [await one.hear() for _ in range(5)] == [Heard(PONG, bytes([n]) * n) for n in (0, 1, 2, 3, 125)]
        await one.send(frame(b"unasked", opcode=PONG) + frame(b"here", opcode=PING))
        assert await one.hear() == Heard(PONG, b"here")
        await one.send(frame(b"slow", opcode=PING), chop=1)
        assert await one.hear() == Heard(PONG, b"slow")


FORBIDDEN = [
    *(frame(b"x", rsv=rsv) for rsv in range(1, 8)),
    *(frame(b"x", opcode=opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    frame(b"x" * 126, opcode=PING),
    frame(b"x", opcode=PING, fin=False) + frame(b"y", opcode=PONG),
    frame(b"x", opcode=CONTINUED),
    frame(b"x", opcode=CONTINUED, fin=False),
    frame(b"one", fin=False) + frame(b"two"),
    frame(b"one", fin=False) + frame(b"two", opcode=CONTINUED) + frame(b"three", opcode=CONTINUED),
    frame(b"x", masked=False),
    frame(b"y", opcode=CLOSE),
    *(close(code) for code in (0, 999, 1004, 1005, 1006, 1015, 1100, 2000, 2999, 5000, 65_535)),
    frame(struct.pack("!H", 1000) + b"x" * 124, opcode=CLOSE),
]


@pytest.mark.parametrize("wrong", FORBIDDEN, ids=range(len(FORBIDDEN)))  # masks are random, names must not be
async def test_what_the_protocol_forbids_ends_the_connection(wrong: bytes) -> None:
    """Groups 3, 4, 5 and 7; an echo of what came before is allowed."""
    async with peer() as one:
        await one.send(wrong)
        heard = await one.hear()
        while heard.opcode in {TEXT, PONG}:
            heard = await one.hear()

        assert (heard.opcode, heard.code) == (CLOSE, PROTOCOL_ERROR)
        assert await one.ended()


async def test_fragments_are_put_together_and_controls_may_come_between() -> None:
    """Group 5, 6.2-6.4: also where a character is cut in two."""
    text = SECRET_OF_THE_GREEKS.encode()
    parts = [
        frame(text[:3], fin=False),
        *(frame(text[n : n + 1], opcode=CONTINUED, fin=False) for n in range(3, len(text))),
    ]
    async with peer() as one:
        for chop in (0, 1):
            await one.send(frame(b"now", opcode=PING).join(parts) + frame(b"", opcode=CONTINUED), chop=chop)
            for _ in parts[1:]:
                assert await one.hear() == Heard(PONG, b"now")
            assert await one.hear() == Heard(TEXT, text)


@pytest.mark.parametrize(
    "octets",
    [
        b"\xce\xba\xed\xa0\x80edited", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xe0\x80\xaf", b"\xfe", b"\xf8\x88\x80\x80\x80",
        b"\xed\xbf\xbf", b"cut \xe2\x82", b"\x80",
    ],
)  # fmt: skip
async def test_text_that_is_no_utf8_ends_the_connection(octets: bytes) -> None:
    """Group 6; whole, in fragments, and as the reason of a close."""
    async with peer() as one:
        await one.send(frame(octets))
        assert (await one.hear()).code == NOT_UTF8
    async with peer() as two:
        await two.send(frame(octets[:1], fin=False) + frame(octets[1:], opcode=CONTINUED))
        assert (await two.hear()).code == NOT_UTF8
    async with peer() as three:
        await three.send(close(NORMAL, octets))
        assert (await three.hear()).code in {PROTOCOL_ERROR, NOT_UTF8}


@pytest.mark.parametrize("code", [None, 1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999])
async def test_a_close_is_answered_with_its_code_and_ends_the_connection(code: int | None) -> None:
    """Group 7: nothing that comes after it is heard."""
    async with peer() as one:
        await one.send(close(code, b"good bye" if code else b"") + frame(b"too late") + close(1002))
        heard = await one.hear()

        assert heard.opcode == CLOSE
        assert heard.payload[:2] == (b"" if code is None else struct.pack("!H", code))
        assert await one.ended()


async def test_a_message_beyond_the_limit_ends_the_connection() -> None:
    """W3: by the length that is declared, before a byte of it has come."""
    async with peer() as one:
        await one.send(frame(b"x", declared=BYTES_MAX + 1))
        assert (await one.hear()).code == TOO_BIG
