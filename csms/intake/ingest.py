"""Facts of many charge points, written by one transaction; their answers leave after its commit.

Every statement takes lists. Identity is decided by content keys and unique constraints, never by message ids.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import asyncpg

from csms.cost_display.amount import amount_shown
from csms.cost_display.statements import SQL as COSTS
from csms.database.pool import in_transaction
from csms.intake import metrics
from csms.intake.arrival import Arrival
from csms.intake.batch import Batch, Plan
from csms.intake.identity import (
    EarlierEvent,
    KnownSession,
    gives_transaction_id,
    is_repeat,
    opens_session,
    reuses_id,
    tells_driver,
)
from csms.intake.notices import store_notices, store_quarantine
from csms.intake.readings import store_readings
from csms.intake.statements import SQL
from csms.protocol.vocabulary import (
    DEPARTED,
    Acknowledged,
    ChargingAnswer,
    ChargingEvent,
    Decision,
    EventKind,
    PersonalMessage,
    ReadingsReported,
    StatusReported,
    TokenStatus,
    TokenVerdict,
)
from csms.sessions.records import answer_from_json, answer_to_json
from csms.sessions.store import SQL as SESSIONS
from csms.tokens.credit import Presented, heeding_credit
from csms.tokens.service import tokens_at
from csms.tokens.token import Token, canonical
from csms.tokens.token import verdict as verdict_of

ID_TRIES_MAX = 4
LAYOUTS_MAX = 10_000
"""Layouts of readings that are known to be stored; each is 16 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerChoices:
    """What the installation wants in answers: the running cost in those to updates, a limit of sessions per token.

    `price`: what an accepted token pays at a charge point, as text; told from memory, never raises.
    """

    cost_in_updated_reply: bool = False
    sessions_per_token_max: int | None = None
    price: Callable[[str, Token | None, datetime], PersonalMessage | None] | None = None


class Ingest:
    """Writes batches of arrivals. `committed` is told after a commit which sessions have begun or ended."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        *,
        committed: Callable[[Collection[int]], None] = lambda _urgent: None,
        choices: AnswerChoices | None = None,
    ) -> None:
        self._pool = pool
        self._committed = committed
        self._choices = choices or AnswerChoices()
        self._layouts: set[bytes] = set()

    async def flush(self, arrivals: Sequence[Arrival]) -> list[Decision | Exception]:
        """Store all of them or none; the answers in the same order."""
        batch = await self._store_with_fresh_ids(arrivals)
        self._layouts = batch.layouts if len(batch.layouts) < LAYOUTS_MAX else set()
        for n, plan in batch.plan_of.items():
            batch.answers[n] = plan.answer
        if batch.urgent:
            self._committed(batch.urgent)
        return list(batch.answers)

    async def _store_with_fresh_ids(self, arrivals: Sequence[Arrival]) -> Batch:
        """An id of ours may be one that a charge point has used itself in another version: then the next one is taken."""
        for _ in range(ID_TRIES_MAX - 1):
            with suppress(asyncpg.UniqueViolationError):
                return await in_transaction(self._pool, lambda c: self._store(c, arrivals))
        return await in_transaction(self._pool, lambda c: self._store(c, arrivals))

    async def _store(self, connection: Any, arrivals: Sequence[Arrival]) -> Batch:
        batch = Batch(arrivals, answers=[Acknowledged()] * len(arrivals), layouts=set(self._layouts))
        await _store(connection, batch, self._choices)
        return batch


async def _store(connection: Any, batch: Batch, choices: AnswerChoices) -> None:
    arrivals = batch.arrivals
    events = [(n, a, a.fact) for n, a in enumerate(arrivals) if isinstance(a.fact, ChargingEvent)]
    await _find_sessions(connection, batch)
    if events:
        await _store_events(connection, batch, events, choices)
    await store_readings(connection, batch)
    await _store_statuses(connection, batch)
    await store_notices(connection, arrivals)
    await store_quarantine(connection, arrivals)
    await _mark_due(connection, batch)


async def _find_sessions(connection: Any, batch: Batch) -> None:
    """The newest sessions of all transaction ids that the batch names; events of one charge point one batch at a time."""
    locked = sorted({a.charge_point for a in batch.arrivals if isinstance(a.fact, ChargingEvent)})
    if locked:
        await SQL.lock_charge_points.execute(connection, charge_points=locked)
    named = {
        (a.charge_point, a.fact.transaction)
        for a in batch.arrivals
        if isinstance(a.fact, (ChargingEvent, ReadingsReported)) and a.fact.transaction is not None
    }
    if named:
        await _read_sessions(connection, batch, sorted(named))


async def _read_sessions(connection: Any, batch: Batch, named: Sequence[tuple[str, str]]) -> None:
    rows = await SQL.latest_sessions.fetch(
        connection,
        charge_points=[charge_point for charge_point, _ in named],
        transactions=[transaction for _, transaction in named],
    )
    for row in rows:
        batch.known[row["charge_point"], row["transaction"]] = KnownSession(
            id=row["id"], generation=row["generation"], started_at=row["started_at"], ended=row["ended"]
        )


async def _store_events(
    connection: Any, batch: Batch, events: Sequence[tuple[int, Arrival, ChargingEvent]], choices: AnswerChoices
) -> None:
    earlier = await _earlier_events(connection, events)
    tokens = await tokens_at(connection, [(e.token, a.received_at) for _, a, e in events if e.token is not None])
    verdicts = {key: verdict_of(token, at=key[1]) for key, token in tokens.items()}
    for n, arrival, event in events:
        _plan_event(batch, n, arrival, event, earlier, verdicts)
    await _heed_credit(connection, batch)
    await _create_sessions(connection, batch)
    if choices.cost_in_updated_reply:
        await _add_running_costs(connection, batch)
    if choices.sessions_per_token_max is not None:
        await _limit_sessions(connection, batch, choices.sessions_per_token_max)
    if choices.price is not None:
        _add_prices(batch, tokens, choices.price)
    await _insert_events(connection, batch)


async def _earlier_events(
    connection: Any, events: Sequence[tuple[int, Arrival, ChargingEvent]]
) -> dict[tuple[str, bytes], EarlierEvent]:
    rows = await SQL.earlier_events.fetch(
        connection,
        charge_points=[arrival.charge_point for _, arrival, _ in events],
        keys=[event.key for _, _, event in events],
    )
    return {
        (row["charge_point"], row["key"]): EarlierEvent(
            occurrence=row["occurrence"],
            session=row["session"],
            stopped_at=row["stopped_at"],
            answer=row["answer"],
            total_cost=row["total_cost"],
        )
        for row in rows
    }


def _plan_event(
    batch: Batch,
    n: int,
    arrival: Arrival,
    event: ChargingEvent,
    earlier_events: dict[tuple[str, bytes], EarlierEvent],
    verdicts: dict[tuple[str, datetime], TokenVerdict],
) -> None:
    """A repeat gets the stored answer; a new event gets an answer to be stored with it."""
    earlier = earlier_events.get((arrival.charge_point, event.key))
    if earlier is not None and is_repeat(event, earlier):
        answer = answer_from_json(earlier.answer)
        batch.answers[n] = answer if earlier.total_cost is None else replace(answer, total_cost=earlier.total_cost)
        metrics.duplicates.inc()
        return
    occurrence = 0 if earlier is None else earlier.occurrence + 1
    key = (arrival.charge_point, event.key, occurrence)
    plan = batch.plans.get(key)
    if plan is not None:
        metrics.duplicates.inc()
    else:
        verdict = None if event.token is None else verdicts[canonical(event.token), arrival.received_at]
        plan = Plan(arrival, event, occurrence, ChargingAnswer(verdict=verdict))
        batch.plans[key] = plan
    batch.plan_of[n] = plan


async def _create_sessions(connection: Any, batch: Batch) -> None:
    """Give every planned event its session; new ones where a start or a 2.x event is the first we hear of it."""
    wanted = [plan for plan in batch.plans.values() if _needs_session(batch, plan)]
    ids: list[int] = []
    if wanted:
        rows = await SQL.take_session_ids.fetch(connection, count=len(wanted))
        ids = [row["id"] for row in rows]
    created: list[tuple[int, str, str, int, ChargingEvent, datetime]] = []
    for plan in batch.plans.values():
        _assign(batch, plan, ids, created)
    if not created:
        return
    await SQL.insert_sessions.execute(
        connection,
        ids=[row[0] for row in created],
        charge_points=[row[1] for row in created],
        transactions=[row[2] for row in created],
        generations=[row[3] for row in created],
        evses=[row[4].evse for row in created],
        connectors=[row[4].connector for row in created],
        tokens=[None if row[4].token is None else canonical(row[4].token) for row in created],
        started_ats=[row[4].at for row in created],
        received_ats=[row[5] for row in created],
    )


async def _add_running_costs(connection: Any, batch: Batch) -> None:
    """Let answers to updates carry the newest committed interim; nothing where there is none."""
    updates = [plan for plan in batch.plans.values() if plan.event.kind is EventKind.UPDATED and plan.session]
    if not updates:
        return
    rows = await COSTS.running_costs.fetch(
        connection, sessions=sorted({plan.session for plan in updates if plan.session})
    )
    costs = {row["id"]: amount_shown(row) for row in rows}
    for plan in updates:
        if plan.session in costs:
            plan.answer = replace(plan.answer, total_cost=costs[plan.session])


def _add_prices(
    batch: Batch,
    tokens: Mapping[tuple[str, datetime], Token | None],
    price: Callable[[str, Token | None, datetime], PersonalMessage | None],
) -> None:
    """Let answers to a token that begins a 2.x transaction say what it pays; 1.6 has no place for it."""
    for plan in batch.plans.values():
        event, verdict = plan.event, plan.answer.verdict
        if verdict is None or verdict.status is not TokenStatus.ACCEPTED or not tells_driver(event):
            continue
        token = tokens[canonical(event.token or ""), plan.arrival.received_at]
        message = price(plan.arrival.charge_point, token, plan.arrival.received_at)
        plan.answer = replace(plan.answer, message=message)


async def _heed_credit(connection: Any, batch: Batch) -> None:
    """Answer NoCredit where limits leave a token nothing. What it takes nevertheless is billed, and stopped at its limit."""
    asked: list[tuple[Plan, Presented]] = []
    for plan in batch.plans.values():
        verdict, token = plan.answer.verdict, plan.event.token
        if token is not None and verdict is not None and plan.event.kind is not EventKind.ENDED:
            asked.append((plan, Presented(token=token, charge_point=plan.arrival.charge_point, verdict=verdict)))
    if not asked:
        return
    at = max(plan.arrival.received_at for plan, _ in asked)
    verdicts = await heeding_credit(connection, [each for _, each in asked], at=at)
    for (plan, _), verdict in zip(asked, verdicts, strict=True):
        plan.answer = replace(plan.answer, verdict=verdict)


async def _limit_sessions(connection: Any, batch: Batch, most: int) -> None:
    """Answer ConcurrentTx to a start whose token has enough other sessions already; never counts its own."""
    starts = [plan for plan in batch.plans.values() if plan.event.kind is EventKind.STARTED and plan.event.token]
    tokens = sorted({canonical(plan.event.token) for plan in starts if plan.event.token})
    if not tokens:
        return
    rows = await SQL.open_sessions_of_tokens.fetch(connection, tokens=tokens)
    running = {row["token"]: set(row["sessions"]) for row in rows}
    for plan in starts:
        verdict, token = plan.answer.verdict, plan.event.token
        if verdict is None or token is None or verdict.status is not TokenStatus.ACCEPTED:
            continue
        if len(running.get(canonical(token), set()) - {plan.session}) >= most:
            plan.answer = replace(plan.answer, verdict=replace(verdict, status=TokenStatus.CONCURRENT))


def _needs_session(batch: Batch, plan: Plan) -> bool:
    event = plan.event
    if gives_transaction_id(event):
        return True
    if event.transaction is None:
        return False
    known = batch.known.get((plan.arrival.charge_point, event.transaction))
    return opens_session(event) if known is None else reuses_id(event, known)


def _assign(
    batch: Batch, plan: Plan, ids: list[int], created: list[tuple[int, str, str, int, ChargingEvent, datetime]]
) -> None:
    event, charge_point = plan.event, plan.arrival.charge_point
    if not _needs_session(batch, plan):
        known = None if event.transaction is None else batch.known.get((charge_point, event.transaction))
        plan.session = None if known is None else known.id
        if plan.session is None:
            metrics.orphans.inc()
        return
    plan.session = ids.pop(0)
    transaction = str(plan.session) if event.transaction is None else event.transaction
    before = batch.known.get((charge_point, transaction))
    generation = 0 if before is None else before.generation + 1
    if gives_transaction_id(event):
        plan.answer = ChargingAnswer(transaction=plan.session, verdict=plan.answer.verdict)
    batch.known[charge_point, transaction] = KnownSession(
        id=plan.session, generation=generation, started_at=event.at, ended=False
    )
    created.append((plan.session, charge_point, transaction, generation, event, plan.arrival.received_at))
    if event.evse is not None:
        batch.evses_touched.add((charge_point, event.evse))


async def _insert_events(connection: Any, batch: Batch) -> None:
    plans = list(batch.plans.values())
    if not plans:
        return
    events = [plan.event for plan in plans]
    await SQL.insert_events.execute(
        connection,
        charge_points=[plan.arrival.charge_point for plan in plans],
        keys=[event.key for event in events],
        occurrences=[plan.occurrence for plan in plans],
        sessions=[plan.session for plan in plans],
        kinds=[str(event.kind) for event in events],
        transactions=[event.transaction for event in events],
        evses=[event.evse for event in events],
        connectors=[event.connector for event in events],
        tokens=[None if event.token is None else canonical(event.token) for event in events],
        token_types=[event.token_type for event in events],
        ats=[event.at for event in events],
        registers_wh=[event.register_wh for event in events],
        seq_nos=[event.seq_no for event in events],
        triggers=[event.trigger for event in events],
        charging_states=[None if e.charging_state is None else str(e.charging_state) for e in events],
        stopped_reasons=[event.stopped_reason for event in events],
        offlines=[event.offline for event in events],
        reservations=[event.reservation for event in events],
        remote_starts=[event.remote_start for event in events],
        malformeds=[event.malformed for event in events],
        quirks=[",".join(event.quirks) for event in events],
        answers=[answer_to_json(plan.answer) for plan in plans],
        sockets=[plan.arrival.socket for plan in plans],
        received_ats=[plan.arrival.received_at for plan in plans],
    )
    for plan in plans:
        if plan.session is not None:
            batch.due.add(plan.session)
            if plan.event.kind is not EventKind.UPDATED or plan.event.trigger == DEPARTED:
                batch.urgent.add(plan.session)
            if plan.event.kind is EventKind.ENDED and plan.event.evse is not None:
                batch.evses_touched.add((plan.arrival.charge_point, plan.event.evse))


async def _store_statuses(connection: Any, batch: Batch) -> None:
    reports = [(a, a.fact) for a in batch.arrivals if isinstance(a.fact, StatusReported)]
    if not reports:
        return
    await SQL.insert_statuses.execute(
        connection,
        charge_points=[arrival.charge_point for arrival, _ in reports],
        evses=[status.evse for _, status in reports],
        connectors=[status.connector for _, status in reports],
        statuses=[status.status for _, status in reports],
        ats=[status.at for _, status in reports],
        error_codes=[status.error_code for _, status in reports],
        infos=[status.info for _, status in reports],
        vendor_error_codes=[status.vendor_error_code for _, status in reports],
        sockets=[arrival.socket for arrival, _ in reports],
        received_ats=[arrival.received_at for arrival, _ in reports],
    )
    newest = {(a.charge_point, status.evse, status.connector): (a, status) for a, status in reports}
    current = [newest[key] for key in sorted(newest)]
    await SQL.upsert_connectors.execute(
        connection,
        charge_points=[arrival.charge_point for arrival, _ in current],
        evses=[status.evse for _, status in current],
        connectors=[status.connector for _, status in current],
        statuses=[status.status for _, status in current],
        error_codes=[status.error_code for _, status in current],
        infos=[status.info for _, status in current],
        received_ats=[arrival.received_at for arrival, _ in current],
    )
    batch.evses_touched.update((arrival.charge_point, status.evse) for arrival, status in reports)


async def _mark_due(connection: Any, batch: Batch) -> None:
    """Sessions to be folded again: those with new facts, and those on whose EVSEs something else happened."""
    if batch.evses_touched:
        touched = sorted(batch.evses_touched)
        rows = await SQL.sessions_on_evses.fetch(
            connection,
            charge_points=[charge_point for charge_point, _ in touched],
            evses=[evse for _, evse in touched],
        )
        batch.due.update(row["id"] for row in rows)
    if batch.due:
        await SESSIONS.mark_due.execute(connection, sessions=sorted(batch.due))
