"""csms tariff and csms bill: billing's commands on our connection."""

from __future__ import annotations

from billing import Connection, NotDone, bill_group, tariff_group
from csms.cli.context import connect


async def _never_billed(connection: Connection, session: int) -> NotDone | None:
    from csms.sessions.dropped import why_dropped  # noqa: PLC0415 - tariff commands start faster without sessions

    return await why_dropped(connection, session)


tariff = tariff_group(connect)
bill = bill_group(connect, never_billed=_never_billed)
