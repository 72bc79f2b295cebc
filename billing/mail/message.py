"""A message as other rooms want it sent, and what identifies it. Pure: knows neither MIME nor how it travels."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from billing.errors import Refused
from billing.mail.address import NAME_LENGTH_MAX, Mailbox, compared

KEY_LENGTH_MAX: Final = 300
SUBJECT_LENGTH_MAX: Final = 300
BODY_LENGTH_MAX: Final = 1_000_000
"""Characters, of the text as of the HTML: what is longer is an attachment."""
RECIPIENTS_MAX: Final = 20
ATTACHMENTS_MAX: Final = 20
MESSAGE_ID_LENGTH: Final = 32
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_FILE_NAME: Final = re.compile(r"[^/\\]{1,120}")
_CONTENT_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}", re.ASCII)
_BY_OTHERS: Final = frozenset({"message", "multipart"})
"""Types that have parts of their own: an attachment is bytes as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with a message. `ref` is where its bytes are: they are asked for when it is sent."""

    name: str
    content_type: str
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailMessage:
    """What is to be sent. `key` names the fact that it tells of, for ever: `invoice INV-2026-00017`, `reminder 2 of 4711`.

    `kind` is what it is (`invoice`, `reminder`), for lists and figures. `sender` unset: that of the brand, else the
    operator's. `account`: whose personal data it holds. `expires_at`: from then on it is of no use, and is not sent any more.
    """

    key: str
    kind: str
    to: tuple[Mailbox, ...]
    subject: str
    text: str
    html: str | None = None
    cc: tuple[Mailbox, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    brand: str | None = None
    sender: Mailbox | None = None
    reply_to: Mailbox | None = None
    account: str | None = None
    expires_at: datetime | None = None


def one_line(text: str, *, length_max: int) -> str:
    """Text as a header may have it: one line without control characters, which could begin another header.

    Names and subjects come from customers; one that cannot be shown as written must not keep an invoice from its way.
    """
    shown = (" " if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} else each for each in text)
    return " ".join("".join(shown).split())[:length_max]


def plain(text: str) -> str:
    """Text as a body and a database may have it: lines end as lines do, and no character is one that none may store."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return lines.encode("utf-8", "replace").decode("utf-8")


def cleaned(message: MailMessage) -> MailMessage:
    """The message with what its parts may not have taken out, and each recipient once.

    Raises:
        Refused: it has no key, kind, recipient or subject, too much of anything, or an attachment that is none.
    """
    subject = one_line(message.subject, length_max=SUBJECT_LENGTH_MAX)
    to = _each_once(message.to, ())
    wrong = [
        *_without_name(message.key, message.kind),
        *([] if subject else ["it has no subject"]),
        *([] if to else ["it is for nobody"]),
        *(each for attachment in message.attachments for each in _wrong_with(attachment)),
    ]
    cc = _each_once(message.cc, to)
    if len(to) + len(cc) > RECIPIENTS_MAX:
        wrong.append(f"it has more than {RECIPIENTS_MAX} recipients")
    if len(message.attachments) > ATTACHMENTS_MAX:
        wrong.append(f"it has more than {ATTACHMENTS_MAX} attachments")
    if max(len(message.text), len(message.html or "")) > BODY_LENGTH_MAX:
        wrong.append(f"it has more than {BODY_LENGTH_MAX} characters")
    if message.expires_at is not None and message.expires_at.tzinfo is None:
        wrong.append("it expires at a time of no zone")
    if wrong:
        raise Refused(
            f"mail {message.key[:KEY_LENGTH_MAX]!r} cannot be queued: {wrong[0]}",
            "correct what makes it",
            details={"problems": wrong},
        )
    return MailMessage(
        key=message.key, kind=message.kind, to=to, subject=subject, text=plain(message.text),
        html=None if message.html is None else plain(message.html), cc=cc, attachments=message.attachments,
        brand=message.brand, sender=_named(message.sender), reply_to=_named(message.reply_to), account=message.account,
        expires_at=message.expires_at,
    )  # fmt: skip


def _without_name(key: str, kind: str) -> Iterable[str]:
    if not key.strip() or len(key) > KEY_LENGTH_MAX or not key.isprintable():
        yield f"its key is not 1 to {KEY_LENGTH_MAX} printable characters"
    if not _KIND.fullmatch(kind):
        yield f"its kind {kind[:80]!r} is no small word such as invoice"


def _wrong_with(attachment: Attachment) -> Iterable[str]:
    if not _FILE_NAME.fullmatch(attachment.name) or not attachment.name.isprintable():
        yield f"{attachment.name[:80]!r} cannot name an attachment"
    if not _CONTENT_TYPE.fullmatch(attachment.content_type) or attachment.content_type.split("/")[0] in _BY_OTHERS:
        yield f"{attachment.content_type[:80]!r} is no type of an attachment such as application/pdf"
    if not attachment.ref or not attachment.ref.isprintable():
        yield f"attachment {attachment.name[:80]!r} is nowhere"


def _each_once(boxes: Iterable[Mailbox], before: Iterable[Mailbox]) -> tuple[Mailbox, ...]:
    seen = {compared(each.address) for each in before}
    kept = []
    for box in boxes:
        if compared(box.address) not in seen:
            seen.add(compared(box.address))
            kept.append(box)
    return tuple(each for each in map(_named, kept) if each is not None)


def _named(box: Mailbox | None) -> Mailbox | None:
    if box is None:
        return None
    address = plain(box.address.strip())
    return Mailbox(address=address, name=one_line(box.name, length_max=NAME_LENGTH_MAX))


def body_of(message: MailMessage) -> dict[str, Any]:
    """What is kept of a cleaned message beside its columns, as JSON values."""
    return {
        "to": [_box(each) for each in message.to],
        "cc": [_box(each) for each in message.cc],
        "reply_to": None if message.reply_to is None else _box(message.reply_to),
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "attachments": [
            {"name": each.name, "content_type": each.content_type, "ref": each.ref} for each in message.attachments
        ],
    }


def _box(box: Mailbox) -> dict[str, str]:
    return {"address": box.address, "name": box.name}


def box_of(body: Mapping[str, str]) -> Mailbox:
    """What body_of made of a mailbox."""
    return Mailbox(address=body["address"], name=body["name"])


def content_hash(message: MailMessage, sender: Mailbox | None) -> bytes:
    """Of all that a cleaned message says: two with one key and another hash are a mistake of whoever queues them."""
    said = {
        "key": message.key,
        "kind": message.kind,
        "sender": None if sender is None else _box(sender),
        **body_of(message),
    }
    return hashlib.sha256(json.dumps(said, ensure_ascii=True, sort_keys=True).encode()).digest()


def message_id(content: bytes) -> str:
    """What stands before the @ of the Message-ID: the same whenever and wherever the same fact is queued.

    So after a restore from a backup, too, whose queue knows of mails as unsent that have gone.
    """
    return hashlib.sha256(b"message-id " + content).hexdigest()[:MESSAGE_ID_LENGTH]
