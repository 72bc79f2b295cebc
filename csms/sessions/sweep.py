"""What one node looks for on behalf of all, from time to time: stops that fit a session after all, reservations that nobody
used, transactions of others. Each works in its caller's transaction, and a repeat finds nothing new.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog

from billing import Place, prices_reservations
from csms.security.metrics import EVENTS
from csms.sessions.buyers import Purchase, buyers
from csms.sessions.store import SQL, utc_now

log = structlog.get_logger()

ORPHANS_SINCE = timedelta(days=90)
FOREIGN_SINCE = timedelta(hours=2)
UNUSED_SINCE = timedelta(days=30)
"""So long after a reservation's end we still look whether somebody owes something for it."""


async def pair_orphans(connection: Any, *, settle: timedelta) -> None:
    """A stop without a session belongs to the one open session of its charge point that it fits, if there is just one."""
    now = utc_now()
    rows = await SQL.orphans_to_pair.fetch(connection, since=now - ORPHANS_SINCE, settled=now - settle)
    by_session: dict[int, list[int]] = {}
    for row in rows:
        candidates = row["candidates"] or []
        if len(candidates) == 1:
            by_session.setdefault(candidates[0], []).append(row["event"])
    # Two orphans that fit the same session are no evidence for either.
    pairs = [(events[0], session) for session, events in sorted(by_session.items()) if len(events) == 1]
    if not pairs:
        return
    await SQL.link_events.execute(
        connection,
        events=[event for event, _ in pairs],
        sessions=[session for _, session in pairs],
        whys=["the only open session of the charge point that fits by meter and time"] * len(pairs),
    )
    await SQL.mark_due.execute(connection, sessions=[session for _, session in pairs])
    log.info("orphans_paired", sessions=[session for _, session in pairs])


async def note_unused(connection: Any) -> None:
    """Sessions for reservations that have run out unused, where the tariff of the place has a price for them."""
    now = utc_now()
    rows = await SQL.unused_reservations.fetch(connection, now=now, since=now - UNUSED_SINCE)
    who = await buyers(
        connection,
        {
            row["id"]: Purchase(site=row["site"], token=row["token"], at=row["since"], heard_at=row["since"])
            for row in rows
        },
    )
    places = {
        row["id"]: Place(
            charge_point=row["charge_point"],
            site=row["site"],
            currency=row["currency"],
            at=row["since"],
            location_groups=who[row["id"]].location_groups,
            customer=who[row["id"]].customer,
            product=row["product"],
        )
        for row in rows
    }
    priced = await prices_reservations(connection, places)
    chosen = [row for row in rows if row["id"] in priced]
    if not chosen:
        return
    added = await SQL.insert_unused.fetch(
        connection,
        reservations=[row["id"] for row in chosen],
        charge_points=[row["charge_point"] for row in chosen],
        tokens=[row["token"] for row in chosen],
        sinces=[row["since"] for row in chosen],
        untils=[row["until"] for row in chosen],
    )
    sessions = sorted(row["id"] for row in added)
    await SQL.mark_due.execute(connection, sessions=sessions)
    log.info("reservations_unused", sessions=sessions)


async def note_foreign(connection: Any) -> None:
    """Security events for charge points that stop transactions of others."""
    rows = await SQL.note_foreign_transactions.fetch(connection, since=utc_now() - FOREIGN_SINCE)
    for row in rows:
        EVENTS.labels("csms", "ForeignTransaction", "true").inc()
        log.error(
            "security_event", source="csms", charge_point=row["charge_point"], type="ForeignTransaction",
            info=row["tech_info"], next_step="csms session orphans",
        )  # fmt: skip
