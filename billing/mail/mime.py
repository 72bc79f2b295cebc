"""A message as it travels: headers and parts by the standard library's e-mail policy (RFC 5322, MIME). Pure.

The same message is the same bytes whenever it is made: who gets a mail a second time can tell that it is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from billing.mail.address import Mailbox, domain_of, envelope_form, mistake_in
from billing.mail.message import Attachment

_POLICY: Final = SMTP.clone(cte_type="7bit", raise_on_defect=False)
"""Seven bits always: every server takes them, and none has to convert what might be signed."""
_HEADERS: Final = frozenset({
    b"from", b"to", b"cc", b"reply-to", b"subject", b"date", b"message-id", b"auto-submitted", b"mime-version",
    b"content-type", b"content-transfer-encoding",
})  # fmt: skip


class HeaderInjected(Exception):
    """The message has headers that nobody set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """All that the bytes of a message are made of, but for its attachments' own."""

    message_id: str
    queued_at: datetime
    sender: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    reply_to: Mailbox | None
    subject: str
    text: str
    html: str | None


def as_bytes(letter: Letter, attachments: Sequence[tuple[Attachment, bytes]] = ()) -> bytes:
    """The message with CRLF line ends, not yet escaped for DATA.

    Its date is when it was queued, also if it leaves later: only so it is the same bytes.

    Raises:
        HeaderInjected: it would have a header that is none of ours.
    """
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = _one(letter.sender)
    mail["To"] = _several(letter.to)
    if cc := _several(letter.cc):
        mail["Cc"] = cc
    if letter.reply_to is not None and mistake_in(letter.reply_to.address) is None:
        mail["Reply-To"] = _one(letter.reply_to)
    mail["Subject"] = letter.subject
    mail["Date"] = format_datetime(letter.queued_at)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: whoever is away need not tell a machine
    mail.set_content(letter.text)
    if letter.html is not None:
        mail.add_alternative(letter.html, subtype="html")
    for attachment, content in attachments:
        kind, _, subtype = attachment.content_type.partition("/")
        mail.add_attachment(content, maintype=kind, subtype=subtype, filename=attachment.name)
    for number, part in enumerate(each for each in mail.walk() if each.is_multipart()):
        part.set_boundary(f"=_{letter.message_id}_{number}")  # neither base64 nor quoted-printable has such a line
    return _with_message_id(bytes(mail), f"<{letter.message_id}@{domain_of(envelope_form(letter.sender.address))}>")


def _with_message_id(written: bytes, message_id: str) -> bytes:
    """Written by ourselves: the library encodes one that is longer than its lines, and so makes it another."""
    made = b"Message-ID: " + message_id.encode("ascii") + b"\r\n" + written
    head = made.partition(b"\r\n\r\n")[0].splitlines()
    names = [each.partition(b":")[0].lower() for each in head if not each.startswith((b" ", b"\t"))]
    if not _HEADERS.issuperset(names) or len(names) != len(set(names)):
        raise HeaderInjected("the message has headers that nobody set")
    return made


def _one(box: Mailbox) -> Address:
    return Address(display_name=box.name, addr_spec=envelope_form(box.address))


def _several(boxes: Iterable[Mailbox]) -> tuple[Address, ...]:
    """Of those that can be written to: the others are told to whoever looks at their deliveries."""
    return tuple(_one(each) for each in boxes if mistake_in(each.address) is None)


def as_data(message: bytes) -> Iterator[bytes]:
    """The message as DATA carries it, in parts, without the dot that ends it: lines end in CRLF, leading dots are doubled.

    A line end of any other kind would let a message end where its reader sees none (RFC 5321 2.3.8, 4.5.2).
    """
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    escaped = re.sub(rb"^\.", b"..", lines, flags=re.MULTILINE)
    for start in range(0, len(escaped), PART_BYTES):
        yield escaped[start : start + PART_BYTES]


PART_BYTES: Final = 65_536
