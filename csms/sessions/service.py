"""Sessions kept folded: takes what is due, folds it, stores the projection and tells billing. Also billing's source."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import structlog

from billing import BillableSession, IdleAfterStop, Measured, NotFound, Stay, Turns
from csms.database.pool import in_transaction, is_unavailable
from csms.sessions import clock, listing, metrics, sweep
from csms.sessions.buyers import Buyer, Purchase, buyers
from csms.sessions.facts import Surroundings
from csms.sessions.folds import Folds
from csms.sessions.looks import Looks
from csms.sessions.periods import as_of, energy_wh_of, shifted, usage
from csms.sessions.policy import WAITS, ReviewPolicy
from csms.sessions.projection import dropped_because, projection_of
from csms.sessions.review import still_held
from csms.sessions.session import Session
from csms.sessions.spans import later
from csms.sessions.store import SQL, Projection, SessionFacts, load_facts, project, utc_now
from csms.settings import Settings
from csms.tokens.token import canonical

log = structlog.get_logger()

BATCH_MAX = 50
"""Sessions folded by one transaction; between two of them other charge points are served."""
URGENT_PAUSE_S = 0.02
"""Starts and ends are folded at once; the pause lets a burst share one transaction. It is as long as the last one took."""
URGENT_PAUSE_S_MAX = 0.5
REST_FACTOR = 10
"""After a batch that could wait, the projector rests so many times as long as that took: answers come before figures."""


async def _always() -> bool:
    return True


class Sessions:
    """The projector (`run`) and billing's SessionSource (`load`) over one fold."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        settings: Settings,
        *,
        projected: Callable[[], None] = lambda: None,
        my_turn: Callable[[], Awaitable[bool]] = _always,
    ) -> None:
        """`projected` is called after commits that gave billing something to do; `my_turn` before what is swept for
        all nodes.
        """
        self._my_turn = my_turn
        self._pool = pool
        self._settings = settings
        self._projected = projected
        self._policy = with_waits(ReviewPolicy(), settings)
        self._urgent: set[int] = set()
        self._looks = Looks(settings.billing_interval_s)
        self._folds = Folds()
        self._awake = asyncio.Event()
        self._pause_s = URGENT_PAUSE_S

    async def prepare(self) -> None:
        """Read the newest review policy; an installation's first one is the default."""
        async with self._pool.acquire() as connection:
            await SQL.insert_policy.execute(connection, version=1, body=ReviewPolicy().to_dict())
            await self._read_policy(connection)

    async def _read_policy(self, connection: Any) -> None:
        row = await SQL.review_policies.fetchrow(connection)
        assert row is not None
        stored = replace(ReviewPolicy.from_dict(row["body"]), version=row["version"])
        self._policy = with_waits(stored, self._settings)

    def wake(self, urgent: Collection[int]) -> None:
        """These sessions are not left to wait for the interval, as others that have new facts are."""
        if urgent:
            self._urgent.update(urgent)
            self._awake.set()

    async def run(self) -> None:
        """Fold what is due, forever. A database that is away is waited for; nothing is lost meanwhile."""
        sweep_at = project_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            if loop.time() >= sweep_at:
                sweep_at = loop.time() + self._settings.sweep_interval_s
                await self._sweep_safely()
            try:
                await self._project_urgent()
                if loop.time() >= project_at:
                    begin = loop.time()
                    is_more = await self.project_due()
                    await self._mark_the_rest()
                    rest_s = REST_FACTOR * (loop.time() - begin)
                    project_at = loop.time() + max(rest_s, 0 if is_more else self._settings.projection_interval_s)
            except Exception as error:
                if not is_unavailable(error):
                    log.exception("projection_failed")
                await asyncio.sleep(1)
            await self._pause(until=min(sweep_at, project_at))

    async def _pause(self, *, until: float) -> None:
        """Until then, by the loop's clock, or until something urgent comes."""
        try:
            async with asyncio.timeout_at(until):
                await self._awake.wait()
            await asyncio.sleep(self._pause_s)
        except TimeoutError:
            pass
        self._awake.clear()

    async def _sweep_safely(self) -> None:
        """A sweep that fails comes again; folding does not wait for it."""
        try:
            await self.sweep()
        except Exception as error:
            if not is_unavailable(error):
                log.exception("sweep_failed")

    async def sweep(self) -> None:
        """What this node must know and do itself; and if it is its turn, what one node does for all."""
        async with self._pool.acquire() as connection:
            await self._read_policy(connection)
            counts = await SQL.count_sessions.fetchrow(connection)
        if counts is not None:
            metrics.open_sessions.set(counts["open"])
            metrics.held_sessions.set(counts["held"])
        if await self._my_turn():
            await self._sweep_for_all()

    async def _sweep_for_all(self) -> None:
        """Enqueue sessions that time alone may have changed, pair orphans with the sessions they fit, find what is owed for
        reservations that nobody used.
        """
        async with self._pool.acquire() as connection:
            await SQL.sweep_due.execute(
                connection,
                now=utc_now(),
                patience=timedelta(seconds=self._settings.available_patience_s),
                least=timedelta(seconds=min(60.0, self._settings.available_patience_s)),
            )
        await in_transaction(self._pool, partial(sweep.pair_orphans, settle=self._settings.settle_delay))
        await in_transaction(self._pool, sweep.note_unused)
        await in_transaction(self._pool, sweep.note_foreign)

    async def _mark_the_rest(self) -> None:
        """Running sessions whose readings billing has not been told of yet."""
        loop = asyncio.get_running_loop()
        turns = self._looks.due(now=loop.time())
        if not turns:
            return
        async with self._pool.acquire() as connection:
            await SQL.mark_rating_due.execute(connection, sessions=sorted(turns))
        self._looks.told(turns, now=loop.time())
        self._projected()

    async def project_due(self) -> bool:
        """Fold one batch, of those that have waited longest; True if there may be more."""
        return await self._project(_take_due) >= BATCH_MAX

    async def _project_urgent(self) -> None:
        """If it fails they are still due, and have their turn like others."""
        loop = asyncio.get_running_loop()
        while self._urgent:
            begin = loop.time()
            urgent = [self._urgent.pop() for _ in range(min(BATCH_MAX, len(self._urgent)))]
            await self._project(partial(_take_due_of, sessions=urgent))
            self._pause_s = min(max(URGENT_PAUSE_S, loop.time() - begin), URGENT_PAUSE_S_MAX)

    async def project_now(self, transactions: Collection[tuple[str, str]]) -> dict[int, tuple[str, str]]:
        """Fold the sessions of transactions, each a charge point and its id, at once; which session is whose."""

        async def work(connection: Any) -> dict[int, tuple[str, str]]:
            rows = await SQL.newest_sessions.fetch(
                connection,
                charge_points=[charge_point for charge_point, _ in transactions],
                transactions=[transaction for _, transaction in transactions],
            )
            found = {row["id"]: (row["charge_point"], row["transaction"]) for row in rows}
            if found:
                await _take_due_of(connection, sorted(found))  # nobody need fold them once more
                await self.fold_all(connection, sorted(found))
            return found

        return await in_transaction(self._pool, work)

    async def _project(self, take: Callable[[Any], Awaitable[Collection[int]]]) -> int:
        """Fold what `take` takes from those that are due; how many sessions that were."""

        async def work(connection: Any) -> int:
            taken = await take(connection)
            if taken:
                await self.fold_all(connection, sorted(taken))
            return len(taken)

        count = await in_transaction(self._pool, work, timeout_s=30)
        if count:
            self._projected()
        return count

    async def fold_all(self, connection: Any, ids: Sequence[int]) -> None:
        """Fold sessions and store their projections, in the caller's transaction."""
        await SQL.lock_sessions.fetch(connection, sessions=ids)
        now = utc_now()
        found = await load_facts(connection, ids, now=now)
        turns, projections = Turns(), []
        for facts in found.values():
            await turns.give()  # a fold of a long session is work; sockets come in between
            try:
                session = self._folds.make(facts, self._policy, now=now)
            except Exception:
                log.exception("session_not_folded", session=facts.id)
                await SQL.mark_unfoldable.execute(connection, session=facts.id)
                continue
            projections.append(projection_of(facts, session))
            metrics.folds.inc()
        followed = {
            each.session: each
            for each in projections
            if found[each.session].following is not None or each.ended_at is not None
        }
        changed = await SQL.ends_to_change.fetch(
            connection,
            sessions=list(followed),
            ended_ats=[each.ended_at for each in followed.values()],
            register_ends_wh=[each.register_end_wh for each in followed.values()],
        )
        await project(connection, projections)
        overtaken = await _overtaken(connection, [found[each.session] for each in projections])
        followers = await _followers(connection, found, [row["id"] for row in changed])
        await SQL.mark_due.execute(connection, sessions=followers + overtaken)
        marked = self._to_mark(projections, found)
        await SQL.mark_rating_due.execute(connection, sessions=marked)
        waiting = self._looks.all_waiting([each.session for each in projections])
        if waiting:
            await SQL.mark_limited_due.execute(connection, sessions=waiting)

    def _to_mark(self, projections: Sequence[Projection], found: Mapping[int, SessionFacts]) -> list[int]:
        """What billing must look at now; running sessions that only had readings have their turn every few seconds."""
        now = asyncio.get_running_loop().time()
        chosen: list[int] = []
        for each in projections:
            if each.ended_at is not None or each.holds or each.dropped is not None:
                self._looks.at_once(each.session)
            elif not self._looks.has_turn(each.session, readings=len(found[each.session].readings), now=now):
                continue
            chosen.append(each.session)
        return chosen

    async def load(self, connection: Any, sessions: Sequence[int], *, now: datetime) -> Mapping[int, BillableSession]:
        """Sessions as they stand in the caller's transaction, freshly judged (the gate watches running ones too)."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        found = await load_facts(connection, sessions, now=now)
        turns = Turns()
        around: dict[int, Surroundings] = {}
        folded: dict[int, Session] = {}
        for id_, facts in found.items():
            await turns.give()
            around[id_], folded[id_] = self._folds.take(facts, self._policy, now=now)
        known = await buyers(connection, _purchases(found, folded))
        billable: dict[int, BillableSession] = {}
        for id_, facts in found.items():
            await turns.give()
            billable[id_] = self._billable(facts, around[id_], folded[id_], known.get(id_, Buyer()), now=now)
        await SQL.mark_judged_otherwise.execute(
            connection,
            sessions=list(billable),
            holds=[",".join(sorted(each.holds)) for each in billable.values()],
        )
        self._looks.took(loop.time() - begin, len(found))
        return billable

    def _billable(
        self, facts: SessionFacts, around: Surroundings, session: Session, buyer: Buyer, *, now: datetime
    ) -> BillableSession:
        correction = clock.correction(around.clock_offset_s, limit_s=self._policy.clock_offset_s_max)
        its_now = later(now, -correction)  # sessions are told in the charge point's time
        until = as_of(session, around, now=its_now) or its_now
        used = shifted(usage(session, as_of=until), correction)
        return BillableSession(
            id=facts.id,
            charge_point=facts.charge_point,
            site=facts.site,
            country=facts.country,
            currency=facts.currency,
            time_zone=facts.time_zone,
            token=None if session.token is None else canonical(session.token),
            priced_from=session.tariff_at,
            started_at=session.started_at,
            ended_at=session.ended_at,
            complete_at=session.complete_at,
            closed=session.closed,
            dropped=dropped_because(facts, session) is not None,
            holds=still_held(session, facts.releases),
            released=facts.released,
            energy_wh=energy_wh_of(used),
            as_of=later(until, correction),
            usage=used,
            inputs_hash=session.inputs_hash,
            clock_uncertainty_s=around.clock_uncertainty_s,
            stay=Stay(since=_moved(session.idle_from, correction), until=_moved(session.idle_until, correction)),
            idle=IdleAfterStop(cap=facts.idle_cap) if facts.idle_after_stop else None,
            customer=buyer.customer,
            location_groups=buyer.location_groups,
            product=facts.product,
            measured=_measured(session, correction),
        )


def _measured(session: Session, correction: timedelta) -> Measured | None:
    known = session.proven
    if known is None:
        return None
    readings = tuple(later(at, correction) for at in known.readings)
    return Measured(readings=readings, measures_time=known.measures_time)


def _purchases(found: Mapping[int, SessionFacts], folded: Mapping[int, Session]) -> dict[int, Purchase]:
    """Of the sessions that can be priced."""
    return {
        id_: Purchase(site=facts.site, token=session.token, at=session.tariff_at, heard_at=facts.heard_at)
        for id_, facts in found.items()
        if (session := folded[id_]).token is not None and session.tariff_at is not None
    }


def with_waits(policy: ReviewPolicy, settings: Settings) -> ReviewPolicy:
    """Waits are settings of the installation; everything else is the stored policy's."""
    return ReviewPolicy.from_dict(policy.to_dict() | {name: str(getattr(settings, name)) for name in WAITS})


def _moved(at: datetime | None, by: timedelta) -> datetime | None:
    return None if at is None else later(at, by)


async def _followers(connection: Any, found: Mapping[int, SessionFacts], sessions: Sequence[int]) -> list[int]:
    """The sessions after these on their EVSEs; those too that began while these were folded, and saw how they were before."""
    following = [found[each].following for each in sessions]
    alone = [id_ for id_, each in zip(sessions, following, strict=True) if each is None]
    rows = await SQL.followers_of.fetch(connection, sessions=alone) if alone else []
    return sorted({each.id for each in following if each is not None} | {row["id"] for row in rows})


async def _overtaken(connection: Any, folded: Sequence[SessionFacts]) -> list[int]:
    """The sessions before these on their EVSEs that were folded as if these had not begun."""
    behind = {facts.id: facts.previous.id for facts in folded if facts.previous is not None}
    rows = await SQL.overtaken.fetch(connection, sessions=list(behind), previous=list(behind.values()))
    return [row["id"] for row in rows]


async def _take_due(connection: Any) -> set[int]:
    """The sessions that have waited longest, with all rows of theirs that no other node has taken."""
    taken: set[int] = set()
    while len(taken) < BATCH_MAX:
        first = {row["session"] for row in await SQL.take_due.fetch(connection, most=BATCH_MAX - len(taken))}
        if not first:
            break
        await SQL.take_due_of.fetch(connection, sessions=sorted(first))
        taken |= first
    return taken


async def _take_due_of(connection: Any, sessions: Sequence[int]) -> set[int]:
    """Those of these sessions that are due."""
    return {row["session"] for row in await SQL.take_due_of.fetch(connection, sessions=sessions)}


async def started_since(
    connection: Any, charge_point: str, *, token: str, evse: int | None, remote_start: int, since: datetime
) -> int | None:
    """The session that a remote start brought about, once it has begun."""
    found: int | None = await SQL.started_since.fetchval(
        connection, charge_point=charge_point, token=canonical(token), evse=evse, remote_start=remote_start, since=since
    )
    return found


async def ended(connection: Any, session: int) -> int | None:
    """The session's id once its end is known."""
    row = await listing.get(connection, session)
    return None if row["ended_at"] is None else session


async def transaction_of(connection: Any, session: int, *, charge_point: str) -> str:
    """The transaction id by which a charge point knows a session.

    Raises:
        NotFound: the charge point has no such session.
    """
    row = await listing.get(connection, session)
    if row["charge_point"] != charge_point:
        raise NotFound(
            f"session {session} is not of {charge_point} but of {row['charge_point']}", "see csms session list"
        )
    return str(row["transaction_id"])
