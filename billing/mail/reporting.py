"""Reports of mail servers, put to the deliveries that they are of. Each file counts once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from billing.errors import AlreadyDone, NotFound, Refused
from billing.mail.delivery import MAY_BECOME, EventKind, State
from billing.mail.reply import NOBODY_THERE
from billing.mail.report import Action, Report, Reported, ReportInvalid, read_report
from billing.mail.store import SQL
from billing.sql import Connection

_EVENTS: Final = {
    Action.FAILED: EventKind.BOUNCED,
    Action.DELAYED: EventKind.DELAYED,
    Action.DELIVERED: EventKind.DELIVERED,
    Action.RELAYED: EventKind.DELIVERED,
    Action.EXPANDED: EventKind.DELIVERED,
}
_MAY_BOUNCE: Final = [each.value for each in State if State.BOUNCED in MAY_BECOME[each]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What was reported of a delivery. `suppressed`: nobody is at its address, and it is not written to any more."""

    delivery: int
    event: EventKind
    status: str | None
    words: str
    bounced: bool
    suppressed: bool


async def take_report(connection: Connection, raw: bytes, *, actor: str) -> list[Noted]:
    """Put a report to the deliveries that it is of, in one transaction.

    Raises:
        Refused: the file is no report.
        NotFound: it is of no mail of ours.
        AlreadyDone: it was taken in before.
    """
    try:
        report = read_report(raw)
    except ReportInvalid as wrong:
        raise Refused(f"the file is not taken in: {wrong}", "give the report as it came, with all its parts") from wrong
    digest = hashlib.sha256(raw).digest()
    async with connection.transaction():
        matched = await _matched(connection, report)
        if not matched:
            raise NotFound("the report is of no mail of ours", "see csms mail list for what was sent, and to whom")
        if await SQL.insert_report.fetchval(connection, digest=digest, matched=len(matched), actor=actor) is None:
            at = await SQL.report_known.fetchval(connection, digest=digest)
            raise AlreadyDone(f"this report was taken in at {at:%Y-%m-%d %H:%M} UTC", "nothing is left to do")
        return [await _note(connection, delivery, reported) for delivery, reported in matched]


async def _matched(connection: Connection, report: Report) -> list[tuple[int, Reported]]:
    """By envelope id, which is one delivery's own; else by the Message-ID and the address."""
    rows = await SQL.by_envelope.fetch(connection, envelope_ids=sorted(report.envelope_ids))
    if rows:
        return [(row["id"], each) for row in rows for each in report.recipients]
    of_message = await SQL.by_message_id.fetch(connection, message_ids=sorted(report.message_ids))
    if len(of_message) == 1:
        return [(of_message[0]["id"], each) for each in report.recipients]
    return [
        (row["id"], each)
        for row in of_message
        for each in report.recipients
        if row["address"] is not None and row["address"].lower() in each.addresses
    ]


async def _note(connection: Connection, delivery: int, reported: Reported) -> Noted:
    event = _EVENTS[reported.action]
    is_bounce = event is EventKind.BOUNCED
    row = await SQL.report.fetchrow(
        connection,
        id=delivery,
        kind=event.value,
        state=State.BOUNCED.value if is_bounce else None,
        from_states=_MAY_BOUNCE,
        status=reported.status,
        words=reported.words,
        suppress=is_bounce and reported.status in NOBODY_THERE,
    )
    assert row is not None, "the delivery was found"
    return Noted(
        delivery=delivery, event=event, status=reported.status, words=reported.words, bounced=row["moved"],
        suppressed=row["suppressed"],
    )  # fmt: skip
