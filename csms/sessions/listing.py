"""Sessions as operators see them: one row each, with where billing stands."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from asyncpg import Record

from billing import AlreadyDone, Money, NotFound, Refused, cost_limit_standing, recalculations_of, reratings_of
from csms.sessions.store import SQL

NEXT_STEPS = {
    "no_tariff": "assign a tariff that was valid at its start; it is then released by itself",
    "currency_mismatch": "assign a tariff in the currency of its site",
    "tax_undecided": "add a tax rule that decides: csms tax which, csms tax rule add; it is then released by itself",
    "not_ratable": "look at its readings with csms session show, and drop it if they make no sense",
    "unpriced": "look at its events with csms session show, and drop it if nobody is to pay for it",
    "evidence_gap": "wait for the records that are missing; kWh without them are not billed: else drop it",
    "evidence_invalid": "see csms session evidence; kWh are not billed without valid signatures: drop it, or register the right key",
    "evidence_missing": "wait for the signed values; kWh without them are not billed: else drop it",
    "evidence_no_key": "register the meter's public key: csms cp key import",
    "evidence_price_cut": "rate it by a tariff with one price per kWh: csms session rerate ID --tariff",
    "evidence_time": "rate it by a tariff without time: csms session rerate ID --tariff; or register the key with --measures-time",
    "rating_failed": "see the log of the server; this is a defect of csms",
}
"""Holds that are no matter of judgement: a release cannot make up what is missing."""

LIMIT_NOT_OBEYED = "limit_not_obeyed"
STATES = ("open", "ended", "held", "rated", "dropped")


def state_of(row: Record) -> str:
    """Open while it runs; then rated, dropped, held or just ended, in this order of what is known.

    A running session on which rules fire stays open: its `hold_reasons` say so, and it bills nothing.
    """
    if row["billed"]:
        return "rated"
    if row["dropped"] is not None:
        return "dropped"
    if row["ended_at"] is None:
        return "open"
    return "held" if row["holds"] else "ended"


def shown(row: Record) -> dict[str, Any]:
    """The shape that scripts rely on."""
    energy_wh: Decimal | None = row["energy_wh"]
    state = state_of(row)
    # What is held bills and displays nothing, an interim from before the hold included.
    currency = row["currency"] if state == "rated" or (state in {"open", "ended"} and not row["holds"]) else None
    return {
        "id": row["id"],
        "charge_point": row["charge_point"],
        "evse": row["evse"],
        "connector": row["connector"],
        "token": row["token"],
        "transaction_id": row["transaction_id"],
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "state": state,
        "energy_wh": 0 if energy_wh is None else int(energy_wh.quantize(Decimal(1), ROUND_HALF_UP)),
        "hold_reasons": list(row["holds"]),
        "total_excl_tax": _amount(row["total_excl_minor"], currency),
        "total_incl_tax": _amount(row["total_incl_minor"], currency),
        "currency": currency,
    }


def _amount(minor: int | None, currency: str | None) -> str | None:
    return None if minor is None or currency is None else Money(minor, currency).text


async def list_sessions(
    connection: Any,
    *,
    charge_point: str | None = None,
    site: str | None = None,
    state: str | None = None,
    token: str | None = None,
    session: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[dict[str, Any]]:
    """Sessions in the order in which they began."""
    rows = await SQL.list_sessions.fetch(
        connection, charge_point=charge_point, site=site, token=token, session=session, since=since, until=until
    )
    sessions = [shown(row) for row in rows]
    return [each for each in sessions if state is None or each["state"] == state]


async def get(connection: Any, session: int) -> Record:
    """One session's row with where billing stands.

    Raises:
        NotFound: there is none.
    """
    rows = await SQL.list_sessions.fetch(
        connection, charge_point=None, site=None, token=None, session=session, since=None, until=None
    )
    if not rows:
        raise NotFound(f"no session {session}", "see csms session list")
    return rows[0]


async def running(connection: Any, session: int, *, charge_point: str, what: str) -> Record:
    """The row of a session that runs at this charge point; `what` needs one ("a message for a session").

    Raises:
        NotFound: there is none, or it is another charge point's.
        Refused: it has ended.
    """
    row = await get(connection, session)
    if row["charge_point"] != charge_point:
        raise NotFound(f"session {session} is of {row['charge_point']}, not of {charge_point}", "see csms session list")
    if row["ended_at"] is not None:
        raise Refused(f"session {session} has ended", f"{what} needs one that runs")
    return row


async def show(connection: Any, session: int) -> dict[str, Any]:
    """Everything about a session but its single facts."""
    row = await get(connection, session)
    reviews = await SQL.review_log.fetch(connection, session=session)
    limit = await cost_limit_standing(connection, session)
    disobeyed = {LIMIT_NOT_OBEYED} if limit is not None and limit["not_obeyed"] else set()
    return {
        **shown(row),
        "site": row["site"],
        "reservation": row["reservation"],
        "released_at": row["released_at"],
        "complete_at": row["complete_at"],
        "energy_source": row["energy_source"],
        "register_begin_wh": row["register_begin_wh"],
        "register_end_wh": row["register_end_wh"],
        "flags": sorted({*row["flags"], *row["rating_flags"], *disobeyed}),
        "notes": list(row["notes"]),
        "dropped": row["dropped"],
        "bill": row["bill_kind"],
        "tariff": row["tariff"],
        "tariff_version": row["tariff_version"],
        "cost_limit": limit,
        "reviews": [dict(each) for each in reviews],
        "reratings": await reratings_of(connection, session),
        "recalculations": await recalculations_of(connection, session),
    }


async def orphans(connection: Any) -> list[dict[str, Any]]:
    """Events that fit no session, and the session that was found for them since."""
    return [dict(row) for row in await SQL.list_orphans.fetch(connection)]


async def review(connection: Any, session: int, *, action: str, reason: str, actor: str) -> dict[str, Any]:
    """Release a held session or drop it. The decision is kept for ever; nothing is undone.

    Raises:
        NotFound: no such session.
        Refused: nothing holds it.
        AlreadyDone: it is billed or dropped.
    """
    if not reason.strip():
        raise Refused("a review decision needs a reason", "say why: --reason TEXT")
    row = await get(connection, session)
    state = state_of(row)
    if state in {"rated", "dropped"}:
        raise AlreadyDone(f"session {session} is {state} already", f"see csms session show {session}")
    if action == "release" and not row["holds"]:
        raise Refused(f"nothing holds session {session}", f"see csms session show {session}")
    unreleasable = [hold for hold in row["holds"] if hold in NEXT_STEPS]
    if action == "release" and unreleasable:
        raise Refused(
            f"session {session} cannot be released from {', '.join(unreleasable)}",
            "; ".join(dict.fromkeys(NEXT_STEPS[hold] for hold in unreleasable)),
        )
    async with connection.transaction():
        if await SQL.lock_rating.fetchval(connection, session=session):
            raise AlreadyDone(f"session {session} has just been billed", f"see csms session show {session}")
        await SQL.insert_review.execute(
            connection, session=session, action=action, holds=list(row["holds"]), reason=reason, actor=actor
        )
        await SQL.mark_due.execute(connection, sessions=[session])
    return {"session": session, "action": action, "holds": list(row["holds"]), "reason": reason, "actor": actor}


async def evidence(connection: Any, session: int) -> list[dict[str, str]]:
    """What the rules noticed about a session, each with the figures that were compared."""
    row = await SQL.findings_of.fetchrow(connection, session=session)
    return [] if row is None else list(row["findings"])


async def count_bills(connection: Any) -> dict[str, int]:
    """How many bills of each kind there are."""
    return {row["kind"]: row["bills"] for row in await SQL.count_bills.fetch(connection)}
