"""Acts of an operator on one session with what follows from them, bills included; a rehearsal is the real thing, rolled back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from billing import BillingService, Rerated, TariffChoice, rerate_session
from csms.sessions import listing
from csms.sessions.service import Sessions
from csms.settings import Settings


async def rehearse(
    pool: asyncpg.Pool[Any], settings: Settings, session: int, *, action: str, reason: str, actor: str
) -> dict[str, Any]:
    """The decision, the state that it would leave and the bill that would follow at once, if any. Nothing stays.

    Raises:
        NotFound, Refused: as listing.review.
    """
    sessions = Sessions(pool, settings)
    await sessions.prepare()
    billing = BillingService(pool, sessions)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            decision = await listing.review(connection, session, action=action, reason=reason, actor=actor)
            await sessions.fold_all(connection, [session])
            bills = await billing.settle_in(connection, [session], datetime.now(UTC))
            row = await listing.show(connection, session)
        finally:
            await transaction.rollback()
    return {
        **decision,
        "dry_run": True,
        "state": row["state"],
        "hold_reasons": row["hold_reasons"],
        "bill": bills[-1].bill.to_dict() if bills else None,
    }


async def rerate(
    pool: asyncpg.Pool[Any],
    settings: Settings,
    session: int,
    *,
    choice: TariffChoice | None,
    reason: str,
    actor: str,
    dry_run: bool,
) -> Rerated:
    """The session rated anew by what is known of it now; with `dry_run` nothing stays.

    Raises:
        NotFound, Refused, AlreadyDone: as billing's rerate.
    """
    sessions = Sessions(pool, settings)
    await sessions.prepare()
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await sessions.fold_all(connection, [session])
            done = await rerate_session(
                connection, sessions, session, now=datetime.now(UTC), choice=choice, reason=reason, actor=actor
            )
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.rollback() if dry_run else transaction.commit())
    return done
