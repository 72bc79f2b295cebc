"""What a review decision would lead to: the real thing, bills included, in a transaction that is rolled back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from billing import BillingService
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
