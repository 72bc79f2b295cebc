"""Queuing messages, in the transaction of the fact that they tell of: with it they are there, without it they never were."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from billing.mail.address import Mailbox, envelope_form, mistake_in
from billing.mail.delivery import State
from billing.mail.message import MailMessage, body_of, cleaned, content_hash, message_id
from billing.mail.store import SQL
from billing.sql import Connection

log = structlog.get_logger(__name__)

ENVELOPE_ID_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """`is_new` false: there is a message of this key already, and nothing was queued; `differs`: that one says otherwise.

    `unsendable` counts recipients whose address is none: those deliveries have failed already, and are listed.
    """

    message: int
    key: str
    is_new: bool
    differs: bool = False
    unsendable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    message: MailMessage
    sender: Mailbox | None
    hash: bytes


async def queue(connection: Connection, messages: Sequence[MailMessage]) -> list[Queued]:
    """Queue messages in the caller's transaction, one answer for each, in their order. A key that is there is not queued again.

    An address that is none, a name that cannot stand in a header, do not make it fail: no fact is lost for them.

    Raises:
        Refused: a message lacks what every message has; see cleaned().
    """
    if not messages:
        return []
    brands = await _senders(connection, {each.brand for each in messages if each.brand is not None})
    wanted: dict[str, _Prepared] = {}
    for each in messages:
        if each.key not in wanted:
            wanted[each.key] = _prepared(each, brands)
    async with connection.transaction():
        new = await _insert_messages(connection, [wanted[key] for key in sorted(wanted)])
        unsendable = await _insert_deliveries(connection, {id_: wanted[key].message for key, id_ in new.items()})
        rows = await SQL.messages_by_key.fetch(connection, keys=[key for key in wanted if key not in new])
    known = {row["key"]: row["id"] for row in rows}
    other = {row["key"] for row in rows if row["content_hash"] != wanted[row["key"]].hash}
    for key in sorted(other):
        log.warning("mail_key_used_for_another_message", message=known[key])
    return [
        Queued(message=new[each.key], key=each.key, is_new=True, unsendable=unsendable.get(new[each.key], 0))
        if each.key in new
        else Queued(message=known[each.key], key=each.key, is_new=False, differs=each.key in other)
        for each in messages
    ]


async def _senders(connection: Connection, brands: set[str]) -> dict[str, tuple[Mailbox | None, Mailbox | None]]:
    """Who writes for a brand and who reads the answers, where its details say so and both can be written to."""
    if not brands:
        return {}
    rows = await SQL.senders_of_brands.fetch(connection, brands=sorted(brands))
    return {row["id"]: (_usable(row["address"], row["name"]), _usable(row["reply_to"], None)) for row in rows}


def _usable(address: str | None, name: str | None) -> Mailbox | None:
    if address is None or mistake_in(address.strip()) is not None:
        return None
    return Mailbox(address=address.strip(), name=name or "")


def _prepared(message: MailMessage, brands: Mapping[str, tuple[Mailbox | None, Mailbox | None]]) -> _Prepared:
    of_brand, reply_to = brands.get(message.brand or "", (None, None))
    named = None if message.sender is None else _usable(message.sender.address, message.sender.name)
    full = cleaned(replace(message, sender=named or of_brand, reply_to=message.reply_to or reply_to))
    return _Prepared(message=full, sender=full.sender, hash=content_hash(full, full.sender))


async def _insert_messages(connection: Connection, prepared: Sequence[_Prepared]) -> dict[str, int]:
    """Ids of those that are new, by key."""
    rows = await SQL.insert_messages.fetch(
        connection,
        keys=[each.message.key for each in prepared],
        kinds=[each.message.kind for each in prepared],
        accounts=[each.message.account for each in prepared],
        brands=[each.message.brand for each in prepared],
        message_ids=[message_id(each.hash) for each in prepared],
        content_hashes=[each.hash for each in prepared],
        sender_addresses=[None if each.sender is None else each.sender.address for each in prepared],
        sender_names=[None if each.sender is None else each.sender.name for each in prepared],
        expires_ats=[each.message.expires_at for each in prepared],
    )
    return {row["key"]: row["id"] for row in rows}


async def _insert_deliveries(connection: Connection, messages: Mapping[int, MailMessage]) -> dict[int, int]:
    """A delivery for each recipient of these messages; by message, how many of them cannot be written to."""
    if not messages:
        return {}
    await SQL.insert_contents.execute(
        connection, messages=list(messages), bodies=[json.dumps(body_of(each)) for each in messages.values()]
    )
    recipients = [
        (id_, n, box.address, mistake_in(box.address))
        for id_, message in messages.items()
        for n, box in enumerate((*message.to, *message.cc), start=1)
    ]
    rows = await SQL.insert_deliveries.fetch(
        connection,
        messages=[id_ for id_, _, _, _ in recipients],
        ns=[n for _, n, _, _ in recipients],
        addresses=[address if wrong else envelope_form(address) for _, _, address, wrong in recipients],
        envelope_ids=[secrets.token_hex(ENVELOPE_ID_BYTES) for _ in recipients],
        mistakes=[wrong for _, _, _, wrong in recipients],
    )
    mistaken = [each for each in recipients if each[3] is not None]
    await SQL.insert_mistakes.execute(
        connection, messages=[each[0] for each in mistaken], ns=[each[1] for each in mistaken],
        words=[each[3] for each in mistaken],
    )  # fmt: skip
    return Counter(row["message"] for row in rows if row["state"] == State.FAILED)
