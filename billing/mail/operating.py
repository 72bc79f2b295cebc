"""What operators do with mails: look, settle doubtful ones, retry, cancel, lift suppressions. Each decision names who and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from billing.audit import service as audit
from billing.audit.entry import Change
from billing.errors import AlreadyDone, NotFound, Refused
from billing.mail import store
from billing.mail.address import compared, mistake_in
from billing.mail.delivery import MAY_BECOME, EventKind, State
from billing.mail.store import SQL, Standing
from billing.sql import Connection

SEE: Final = "see csms mail show {id}"
SHOWN_MAX: Final = 1000
NAMED_MAX: Final = 20
"""Mails that the log names as what a decision is about; all of them are among its values."""
RETRYABLE: Final = frozenset({State.RETRY, State.FAILED, State.CANCELLED, State.BOUNCED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which deliveries; None: whatever it is."""

    state: State | None = None
    kind: str | None = None
    account: str | None = None
    key: str | None = None
    since: datetime | None = None
    limit: int = SHOWN_MAX


async def list_deliveries(connection: Connection, wanted: Filter) -> list[dict[str, Any]]:
    """Deliveries with their messages and what was last said of them, the newest first."""
    rows = await SQL.list_deliveries.fetch(
        connection, state=None if wanted.state is None else wanted.state.value, kind=wanted.kind,
        account=wanted.account, key=wanted.key, since=wanted.since, limit=wanted.limit,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def show(connection: Connection, delivery: int) -> dict[str, Any]:
    """A delivery, what its message says, and all that became of it.

    Raises:
        NotFound: there is none.
    """
    row = await SQL.find_delivery.fetchrow(connection, id=delivery)
    if row is None:
        raise _nothing(delivery)
    found = {name: value for name, value in row.items() if name not in {"body", "claim"}}
    body = None if row["body"] is None else json.loads(row["body"])
    events = [dict(each) for each in await SQL.events_of.fetch(connection, id=delivery)]
    return {**found, "content": body, "events": events}


async def settle(connection: Connection, delivery: int, *, delivered: bool, actor: str, reason: str) -> State:
    """Say what became of a doubtful mail: it was delivered, or it is to be sent again.

    Raises:
        NotFound: there is no such delivery.
        Refused: it is not doubtful, or no reason was given.
    """
    async with connection.transaction():
        standing = await _locked(connection, delivery, reason)
        if standing.state is not State.DOUBTFUL:
            raise Refused(
                f"mail {delivery} is {standing.state}: only a doubtful one is settled", SEE.format(id=delivery)
            )
        state = State.SENT if delivered else State.RETRY
        if state is State.RETRY:
            await _require_sendable(connection, standing)
        await store.decide(
            connection, delivery, state, EventKind.SETTLED, actor=actor, reason=reason, is_new_start=not delivered
        )
        said = Change(
            noun="mail", subject=str(delivery), action="settle", before={"state": standing.state.value},
            after={"state": state.value, "delivered": delivered},
        )  # fmt: skip
        await _record(connection, said, actor=actor, reason=reason)
    return state


async def retry(connection: Connection, deliveries: Sequence[int], *, actor: str, reason: str) -> None:
    """Send these as soon as may be, and for as long as one that was never tried; all or none.

    Raises:
        NotFound: there is no such delivery.
        Refused: a server has one of them, or may have it, or it cannot be sent any more.
    """
    mails = sorted(set(deliveries))
    async with connection.transaction():
        for each in mails:
            standing = await _locked(connection, each, reason)
            if standing.state is State.QUEUED:
                raise AlreadyDone(f"mail {each} is queued already", SEE.format(id=each))
            if standing.state is State.DOUBTFUL:
                raise Refused(
                    f"mail {each} is doubtful: its recipient may have it",
                    f"find out, then: csms mail settle {each} --delivered, or --resend",
                )
            if standing.state not in RETRYABLE:
                raise Refused(f"mail {each} is {standing.state}", "queue another message: this one is not sent twice")
            await _require_sendable(connection, standing)
            await store.decide(
                connection, each, State.RETRY, EventKind.RETRIED, actor=actor, reason=reason, is_new_start=True
            )
        if mails:
            subject = ",".join(map(str, mails[:NAMED_MAX])) + ("..." if len(mails) > NAMED_MAX else "")
            said = Change(noun="mail", subject=subject, action="retry", after={"mails": mails})
            await _record(connection, said, actor=actor, reason=reason)


async def failed_since(connection: Connection, since: datetime, *, kind: str | None = None) -> list[int]:
    """Deliveries that failed since an instant, as after a mistake in the settings."""
    return [row["id"] for row in await SQL.failed_since.fetch(connection, since=since, kind=kind)]


async def cancel(connection: Connection, delivery: int, *, actor: str, reason: str) -> None:
    """It is not sent, or not again.

    Raises:
        NotFound: there is no such delivery.
        AlreadyDone: it is cancelled.
        Refused: it is just being sent, or has ended otherwise.
    """
    async with connection.transaction():
        standing = await _locked(connection, delivery, reason)
        if standing.state is State.CANCELLED:
            raise AlreadyDone(f"mail {delivery} is cancelled already", SEE.format(id=delivery))
        if State.CANCELLED not in MAY_BECOME[standing.state]:
            raise Refused(f"mail {delivery} is {standing.state}: nothing is left to cancel", SEE.format(id=delivery))
        await store.decide(connection, delivery, State.CANCELLED, EventKind.CANCELLED, actor=actor, reason=reason)
        said = Change(
            noun="mail", subject=str(delivery), action="cancel", before={"state": standing.state.value},
            after={"state": State.CANCELLED.value},
        )  # fmt: skip
        await _record(connection, said, actor=actor, reason=reason)


async def list_suppressions(connection: Connection, *, lifted: bool = False) -> list[dict[str, Any]]:
    """Addresses that are not written to; with `lifted` also those that were not."""
    return [dict(row) for row in await SQL.list_suppressions.fetch(connection, lifted=lifted)]


async def lift(connection: Connection, address: str, *, actor: str, reason: str) -> dict[str, Any]:
    """Write to an address again. What failed meanwhile is not sent by that: see retry().

    Raises:
        NotFound: it is not suppressed.
        Refused: no reason was given.
    """
    _require_reason(reason)
    async with connection.transaction():
        row = await SQL.lift_suppression.fetchrow(connection, address=compared(address), actor=actor, reason=reason)
        if row is None:
            raise NotFound(f"{address} is not suppressed", "list them with csms mail suppression list")
        said = {"mail": row["delivery"], "since": row["since"].isoformat(), "status": row["status"]}
        change = Change(noun="suppression", subject=str(row["id"]), action="lift", before=said)
        await _record(connection, change, actor=actor, reason=reason)
    return dict(row)


async def _record(connection: Connection, change: Change, *, actor: str, reason: str) -> None:
    """Enter a decision with the instant that its rows bear. Addresses stay out of it: who is told of is known by the mail."""
    now = await SQL.instant.fetchval(connection)
    await audit.record(connection, [change], now=now, actor=actor, reason=reason)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise Refused("a decision is made for a reason", "say why: --reason TEXT")


async def _locked(connection: Connection, delivery: int, reason: str) -> Standing:
    _require_reason(reason)
    standing = await store.lock(connection, delivery)
    if standing is None:
        raise _nothing(delivery)
    return standing


def _nothing(delivery: int) -> NotFound:
    return NotFound(f"no mail {delivery}", "list them with csms mail list")


async def _require_sendable(connection: Connection, standing: Standing) -> None:
    if standing.address is None:
        raise Refused(f"what mail {standing.id} said is kept no more", "queue another message")
    if mistake_in(standing.address) is not None:
        raise Refused(
            f"mail {standing.id} is for {standing.address!r}, which is no address", "correct it where it comes from, and send anew"
        )  # fmt: skip
    if await SQL.is_suppressed.fetchval(connection, address=standing.address.lower()):
        raise Refused(
            f"{standing.address} is not written to: a mail server has said that nobody is there",
            f"if somebody is: csms mail suppression lift {standing.address} --reason TEXT",
        )
