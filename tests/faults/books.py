"""The one check that every fault test heals to: what charge points know as answered against what the database holds.

Problems are collected, not raised one by one, so that a failure tells the whole story.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from csms.database.pool import connect_once
from csms.settings import load_settings
from csms.verification.rebuilding import rebuild
from csms.verification.service import Report
from simulators.charge_point import TrueSession, Truth
from tests.faults.world import DIVIDED, KWH_PRICE, KWH_TAX

HEALING_S_MAX = 90.0
"""A dead node's sockets are closed in the books when its lease has run out; bills, and the rest, come much sooner."""
KINDS_16 = {"StartTransaction": "started", "StopTransaction": "ended"}

SESSIONS = """
SELECT s.id, s.charge_point, s.transaction, s.generation, s.ended_at, s.energy_wh, s.dropped,
       s.holds || coalesce(r.holds, '{}') AS holds, coalesce(r.notes, '{}') AS notes,
       (SELECT count(*) FROM bill b WHERE b.session = s.id AND b.kind = 'final') AS finals,
       (SELECT b.energy_wh FROM bill b WHERE b.session = s.id AND b.kind = 'final' LIMIT 1) AS billed_wh,
       (SELECT b.total_excl_exact FROM bill b WHERE b.session = s.id AND b.kind = 'final' LIMIT 1) AS excl,
       (SELECT b.total_incl_minor FROM bill b WHERE b.session = s.id AND b.kind = 'final' LIMIT 1) AS incl_minor,
       (SELECT count(*) FROM reading m WHERE m.session = s.id AND m.transaction = s.transaction) AS readings
  FROM session s LEFT JOIN rating r ON r.session = s.id
 WHERE s.charge_point = ANY ($1::text[])
"""
EVENTS = "SELECT charge_point, kind, transaction, at, session FROM charging_event WHERE charge_point = ANY ($1::text[])"
READINGS = "SELECT charge_point, transaction, at FROM reading WHERE charge_point = ANY ($1::text[])"
OPEN_SOCKETS = """
SELECT charge_point, opened_at FROM socket WHERE closed_at IS NULL AND charge_point = ANY ($1::text[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How much was checked, so that a test can claim that there was something to check."""

    messages: int
    sessions: int
    billed: int


async def assert_nothing_lost(
    dsn: str, truths: Mapping[str, Truth], *, held: Sequence[str] = (), alone: bool = True
) -> Summary:
    """Every invariant at once, after healing. `truths`: what happened at each charge point, all of it told; they have gone.

    `held`: the only reasons for which a session may be held instead of billed. Not `alone`: others charge meanwhile, and
    what follows from all facts is not looked at.
    """
    assert not (thrown := _thrown_away(truths)), thrown
    async with connect_once(dsn) as connection:
        # What was answered is there from its answer on: this needs no healing.
        assert not (lost := await _answered_but_not_stored(connection, truths)), "\n".join(lost)

        async def unhealed() -> list[str]:
            return [
                *await _sessions_unlike_the_truth(connection, truths),
                *await _not_settled_once(connection, truths, held=held),
                *await _open_sockets(connection, truths),
            ]

        problems = await _after_healing(unhealed)
        assert not problems, "\n".join(problems)
        if alone:
            await assert_follows_from_facts(dsn)
        rows = await connection.fetch(SESSIONS, list(truths))
    return Summary(
        messages=sum(len(truth.told) for truth in truths.values()),
        sessions=len(rows),
        billed=sum(1 for row in rows if row["finals"]),
    )


async def assert_follows_from_facts(dsn: str) -> Report:
    """M11: to rebuild every session from its facts, and every bill from its inputs, changes nothing."""
    report, settings = Report(), load_settings({}, **DIVIDED)

    async def differences() -> list[str]:
        nonlocal report
        report = Report()
        await rebuild(dsn, settings, report, lambda _count: None, dry_run=True)
        return [str(each) for each in report.differences] + [f"{report.waiting} wait"] * (report.waiting > 0)

    assert not (found := await _after_healing(differences)), "\n".join(found)
    return report


async def _after_healing(find: Callable[[], Awaitable[list[str]]]) -> list[str]:
    deadline = asyncio.get_running_loop().time() + HEALING_S_MAX
    while True:
        problems = await find()
        if not problems or asyncio.get_running_loop().time() > deadline:
            return problems
        await asyncio.sleep(0.2)


def _thrown_away(truths: Mapping[str, Truth]) -> list[str]:
    """Messages that a charge point gave up: we have answered with errors, or sat on them."""
    return [f"{name} threw away {gone}" for name, truth in truths.items() for gone in truth.discarded]


async def _answered_but_not_stored(connection: Any, truths: Mapping[str, Truth]) -> list[str]:
    """Each answered message is a row of its own: as many rows of an instant as answers about it, and of events no more."""
    stored: Counter[tuple[str, str, str | None, datetime]] = Counter()
    for row in await connection.fetch(EVENTS, list(truths)):
        for kind in (row["kind"], "any"):
            transaction = None if kind == "started" else row["transaction"]  # a 1.6 start brings no id
            stored[row["charge_point"], kind, transaction, row["at"]] += 1
    for row in await connection.fetch(READINGS, list(truths)):
        stored[row["charge_point"], "reading", row["transaction"], row["at"]] += 1
    told = Counter(_keys(truths))
    return [
        f"{key} was answered {count} times, stored {stored[key]} times"
        for key, count in told.items()
        if stored[key] < count or (stored[key] > count and key[1] != "reading")  # those of 2.x come in events
    ]


def _keys(truths: Mapping[str, Truth]) -> list[tuple[str, str, str | None, datetime]]:
    keys = []
    for name, truth in truths.items():
        for told in truth.told:
            at = told.made_at.replace(microsecond=told.made_at.microsecond // 1000 * 1000)  # as on the wire
            kind = KINDS_16.get(told.action, "reading" if told.action == "MeterValues" else "any")
            transaction = None if kind == "started" else str(told.transaction_id)
            keys.append((name, kind, transaction, at))
    return keys


async def _sessions_unlike_the_truth(connection: Any, truths: Mapping[str, Truth]) -> list[str]:
    rows = await connection.fetch(SESSIONS, list(truths))
    by_transaction: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        by_transaction.setdefault((row["charge_point"], row["transaction"]), []).append(row)
    problems = []
    for name, truth in truths.items():
        for session in truth.sessions:
            found = by_transaction.pop((name, str(session.transaction_id)), [])
            if len(found) != 1:
                problems.append(f"{len(found)} sessions instead of 1 for {session}")
            else:
                problems += _differences(found[0], session)
            if len(set(session.start_answers)) > 1:
                problems.append(f"several transaction ids for one start: {session}")
    problems += [f"a session that never was: {dict(row)}" for found in by_transaction.values() for row in found]
    return problems


def _differences(row: Any, session: TrueSession) -> list[str]:
    problems = []
    if (row["ended_at"] is not None) != (session.ended_at is not None):
        problems.append(f"session {row['id']} ended {row['ended_at']}, in truth {session.ended_at}")
    if session.declared_wh is not None and row["energy_wh"] != session.declared_wh:
        problems.append(f"session {row['id']}: {row['energy_wh']} Wh instead of {session.declared_wh}")
    is_201 = not row["transaction"].isdecimal()
    ends = (1 + (session.ended_at is not None)) if is_201 else 0  # Transaction.Begin and .End are readings too
    if row["readings"] != session.readings + ends:
        problems.append(f"session {row['id']}: {row['readings']} readings instead of {session.readings + ends}")
    return problems


async def _not_settled_once(connection: Any, truths: Mapping[str, Truth], *, held: Sequence[str]) -> list[str]:
    """Every ended session is billed exactly once, or held with a reason, or dropped with a reason."""
    problems = []
    for row in await connection.fetch(SESSIONS, list(truths)):
        name = f"session {row['id']} of {row['charge_point']}"
        if row["finals"] > 1:
            problems.append(f"{name} has {row['finals']} final bills")
        if row["ended_at"] is None:
            if row["finals"]:
                problems.append(f"{name} runs and has a final bill")
            continue
        ways = bool(row["finals"]) + bool(row["holds"]) + bool(row["dropped"])
        if ways != 1:
            problems.append(f"{name} is settled in {ways} ways instead of 1: {dict(row)}")
        if set(row["holds"]) - set(held):
            problems.append(f"{name} is held: {row['holds']} {row['notes']}")
        if row["finals"] and Decimal(row["billed_wh"]) != row["energy_wh"]:
            problems.append(f"{name}: {row['billed_wh']} Wh billed, {row['energy_wh']} Wh metered")
        if row["finals"]:
            problems += _not_what_it_costs(name, row)
    return problems


def _not_what_it_costs(name: str, row: Any) -> list[str]:
    """Worked out here from the price of a kWh and the tax on it alone."""
    excl = Decimal(row["energy_wh"]) / 1000 * KWH_PRICE
    incl_minor = (excl * (1 + KWH_TAX) * 100).quantize(Decimal(1), ROUND_HALF_UP)
    if (row["excl"], row["incl_minor"]) == (excl, incl_minor):
        return []
    return [f"{name} is billed {row['excl']}, with tax {row['incl_minor']} cents, instead of {excl} and {incl_minor}"]


async def _open_sockets(connection: Any, truths: Mapping[str, Truth]) -> list[str]:
    """The charge points have gone: time online, and with it what is billed, must not go on in the books."""
    return [
        f"the socket of {row['charge_point']} opened at {row['opened_at']} is still open in the books"
        for row in await connection.fetch(OPEN_SOCKETS, list(truths))
    ]
