"""Letting go of whom mails went to, when that need not be known any more. Callers hold the connection."""

from __future__ import annotations

from billing.mail import store
from billing.mail.store import SQL
from billing.sql import Connection


async def forget_account(connection: Connection, account: str) -> int:
    """A customer's mails lose to whom they went and what they said, at once; says how many have not ended yet and stay.

    Addresses of it that are not written to are forgotten as well.
    """
    async with connection.transaction():
        rows = await SQL.ended_of_account.fetch(connection, account=account)
        ended = [row["id"] for row in rows if row["has_ended"]]
        await SQL.forget_suppressions.execute(connection, deliveries=ended)
        await store.forget(connection, ended)
    return len(rows) - len(ended)
