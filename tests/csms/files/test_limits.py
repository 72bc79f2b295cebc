"""What the file endpoint bears of those who mean it no good, and of those who are slow."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from files_room import Room, opened, path_of

from csms.files import exchange, service, upload
from csms.files import server as file_server

LOG = b"".join(b"%08d all is well\n" % n for n in range(30_000))


async def answer_while_sending(room: Room, url: str, method: str, *, body: bytes = b"") -> bytes:
    """What is said to somebody who announces a body and does not send all of it, until the connection ends."""
    path = url[url.index("/", 8) :]
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n".encode()
    async with asyncio.timeout(30):
        return await room.raw(url, head + body)


async def test_who_has_no_business_here_is_told_so_at_once_and_let_go_soon(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LINGER_S", 0.3)
    nothing = f"{room.server.public_url}/nothing"
    said = [
        await answer_while_sending(room, nothing, "POST"),
        await answer_while_sending(room, nothing, "POST", body=b"x" * 1000),
        await answer_while_sending(room, await room.image(LOG), "PUT"),
    ]

    assert [each.split(b" ", 2)[1] for each in said] == [b"404", b"404", b"405"]
    assert [each.endswith(b"\n") for each in said] == [True] * 3


async def test_a_byte_now_and_then_does_not_keep_a_transfer_alive(
    pool: asyncpg.Pool[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_server, "IDLE_S", 1.0)
    async with opened(pool, tmp_path) as room:
        url = await room.inbox()
        head = f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n".encode()
        async with asyncio.timeout(30), room.dribbling(url, head, every_s=0.2) as gone:
            await gone.wait()
        [noted] = await room.transfers(1)

    assert noted["outcome"] == "broken off: too slow"


async def test_no_transfer_goes_on_for_ever(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "WAIT_S_MAX", 0.5)
    url = await room.inbox()
    head = f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n".encode()
    async with asyncio.timeout(30), room.dribbling(url, head, every_s=0.1, block=b"x" * 1000) as gone:
        await gone.wait()
    [noted] = await room.transfers(1)

    assert noted["outcome"] == "broken off: too slow"


async def test_a_form_is_read_no_further_than_to_the_end_of_its_file(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LINGER_S", 0.3)
    url = await room.inbox()
    form = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="a.log"\r\n\r\n' + LOG + b"\r\n--XX\r\n"
    head = (
        f"POST {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
        f"Content-Length: {len(form) + 10_000}\r\n\r\n"
    )
    async with asyncio.timeout(30):
        answer = await room.raw(url, head.encode() + form)
    [file] = await room.files()

    assert answer.startswith(b"HTTP/1.1 201")
    assert await room.content(file["id"]) == LOG


async def test_an_address_fills_no_disk_with_notes_and_its_first_whole_transfer_is_kept(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "TRANSFERS_MAX", 3)
    url = await room.image(LOG)
    for _ in range(5):
        await room.ask("GET", url, Range="bytes=0-9")
    await room.transfers(3)
    for _ in range(2):
        await room.ask("GET", url)
    await room.transfers(4)
    other = await room.image(LOG)
    await room.ask("GET", other, Range="bytes=0-9")

    assert [each["whole"] for each in await room.transfers(5)] == [False] * 3 + [True, False]


async def test_nobody_waits_with_a_connection_in_hand_for_an_attempt_that_has_the_address(room: Room) -> None:
    url = await room.inbox()
    async with room.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM file_grant FOR UPDATE")
        async with asyncio.timeout(5):  # less than a lock is waited for
            answers = await asyncio.gather(*(room.ask("PUT", url, body=LOG) for _ in range(4)))
    after = await room.ask("PUT", url, body=LOG)

    assert [each.status for each in answers] == [409] * 4
    assert after.status == 201


async def test_an_offer_that_does_not_fit_is_refused_before_anything_is_read_or_changed(room: Room) -> None:
    url = await room.inbox()
    await room.ask("PUT", url, body=LOG[:100_000], Content_Range=f"bytes 0-99999/{len(LOG)}")
    async with room.pool.acquire() as connection:
        before = await connection.fetchrow("SELECT run, file FROM file_grant")
        await connection.execute("UPDATE file_part SET content = 'unread' || substr(content, 7)")
        wrong = await room.ask("PUT", url, body=LOG[5:], Content_Range=f"bytes 5-{len(LOG) - 1}/{len(LOG)}")
        after = await connection.fetchrow("SELECT run, file FROM file_grant")
    rest = await room.ask("PUT", url, body=LOG[100_000:], Content_Range=f"bytes 100000-{len(LOG) - 1}/{len(LOG)}")
    [file] = await room.files()

    assert (wrong.status, wrong.headers["range"], after) == (409, "bytes=0-99999", before)
    assert rest.status == 201
    assert file["sha256"] == hashlib.sha256(b"unread" + LOG[6:]).digest()  # the sum is of what is kept


async def test_a_file_does_not_come_in_crumbs(room: Room) -> None:
    url = await room.inbox()
    crumb = await room.ask("PUT", url, body=LOG[:100], Content_Range=f"bytes 0-99/{len(LOG)}")
    size = upload.PART_BYTES_MIN
    piece = await room.ask("PUT", url, body=LOG[:size], Content_Range=f"bytes 0-{size - 1}/{size + 7}")
    last = await room.ask("PUT", url, body=LOG[size : size + 7], Content_Range=f"bytes {size}-{size + 6}/{size + 7}")
    [file] = await room.files()

    assert (crumb.status, piece.status, last.status) == (400, 308, 201)
    assert await room.content(file["id"]) == LOG[: size + 7]


async def test_a_newer_attempt_ends_the_connection_of_the_one_before(room: Room) -> None:
    url = await room.inbox()
    head = f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LOG)}\r\n\r\n".encode()
    async with asyncio.timeout(30), room.dribbling(url, head + LOG[:300_000], every_s=0.2) as gone:
        async with room.pool.acquire() as connection:
            while not await connection.fetchval("SELECT count(*) FROM file_part"):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
        newer = await room.ask("PUT", url, body=LOG)
        await gone.wait()
    [file] = await room.files()

    assert newer.status == 201
    assert await room.content(file["id"]) == LOG
