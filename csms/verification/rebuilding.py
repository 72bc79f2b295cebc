"""Sessions folded anew where their rows say otherwise, by the projector itself; what that makes of bills is only told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from billing import BillingService, newest_bills, session_ratings
from csms.database.pool import retrying
from csms.sessions.service import Sessions
from csms.settings import Settings
from csms.verification.comparison import SQL, Limits, compared
from csms.verification.difference import Difference
from csms.verification.service import Advance, Report, look_at_bills, look_at_sessions, reading_pool

ROUNDS_MAX = 5
"""A row that was wrong may have misled its neighbour on the EVSE: that one is right once both are folded again."""
LATE_FACT = "late_fact"
CORRECT = "csms session rerate {session} --reason TEXT makes a correction bill"


@dataclass(slots=True)
class _Done:
    """What a batch came to: rows that differ still, and bills that the facts no longer give."""

    left: list[Difference] = field(default_factory=list)
    bills: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What folds, and what says what a fold would do to bills."""

    pool: asyncpg.Pool[Any]
    settings: Settings
    sessions: Sessions
    billing: BillingService

    @classmethod
    async def begin(cls, pool: asyncpg.Pool[Any], settings: Settings) -> Rebuilding:
        sessions = Sessions(pool, settings)
        await sessions.prepare()
        return cls(pool, settings, sessions, BillingService(pool, sessions))

    async def store(self, sessions: Sequence[int], *, dry_run: bool) -> _Done:
        """Fold these and store the rows, in one transaction; with `dry_run` nothing of it stays."""

        async def attempt() -> _Done:
            async with self.pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    done = await self._fold(connection, sessions)
                except BaseException:
                    await transaction.rollback()
                    raise
                await (transaction.rollback() if dry_run else transaction.commit())
                return done

        return await retrying(attempt)

    async def _fold(self, connection: Any, sessions: Sequence[int]) -> _Done:
        done, wrong = _Done(), sorted(sessions)
        limits = await Limits.read(connection, self.settings)
        for _ in range(ROUNDS_MAX):
            await self.sessions.fold_all(connection, wrong)
            rows = await SQL.rows_of.fetch(connection, sessions=wrong)
            done.left = await compared(connection, rows, limits, now=datetime.now(UTC))
            wrong = sorted({each.session for each in done.left if each.session is not None})
            if not wrong:
                break
        done.bills = await self._bills_after(connection, sessions)
        return done

    async def _bills_after(self, connection: Any, sessions: Sequence[int]) -> list[Difference]:
        """What billing would say of final bills, by doing it and taking it back."""
        before = await session_ratings(connection, sessions)
        transaction = connection.transaction()
        await transaction.start()
        try:
            await self.billing.settle_in(connection, sessions, datetime.now(UTC))
            after = await session_ratings(connection, sessions)
        finally:
            await transaction.rollback()
        bills = await newest_bills(connection, sessions)
        return [
            Difference(
                session=session,
                bill=bills[session].seq,
                what="total_incl",
                stored=f"{bills[session].total_incl.text} {bills[session].currency}",
                recomputed=note,
                next_step=CORRECT.format(session=session),
            )
            for session, rating in sorted(after.items())
            for note in rating.notes
            if note.startswith(LATE_FACT) and session in bills and note not in _notes(before.get(session))
        ]


def _notes(rating: Any) -> tuple[str, ...]:
    return () if rating is None else rating.notes


async def rebuild(dsn: str, settings: Settings, report: Report, advance: Advance, *, dry_run: bool) -> None:
    """Compare all sessions and bills; store the sessions that differ, unless `dry_run`."""
    async with reading_pool(dsn) as pool:
        rebuilding = await Rebuilding.begin(pool, settings)
        async for count, found in look_at_sessions(pool, settings, report):
            report.add(found)
            wrong = sorted({each.session for each in found if each.session is not None})
            if wrong:
                done = await rebuilding.store(wrong, dry_run=dry_run)
                report.add(done.bills)
                still = {each.session for each in done.left}
                report.rebuilt += sum(each not in still for each in wrong)
                report.left += len(done.left) + len(done.bills)
            advance(count)
        before = report.differing
        await look_at_bills(pool, report, advance)
        report.left += report.differing - before
