"""Limits kept while sessions run: what a session may cost, whether it has come to that, and what became of it.

Everything happens in the transaction that bills the session, whose row in `rating` is locked: a crash anywhere leaves
either the amount and the decision to stop, or neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from billing.bills.billable import BillableSession
from billing.cost_limits import metrics, store
from billing.cost_limits.cost_limit import Ceiling, CostLimit, LimitScope, ceiling_of, in_force, next_change
from billing.cost_limits.store import Closed, Slot, Watched
from billing.money import Money
from billing.sql import Connection

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = timedelta(minutes=1)
"""So often a running session with a limit is rated although nothing is heard of it: time may cost something too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """A session that has limits, or had some: what it may cost now (None: anything), and when that may change by itself."""

    ceiling: Ceiling | None
    next_change: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A session as billing has just looked at it. `cost` None: it was not rated, because something holds it."""

    session: BillableSession
    limited: Limited
    cost: Money | None
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """When to look again at sessions at the latest, and the sessions that have just come to what they may cost."""

    look_at: Mapping[int, datetime] = field(default_factory=dict)
    reached: Collection[int] = ()


async def limited(connection: Connection, sessions: Iterable[BillableSession], now: datetime) -> dict[int, Limited]:
    """Those of the sessions that have limits, each as of now, or as of its end where that is known."""
    by_id = {each.id: each for each in sessions}
    slots = {id_: _slots(each) for id_, each in by_id.items()}
    known = await store.limits_of(connection, [slot for each in slots.values() for slot in each])
    if not known:
        return {}
    limits = {id_: [limit for slot in each for limit in known.get(slot, ())] for id_, each in slots.items()}
    force = {id_: in_force(each, at=by_id[id_].ended_at or now) for id_, each in limits.items() if each}
    spent = await _spent(connection, force)
    return {
        id_: Limited(
            ceiling=ceiling_of(each, currency=by_id[id_].currency, spent_minor=spent.get(id_, {})),
            next_change=next_change(limits[id_], after=now),
        )
        for id_, each in force.items()
    }


async def note(connection: Connection, seen: Sequence[Seen], now: datetime) -> Noted:
    """Store how the sessions stand to their limits, decide stops, and withdraw those that are not wanted any more.

    While a rule holds a session no limit acts (RULES.md 16); one that has ended has nothing to stop.
    """
    if not seen:
        return Noted()
    watched = [each for each in map(_watched, seen) if each is not None]
    running = {each.session.id for each in seen if not each.session.closed and not each.session.dropped}
    reached = [each for each in watched if each.session in running and each.ceiling.reached_by(each.cost)]
    await store.save_watches(connection, watched)
    stops = await store.decide_stops(connection, reached, now)
    await store.withdraw_stops(connection, {each.session.id for each in seen} - {each.session for each in reached})
    await _close(connection, seen)
    for each in reached:
        if each.session in stops:
            metrics.REACHED.inc()
            log.info(
                "cost_limit_reached", session=each.session, limit=str(each.ceiling.amount), amount=str(each.cost),
                scope=each.ceiling.limit.scope,
            )  # fmt: skip
    return Noted(
        look_at={each.session.id: _look_at(each, now) for each in seen if each.session.id in running}, reached=stops
    )


async def exhausted(connection: Connection, buyers: Sequence[tuple[str, str | None, str]], now: datetime) -> list[bool]:
    """Of tokens, each with its group and the charge point: whether limits leave a new session nothing."""
    slots = [_slots_of(token, group) for token, group, _ in buyers]
    known = await store.limits_of(connection, [slot for each in slots for slot in each])
    if not known:
        return [False] * len(buyers)
    currencies = await store.currencies_of(connection, {charge_point for _, _, charge_point in buyers})
    force = [in_force([limit for slot in each for limit in known.get(slot, ())], at=now) for each in slots]
    spent = await store.spent_beside(
        connection, [(limit.id, None) for each in force for limit in each if limit.is_total]
    )
    by_limit = {limit: minor for (limit, _), minor in spent.items()}
    ceilings = [
        ceiling_of(each, currency=currencies[charge_point], spent_minor=by_limit)
        for each, (_, _, charge_point) in zip(force, buyers, strict=True)
    ]
    return [each is not None and each.amount.minor == 0 for each in ceilings]


async def _spent(connection: Connection, force: Mapping[int, Sequence[CostLimit]]) -> dict[int, dict[int, int]]:
    """By session and total limit."""
    pairs = [(limit.id, session) for session, each in force.items() for limit in each if limit.is_total]
    by_session: dict[int, dict[int, int]] = {}
    for (limit, session), minor in (await store.spent_beside(connection, pairs)).items():
        assert session is not None, "asked for sessions"
        by_session.setdefault(session, {})[limit] = minor
    return by_session


def _slots(session: BillableSession) -> list[Slot]:
    return [(LimitScope.SESSION, str(session.id)), *_slots_of(session.token, session.customer.token_group)]


def _slots_of(token: str | None, group: str | None) -> list[Slot]:
    named = ((LimitScope.TOKEN, token), (LimitScope.TOKEN_GROUP, group))
    return [(scope, target) for scope, target in named if target is not None]


def _watched(seen: Seen) -> Watched | None:
    """None: no limit concerns it, or it was not rated."""
    if seen.limited.ceiling is None or seen.cost is None or seen.is_final or seen.session.dropped:
        return None
    return Watched(
        session=seen.session.id,
        ceiling=seen.limited.ceiling,
        cost=seen.cost,
        energy_wh=seen.session.energy_wh,
        as_of=seen.session.as_of,
    )


async def _close(connection: Connection, seen: Sequence[Seen]) -> None:
    """The outcomes of those that are billed; and nothing is kept of sessions that no limit concerns any more."""
    gone = [each for each in seen if each.session.dropped or (each.limited.ceiling is None and not each.session.closed)]
    await store.forget_watches(connection, {each.session.id for each in gone})
    closed = [
        Closed(session=each.session.id, ceiling=each.limited.ceiling, cost=each.cost)
        for each in seen
        if each.is_final and each.cost is not None
    ]
    overshoots = await store.insert_outcomes(connection, closed)
    for each in closed:
        if overshoots.get(each.session, 0) > 0:
            metrics.OVERSHOT.inc()
            over = Money(overshoots[each.session], each.cost.currency)
            log.info("cost_limit_overshot", session=each.session, by=str(over), amount=str(each.cost))
    await store.forget_watches(connection, {each.session for each in closed})


def _look_at(seen: Seen, now: datetime) -> datetime:
    """Within a minute where a limit is in force; else when one begins."""
    later = [now + LOOK_EVERY] if seen.limited.ceiling is not None else []
    change = [] if seen.limited.next_change is None else [seen.limited.next_change]
    return min([*later, *change], default=datetime.max.replace(tzinfo=now.tzinfo))
