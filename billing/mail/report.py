"""What mail servers report of mails that they had accepted: delivery status notifications (RFC 3464), read from a file. Pure.

They come by mail from anywhere, so nothing in them is believed but what leads to a delivery of ours: the envelope id, which only
servers on its way have seen, or the Message-ID of what they send back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, message_from_string
from email.message import Message
from email.policy import compat32
from enum import StrEnum
from typing import Final

from billing.mail.reply import shortened

FILE_BYTES_MAX: Final = 30_000_000
PARTS_MAX: Final = 200
_ENVELOPE_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])")
_MESSAGE_ID: Final = re.compile(r"(?<![0-9a-f])([0-9a-f]{32})@")
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_TO: Final = ("To", "Delivered-To", "X-Original-To", "X-Envelope-To")
"""Where a return path that has the envelope id in it can be seen."""


class ReportInvalid(ValueError):
    """The file is no delivery status notification."""


class Action(StrEnum):
    """What became of a mail for a recipient (RFC 3464 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """Of one recipient. `addresses`: the one that was delivered to, and the one that was given, where they differ."""

    action: Action
    status: str | None
    addresses: frozenset[str]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`envelope_ids` and `message_ids`: what may be one of ours."""

    recipients: tuple[Reported, ...]
    envelope_ids: frozenset[str]
    message_ids: frozenset[str]


def read_report(raw: bytes) -> Report:
    """Read a report as it came, an .eml file.

    Raises:
        ReportInvalid: it is none, or says nothing of any recipient.
    """
    if len(raw) > FILE_BYTES_MAX:
        raise ReportInvalid(f"the file has more than {FILE_BYTES_MAX} bytes")
    mail = message_from_bytes(raw, policy=compat32)
    parts = [part for part, _ in zip(mail.walk(), range(PARTS_MAX), strict=False)]
    statuses = [part for part in parts if part.get_content_type() == "message/delivery-status"]
    if not statuses:
        raise ReportInvalid("it is no delivery status notification (RFC 3464)")
    blocks = [block for each in statuses for block in _blocks(each)]
    recipients = tuple(each for each in map(_reported, blocks) if each is not None)
    if not recipients:
        raise ReportInvalid("it says of no recipient what became of the mail")
    seen = [_text(block, "Original-Envelope-Id") for block in blocks] + [_text(mail, name) for name in _TO]
    sent_back = [_text(each, "Message-ID") for each in _sent_back(parts)]
    return Report(
        recipients=recipients,
        envelope_ids=frozenset(found for text in seen for found in _ENVELOPE_ID.findall(text)),
        message_ids=frozenset(found for text in sent_back for found in _MESSAGE_ID.findall(text)),
    )


def _blocks(part: Message) -> list[Message]:
    """Groups of fields; the standard library reads each as a message without a body."""
    payload = part.get_payload()
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


def _sent_back(parts: list[Message]) -> Iterator[Message]:
    """The mail itself, or its headers, as the report carries it."""
    for part in parts:
        payload = part.get_payload()
        if part.get_content_type() == "message/rfc822" and isinstance(payload, list):
            yield from (each for each in payload if isinstance(each, Message))
        elif part.get_content_type() == "text/rfc822-headers" and isinstance(payload, str):
            decoded = part.get_payload(decode=True)
            text = decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else payload
            yield message_from_string(text.lstrip("\r\n"), policy=compat32)


def _reported(block: Message) -> Reported | None:
    word = _text(block, "Action").strip().lower()
    if word not in set(Action):
        return None
    status = _STATUS.search(_text(block, "Status"))
    named = [_address(_text(block, name)) for name in ("Final-Recipient", "Original-Recipient")]
    diagnostic = _text(block, "Diagnostic-Code").partition(";")[2]
    return Reported(
        action=Action(word),
        status=None if status is None else status[0],
        addresses=frozenset(each for each in named if each),
        words=shortened(diagnostic) or shortened(f"{word} {_text(block, 'Status')}"),
    )


def _address(field: str) -> str:
    """`rfc822; anna@customer.example`, as addresses are compared."""
    return field.partition(";")[2].strip().strip("<>").lower()


def _text(message: Message, name: str) -> str:
    return " ".join(str(each) for each in message.get_all(name, []))
