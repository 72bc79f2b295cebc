"""Bills and where billing stands with sessions, in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from billing.bills.bill import BillInputs, BillKind, BillSummary, canonical_json
from billing.money import Money
from billing.rating.rating import Rating
from billing.rating.rating_json import rating_to_json
from billing.rating.terms import NO_TERMS, Terms
from billing.sql import Connection, Queries
from billing.turns import Turns

SQL: Final = Queries.load("billing.bills")


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingState:
    """Where billing stands with a session. `tariff` was resolved for the instant `resolved_at` and is kept since.

    `next_at` is set exactly while the session has no final bill and may still get one. `recalculated`: its tariff is an
    operator's choice.
    """

    session: int
    tariff: tuple[str, int] | None = None
    resolved_at: datetime | None = None
    holds: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    last_seq: int = 0
    next_at: datetime | None = None
    recalculated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftBill:
    """A bill about to be stored."""

    session: int
    seq: int
    kind: BillKind
    as_of: datetime
    rating: Rating
    inputs: BillInputs
    created_at: datetime
    corrects: int | None = None

    def summary(self) -> BillSummary:
        rating = self.rating
        assert rating.tariff_version is not None, "a stored tariff has a version"
        return BillSummary(
            session=self.session,
            seq=self.seq,
            kind=self.kind,
            as_of=self.as_of,
            energy_wh=self.inputs.energy_wh,
            total_excl=rating.total_excl,
            total_tax=rating.total_tax,
            total_incl=rating.total_incl,
            total_excl_exact=rating.total_excl_exact,
            total_incl_exact=rating.total_incl_exact,
            tariff=rating.tariff_id,
            tariff_version=rating.tariff_version,
            policy_version=rating.policy.version,
            engine_version=str(rating.engine_version),
            inputs_hash=self.inputs.hash,
            corrects=self.corrects,
            created_at=self.created_at,
            incentives=rating.total_incl - rating.payable,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BillsOfSession:
    """The newest bill of each kind."""

    newest: Mapping[BillKind, BillSummary] = field(default_factory=dict)

    @property
    def interim(self) -> BillSummary | None:
        return self.newest.get(BillKind.INTERIM)

    @property
    def final(self) -> BillSummary | None:
        return self.newest.get(BillKind.FINAL)

    @property
    def last_seq(self) -> int:
        return max((bill.seq for bill in self.newest.values()), default=0)

    @property
    def counting(self) -> BillSummary | None:
        """The bill that counts now: a correction before the final before an interim."""
        return self.newest.get(BillKind.CORRECTION) or self.final or self.interim


async def take_due(connection: Connection, *, now: datetime, limit: int) -> tuple[set[int], set[int]]:
    """At most `limit` sessions each to look at: those that changed, and those whose time has come.

    The former are taken, the latter only seen: other workers see them too until their states are locked.
    """
    changed = {row["session"] for row in await SQL.take_due.fetch(connection, limit=limit)}
    timed = {row["session"] for row in await SQL.due_by_time.fetch(connection, now=now, limit=limit)}
    return changed, timed


async def lock_states(connection: Connection, sessions: Sequence[int]) -> list[RatingState]:
    """The states of those sessions that exist, locked until the transaction ends."""
    await SQL.open_ratings.execute(connection, sessions=sessions)
    return [_state(row) for row in await SQL.lock_ratings.fetch(connection, sessions=sessions)]


async def save_states(connection: Connection, states: Collection[RatingState]) -> None:
    if states:
        rows = json.dumps([_state_row(state) for state in states])
        await SQL.save_ratings.execute(connection, rows=rows)


async def newest_bills(connection: Connection, sessions: Collection[int]) -> dict[int, BillsOfSession]:
    """What each of the sessions has been billed; all of them are in the result."""
    found: dict[int, dict[BillKind, BillSummary]] = {session: {} for session in sessions}
    for row in await SQL.newest_bills.fetch(connection, sessions=list(sessions)):
        bill = summary_of(row)
        found[bill.session][bill.kind] = bill
    return {session: BillsOfSession(newest=newest) for session, newest in found.items()}


async def insert_bills(connection: Connection, drafts: Sequence[DraftBill]) -> dict[tuple[int, int], BillSummary]:
    """Store bills; gives those that were not there yet, by session and seq."""
    if not drafts:
        return {}
    turns, rows, inputs, details = Turns(), [], [], []
    for draft in drafts:
        await turns.give()  # the text of a long session is work; whoever else uses this loop comes in between
        rows.append((draft, draft.summary()))
        inputs.append(draft.inputs.text)
        details.append(canonical_json(rating_to_json(draft.rating)))
    stored = await SQL.insert_bills.fetch(
        connection,
        created_at=drafts[0].created_at,
        sessions=[bill.session for _, bill in rows],
        seqs=[bill.seq for _, bill in rows],
        kinds=[bill.kind.value for _, bill in rows],
        as_ofs=[bill.as_of for _, bill in rows],
        energies=[bill.energy_wh for _, bill in rows],
        currencies=[bill.currency for _, bill in rows],
        excl_minors=[bill.total_excl.minor for _, bill in rows],
        tax_minors=[bill.total_tax.minor for _, bill in rows],
        incl_minors=[bill.total_incl.minor for _, bill in rows],
        excl_exacts=[bill.total_excl_exact for _, bill in rows],
        incl_exacts=[bill.total_incl_exact for _, bill in rows],
        tariffs=[bill.tariff for _, bill in rows],
        tariff_versions=[bill.tariff_version for _, bill in rows],
        policy_versions=[bill.policy_version for _, bill in rows],
        engine_versions=[bill.engine_version for _, bill in rows],
        hashes=[bill.inputs_hash for _, bill in rows],
        inputs=inputs,
        details=details,
        corrected=[bill.corrects for _, bill in rows],
        incentive_minors=[bill.incentives.minor for _, bill in rows],
    )
    done = {(row["session"], row["seq"]) for row in stored}
    return {key: bill for _, bill in rows if (key := (bill.session, bill.seq)) in done}


async def insert_rerating(connection: Connection, session: int, seq: int, *, reason: str, actor: str) -> None:
    await SQL.insert_rerating.execute(connection, session=session, seq=seq, reason=reason, actor=actor)


async def insert_recalculations(connection: Connection, rows: Sequence[Mapping[str, object]], *, now: datetime) -> None:
    """Keep the acts, give the sessions their tariffs and have the worker look at them."""
    if rows:
        await SQL.insert_recalculations.execute(connection, rows=json.dumps(rows), now=now)
        await SQL.take_recalculated.execute(connection, rows=json.dumps(rows))


async def bill_body(connection: Connection, session: int, seq: int) -> tuple[BillInputs, dict[str, Any]]:
    """What the bill was rated from, and its rating as JSON values."""
    row = await SQL.bill_body.fetchrow(connection, session=session, seq=seq)
    assert row is not None, "asked for a bill that was listed"
    return BillInputs.from_dict(json.loads(row["inputs"])), json.loads(row["detail"])


async def terms_of_bills(connection: Connection, bills: Mapping[int, int]) -> dict[int, Terms]:
    """The terms that these bills, session to seq, were made by, by session."""
    if not bills:
        return {}
    rows = await SQL.terms_of_bills.fetch(connection, sessions=list(bills), seqs=list(bills.values()))
    return dict.fromkeys(bills, NO_TERMS) | {row["session"]: Terms.from_dict(json.loads(row["terms"])) for row in rows}


def _state(row: asyncpg.Record) -> RatingState:
    tariff = None if row["tariff"] is None else (row["tariff"], row["tariff_version"])
    return RatingState(
        session=row["session"],
        tariff=tariff,
        resolved_at=row["resolved_at"],
        holds=tuple(row["holds"]),
        flags=tuple(row["flags"]),
        notes=tuple(row["notes"]),
        last_seq=row["last_seq"],
        next_at=row["next_at"],
        recalculated=row["recalculated"],
    )


def _state_row(state: RatingState) -> dict[str, Any]:
    tariff, version = state.tariff or (None, None)
    return {
        "session": state.session,
        "tariff": tariff,
        "tariff_version": version,
        "resolved_at": _instant(state.resolved_at),
        "holds": state.holds,
        "flags": state.flags,
        "notes": state.notes,
        "last_seq": state.last_seq,
        "next_at": _instant(state.next_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def summary_of(row: asyncpg.Record) -> BillSummary:
    """A bill as every query here selects it."""
    currency = row["currency"]
    return BillSummary(
        session=row["session"],
        seq=row["seq"],
        kind=BillKind(row["kind"]),
        as_of=row["as_of"],
        energy_wh=row["energy_wh"],
        total_excl=Money(row["total_excl_minor"], currency),
        total_tax=Money(row["total_tax_minor"], currency),
        total_incl=Money(row["total_incl_minor"], currency),
        total_excl_exact=row["total_excl_exact"],
        total_incl_exact=row["total_incl_exact"],
        tariff=row["tariff"],
        tariff_version=row["tariff_version"],
        policy_version=row["policy_version"],
        engine_version=row["engine_version"],
        inputs_hash=row["inputs_hash"],
        corrects=row["corrects"],
        created_at=row["created_at"],
        incentives=Money(row["incentive_minor"], currency),
    )
