"""Where mail goes out and under which limits, as an operator has set it. Reads no environment and no file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from billing.mail.address import Mailbox, envelope_form

ENVELOPE_ID: Final = "{id}"
"""What stands in a return path for the id of the delivery."""


class TlsMode(StrEnum):
    """How the connection to the mail server is kept from others."""

    NONE = "none"
    STARTTLS = "starttls"
    """It begins in the open (port 587); the server must offer STARTTLS (RFC 3207), or nothing is sent."""
    TLS = "tls"
    """From its first byte (port 465, RFC 8314)."""

    @property
    def usual_port(self) -> int:
        return _PORTS[self]


_PORTS: Final = {TlsMode.NONE: 25, TlsMode.STARTTLS: 587, TlsMode.TLS: 465}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """The operator's mail server. `ca`: who signs its certificate, PEM; None: whom this machine trusts.

    `timeout_s` is for each step, `answer_timeout_s` for the answer to the end of a message, for which RFC 5321 4.5.3.2.6 wants
    ten minutes: whoever waits less makes more mails doubtful. `client_name`: what we call ourselves; None: the machine's name.
    """

    host: str
    port: int
    tls: TlsMode = TlsMode.STARTTLS
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    client_name: str | None = None
    timeout_s: float = 60.0
    answer_timeout_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """`sender`: who writes where a message and its brand name nobody. `return_path`: where reports go; with {id} in it each
    delivery has an address of its own; None: the sender's. `connections`: at once, of this process.

    `lease`: how long a process may be unheard of before others take its mails for theirs, or for doubtful.
    `per_minute_max`: of all processes on one database together. `per_connection_max`: then a new one is opened.
    """

    server: SmtpServer
    sender: Mailbox
    return_path: str | None = None
    connections: int = 2
    per_minute_max: int | None = None
    per_connection_max: int = 100
    bytes_max: int = 20_000_000
    batch_size: int = 20
    lease: timedelta = timedelta(seconds=45)
    sweep_interval_s: float = 5.0
    measure_interval_s: float = 30.0
    drain_timeout_s: float = 10.0

    def return_path_of(self, envelope_id: str, sender: Mailbox) -> str:
        """Where what becomes of a delivery is reported to, in envelope form."""
        path = sender.address if self.return_path is None else self.return_path
        return envelope_form(path.replace(ENVELOPE_ID, envelope_id))
