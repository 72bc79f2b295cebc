"""What charge points see of files, over real HTTPS."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
from files_room import Room, opened, path_of, token_of

from billing import Refused
from csms.files import server as file_server
from csms.files import service
from csms.settings import SettingsInvalid, load_settings
from simulators.charge_point.transfer import FORM, POST, PUT, AnsweredError, Download, InterruptedTransferError, send

IMAGE = random.Random(1).randbytes(700_000)
LOG = b"".join(b"%08d all is well\n" % n for n in range(30_000))


async def test_a_file_comes_as_it_is_with_what_cheap_clients_need(room: Room) -> None:
    url = await room.image(IMAGE)
    whole = await room.ask("GET", url)
    head = await room.ask("HEAD", url)
    old = await room.raw(url, f"GET {path_of(url)} HTTP/1.0\r\n\r\n".encode())

    assert (whole.status, whole.body) == (200, IMAGE)
    assert (head.status, head.body) == (200, b"")
    for answer in (whole, head):
        assert answer.headers["content-length"] == str(len(IMAGE))
        assert answer.headers["etag"] == f'"{hashlib.sha256(IMAGE).hexdigest()}"'
        assert (answer.headers["accept-ranges"], answer.headers["connection"]) == ("bytes", "close")
        assert answer.headers["content-disposition"] == 'attachment; filename="pump-2.1.bin"'
    assert old.partition(b"\r\n\r\n")[2] == IMAGE
    noted = await room.transfers(2)
    assert [(each["bytes"], each["whole"], each["outcome"]) for each in noted] == [(len(IMAGE), True, "sent")] * 2


async def test_parts_of_a_file_come_where_they_are_asked_for(room: Room) -> None:
    url = await room.image(IMAGE)
    tag = f'"{hashlib.sha256(IMAGE).hexdigest()}"'
    middle = await room.ask("GET", url, Range="bytes=300000-599999")
    tail = await room.ask("GET", url, Range="bytes=-7")
    same = await room.ask("GET", url, Range="bytes=5-9", If_Range=tag)
    other = await room.ask("GET", url, Range="bytes=5-9", If_Range='"another"')
    beyond = await room.ask("GET", url, Range=f"bytes={len(IMAGE)}-")

    assert (middle.status, middle.body) == (206, IMAGE[300_000:600_000])
    assert middle.headers["content-range"] == f"bytes 300000-599999/{len(IMAGE)}"
    assert (tail.body, same.body) == (IMAGE[-7:], IMAGE[5:10])
    assert (other.status, other.body) == (200, IMAGE)
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(IMAGE)}")


async def test_an_interrupted_download_goes_on_where_it_was(room: Room) -> None:
    download = Download(await room.image(IMAGE), room.trust)
    with pytest.raises(InterruptedTransferError):
        await asyncio.to_thread(download.go_on, break_after=200_000)
    await asyncio.to_thread(download.go_on)

    assert bytes(download.content) == IMAGE
    assert download.tries[0] == 0
    assert 200_000 <= download.tries[1] < len(IMAGE)
    [last] = [each for each in await room.transfers(2) if each["first_byte"]]
    assert (last["first_byte"], last["first_byte"] + last["bytes"]) == (download.tries[1], len(IMAGE))


async def test_a_copy_on_disk_serves_the_rest_of_the_fleet(room: Room) -> None:
    urls = [await room.image(IMAGE) for _ in range(2)]
    first = await asyncio.gather(*(room.ask("GET", url) for url in urls * 3))
    copies = [each.name for each in (room.home / "files").iterdir()]
    async with room.pool.acquire() as connection:
        await connection.execute("DELETE FROM file_part")
    again = await room.ask("GET", urls[0])
    (room.home / "files" / copies[0]).unlink()
    gone = await room.ask("GET", urls[0])

    assert {each.body for each in (*first, again)} == {IMAGE}
    assert copies == [hashlib.sha256(IMAGE).hexdigest()]
    assert (gone.status, gone.body) == (503, b"try again later\n")


async def test_a_damaged_copy_is_not_made_and_a_disk_without_room_does_not_matter(room: Room) -> None:
    url = await room.image(IMAGE)
    (room.home / "files").write_text("no directory")
    direct = await room.ask("GET", url)
    (room.home / "files").unlink()
    async with room.pool.acquire() as connection:
        await connection.execute(
            "UPDATE file_part SET content = overlay(content placing 'xx'::bytea from 1) WHERE at_byte = 0"
        )
    damaged = await room.ask("GET", url)

    assert (direct.body, damaged.status) == (IMAGE, 503)
    assert not list((room.home / "files").iterdir())


@pytest.mark.parametrize("how", [PUT, POST, FORM])
async def test_a_log_arrives_byte_by_byte_in_whatever_way_it_is_sent(room: Room, how: str) -> None:
    url = await room.inbox()
    await asyncio.to_thread(send, url, LOG, name="../cp 1.log", how=how, trust=room.trust)
    [file] = await room.files(kind="log")

    assert await room.content(file["id"]) == LOG
    assert (file["size_bytes"], file["sha256"]) == (len(LOG), hashlib.sha256(LOG).digest())
    assert (file["charge_point"], file["name"]) == ("CP-1", "cp_1.log")
    [noted] = await room.transfers(1)
    assert (noted["bytes"], noted["whole"], noted["outcome"]) == (len(LOG), True, "received")


async def test_a_log_may_be_sent_in_chunks_of_unknown_number(room: Room) -> None:
    url = await room.inbox()
    answer = await room.ask("PUT", url, body=iter([LOG[:100_000], LOG[100_000:]]))
    [file] = await room.files()

    assert (answer.status, answer.body) == (201, f"{len(LOG)} bytes received\n".encode())
    assert (await room.content(file["id"]), file["name"]) == (LOG, "CP-1.log")


async def test_an_address_takes_one_file_and_no_second(room: Room) -> None:
    url = await room.inbox()
    first = await room.ask("PUT", url, body=LOG)
    second = await room.ask("PUT", url, body=b"another one")
    [file] = await room.files()

    assert (first.status, second.status) == (201, 410)
    assert await room.content(file["id"]) == LOG


async def test_what_is_too_large_is_refused_before_and_while_it_comes(room: Room) -> None:
    announced, unannounced, form = [await room.inbox(bytes_max=2000) for _ in range(3)]
    said = await room.ask("PUT", announced, body=b"x" * 2001)
    late = await room.ask("PUT", unannounced, body=iter([b"x" * 1500, b"x" * 501]))
    with pytest.raises(AnsweredError) as refused:
        await asyncio.to_thread(send, form, b"x" * 2001, name="a.log", how=FORM, trust=room.trust)
    fits = await room.ask("PUT", announced, body=b"x" * 2000)

    assert (said.status, late.status, refused.value.status, fits.status) == (413, 413, 413, 201)
    assert [file["size_bytes"] for file in await room.files()] == [2000]
    async with room.pool.acquire() as connection:
        assert await connection.fetchval("SELECT sum(length(content)) FROM file_part") == 2000


async def test_an_upload_that_broke_off_goes_on_where_it_was(room: Room) -> None:
    url = await room.inbox()
    half = 300_000
    head = f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LOG)}\r\n"
    unfinished = f"{head}Content-Range: bytes 0-{len(LOG) - 1}/{len(LOG)}\r\n\r\n".encode() + LOG[:half]
    async with room.sending(url, unfinished):
        await begun(room)
    here = await received(room, url)
    wrong = await room.ask(
        "PUT", url, body=LOG[half + 5 :], Content_Range=f"bytes {half + 5}-{len(LOG) - 1}/{len(LOG)}"
    )
    part = await room.ask("PUT", url, body=LOG[here:400_000], Content_Range=f"bytes {here}-399999/{len(LOG)}")
    rest = await room.ask("PUT", url, body=LOG[400_000:], Content_Range=f"bytes 400000-{len(LOG) - 1}/{len(LOG)}")
    [file] = await room.files()

    assert 0 < here <= half
    assert (wrong.status, part.status, rest.status) == (409, 308, 201)
    assert part.headers["range"] == "bytes=0-399999"
    assert (await room.content(file["id"]), file["sha256"]) == (LOG, hashlib.sha256(LOG).digest())


async def received(room: Room, url: str) -> int:
    """How much is here, as soon as the broken connection has been noticed."""
    async with asyncio.timeout(20):
        while True:
            asked = await room.ask("PUT", url, Content_Range=f"bytes */{len(LOG)}")
            assert asked.status == 308
            if "range" in asked.headers and (await room.transfers()):
                return int(asked.headers["range"].rpartition("-")[2]) + 1
            await asyncio.sleep(0.05)


async def test_without_a_range_an_upload_begins_again(room: Room) -> None:
    url = await room.inbox()
    head = f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LOG)}\r\n\r\n"
    async with room.sending(url, head.encode() + b"nonsense" * 50_000):
        await begun(room)
    await received(room, url)
    answer = await room.ask("POST", url, body=LOG)
    [file] = await room.files()

    assert answer.status == 201
    assert await room.content(file["id"]) == LOG


async def test_a_newer_attempt_takes_over_from_one_that_hangs(room: Room) -> None:
    url = await room.inbox()
    head = f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LOG)}\r\n\r\n"
    async with room.sending(url, head.encode() + LOG[:-1]):  # the last byte never comes
        await begun(room)
        newer = await room.ask("PUT", url, body=LOG)
    [file] = await room.files()

    assert newer.status == 201
    assert await room.content(file["id"]) == LOG


async def begun(room: Room) -> None:
    async with asyncio.timeout(20), room.pool.acquire() as connection:
        while not await connection.fetchval("SELECT count(*) FROM file_part"):  # noqa: ASYNC110 - rows have no event
            await asyncio.sleep(0.02)


async def test_an_address_that_has_expired_is_of_no_use(room: Room) -> None:
    urls = [await room.image(IMAGE), await room.inbox()]
    await room.expire()
    fetched = await room.ask("GET", urls[0])
    sent = await room.ask("PUT", urls[1], body=LOG)

    assert (fetched.status, sent.status) == (410, 410)
    assert [file["kind"] for file in await room.files()] == ["image"]


async def test_a_file_that_was_deleted_is_gone_for_everybody(room: Room) -> None:
    url = await room.image(IMAGE)
    await room.ask("GET", url)
    [file] = await room.files()
    async with room.pool.acquire() as connection:
        await service.delete(connection, file["id"], actor="tester")

    assert (await room.ask("GET", url)).status == 410
    assert await room.files() == []


async def test_nobody_gets_in_by_guessing_and_nothing_is_listed(room: Room) -> None:
    url = await room.image(IMAGE)
    token = token_of(url)
    guesses = [
        "/", "/files", "/files/", f"/files/{token[:-1]}", f"/files/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}/x",
        f"/files/{token.swapcase()}/x", "/files/../../etc/passwd", f"/FILES/{token}/x", "/metrics", "/healthz",
    ]  # fmt: skip
    base = url[: url.index("/files/")]
    answers = [await room.ask("GET", base + guess) for guess in guesses]

    assert {(each.status, each.body) for each in answers} == {(404, b"there is nothing here\n")}
    assert "server" not in answers[0].headers


async def test_each_address_is_for_one_thing(room: Room) -> None:
    download, upload = await room.image(IMAGE), await room.inbox()
    wrong = [
        await room.ask("PUT", download, body=b"x"),
        await room.ask("DELETE", download),
        await room.ask("GET", upload),
        await room.ask("OPTIONS", upload),
    ]

    assert [each.status for each in wrong] == [405] * 4
    assert [each.headers["allow"] for each in wrong] == ["GET, HEAD", "GET, HEAD", "PUT, POST", "PUT, POST"]


async def test_what_makes_no_sense_uses_no_address_up(room: Room) -> None:
    url = await room.inbox()
    nonsense = [
        await room.ask("PUT", url, body=b""),
        await room.ask("PUT", url, body=b"x", Content_Range="bytes 9-5/3"),
        await room.ask("PUT", url, body=b"xx", Content_Range="bytes 0-5/6"),
        await room.ask("POST", url, body=b"--XX--", Content_Type="multipart/form-data; boundary=XX"),
        await room.ask("POST", url, body=b"x", Content_Type="multipart/form-data; boundary=XX", Content_Range="bytes 0-0/1"),
    ]  # fmt: skip
    good = await room.ask("PUT", url, body=LOG)

    assert [each.status for each in nonsense] == [400] * 5
    assert good.status == 201


async def test_no_secret_of_an_address_is_logged_or_kept(room: Room) -> None:
    urls = [await room.image(IMAGE), await room.inbox()]
    with structlog.testing.capture_logs() as logged:
        await room.ask("GET", urls[0])
        await room.ask("PUT", urls[1], body=LOG)
        await room.ask("PUT", urls[1], body=LOG)
    async with room.pool.acquire() as connection:
        kept = [
            str(row)
            for table in ("file", "file_grant", "file_transfer")
            for row in await connection.fetch(f"SELECT * FROM {table}")
        ]

    told = "\n".join([str(logged), *kept])
    assert [each["event"] for each in logged] == ["file_transfer", "file_transfer", "file_refused"]
    assert not [url for url in urls if token_of(url) in told]


async def test_who_sends_no_request_or_no_end_of_it_is_let_go(
    pool: asyncpg.Pool[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_server, "HEAD_S", 2.0)
    monkeypatch.setattr(file_server, "IDLE_S", 0.3)
    async with opened(pool, tmp_path) as room:
        url = await room.inbox()
        silent = await room.raw(url, b"PUT /files")
        half = await room.raw(
            url, f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode()
        )
        good = await room.ask("PUT", url, body=LOG)

    assert (silent, half) == (b"", b"")
    assert good.status == 201


async def test_a_renewed_certificate_is_taken_into_use_and_a_wrong_one_is_not(room: Room) -> None:
    url = await room.image(IMAGE)
    renewed = room.authority.issue_cert("localhost", "127.0.0.1")
    (room.home / "files.pem").write_text("no certificate")
    with structlog.testing.capture_logs() as logged:
        room.server.reload_certificates()
        still = await room.ask("HEAD", url)
        renewed.cert_chain_pems[0].write_to_path(room.home / "files.pem")
        renewed.private_key_pem.write_to_path(room.home / "files.key")
        room.server.reload_certificates()
        after = await room.ask("HEAD", url)

    assert (still.status, after.status) == (200, 200)
    events = [each["event"] for each in logged if each["event"].startswith("certificates")]
    assert events == ["certificates_of_files_not_reloaded", "certificates_of_files_reloaded"]


async def test_without_tls_only_where_the_operator_says_so(pool: asyncpg.Pool[Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load_settings({}, data_dir=tmp_path, files_port=0)
    with structlog.testing.capture_logs() as logged:
        async with opened(pool, tmp_path, files_plain=True) as room:
            url = await room.image(IMAGE)
            answer = await room.ask("GET", url)

    assert "--files-plain" in str(refused.value)
    assert (url.partition(":")[0], answer.body) == ("http", IMAGE)
    assert [each["log_level"] for each in logged if each["event"] == "files_without_tls"] == ["warning"]


@pytest.mark.parametrize("url", ["files.example", "ftp://files.example", "https://u:p@files.example", "https://x/?a=b"])
def test_where_charge_points_are_sent_is_an_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load_settings({}, data_dir=tmp_path, files_plain=True, files_url=url)

    assert "CSMS_FILES_URL" in str(refused.value)


async def test_logs_are_let_go_of_when_they_have_been_kept_long_enough(room: Room) -> None:
    for _ in range(2):
        await room.ask("PUT", await room.inbox(), body=LOG)
    await room.image(IMAGE)
    async with room.pool.acquire() as connection:
        await connection.execute("UPDATE file SET created_at = now() - interval '91 days' WHERE id IN (1, 3)")
        await service.forget_old(connection, keep=room.server._settings.files_retention)
        kept = await connection.fetch("SELECT DISTINCT file FROM file_part ORDER BY file")

    assert [row["file"] for row in kept] == [2, 3]


async def test_without_a_server_that_hands_out_files_nobody_is_asked_to_fetch_any(pool: asyncpg.Pool[Any]) -> None:
    async with pool.acquire() as connection:
        await connection.execute("INSERT INTO node (id, pid, host) VALUES (gen_random_uuid(), 1, 'here')")
        with pytest.raises(Refused) as refused:
            await service.require_endpoint(connection)
        await connection.execute("UPDATE node SET files_url = 'https://files.example:9444'")

        assert "--files-url" in refused.value.next_step
        assert await service.require_endpoint(connection) == "https://files.example:9444"
