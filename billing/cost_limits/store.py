"""Limits in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import asyncpg

from billing.cost_limits.cost_limit import Ceiling, CostLimit, LimitScope
from billing.money import Money
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.cost_limits")

Slot = tuple[LimitScope, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A session as it was rated last, with what it may cost."""

    session: int
    ceiling: Ceiling
    cost: Money
    energy_wh: Decimal
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A session that has its final bill. `ceiling`: by the limit that was in force when it ended."""

    session: int
    ceiling: Ceiling | None
    cost: Money


async def limits_of(connection: Connection, slots: Collection[Slot]) -> dict[Slot, list[CostLimit]]:
    """Every limit, past and to come, of these sessions, tokens and groups; only those that have any are in the result."""
    wanted = sorted(set(slots))
    found: dict[Slot, list[CostLimit]] = {}
    rows = await SQL.limits_of.fetch(
        connection, scopes=[scope.value for scope, _ in wanted], targets=[target for _, target in wanted]
    )
    for row in rows:
        limit = limit_of(row)
        found.setdefault(limit.slot, []).append(limit)
    return found


async def spent_beside(
    connection: Connection, pairs: Collection[tuple[int, int | None]]
) -> dict[tuple[int, int | None], int]:
    """By limit and session, minor units: what the other sessions of a total limit have cost so far."""
    asked = list(dict.fromkeys(pairs))
    if not asked:
        return {}
    rows = await SQL.spent_beside.fetch(
        connection, limits=[limit for limit, _ in asked], sessions=[session for _, session in asked]
    )
    return {asked[row["n"] - 1]: row["minor"] for row in rows}


async def currencies_of(connection: Connection, charge_points: Collection[str]) -> dict[str, str]:
    """In which currency each of them charges."""
    rows = await SQL.currencies_of.fetch(connection, charge_points=sorted(charge_points))
    return {row["id"]: row["currency"] for row in rows}


async def save_watches(connection: Connection, watched: Sequence[Watched]) -> None:
    if watched:
        await SQL.save_watches.execute(
            connection,
            sessions=[each.session for each in watched],
            limits=[each.ceiling.limit.id for each in watched],
            ceilings=[each.ceiling.amount.minor for each in watched],
            amounts=[each.cost.minor for each in watched],
            currencies=[each.cost.currency for each in watched],
            as_ofs=[each.as_of for each in watched],
        )


async def decide_stops(connection: Connection, reached: Sequence[Watched], now: datetime) -> set[int]:
    """The sessions of which it was not decided before."""
    if not reached:
        return set()
    rows = await SQL.decide_stops.fetch(
        connection,
        now=now,
        sessions=[each.session for each in reached],
        limits=[each.ceiling.limit.id for each in reached],
        ceilings=[each.ceiling.amount.minor for each in reached],
        amounts=[each.cost.minor for each in reached],
        currencies=[each.cost.currency for each in reached],
        energies_wh=[each.energy_wh for each in reached],
        as_ofs=[each.as_of for each in reached],
    )
    return {row["session"] for row in rows}


async def withdraw_stops(connection: Connection, sessions: Collection[int]) -> set[int]:
    """The sessions that somebody would still have been asked to stop."""
    if not sessions:
        return set()
    return {row["session"] for row in await SQL.withdraw_stops.fetch(connection, sessions=list(sessions))}


async def forget_watches(connection: Connection, sessions: Collection[int]) -> None:
    if sessions:
        await SQL.forget_watches.execute(connection, sessions=list(sessions))


async def insert_outcomes(connection: Connection, closed: Sequence[Closed]) -> dict[int, int]:
    """By session, minor units: what its final bill is above what it might cost."""
    if not closed:
        return {}
    rows = await SQL.insert_outcomes.fetch(
        connection,
        sessions=[each.session for each in closed],
        limits=[None if each.ceiling is None else each.ceiling.limit.id for each in closed],
        ceilings=[None if each.ceiling is None else each.ceiling.amount.minor for each in closed],
        finals=[each.cost.minor for each in closed],
        currencies=[each.cost.currency for each in closed],
    )
    return {row["session"]: row["overshoot_minor"] for row in rows}


def limit_of(row: asyncpg.Record) -> CostLimit:
    """A limit as every query here selects it."""
    return CostLimit(
        id=row["id"],
        scope=LimitScope(row["scope"]),
        target=row["target"],
        amount=None if row["amount_minor"] is None else Money(row["amount_minor"], row["currency"]),
        is_total=row["is_total"],
        valid_from=row["valid_from"],
        reason=row["reason"],
        actor=row["actor"],
        entered_at=row["entered_at"],
    )
