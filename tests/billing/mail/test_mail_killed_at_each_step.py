"""kill -9 of whoever sends a mail, at every step on its way: it is never lost, and never goes twice by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from billing.mail import operating
from tests.billing.mail.mail_room import HOST, Got, Inbox, PostOffice, letter, serving, until
from tests.billing.mail.relay import Relay, relaying

BIG = "x\n" * 400_000
ENDS_NEXT = b"SET state = 'sending'"
"""What a sender tells the books before it ends a mail."""
WHO = {"actor": "Olga", "reason": "seen in the log of the mail server"}


class Sender:
    """A process of its own, and how it ends."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, dsn: str, port: int, *, lease_s: float) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.billing.mail.sender_program", dsn, str(port), str(lease_s),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def kill(self) -> None:
        """At once. When this returns it does nothing any more."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()


@contextlib.asynccontextmanager
async def sender() -> AsyncIterator[Sender]:
    one = Sender()
    try:
        yield one
    finally:
        await one.kill()


def through(dsn: str, directory: Path) -> str:
    """The same database by way of a socket in another directory."""
    parts = urlsplit(dsn)
    host = parse_qs(parts.query)["host"][0]
    return dsn.replace(host, str(directory))


def socket_of(dsn: str) -> str:
    query = parse_qs(urlsplit(dsn).query)
    return f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"


@pytest.mark.parametrize("step", ["connect", "MAIL", "RCPT", "DATA", "text"])
async def test_killed_before_the_end_of_a_mail_it_is_sent_by_another_one(
    office: PostOffice, inbox: Inbox, database: str, tmp_path: Path, step: str
) -> None:
    """Its system may take all of a text before it is killed: that it says so to the books is held back here."""
    await office.queue(letter("1", text=BIG), letter("2"))
    reached, never = asyncio.Event(), asyncio.Event()

    def stop_here(_address: str) -> str:
        reached.set()
        return "\x00never"

    async with sender() as first:
        if step == "MAIL":
            inbox.on_mail = stop_here
        if step == "RCPT":
            inbox.on_recipient = stop_here
        at_data = {"at_data": (reached, never)} if step == "DATA" else {}
        async with serving(inbox, silent_after="\x00never", **at_data) as port:
            limits = {"connect": 0, "text": 60_000}
            relay = Relay(lambda: asyncio.open_connection(HOST, port), bytes_max=limits.get(step))
            books = Relay(
                lambda: asyncio.open_unix_connection(socket_of(database)), stops=lambda piece: ENDS_NEXT in piece
            )
            async with relaying(relay) as way, relaying(books, path=str(tmp_path / ".s.PGSQL.5432")):
                await first.start(through(database, tmp_path), way, lease_s=30)
                await (relay.held if step in limits else reached).wait()
                await first.kill()
        assert inbox.read == []
        assert (await office.counts())["queued"] == 2

    inbox.on_mail = inbox.on_recipient = lambda _address: None
    await office.end_leases()
    async with serving(inbox) as port:
        await office.service(port).sweep()
    assert await office.counts() == {"sent": 2}
    assert sorted(inbox.counted().values()) == [1, 1]


async def test_killed_between_the_books_and_the_end_of_a_mail_it_is_doubtful_and_was_not_sent(
    office: PostOffice, inbox: Inbox, database: str, tmp_path: Path
) -> None:
    """The books say that the end comes next; whoever looks cannot tell that it did not."""
    await office.queue(letter("1"))
    path = tmp_path / ".s.PGSQL.5432"
    relay = Relay(lambda: asyncio.open_unix_connection(socket_of(database)), hears=lambda piece: ENDS_NEXT in piece)
    async with sender() as first, serving(inbox) as port, relaying(relay, path=str(path)):
        await first.start(through(database, tmp_path), port, lease_s=30)
        await relay.held.wait()
        await until(lambda: _is(office, "sending"))
        await first.kill()

    await look_after_it(office, inbox, was_sent=False)


@pytest.mark.parametrize("accepted", [True, False])
async def test_killed_before_the_answer_to_a_mail_it_is_doubtful_whatever_the_server_made_of_it(
    office: PostOffice, inbox: Inbox, database: str, accepted: bool
) -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def hold(got: Got) -> str | None:
        if accepted:
            inbox.got.append(got)
        reached.set()
        await go.wait()
        return "554 dropped"

    inbox.on_message = hold
    await office.queue(letter("1"))
    async with sender() as first, serving(inbox) as port:
        await first.start(database, port, lease_s=30)
        await reached.wait()
        await first.kill()
        go.set()

    await look_after_it(office, inbox, was_sent=accepted)


async def test_killed_between_the_answer_to_a_mail_and_the_books_it_is_doubtful_and_was_sent(
    office: PostOffice, inbox: Inbox, database: str, tmp_path: Path
) -> None:
    path = tmp_path / ".s.PGSQL.5432"
    relay = Relay(lambda: asyncio.open_unix_connection(socket_of(database)))

    async def close_the_books(_got: Got) -> None:
        relay.is_dumb = True
        relay.held.clear()

    inbox.on_message = close_the_books
    await office.queue(letter("1"))
    async with sender() as first, serving(inbox) as port, relaying(relay, path=str(path)):
        await first.start(through(database, tmp_path), port, lease_s=30)
        await relay.held.wait()
        await until(lambda: _has_answered(inbox))
        await asyncio.sleep(0.2)
        await first.kill()

    await look_after_it(office, inbox, was_sent=True)


async def look_after_it(office: PostOffice, inbox: Inbox, *, was_sent: bool) -> None:
    """Another one finds it, leaves it alone, and after the operator has looked it went exactly once."""
    assert len(inbox.got) == was_sent
    assert await office.only_state() == "sending"
    inbox.on_message = None
    async with serving(inbox) as port:
        other = office.service(port)
        await other.sweep()
        assert await office.only_state() == "sending", "its lease has not ended"
        await office.end_leases()
        for _ in range(3):
            await other.sweep()
        assert await office.only_state() == "doubtful"
        assert len(inbox.got) == was_sent, "nobody sends it by himself"
        async with office.pool.acquire() as connection:
            await operating.settle(connection, 1, delivered=was_sent, **WHO)
        await other.sweep()
    assert await office.only_state() == "sent"
    assert list(inbox.counted().values()) == [1]


async def _is(office: PostOffice, state: str) -> bool:
    return await office.only_state() == state


async def _has_answered(inbox: Inbox) -> bool:
    return len(inbox.got) == 1


async def test_killed_after_the_books_it_is_sent(office: PostOffice, inbox: Inbox, database: str) -> None:
    await office.queue(letter("1"))
    async with sender() as first, serving(inbox) as port:
        await first.start(database, port, lease_s=30)
        await until(lambda: _is(office, "sent"))
        await first.kill()
        await office.end_leases()
        await office.service(port).sweep()

    assert await office.only_state() == "sent"
    assert list(inbox.counted().values()) == [1]
