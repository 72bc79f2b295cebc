"""Messages and deliveries in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from billing.mail.address import Mailbox
from billing.mail.delivery import ENDED, MAY_BECOME, EventKind, State, Step
from billing.mail.mail_policy import MailPolicy
from billing.mail.message import Attachment, box_of
from billing.mail.mime import Letter
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.mail")

PACE_LOCK_KEY: Final = 0x6D61696C
"""Of the advisory lock between those who claim where only so many may be sent in a minute ("mail" in ASCII)."""
OF_A_TRY: Final = frozenset(State) - ENDED
"""Where a delivery may stand when the one whose try it was says what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is ours to send, with all that it takes. `letter` None: what it says is kept no more."""

    id: int
    envelope_id: str
    address: str | None
    tries: int
    age: timedelta
    is_expired: bool
    suppressed_since: datetime | None
    letter: Letter | None
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """`due` is counted as far as was asked; `late_s`: for how long the first of them has been."""

    due: int
    late_s: float


async def waiting(connection: Connection, *, limit: int) -> Waiting:
    row = await SQL.waiting.fetchrow(connection, limit=limit)
    assert row is not None, "an aggregate gives a row"
    return Waiting(due=row["due"], late_s=row["late_s"])


async def claim(
    connection: Connection, claim_id: UUID, *, limit: int, lease: timedelta, sender: Mailbox, per_minute_max: int | None
) -> list[Claimed]:
    """Take what is due, in one short transaction: at most `limit`, and no more than all together may send in a minute."""
    async with connection.transaction():
        if per_minute_max is not None:
            await SQL.lock_pace.execute(connection, key=PACE_LOCK_KEY)
            limit = min(limit, per_minute_max - await SQL.claimed_of_late.fetchval(connection))
        if limit <= 0:
            return []
        taken = [row["id"] for row in await SQL.claim.fetch(connection, claim=claim_id, limit=limit, lease=lease)]
        if not taken:
            return []
        if per_minute_max is not None:
            await SQL.note_pace.execute(connection, claimed=len(taken))
        await SQL.fix_senders.execute(connection, deliveries=taken, address=sender.address, name=sender.name)
        return [_claimed(row) for row in await SQL.claimed.fetch(connection, deliveries=taken)]


def _claimed(row: Any) -> Claimed:
    body = None if row["body"] is None else json.loads(row["body"])
    return Claimed(
        id=row["id"],
        envelope_id=row["envelope_id"],
        address=row["address"],
        tries=row["tries"],
        age=row["age"],
        is_expired=row["is_expired"],
        suppressed_since=row["suppressed_since"],
        letter=None if body is None else _letter(row, body),
        attachments=() if body is None else tuple(Attachment(**each) for each in body["attachments"]),
    )


def _letter(row: Any, body: Any) -> Letter:
    return Letter(
        message_id=row["message_id"],
        queued_at=row["queued_at"],
        sender=Mailbox(address=row["sender_address"], name=row["sender_name"]),
        to=tuple(box_of(each) for each in body["to"]),
        cc=tuple(box_of(each) for each in body["cc"]),
        reply_to=None if body["reply_to"] is None else box_of(body["reply_to"]),
        subject=body["subject"],
        text=body["text"],
        html=body["html"],
    )


async def begin_sending(connection: Connection, delivery: int, claim_id: UUID, *, lease: timedelta) -> bool:
    """Write down that the end of the message comes next. False: it is not ours any more, and must not come."""
    return await SQL.begin_sending.fetchval(connection, id=delivery, claim=claim_id, lease=lease) is not None


async def record(connection: Connection, delivery: int, claim_id: UUID, step: Step, *, is_try: bool) -> bool:
    """Write down what became of a try. False: it is only told, since somebody else has decided meanwhile.

    `is_try`: it counts as one. Repeating it tells it twice and does it once.
    """
    moved = await SQL.record.fetchval(
        connection,
        id=delivery,
        claim=claim_id,
        state=step.state.value,
        from_states=[each.value for each in OF_A_TRY if step.state is each or step.state in MAY_BECOME[each]],
        is_try=is_try,
        pause=step.pause,
        is_end=step.state in ENDED,
        kind=step.event.value,
        code=step.code,
        status=step.status,
        words=step.words,
        suppress=step.suppress,
    )
    return bool(moved)


async def lapse(connection: Connection, policy: MailPolicy, *, resend: bool, limit: int) -> list[State]:
    """What becomes of deliveries whose sender was silent for as long as its lease, one state for each."""
    rows = await SQL.lapse.fetch(connection, resend=resend, retry=policy.retry, limit=limit)
    return [State(row["state"]) for row in rows]


async def forget(connection: Connection, deliveries: Collection[int]) -> None:
    """These lose their address and the words of servers, and their messages what they said once all have."""
    rows = await SQL.forget_addresses.fetch(connection, deliveries=list(deliveries))
    await SQL.forget_contents.execute(connection, messages=[row["message"] for row in rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a delivery stands, while nobody else can change it."""

    id: int
    state: State
    address: str | None


async def lock(connection: Connection, delivery: int) -> Standing | None:
    row = await SQL.lock_delivery.fetchrow(connection, id=delivery)
    return None if row is None else Standing(id=row["id"], state=State(row["state"]), address=row["address"])


async def decide(
    connection: Connection,
    delivery: int,
    state: State,
    kind: EventKind,
    *,
    actor: str,
    reason: str,
    is_new_start: bool = False,
) -> None:
    """An operator has decided on a locked delivery. `is_new_start`: it is retried as long as one that was never tried."""
    await SQL.decide.execute(
        connection, id=delivery, state=state.value, is_end=state in ENDED, is_new_start=is_new_start, kind=kind.value,
        actor=actor, reason=reason,
    )  # fmt: skip
