"""Mail servers for tests - aiosmtpd, on real sockets, with a word to say at each step - and mails to send to them."""

from __future__ import annotations

import asyncio
import contextlib
import email
import ssl
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from typing import Any

import asyncpg
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from billing.mail.address import Mailbox
from billing.mail.mail_settings import MailSettings, SmtpServer, TlsMode
from billing.mail.message import MailMessage
from billing.mail.queueing import queue
from billing.mail.service import MailService, no_archive
from billing.mail.shift import Fetch

HOST = "127.0.0.1"
SENDER = Mailbox(address="billing@operator.example", name="Example Charging")
PDF = b"%PDF-1.7 " + bytes(range(256)) * 100

Say = Callable[[str], str | None]
"""What to answer to an address; None: yes."""


@dataclass(slots=True)
class Got:
    """A message that a server has accepted for one recipient."""

    envelope_id: str | None
    return_path: str
    recipient: str
    raw: bytes

    @property
    def mail(self) -> EmailMessage:
        parsed = email.message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def message_id(self) -> str:
        return str(self.mail["Message-ID"])


@dataclass(slots=True)
class Inbox:
    """An aiosmtpd handler: answers as it is told to, and keeps what it said yes to."""

    got: list[Got] = field(default_factory=list)
    read: list[Got] = field(default_factory=list)
    """Messages whose end has come, accepted or not."""
    sessions: int = 0
    asked: list[str] = field(default_factory=list)
    """Addresses of RCPT, refused ones too."""
    on_mail: Say = lambda _address: None
    on_recipient: Say = lambda _address: None
    on_message: Callable[[Got], Awaitable[str | None]] | None = None
    """After the end of a message. What it answers counts; it is accepted if that is nothing or begins with a 2."""

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        del server, envelope
        self.sessions += 1
        session.host_name = hostname
        return [*responses[:-1], "250-DSN", responses[-1]]

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        del server, session
        answer = self.on_mail(address)
        if answer is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer or "250 2.1.0 Ok"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        del server, session, options
        self.asked.append(address)
        answer = self.on_recipient(address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        del server
        [recipient] = envelope.rcpt_tos
        one = Got(
            envelope_id=session.envelope_id, return_path=envelope.mail_from, recipient=recipient,
            raw=envelope.original_content,
        )  # fmt: skip
        self.read.append(one)
        answer = None if self.on_message is None else await self.on_message(one)
        if answer is None or answer.startswith("2"):
            self.got.append(one)
        return answer or "250 2.0.0 Ok: queued as 4711"

    def counted(self) -> Counter[tuple[str, str]]:
        """How often each message was accepted for each recipient."""
        return Counter((each.message_id, each.recipient) for each in self.got)


class Knowing(SMTP):
    """Knows the parameters of RFC 3461, which aiosmtpd refuses; may hang up after each message."""

    knows_reports = True
    hangs_up = False
    at_data: tuple[asyncio.Event, asyncio.Event] | None = None
    """Set when DATA is asked for, and waited for before it is answered."""
    silent_after: str | None = None
    """What is said instead of nothing."""

    async def push(self, status: Any) -> None:
        if status != self.silent_after:
            await super().push(status)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's
        words = (arg or "").split(" ")
        [self.session.envelope_id] = [each[6:] for each in words if each.startswith("ENVID=")] or [None]
        known = ("ENVID=", "RET=") if self.knows_reports else ()
        await super().smtp_MAIL(" ".join(each for each in words if not each.startswith(known)))

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        await super().smtp_RCPT((arg or "").partition(" NOTIFY=")[0])

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if self.at_data is not None:
            asked, go = self.at_data
            asked.set()
            await go.wait()
        await super().smtp_DATA(arg)
        if self.hangs_up:
            self.transport.close()


@contextlib.asynccontextmanager
async def serving(
    inbox: Inbox,
    *,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
    size_max: int = 33_554_432,
    **ways: Any,
) -> AsyncIterator[int]:
    """A mail server on a port of its own, which is given. `ways`: see Knowing."""

    def lets_in(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        del server, session, envelope, mechanism
        assert isinstance(given, LoginPassword)
        said = (given.login.decode(), given.password.decode())
        return AuthResult(success=said == login, handled=False)

    served: list[SMTP] = []

    def protocol() -> SMTP:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # that passwords may come unencrypted here
            one: SMTP = type("Served", (Knowing,), ways)(
                inbox, hostname="mail.example", loop=asyncio.get_running_loop(), tls_context=starttls,
                require_starttls=starttls is not None, authenticator=lets_in if login else None,
                auth_required=login is not None, auth_require_tls=False, data_size_limit=size_max,
                enable_SMTPUTF8=False,
            )  # fmt: skip
        served.append(one)
        return one

    server = await asyncio.get_running_loop().create_server(protocol, HOST, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in served:
            if each.transport is not None:
                each.transport.abort()
        await asyncio.sleep(0)


def to_server(port: int, **given: Any) -> SmtpServer:
    return SmtpServer(**{
        "host": HOST, "port": port, "tls": TlsMode.NONE, "client_name": "csms.example", "timeout_s": 5.0,
        "answer_timeout_s": 5.0, **given,
    })  # fmt: skip


def settings(server: SmtpServer, **given: Any) -> MailSettings:
    quick = {"sweep_interval_s": 0.05, "lease": timedelta(seconds=30), "drain_timeout_s": 5.0}
    return MailSettings(**{"server": server, "sender": SENDER, **quick, **given})


def letter(key: str, to: str | Sequence[str] = "anna@customer.example", **given: Any) -> MailMessage:
    """A message about an invoice, unless said otherwise."""
    addresses = [to] if isinstance(to, str) else to
    plain = {
        "kind": "invoice",
        "subject": f"Your invoice {key}",
        "text": f"Dear customer,\n\nplease find {key} attached.\n",
    }
    return MailMessage(key=key, to=tuple(Mailbox(address=each) for each in addresses), **{**plain, **given})


class PostOffice:
    """A database and what is done with it in tests."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def queue(self, *messages: MailMessage) -> None:
        async with self.pool.acquire() as connection:
            await queue(connection, messages)

    def service(self, port: int, *, fetch: Fetch = no_archive, **given: Any) -> MailService:
        of_server = {name: given.pop(name) for name in ("timeout_s", "answer_timeout_s") if name in given}
        return MailService(self.pool, settings(to_server(port, **of_server), **given), fetch=fetch)

    async def states(self) -> dict[str, str]:
        """By key of the message and address."""
        rows = await self.pool.fetch(
            "SELECT m.key, d.address, d.state FROM mail_delivery d JOIN mail_message m ON m.id = d.message ORDER BY d.id"
        )
        return {f"{row['key']} {row['address']}": row["state"] for row in rows}

    async def only_state(self) -> str:
        [state] = (await self.states()).values()
        return state

    async def counts(self) -> Counter[str]:
        return Counter((await self.states()).values())

    async def events(self) -> list[tuple[str, int | None, bool]]:
        rows = await self.pool.fetch("SELECT kind, code, took_effect FROM mail_event ORDER BY id")
        return [tuple(row) for row in rows]

    async def words(self) -> list[str]:
        return [row["words"] for row in await self.pool.fetch("SELECT words FROM mail_words ORDER BY event")]

    async def make_due(self) -> None:
        """The pause before the next try is over."""
        await self.pool.execute("UPDATE mail_delivery SET next_at = now() WHERE state IN ('queued', 'retry')")

    async def end_leases(self) -> None:
        """Whoever sends was not heard of for long."""
        await self.pool.execute("UPDATE mail_delivery SET next_at = now() WHERE next_at IS NOT NULL")


async def until(look: Callable[[], Awaitable[bool]], *, within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not await look():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.02)
