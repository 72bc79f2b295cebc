"""A session with a mail server that stops before the end of a message, so that it can be written down that it comes.

aiosmtplib connects, encrypts and logs in; its own sending is DATA, message and dot in one, after which nobody could tell a
message that never went from one whose answer was lost.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

import aiosmtplib

from billing.mail.mail_settings import SmtpServer, TlsMode
from billing.mail.reply import CLOSING, CONTINUE, OURS, UNKNOWN_PARAMETER, Reply, Stage, shortened

Tell = Callable[[str, str], None]
"""Is told each step in short, and what the server said to it. Secrets are never in either."""
BUFFER_BYTES_MAX: Final = 262_144
"""Of a message in our own memory, on its way to the socket."""
LOOK_S: Final = 0.005
GOODBYE_S: Final = 2.0
TROUBLE: Final = (aiosmtplib.SMTPException, OSError, ValueError)
"""ValueError: what the library makes of words that no server should say."""


class ServerTrouble(Exception):
    """The mail server cannot be used now, whatever is to be sent."""


class SessionLost(Exception):
    """The connection has ended, or is of no more use; the server cannot have the message.

    `is_old`: it had before the message was begun.
    """

    def __init__(self, why: str, *, is_old: bool = False) -> None:
        super().__init__(why)
        self.is_old = is_old


class AnswerLost(Exception):
    """The end of the message was sent, and no answer came that says what became of it."""


class Refusal(Exception):
    """The server will not have this message, now or ever; the session may go on with others."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        super().__init__(f"{stage}: {reply.code}")
        self.stage = stage
        self.reply = reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Addresses in their envelope form. `id` comes back in reports of servers that know RFC 3461; `size` is in bytes."""

    id: str
    return_path: str
    recipient: str
    size: int


class MailSession:
    """`open`, then for each message `begin`, `transmit` and `finish`, then `close`. Whatever is raised, `close` is right."""

    def __init__(self, server: SmtpServer, *, tell: Tell = lambda _step, _answer: None) -> None:
        self._server = server
        self._tell = tell
        self._smtp: aiosmtplib.SMTP | None = None
        self._knows_reports = True
        self.begun = 0
        """How many messages it has been asked to take."""

    @property
    def is_open(self) -> bool:
        return self._smtp is not None and self._smtp.is_connected

    async def open(self) -> None:
        """Connect, encrypt and log in.

        Raises:
            ServerTrouble: it cannot be reached, does not offer what is asked for, or does not let us in.
        """
        server = self._server
        try:
            context = None if server.tls is TlsMode.NONE else await asyncio.to_thread(_tls, server)
        except OSError as trouble:
            raise ServerTrouble(f"the certificates of {server.ca} cannot be used: {_why(trouble)}") from None
        try:
            async with asyncio.timeout(server.timeout_s * 3):
                await self._connect(context)
                await self._log_in()
        except TROUBLE as trouble:
            self._drop()
            where = f"{server.host}:{server.port}"
            raise ServerTrouble(f"mail server {where}: {_why(trouble)}") from None
        except BaseException:
            self._drop()
            raise

    async def _connect(self, context: ssl.SSLContext | None) -> None:
        server = self._server
        self._smtp = smtp = aiosmtplib.SMTP(
            hostname=server.host, port=server.port, local_hostname=server.client_name, timeout=server.timeout_s,
            use_tls=server.tls is TlsMode.TLS, start_tls=False, tls_context=context,
        )  # fmt: skip
        greeting = await smtp.connect()
        self._tell(f"connect to {server.host}:{server.port}", f"{greeting.code} {greeting.message}")
        if server.tls is TlsMode.STARTTLS:
            answer = await smtp.starttls()
            self._tell("STARTTLS", f"{answer.code} {answer.message}")
        if server.tls is not TlsMode.NONE:
            self._tell("TLS", str(smtp.get_transport_info("ssl_object").version()))
        answer = await smtp.ehlo()
        self._tell("EHLO", f"{answer.code} {', '.join(answer.message.splitlines())}")

    async def _log_in(self) -> None:
        """A server that does not understand may repeat what it was sent: of its words only the code is told."""
        server = self._server
        if server.user is None:
            return
        assert self._smtp is not None
        try:
            answer = await self._smtp.login(server.user, server.password or "")
        except aiosmtplib.SMTPResponseException as refused:
            self._tell("AUTH ***", str(refused.code))
            raise ServerTrouble(
                f"mail server {server.host}:{server.port} refuses the login with {refused.code}"
            ) from None
        except ValueError:
            raise ServerTrouble("user or password have letters that no login has") from None
        self._tell("AUTH ***", str(answer.code))

    async def begin(self, envelope: Envelope) -> None:
        """Ask whether the server would take a message, up to the point from which its text follows.

        Raises:
            Refusal: it will not.
            ServerTrouble: it takes none from us.
            SessionLost: the connection has ended.
        """
        self.begun += 1
        smtp = self._smtp
        if smtp is None:
            raise SessionLost("the session is closed", is_old=True)
        with_report = self._knows_reports and smtp.supports_extension("dsn")
        try:
            await self._ask(envelope, with_report=with_report)
        except Refusal as refused:
            if refused.reply.code != UNKNOWN_PARAMETER or not with_report or not self.is_open:
                raise
            self._knows_reports = False  # it says that it does, and does not: the message is not to suffer for it
            await self._ask(envelope, with_report=False)

    async def _ask(self, envelope: Envelope, *, with_report: bool) -> None:
        sized = self._smtp is not None and self._smtp.supports_extension("size")
        options = [f"SIZE={envelope.size}"] if sized else []
        options += ["RET=HDRS", f"ENVID={envelope.id}"] if with_report else []
        await self._step(Stage.MAIL, f"FROM:<{envelope.return_path}>", *options)
        await self._step(Stage.RCPT, f"TO:<{envelope.recipient}>", *(["NOTIFY=FAILURE,DELAY"] if with_report else []))
        await self._step(Stage.DATA)

    async def _step(self, stage: Stage, *words: str) -> None:
        if self._smtp is None:
            raise SessionLost("the session is closed")
        try:
            told = await self._smtp.execute_command(stage.encode(), *(each.encode("ascii") for each in words))
        except TROUBLE as trouble:
            self._drop()
            raise SessionLost(f"{stage}: {_why(trouble)}", is_old=stage is Stage.MAIL) from None
        except BaseException:
            self._drop()
            raise
        reply = Reply(told.code, told.message)
        self._tell(" ".join((stage, *words)), reply.in_short)
        if reply.code == CONTINUE if stage is Stage.DATA else reply.is_yes:
            return
        if reply.code in OURS:
            await self.close()
            raise ServerTrouble(f"the mail server wants another login: {stage} was answered with {reply.code}")
        if not (reply.is_for_now or reply.is_for_good):
            self._drop()
            raise SessionLost(f"{stage} was answered with {reply.code}, which is no answer to it")
        await (self.close() if reply.code == CLOSING else self._reset())
        raise Refusal(stage, reply)

    async def _reset(self) -> None:
        """Forget the message that was refused; a session that cannot is of no more use."""
        assert self._smtp is not None
        try:
            answer = await self._smtp.execute_command(b"RSET")
        except TROUBLE:
            self._drop()
            return
        if not Reply(answer.code, answer.message).is_yes:
            await self.close()

    async def transmit(self, data: Iterable[bytes]) -> None:
        """The message, but for its end; when this returns all of it has left our memory, or all but what TLS holds (64 kB).

        Raises:
            SessionLost: the connection has ended, or the server does not read.
        """
        try:
            for part in data:
                self._write(part)
                await self._wait_for_room(BUFFER_BYTES_MAX)
            await self._wait_for_room(0)
        except TROUBLE as trouble:
            self._drop()
            raise SessionLost(f"while the message was sent: {_why(trouble)}") from None
        except BaseException:
            self._drop()
            raise

    def _write(self, data: bytes) -> None:
        protocol = None if self._smtp is None else self._smtp.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        protocol.write(data)

    async def _wait_for_room(self, bytes_max: int) -> None:
        """Until no more than so much of what was written waits in our memory: the socket takes most of it at once."""
        async with asyncio.timeout(self._server.timeout_s):
            while self._smtp is not None and self._smtp.transport is not None:
                transport = cast("asyncio.WriteTransport", self._smtp.transport)
                if transport.get_write_buffer_size() <= bytes_max:
                    return
                await asyncio.sleep(LOOK_S)
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")

    async def finish(self) -> Reply:
        """End the message, and wait for what the server says. From its first step on the server may have the message.

        Raises:
            SessionLost: the end of the message could not be written.
            AnswerLost: it was, and what the server says to it is not known.
        """
        protocol = None if self._smtp is None else self._smtp.protocol
        try:
            self._write(b".\r\n")
        except TROUBLE as trouble:
            self._drop()
            raise SessionLost(f"at the end of the message: {_why(trouble)}") from None
        assert protocol is not None, "it was written to"
        try:
            told = await protocol.read_response(timeout=self._server.answer_timeout_s)
        except TROUBLE as trouble:
            self._drop()
            raise AnswerLost(_why(trouble)) from None
        except BaseException:
            self._drop()
            raise
        reply = Reply(told.code, told.message)
        self._tell("message and .", reply.in_short)
        if not (reply.is_yes or reply.is_for_now or reply.is_for_good):
            self._drop()
            raise AnswerLost(f"the server answered with {reply.code}, which is no answer to a message")
        if reply.code == CLOSING:
            await self.close()
        return reply

    def abandon(self) -> None:
        """Cut the connection: a message that was begun and not finished is none (RFC 5321 4.1.1.4)."""
        self._drop()

    async def close(self) -> None:
        """Take leave, where there is somebody to take it from."""
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        try:
            if smtp.is_connected:
                with suppress(*TROUBLE):
                    await smtp.quit(timeout=GOODBYE_S)
        finally:
            _cut(smtp)

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            _cut(smtp)


def _cut(smtp: aiosmtplib.SMTP) -> None:
    """At once: a transport that is closed in good order would send first what it still holds."""
    if smtp.transport is not None:
        cast("asyncio.WriteTransport", smtp.transport).abort()
    smtp.close()


def _tls(server: SmtpServer) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if server.ca is None else str(server.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _why(trouble: BaseException) -> str:
    """In short, as it may be stored and shown."""
    match trouble:
        case aiosmtplib.SMTPResponseException():
            return Reply(trouble.code, trouble.message).in_short
        case TimeoutError():
            return "no answer in time"
        case _:
            return shortened(str(trouble)) or type(trouble).__name__
