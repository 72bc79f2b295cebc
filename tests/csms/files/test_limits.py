"""What the file endpoint bears of those who mean it no good, and of those who are slow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from files_room import Room, opened, path_of

from csms.files import exchange, service
from csms.files import server as file_server

LOG = b"".join(b"%08d all is well\n" % n for n in range(30_000))


async def answer_while_sending(room: Room, url: str, method: str, *, body: bytes = b"") -> bytes:
    """What is said to somebody who announces a body and does not send all of it, until the connection ends."""
    path = url[url.index("/", 8) :]
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n".encode()
    async with asyncio.timeout(30):
        return await room.raw(url, head + body)


async def noted_transfers(room: Room) -> list[dict[str, Any]]:
    """They are noted when the connection has gone."""
    async with asyncio.timeout(20):
        while not (noted := await room.transfers()):  # noqa: ASYNC110 - rows have no event
            await asyncio.sleep(0.02)
        return noted


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
        [noted] = await noted_transfers(room)

    assert noted["outcome"] == "broken off: too slow"


async def test_no_transfer_goes_on_for_ever(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "WAIT_S_MAX", 0.5)
    url = await room.inbox()
    head = f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n".encode()
    async with asyncio.timeout(30), room.dribbling(url, head, every_s=0.1, block=b"x" * 1000) as gone:
        await gone.wait()
    [noted] = await noted_transfers(room)

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
    for _ in range(2):
        await room.ask("GET", url)
    other = await room.image(LOG)
    await room.ask("GET", other, Range="bytes=0-9")

    assert [each["whole"] for each in await room.transfers()] == [False] * 3 + [True, False]
