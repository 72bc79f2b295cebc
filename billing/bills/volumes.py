"""What customers charged in a calendar month before a session: for volume tiers and monthly allowances."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal

from billing.bills.billable import BillableSession
from billing.bills.store import SQL
from billing.sql import Connection
from billing.time_zones import zone_named


def month_start(at: datetime, time_zone: str) -> datetime:
    """The first moment of the calendar month that the site's wall clock shows at this instant, in UTC."""
    local = at.astimezone(zone_named(time_zone))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)


async def volumes_before(connection: Connection, sessions: Collection[BillableSession]) -> dict[int, Decimal]:
    """Wh of each session's customer in the month of its start, from sessions that started before it, by session.

    The customer is the token's group, else the token; without a token the volume is 0. Sessions that run count as far
    as they have come, those that were dropped do not.
    """
    asked = [each for each in sessions if each.token is not None and each.priced_from is not None]
    starts = [each.started_at or each.priced_from for each in asked]
    rows = await SQL.volumes_before.fetch(
        connection,
        sessions=[each.id for each in asked],
        tokens=[each.token for each in asked],
        groups=[each.customer.token_group for each in asked],
        sinces=[month_start(start, each.time_zone) for each, start in zip(asked, starts, strict=True) if start],
        untils=starts,
    )
    return {each.id: Decimal(0) for each in sessions} | {row["session"]: row["wh"] for row in rows}
