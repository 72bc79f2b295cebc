"""Limits as operators set, end and look at them. Nothing is edited: a decision is a new row that names who, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.cost_limits import store
from billing.cost_limits.cost_limit import CostLimit, LimitScope, in_force
from billing.cost_limits.store import SQL
from billing.errors import AlreadyDone, NotFound, Refused
from billing.money import Money, minor_digits
from billing.sql import Connection

SHOW = {
    LimitScope.SESSION: "csms session limit {target}",
    LimitScope.TOKEN: "csms token limit list --token {target}",
    LimitScope.TOKEN_GROUP: "csms token limit list --group {target}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitWanted:
    """A limit that is about to be entered; see CostLimit. `amount` None ends the one that there is.

    `currency` None: that of the session's site, or the only one in which sites charge.
    """

    scope: LimitScope
    target: str
    amount: Decimal | None
    currency: str | None = None
    is_total: bool = False
    valid_from: datetime | None = None
    reason: str
    actor: str


async def set_limit(connection: Connection, wanted: LimitWanted, *, now: datetime) -> CostLimit:
    """Enter a limit, or its end. Running sessions that it is for are looked at at once.

    Raises:
        NotFound: no such session, token or group.
        Refused: an amount or a currency that cannot be, a session that has ended, no reason, a begin before a later one's.
        AlreadyDone: it stands so already.
    """
    if not wanted.reason.strip():
        raise Refused("a limit is set for a reason", "say why: --reason TEXT")
    currency = await _currency(connection, wanted)
    begin = wanted.valid_from or now
    amount = None if wanted.amount is None else _money(wanted.amount, currency)
    async with connection.transaction():
        await SQL.lock_target.execute(connection, scope=wanted.scope.value, target=wanted.target)
        await _require_change(connection, wanted, amount, begin=begin, now=now)
        row = await SQL.insert_limit.fetchrow(
            connection, scope=wanted.scope.value, target=wanted.target,
            amount_minor=None if amount is None else amount.minor, currency=None if amount is None else amount.currency,
            is_total=wanted.is_total, valid_from=begin, reason=wanted.reason, actor=wanted.actor,
        )  # fmt: skip
        await SQL.mark_concerned.execute(connection, scope=wanted.scope.value, target=wanted.target)
    assert row is not None, "an insert returns its row"
    return store.limit_of(row)


async def limits_of_session(connection: Connection, session: int) -> list[CostLimit]:
    """Those that were set for this session itself, in the order in which they were entered."""
    slot = (LimitScope.SESSION, str(session))
    return (await store.limits_of(connection, [slot])).get(slot, [])


async def list_limits(
    connection: Connection, *, token: str | None = None, group: str | None = None, now: datetime
) -> list[dict[str, Any]]:
    """Limits of tokens and groups, each with whether it is in force, and what is left of a total one."""
    rows = await SQL.all_limits.fetch(connection, token=token, token_group=group)
    limits = [store.limit_of(row) for row in rows]
    force = {each.id: each for each in in_force(limits, at=now)}
    spent = await store.spent_beside(connection, [(each.id, None) for each in force.values() if each.is_total])
    return [_listed(each, now, force, spent.get((each.id, None))) for each in limits]


async def standing_of(connection: Connection, session: int) -> dict[str, Any] | None:
    """How a session stands to its limit, as `session show` prints it; None: no limit has concerned it."""
    row = await SQL.standing_of.fetchrow(connection, session=session)
    if row is None:
        return None

    def text(minor: int | None) -> str | None:
        return None if minor is None else Money(minor, row["session_currency"]).text

    limit = store.limit_of(row)
    return {
        "may_cost": text(row["ceiling_minor"]),
        "currency": row["session_currency"],
        "limit": limit.id,
        "scope": limit.scope,
        "set_by": limit.actor,
        "reason": limit.reason,
        "amount": text(row["final_minor"] if row["final_minor"] is not None else row["watched_minor"]),
        "stop_decided_at": row["decided_at"],
        "amount_at_stop": text(row["stop_minor"]),
        "stop_asked": row["tries"],
        "stop_answer": row["last_status"],
        "stop_is_due": row["is_due"],
        "not_obeyed": row["is_disobeyed"],
        "final": text(row["final_minor"]),
        "overshoot": text(row["overshoot_minor"]),
    }


async def _currency(connection: Connection, wanted: LimitWanted) -> str:
    """The currency of a limit.

    Raises:
        NotFound: what it is for does not exist.
        Refused: the session has ended, or nobody charges in that currency.
    """
    if wanted.scope is LimitScope.SESSION:
        return await _session_currency(connection, wanted)
    if wanted.scope is LimitScope.TOKEN:
        if not await SQL.token_exists.fetchval(connection, token=wanted.target):
            raise NotFound(f"no token {wanted.target}", f"issue it: csms token issue {wanted.target}")
    elif not await SQL.token_group_exists.fetchval(connection, token_group=wanted.target):
        raise NotFound(f"no token is in a group {wanted.target}", "see the groups with csms token list")
    known = [row["currency"] for row in await SQL.currencies.fetch(connection)]
    if wanted.currency is not None and wanted.currency in known:
        return wanted.currency
    if wanted.amount is None and known:  # the end of a limit is in no currency
        return str(known[0])
    if wanted.currency is None and len(known) == 1:
        return str(known[0])
    if not known:
        raise Refused("there is no site: nobody charges in any currency", "create one: csms site create")
    charged = ", ".join(known)
    if wanted.currency is None:
        raise Refused(f"sites charge in {charged}", "say in which the limit is: --currency CODE")
    raise Refused(
        f"no site charges in {wanted.currency}, they charge in {charged}", "choose one of these: --currency CODE"
    )


async def _session_currency(connection: Connection, wanted: LimitWanted) -> str:
    row = await SQL.session_currency.fetchrow(connection, session=int(wanted.target))
    if row is None:
        raise NotFound(f"no session {wanted.target}", "see csms session list")
    if row["is_over"]:
        raise Refused(f"session {wanted.target} has ended", "a limit is for a session that runs")
    if wanted.currency not in {None, row["currency"]}:
        raise Refused(
            f"session {wanted.target} is charged in {row['currency']}, not in {wanted.currency}",
            f"give the amount in {row['currency']}",
        )
    return str(row["currency"])


def _money(amount: Decimal, currency: str) -> Money:
    if not amount.is_finite() or amount < 0:
        raise Refused(f"{amount} is no limit", "write an amount from 0 up; --clear ends a limit")
    money = Money.round_from(amount, currency)
    if money.decimal != amount:
        raise Refused(
            f"{amount} {currency} is finer than its smallest unit", f"write {minor_digits(currency)} decimals at most"
        )
    return money


async def _require_change(
    connection: Connection, wanted: LimitWanted, amount: Money | None, *, begin: datetime, now: datetime
) -> None:
    slot = (wanted.scope, wanted.target)
    known = (await store.limits_of(connection, [slot])).get(slot, [])
    present = next(iter(in_force(known, at=begin)), None)
    show = SHOW[wanted.scope].format(target=wanted.target)
    later = next((each for each in known if begin < each.valid_from <= now), None)
    if later is not None:
        raise Refused(
            f"limit {later.id} of {wanted.scope.value} {wanted.target} has begun later, at {later.valid_from.isoformat()}",
            "leave --from out: yours then begins now",
        )
    if present is None and amount is None:
        raise AlreadyDone(f"{wanted.scope.value} {wanted.target} has no limit then", f"see {show}")
    # A total limit that is set again begins anew: that is how a balance is topped up.
    if present is not None and present.amount == amount and not present.is_total and not wanted.is_total:
        raise AlreadyDone(f"{wanted.scope.value} {wanted.target} has this limit already", f"see {show}")


def _listed(limit: CostLimit, now: datetime, force: dict[int, CostLimit], spent_minor: int | None) -> dict[str, Any]:
    state = "in force" if limit.id in force else "to come" if limit.valid_from > now else "past"
    left = None
    if limit.amount is not None and spent_minor is not None:
        left = Money(max(limit.amount.minor - spent_minor, 0), limit.amount.currency).text
    return {**limit.to_dict(), "state": state, "left": left}
