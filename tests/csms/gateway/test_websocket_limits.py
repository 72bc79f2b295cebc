"""W3-W8: hostile frames on an open socket. After each, another charge point is served as ever."""

from __future__ import annotations

import asyncio
import zlib

import pytest
from gateway_room import a_charge_point, close_code, eventually, frame, frame_head, rss_bytes, running

from csms.protocol.vocabulary import Registration

MIB = 1024 * 1024


@pytest.mark.parametrize("length", [MIB + 1, 4 * MIB, 16 * MIB, 2**40, 2**63 - 1])
async def test_a_frame_larger_than_allowed_is_refused_by_its_head(length: int) -> None:
    """W3."""
    async with running() as room:
        reader, writer = await room.raw()
        before = rss_bytes()
        writer.write(frame_head(1, length) + b"x" * 1000)

        assert await close_code(reader) in {1009, 1002}
        assert rss_bytes() - before <= 2 * MIB
        writer.close()


async def test_a_message_of_just_under_a_mebibyte_is_read() -> None:
    text = '[2,"1","DataTransfer",{"vendorId":"V","data":"' + "x" * (MIB - 100) + '"}]'
    async with running() as room, room.station(compression=None) as station:
        await station.send(text)

        assert (await station.receive())[:2] == [3, "1"]


async def test_before_acceptance_a_message_has_at_most_64_kib() -> None:
    text = '[2,"1","DataTransfer",{"vendorId":"V","data":"' + "x" * (65 * 1024) + '"}]'
    async with running(a_charge_point(registration=Registration.PENDING)) as room:
        room.application.registrations["CP-1"] = Registration.PENDING
        async with room.station(compression=None) as station:
            await station.send(text)
            assert await station.closed() == 1009

        room.application.registrations["CP-1"] = Registration.ACCEPTED
        async with room.station(compression=None) as station:
            await station.call("BootNotification", {"chargePointVendor": "F", "chargePointModel": "M"})
            await station.send(text)
            assert (await station.receive())[:2] == [3, "1"]


async def test_a_deflate_bomb_is_refused_while_it_is_inflated() -> None:
    """W4: 256 MiB in 261 kB."""
    deflater = zlib.compressobj(wbits=-15)
    bomb = b"".join(deflater.compress(bytes(MIB)) for _ in range(256)) + deflater.flush(zlib.Z_SYNC_FLUSH)
    async with running() as room:
        reader, writer = await room.raw("CP-1", "Sec-WebSocket-Extensions: permessage-deflate")
        before = rss_bytes()
        writer.write(frame(1, bomb[:-4], rsv=4))

        assert await close_code(reader) == 1009
        assert rss_bytes() - before <= 3 * MIB
        writer.close()


async def test_compression_keeps_no_context() -> None:
    async with running() as room, room.station() as station:
        (extension,) = station.websocket.protocol.extensions
        assert extension.name == "permessage-deflate"
        assert station.websocket.response is not None
        offer = station.websocket.response.headers["Sec-WebSocket-Extensions"]
        assert "server_no_context_takeover" in offer
        assert "client_no_context_takeover" in offer
        await station.heartbeat()


async def test_a_message_in_thousands_of_empty_fragments_is_refused() -> None:
    """W5."""
    async with running() as room:
        reader, writer = await room.raw()
        writer.write(frame(1, b"", fin=False) + frame(0, b"", fin=False) * 6000)

        assert await close_code(reader) == 1009
        writer.close()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"[]", masked=False), 1002),
        (frame(1, b"[]", rsv=4), 1002),
        (frame(1, b"[]", rsv=1), 1002),
        (frame(3, b"x"), 1002),
        (frame(11, b"x"), 1002),
        (frame(0, b"x"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(9, b"x", fin=False), 1002),
        (frame(8, b"\x03"), 1002),
        (frame(8, b"\x03\xec"), 1002),
        (frame(8, b"\x00\x00"), 1002),
        (frame(8, b"\x03\xe8\xff\xfe"), 1007),
        (frame(1, b"\xff\xfe"), 1007),
        (frame(1, b'[2,"\xed\xa0\x80","Heartbeat",{}]'), 1007),
    ],
)
async def test_frames_against_the_protocol_close_the_socket(data: bytes, code: int) -> None:
    """W6."""
    async with running() as room:
        reader, writer = await room.raw()
        writer.write(data)

        assert await close_code(reader) == code
        assert room.application.received == []
        writer.close()


async def test_a_valid_call_in_a_binary_frame_is_refused() -> None:
    """W7."""
    async with running() as room:
        reader, writer = await room.raw()
        writer.write(frame(2, b'[2,"1","Heartbeat",{}]'))

        assert await close_code(reader) == 1003
        assert room.application.received == []
        writer.close()


async def test_a_frame_that_comes_byte_by_byte_proves_no_life() -> None:
    """W8, with 60 + 30 + 5 s divided by 300."""
    async with running(ping_interval_s=0.2, ping_timeout_s=0.1, close_timeout_s=0.02) as room:
        _, writer = await room.raw()
        writer.write(frame_head(1, 1000))

        async def dribble() -> None:
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as tasks:
            dribbling = tasks.create_task(dribble())
            await eventually(lambda: room.gateway.connected() == {})
            dribbling.cancel()
        writer.close()


async def test_hostile_sockets_do_not_disturb_another_charge_point() -> None:
    points = [a_charge_point("CANARY"), *(a_charge_point(f"CP-{number}") for number in range(10))]
    hostile = [frame(1, b"\xff"), frame(3, b"x"), frame_head(1, 2**40), frame(2, b"x"), frame(1, b"[" * 60_000)]
    async with running(*points) as room, room.station("CANARY") as canary:
        for number in range(10):
            _, writer = await room.raw(f"CP-{number}")
            writer.write(hostile[number % len(hostile)])
            await canary.heartbeat()
            writer.close()
        await eventually(lambda: set(room.gateway.connected()) == {"CANARY"})
