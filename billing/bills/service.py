"""The billing worker: takes the sessions that are due and bills them, each batch in one transaction with its bills.

A crash anywhere before the commit leaves everything due as it was; after it, everything is billed. Several workers
on one database share the work: rows that are due are taken by DELETE, and a session's row in `rating` is locked from
before its facts are read until its bill is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, assert_never

import asyncpg
import structlog

from billing.bills import ceiling, metrics, store
from billing.bills.bill import BillKind, CommittedBill
from billing.bills.billable import BillableSession, SessionSource
from billing.bills.decision import (
    LATE_FACT,
    RATING_FAILED,
    RECHECK,
    Decision,
    Dropped,
    Hold,
    Issue,
    Settled,
    Standing,
    Wait,
    decide,
)
from billing.bills.issuing import issue
from billing.bills.running import RunningSessions
from billing.bills.stay import with_stay
from billing.bills.store import BillsOfSession, DraftBill, RatingState
from billing.bills.terms import Priced, terms_of
from billing.bills.transaction import in_transaction
from billing.cost_limits import service as cost_limits
from billing.cost_limits.service import Limited, Seen
from billing.policies import store as policy_store
from billing.policies.policies import Policies
from billing.rating.terms import NO_TERMS, Terms, Undecided
from billing.sql import Connection
from billing.tariffs import service as tariffs
from billing.tariffs.assignment import Place, Resolved, TariffVersion, Unresolved
from billing.tariffs.store import TariffCache
from billing.tariffs.tariff import Tariff
from billing.turns import Turns

log = structlog.get_logger(__name__)

DATABASE_TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingSettings:
    """`sweep_interval_s`: how long a bill may wait where the signal was lost. `batch_size`: sessions per transaction.

    Before a batch is a pause as long as the last one took, `pause_s_max` at most: a burst shares one transaction.
    """

    sweep_interval_s: float = 5.0
    pause_s_max: float = 0.5
    measure_interval_s: float = 30.0
    batch_size: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """All that is known of one session when it is decided. `session` None: the source has none, or failed on it."""

    state: RatingState
    bills: BillsOfSession
    session: BillableSession | None
    failed: bool
    tariff: Tariff | Unresolved | None
    terms: Terms | Undecided


class BillingService:
    """Turns due sessions into bills. `on_bill` is called once per bill, after its commit, in this loop's thread;
    `on_stop_due` after commits of sessions that have come to what they may cost.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        source: SessionSource,
        settings: BillingSettings | None = None,
        *,
        on_bill: Callable[[CommittedBill], None] | None = None,
        on_stop_due: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._pool = pool
        self._source = source
        self._settings = settings or BillingSettings()
        self._on_bill = on_bill
        self._on_stop_due = on_stop_due
        self._stops_are_due = False
        self._clock = clock
        self._tariffs = TariffCache()
        self._running = RunningSessions()
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Something is due: do not wait for the next sweep."""
        self._awake.set()

    async def run(self) -> None:
        """Bill whatever is due, until cancelled. Trouble with the database only delays it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep_forever())
            group.create_task(self._measure_forever())

    async def drain(self) -> int:
        """Bill everything that is due now; says how many sessions were looked at."""
        looked_at = 0
        while count := await self._batch():
            looked_at += count
        return looked_at

    async def settle(self, sessions: Collection[int], now: datetime) -> list[CommittedBill]:
        """Look at these sessions now, due or not. The bills are committed when this returns."""

        async def work(connection: Connection) -> list[CommittedBill]:
            return await self.settle_in(connection, sessions, now)

        return self._announce(await in_transaction(self._pool, work))

    async def settle_in(self, connection: Connection, sessions: Collection[int], now: datetime) -> list[CommittedBill]:
        """As settle(), in the caller's transaction, who commits it or, to see what would happen, does not."""
        wanted = sorted(set(sessions))
        await store.SQL.take_due_of.execute(connection, sessions=wanted)
        return await self._bill(connection, wanted, now)

    async def measure(self) -> None:
        """Bring the gauges up to date."""
        async with self._pool.acquire() as connection:
            held = await store.SQL.held_by_reason.fetch(connection)
            unbilled_wh = await store.SQL.unbilled_wh.fetchval(connection)
        metrics.HELD.clear()
        for row in held:
            metrics.HELD.labels(reason=row["hold"]).set(row["sessions"])
        metrics.UNBILLED_KWH.set(unbilled_wh.scaleb(-3))

    async def _sweep_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._awake.clear()
            begin = loop.time()
            try:
                await self.drain()
            except DATABASE_TROUBLE as trouble:
                log.warning("billing_waits_for_database", why=str(trouble) or type(trouble).__name__)
            except Exception:  # whatever it was, the next sweep must come; nothing is lost meanwhile
                metrics.FAILURES.labels(what="sweep").inc()
                log.exception("billing_sweep_failed", again_in_s=self._settings.sweep_interval_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.sweep_interval_s):
                    pause_s = min(loop.time() - begin, self._settings.pause_s_max)
                    await self._awake.wait()
                    await asyncio.sleep(pause_s)

    async def _measure_forever(self) -> None:
        while True:
            try:
                await self.measure()
            except DATABASE_TROUBLE as trouble:
                log.warning("billing_not_measured", why=str(trouble))
            await asyncio.sleep(self._settings.measure_interval_s)

    async def _batch(self) -> int:
        now = self._clock()

        async def work(connection: Connection) -> tuple[int, list[CommittedBill]]:
            changed, timed = await store.take_due(connection, now=now, limit=self._settings.batch_size)
            due = sorted(changed | timed)
            return len(due), await self._bill(connection, due, now, if_still_due=timed - changed) if due else []

        count, bills = await in_transaction(self._pool, work)
        self._announce(bills)
        return count

    def _announce(self, bills: list[CommittedBill]) -> list[CommittedBill]:
        if self._stops_are_due:
            self._stops_are_due = False
            self._on_stop_due()
        for committed in bills:
            metrics.BILLS.labels(kind=committed.bill.kind.value).inc()
            self._tell(committed)
        return bills

    def _tell(self, committed: CommittedBill) -> None:
        if self._on_bill is None:
            return
        try:
            self._on_bill(committed)
        except Exception:  # the bill is committed whatever its audience makes of it, and the others want theirs
            metrics.FAILURES.labels(what="audience").inc()
            log.exception("bill_not_announced", session=committed.bill.session, seq=committed.bill.seq)

    async def _bill(
        self, connection: Connection, sessions: Sequence[int], now: datetime, *, if_still_due: Collection[int] = ()
    ) -> list[CommittedBill]:
        """Decide and store; everything in the caller's transaction.

        `if_still_due`: their time had come when they were found, and another worker may have been there first.
        """
        policies = await policy_store.current(connection)
        locked = await store.lock_states(connection, sessions)
        standing = [each for each in locked if each.session not in if_still_due or _is_due(each, now)]
        cases = await self._cases(connection, standing, policies, now)
        committed: list[CommittedBill] = []
        while cases:
            terms = await _terms(connection, cases)
            assert terms, "the first of those that wait for each other waits for nobody"
            ready = [replace(case, terms=terms[case.state.session]) for case in cases if case.state.session in terms]
            cases = [case for case in cases if case.state.session not in terms]
            committed += await self._settle(connection, ready, policies, now)
        return committed

    async def _settle(
        self, connection: Connection, cases: Sequence[_Case], policies: Policies, now: datetime
    ) -> list[CommittedBill]:
        limited = await cost_limits.limited(connection, _sessions(cases), now)
        turns = Turns()
        drafts: list[DraftBill] = []
        states: list[RatingState] = []
        seen: list[Seen] = []
        for case in cases:
            await turns.give()  # rating a long session is work; whoever else uses this loop comes in between
            limit = limited.get(case.state.session)
            decision = _decide(case, policies, now, self._running, limit)
            seen += _seen(case, decision, limit)
            draft = _draft(case, decision, now)
            drafts += [draft] if draft else []
            states.append(_next_state(case.state, decision, draft))
            if LATE_FACT in states[-1].flags and LATE_FACT not in case.state.flags:
                metrics.LATE_FACTS.inc()
        sessions = {case.session.id: case.session for case in cases if case.session is not None}
        stored = await issue(connection, drafts, sessions)
        noted = await cost_limits.note(connection, seen, now)
        self._stops_are_due = self._stops_are_due or bool(noted.reached)
        await store.save_states(connection, [_looked_at_by(each, noted.look_at.get(each.session)) for each in states])
        return [
            CommittedBill(
                bill=stored[draft.session, draft.seq],
                charge_point=sessions[draft.session].charge_point,
                rating=draft.rating,
            )
            for draft in drafts
            if (draft.session, draft.seq) in stored
        ]

    async def _cases(
        self, connection: Connection, states: list[RatingState], policies: Policies, now: datetime
    ) -> list[_Case]:
        """What is known of the sessions, read after nobody else may bill them, with their tariffs resolved."""
        ids = [state.session for state in states]
        bills = await store.newest_bills(connection, ids)
        loaded, failed = await self._load(connection, ids, now)
        states = [_released(state, loaded.get(state.session), bills[state.session]) for state in states]
        places = {
            state.session: place
            for state in states
            if state.tariff is None
            and (session := loaded.get(state.session)) is not None
            and (place := session.place) is not None
        }
        outcomes = await tariffs.resolve_places(connection, places, self._tariffs)
        states = [_with_tariff(state, outcomes.get(state.session), places.get(state.session)) for state in states]
        versions = await ceiling.billed_by(
            connection,
            [_as_counting(each, bills[each.session]) for each in states],
            loaded,
            self._tariffs,
            policies,
            now,
        )
        return [
            _Case(
                state=state,
                bills=bills[state.session],
                session=_as_billed(loaded.get(state.session), versions.get(state.session), now),
                failed=state.session in failed,
                tariff=versions[state.session].tariff if state.tariff else _unresolved(outcomes.get(state.session)),
                terms=NO_TERMS,
            )
            for state in states
        ]

    async def _load(
        self, connection: Connection, ids: Sequence[int], now: datetime
    ) -> tuple[Mapping[int, BillableSession], set[int]]:
        """The sessions, and those that the source fails on: one bad session must not keep the others from their bills."""
        try:
            return await self._source.load(connection, ids, now=now), set()
        except DATABASE_TROUBLE:
            raise
        except Exception:
            log.exception("sessions_not_loaded", sessions=len(ids))
        loaded: dict[int, BillableSession] = {}
        failed: set[int] = set()
        for each in ids:
            try:
                loaded |= await self._source.load(connection, [each], now=now)
            except DATABASE_TROUBLE:
                raise
            except Exception:
                log.exception("session_not_loaded", session=each)
                failed.add(each)
        return loaded, failed


async def _terms(connection: Connection, cases: Sequence[_Case]) -> dict[int, Terms | Undecided]:
    """By session: the terms of today, and after the final bill those that it was made by. See terms_of for who is missing."""
    billed = {case.state.session: case.bills.counting.seq for case in cases if case.bills.final and case.bills.counting}
    priced = {
        case.state.session: Priced(session=case.session, tariff=case.tariff)
        for case in cases
        if case.session is not None and isinstance(case.tariff, Tariff) and case.state.session not in billed
    }
    others = dict.fromkeys({case.state.session for case in cases} - billed.keys() - priced.keys(), NO_TERMS)
    return {**others, **await store.terms_of_bills(connection, billed), **await terms_of(connection, priced)}


def _is_due(state: RatingState, now: datetime) -> bool:
    return state.next_at is not None and state.next_at <= now


def _released(state: RatingState, session: BillableSession | None, bills: BillsOfSession) -> RatingState:
    """The state without its tariff where new facts have moved the instant that it was resolved for.

    Assignments entered later never do that, and nothing does after the final bill or after an operator's choice
    (RULES.md 15).
    """
    if session is None or bills.final is not None or state.recalculated or state.resolved_at == session.priced_from:
        return state
    return replace(state, tariff=None, resolved_at=None)


def _as_counting(state: RatingState, bills: BillsOfSession) -> RatingState:
    """After the final bill, the state with the tariff of the bill that counts: facts that come late are weighed by it."""
    if bills.final is None or bills.counting is None:
        return state
    return replace(state, tariff=(bills.counting.tariff, bills.counting.tariff_version), recalculated=False)


def _as_billed(session: BillableSession | None, version: TariffVersion | None, now: datetime) -> BillableSession | None:
    return None if session is None else with_stay(session, None if version is None else version.idle, now)


def _with_tariff(state: RatingState, outcome: Resolved | Unresolved | None, place: Place | None) -> RatingState:
    if not isinstance(outcome, Resolved) or place is None:
        return state
    tariff = outcome.tariff
    assert tariff.version is not None, "a stored tariff has a version"
    return replace(state, tariff=(tariff.id, tariff.version), resolved_at=place.at)


def _unresolved(outcome: Resolved | Unresolved | None) -> Unresolved | None:
    return outcome if isinstance(outcome, Unresolved) else None


def _sessions(cases: Sequence[_Case]) -> list[BillableSession]:
    return [case.session for case in cases if case.session is not None]


def _seen(case: _Case, decision: Decision, limit: Limited | None) -> list[Seen]:
    """What limits look at, of a session that has any and no final bill yet."""
    if case.session is None or limit is None or case.bills.final is not None:
        return []
    match decision:
        case Wait():
            cost = decision.cost
        case Issue():
            cost = decision.rating.payable
        case _:
            cost = None
    is_final = isinstance(decision, Issue) and decision.kind is BillKind.FINAL
    return [Seen(session=case.session, limited=limit, cost=cost, is_final=is_final)]


def _looked_at_by(state: RatingState, at: datetime | None) -> RatingState:
    """The state, to be looked at again then at the latest."""
    if at is None or state.next_at is None or state.next_at <= at:
        return state
    return replace(state, next_at=at)


def _decide(
    case: _Case, policies: Policies, now: datetime, running: RunningSessions, limit: Limited | None = None
) -> Decision:
    """The decision; a session that our own code fails on is held, so that the others get their bills."""
    if case.failed:
        return Hold(reason=RATING_FAILED, why="its facts could not be folded; see the log", next_at=now + RECHECK)
    if case.session is None:
        return Wait(next_at=now + RECHECK)
    standing = Standing(
        interim=case.bills.interim,
        final=case.bills.counting if case.bills.final else None,
        ceiling=None if limit is None or limit.ceiling is None else limit.ceiling.amount,
    )
    try:  # a bug that one session meets must not keep the others from their bills
        return decide(case.session, standing, case.tariff, policies, now, terms=case.terms, running=running)
    except OSError:  # the machine's trouble, which passes, is none of the session's
        raise
    except Exception:
        metrics.FAILURES.labels(what="session").inc()
        log.exception("session_not_rated", session=case.session.id)
        return Hold(reason=RATING_FAILED, why="it could not be rated; see the log", next_at=now + RECHECK)


def _draft(case: _Case, decision: Decision, now: datetime) -> DraftBill | None:
    if not isinstance(decision, Issue) or case.session is None:
        return None
    return DraftBill(
        session=case.session.id,
        seq=case.bills.last_seq + 1,
        kind=decision.kind,
        as_of=case.session.as_of,
        rating=decision.rating,
        inputs=decision.inputs,
        created_at=now,
    )


def _next_state(state: RatingState, decision: Decision, draft: DraftBill | None) -> RatingState:
    match decision:
        case Wait():
            return replace(state, holds=(), flags=(), notes=(), next_at=decision.next_at)
        case Hold():
            return replace(state, holds=(decision.reason,), flags=(), notes=(decision.why,), next_at=decision.next_at)
        case Issue():
            assert draft is not None, "a bill that is due is drafted"
            notes = tuple(note.value for note in decision.rating.notes)
            return replace(state, holds=(), flags=(), notes=notes, last_seq=draft.seq, next_at=decision.next_at)
        case Dropped():
            return replace(state, holds=(), flags=(), notes=(), next_at=None)
        case Settled():
            kept = tuple(note for note in state.notes if not note.startswith(LATE_FACT))
            late = () if decision.late is None else (decision.late,)
            return replace(state, holds=(), flags=(LATE_FACT,) if late else (), notes=kept + late, next_at=None)
        case _:
            assert_never(decision)
