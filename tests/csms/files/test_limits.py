"""What the file endpoint bears of those who mean it no good, and of those who are slow."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from files_room import Room, opened, path_of
from hypothesis import given
from hypothesis import strategies as st

from csms.files import exchange, service, upload
from csms.files import server as file_server
from csms.files.places import Places, open_files_max
from csms.gateway.listener import connections_max
from csms.settings import Settings

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


async def silent(room: Room) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which not even TLS begins."""
    parts = urlsplit(room.server.public_url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def test_silent_connections_are_counted_before_tls_by_address_and_end(
    pool: asyncpg.Pool[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_server, "HEAD_S", 2.0)
    async with asyncio.timeout(60), opened(pool, tmp_path, files_connections_max_per_address=2) as room:
        url = await room.image(LOG)
        first = [await silent(room) for _ in range(2)]
        one_more, writer = await silent(room)
        refused = await one_more.read()
        still = [reader.at_eof() for reader, _ in first]
        for reader, _ in first:
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
        after = await room.ask("GET", url)
        for each in (writer, *(writer for _, writer in first)):
            each.transport.abort()

    assert (refused, still) == (b"", [False, False])
    assert after.body == LOG


async def test_behind_a_proxy_each_charge_point_counts_as_itself(pool: asyncpg.Pool[Any], tmp_path: Path) -> None:
    given = {"proxy_protocol_from": ["127.0.0.1"], "files_plain": True, "files_connections_max_per_address": 1}
    async with asyncio.timeout(60), opened(pool, tmp_path, **given) as room:
        url = await room.image(LOG)
        parts = urlsplit(url)
        writers = []
        for address in ("192.0.2.1", "192.0.2.2"):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"PROXY TCP4 {address} 192.0.2.9 4711 9444\r\nGET {parts.path} HTTP/1.0\r\n\r\n".encode())
            assert (await reader.read()).endswith(LOG)
            writers.append(writer)
        noted = await room.transfers(2)
        for writer in writers:
            writer.close()

    assert [each["remote"] for each in noted] == ["192.0.2.1:0", "192.0.2.2:0"]


def test_what_the_file_endpoint_may_have_open_is_left_to_it() -> None:
    files = Settings(files_plain=True, files_port=0)

    assert open_files_max(Settings()) == 0
    # what else is open may differ by a few between the two
    assert connections_max(Settings()) - connections_max(files) == pytest.approx(open_files_max(files), abs=3)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([None, "192.0.2.1", "2001:db8::1", "2001:db8::2"]))))
def test_places_are_never_more_than_there_are_and_all_come_back(steps: list[tuple[bool, str | None]]) -> None:
    places, held = Places(most=4, most_per_address=2), list[str | None]()
    for takes, address in steps:
        if takes and places.has_room(address):
            places.take(address)
            held.append(address)
        elif not takes and held:
            places.give_back(held.pop())
        assert places.taken == len(held) <= 4
        assert sum(each is not None and ":" in each for each in held) <= 2  # one network
    for address in held:
        places.give_back(address)

    assert places == Places(most=4, most_per_address=2)
