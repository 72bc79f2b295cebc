"""Mail goes encrypted or not at all where that is set, to whom it is meant for, and no password is ever told to anybody else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from billing.mail.mail_settings import SmtpServer, TlsMode
from billing.mail.mime import as_data
from billing.mail.reply import Reply
from billing.mail.service import MailService
from billing.mail.smtp import Envelope, MailSession, ServerTrouble
from tests.billing.mail.mail_room import HOST, Inbox, PostOffice, letter, serving, settings, to_server

USER, PASSWORD = "csms", "correct horse battery staple ö"
LOGIN = (USER, PASSWORD)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.cert_pem.bytes())
    return file


def certified(authority: trustme.CA, name: str = HOST) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def service(office: PostOffice, server: SmtpServer) -> MailService:
    return MailService(office.pool, settings(server))


async def test_mail_goes_over_starttls_with_a_login(
    office: PostOffice, inbox: Inbox, authority: trustme.CA, ca_file: Path
) -> None:
    await office.queue(letter("1"), letter("2"))
    async with serving(inbox, starttls=certified(authority), login=LOGIN) as port:
        to = to_server(port, tls=TlsMode.STARTTLS, ca=ca_file, user=USER, password=PASSWORD)
        await service(office, to).sweep()

    assert await office.counts() == {"sent": 2}


async def test_mail_goes_over_tls_with_a_login(
    office: PostOffice, inbox: Inbox, authority: trustme.CA, ca_file: Path
) -> None:
    await office.queue(letter("1"), letter("2"))
    async with serving(inbox, tls=certified(authority), login=LOGIN) as port:
        to = to_server(port, tls=TlsMode.TLS, ca=ca_file, user=USER, password=PASSWORD)
        await service(office, to).sweep()

    assert await office.counts() == {"sent": 2}


async def test_a_big_mail_goes_over_tls(office: PostOffice, inbox: Inbox, authority: trustme.CA, ca_file: Path) -> None:
    """More than any buffer on the way holds."""
    await office.queue(letter("1", text="x\n" * 490_000, html="y\n" * 490_000))
    async with serving(inbox, tls=certified(authority)) as port:
        await service(office, to_server(port, tls=TlsMode.TLS, ca=ca_file)).sweep()

    assert await office.counts() == {"sent": 1}
    body = inbox.got[0].mail.get_body(("html",))
    assert body is not None
    assert body.get_content().split() == ["y"] * 490_000


@pytest.mark.parametrize("mode", list(TlsMode))
async def test_a_session_is_the_same_in_the_loop_that_servers_run_in(
    inbox: Inbox, authority: trustme.CA, ca_file: Path, mode: TlsMode
) -> None:
    """uvloop, with transports of its own."""
    uvloop = pytest.importorskip("uvloop")
    context = certified(authority)
    given = {TlsMode.NONE: {}, TlsMode.STARTTLS: {"starttls": context}, TlsMode.TLS: {"tls": context}}[mode]

    async def talk(port: int) -> list[Reply]:
        session = MailSession(to_server(port, tls=mode, ca=ca_file, user=USER, password=PASSWORD))
        await session.open()
        replies = []
        for n in range(3):
            await session.begin(Envelope(id=f"{n:024x}", return_path="a@b.example", recipient="c@d.example", size=9))
            await session.transmit(as_data(b"Message-ID: <x@b.example>\r\n\r\n.x\r\n" + b"y\r\n" * 300_000))
            replies.append(await session.finish())
        await session.begin(Envelope(id="e" * 24, return_path="a@b.example", recipient="c@d.example", size=9))
        await session.transmit(as_data(b"Message-ID: <y@b.example>\r\n\r\nnever ended\r\n"))
        session.abandon()
        assert not session.is_open
        return replies

    async with serving(inbox, login=LOGIN, **given) as port:
        replies = await asyncio.to_thread(lambda: uvloop.run(talk(port)))

    assert [each.code for each in replies] == [250] * 3
    assert [each.envelope_id for each in inbox.read] == [f"{n:024x}" for n in range(3)]
    assert inbox.got[0].raw.endswith(b".x\r\n" + b"y\r\n" * 300_000)


@pytest.mark.parametrize("mode", [TlsMode.STARTTLS, TlsMode.TLS])
@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_nothing_is_told_to_a_server_that_is_another_one(
    office: PostOffice, inbox: Inbox, authority: trustme.CA, ca_file: Path, mode: TlsMode, wrong: str
) -> None:
    context = certified(trustme.CA()) if wrong == "authority" else certified(authority, "mail.other.example")
    given = {"tls": context} if mode is TlsMode.TLS else {"starttls": context}
    await office.queue(letter("1"))
    async with serving(inbox, login=LOGIN, **given) as port:
        to = to_server(port, tls=mode, ca=ca_file, user=USER, password=PASSWORD)
        with pytest.raises(ServerTrouble, match=r"(?i)certificate"):
            await service(office, to).sweep()

    assert await office.counts() == {"queued": 1}
    assert inbox.asked == []


async def test_a_server_that_offers_no_encryption_gets_neither_password_nor_mail(
    office: PostOffice, ca_file: Path
) -> None:
    """Whoever stands between us and it can take STARTTLS out of its offers."""
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while line := await reader.readline():
            heard.extend(line)
            writer.write(b"250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n")
        writer.close()

    await office.queue(letter("1"))
    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        to = to_server(port, tls=TlsMode.STARTTLS, ca=ca_file, user=USER, password=PASSWORD)
        with pytest.raises(ServerTrouble, match="STARTTLS"):
            await service(office, to).sweep()

    assert b"EHLO" in heard
    assert b"AUTH" not in heard
    assert b"MAIL" not in heard
    assert await office.counts() == {"queued": 1}


async def test_a_wrong_password_fails_no_mail(
    office: PostOffice, inbox: Inbox, authority: trustme.CA, ca_file: Path
) -> None:
    await office.queue(letter("1"))
    async with serving(inbox, starttls=certified(authority), login=LOGIN) as port:
        to = to_server(port, tls=TlsMode.STARTTLS, ca=ca_file, user=USER, password="wrong")
        with pytest.raises(ServerTrouble, match="refuses the login with 535"):
            await service(office, to).sweep()
        without = to_server(port, tls=TlsMode.STARTTLS, ca=ca_file)
        with pytest.raises(ServerTrouble, match="wants another login: MAIL was answered with 530"):
            await service(office, without).sweep()

    assert await office.counts() == {"queued": 1}
    assert await office.pool.fetchval("SELECT tries FROM mail_delivery") == 0


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """Each line of each logger, however little it matters."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def forms(secret: str) -> list[str]:
    """As it stands, and as logins carry it."""
    plain = secret.encode()
    return [
        secret, json.dumps(secret), base64.b64encode(plain).decode(),
        base64.b64encode(b"\0" + USER.encode() + b"\0" + plain).decode(),
    ]  # fmt: skip


@pytest.mark.parametrize("right", [True, False])
async def test_the_password_is_told_to_the_server_and_nobody_else(
    office: PostOffice, inbox: Inbox, everything_logged: io.StringIO, right: bool
) -> None:
    """Not where it is right, not where it is wrong, not by a server that repeats what it was sent."""
    secret = PASSWORD if right else "another secret"
    heard = bytearray()

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                heard.extend(line)
                said = line.strip().decode()
                writer.write(b"250-mail.example\r\n250 AUTH PLAIN\r\n" if "EHLO" in said else f"535 5.7.8 what is {said}?\r\n".encode())  # fmt: skip
        writer.close()

    await office.queue(letter("1"))
    told: list[str] = []
    server = await asyncio.start_server(repeat, HOST, 0)
    with capture_logs() as logs:
        async with server, serving(inbox, login=LOGIN) as port:
            for each in (port, server.sockets[0].getsockname()[1]):
                to = to_server(each, user=USER, password=secret)
                with contextlib.suppress(ServerTrouble):
                    await service(office, to).sweep()
                running = asyncio.create_task(service(office, to).run())
                await asyncio.sleep(0.2)
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                session = MailSession(to, tell=lambda step, answer: told.append(f"{step} {answer}"))
                try:
                    await session.open()
                except ServerTrouble as trouble:
                    told.append(str(trouble))
                await session.close()

    assert forms(secret)[3].encode() in heard, "the server was told"
    tables = [row[0] for row in await office.pool.fetch("SELECT tablename FROM pg_tables WHERE tablename LIKE 'mail%'")]
    stored = [str(await office.pool.fetch(f"SELECT * FROM {each}")) for each in tables]
    everywhere = "\n".join([*map(repr, logs), everything_logged.getvalue(), *told, *stored, repr(settings(to))])
    assert "AUTH ***" in everywhere
    assert [each for each in forms(secret) if each in everywhere] == []
