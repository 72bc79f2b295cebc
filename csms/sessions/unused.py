"""Reservations that nobody used, as sessions without a transaction, where the tariff has a price for them (RULES.md 12)."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog

from billing import Place, prices_reservations
from csms.sessions.completeness import timeout_at
from csms.sessions.facts import Kept, Reserved, Surroundings
from csms.sessions.policy import ReviewPolicy
from csms.sessions.session import Action, Completeness, EndSource, EnergySource, Finding, Session
from csms.sessions.store import SQL

log = structlog.get_logger()

UNUSED_SINCE = timedelta(days=30)
"""So long after a reservation's end we still look whether somebody owes something for it."""


def unused(session: int, kept: Kept, around: Surroundings, policy: ReviewPolicy, *, time_zone: str) -> Session:
    """The session of a reservation that nobody used. It is complete when a use that was told late would have been heard.

    That is the wait for facts of a charge point that may be offline (RULES.md 14): a start that it queued may name it.
    """
    dropped = kept.why_not if kept.used_by is None else f"session {kept.used_by} used the reservation"
    evidence = f"reservation {kept.reservation} ran out at {kept.until.isoformat()}, and no transaction named it"
    return Session(
        id=session,
        time_zone=time_zone,
        transaction=None,
        evse=None,
        connector=None,
        token=kept.token,
        started_at=kept.since,
        priced_from=kept.since,
        tariff_at=kept.since,
        ended_at=kept.until,
        end_source=EndSource.RESERVATION,
        end_received_at=kept.until,
        released_at=kept.until,
        stopped_reason=None,
        begin_wh=None,
        end_wh=None,
        energy_wh=Decimal(0),
        energy_source=EnergySource.NONE,
        points=(),
        powers=(),
        states=(),
        idle_from=None,
        idle_until=None,
        reserved=Reserved(since=kept.since, until=kept.until, used=False),
        complete_at=timeout_at(kept.until, around.online, policy),
        completeness=Completeness.TIMEOUT,
        awaiting_events=False,
        last_fact_at=kept.until,
        is_live=False,
        dropped=dropped,
        findings=(Finding(rule="reservation_unused", action=Action.FLAG, evidence=evidence),),
        quirks=frozenset(),
        notes=(),
        inputs_hash=hashlib.sha256(f"{kept} {dropped}".encode()).digest(),
    )


async def note_unused(connection: Any, *, now: datetime) -> list[int]:
    """Sessions for reservations that have run out unused where the tariff of the place has a price for them; their ids."""
    rows = await SQL.unused_reservations.fetch(connection, now=now, since=now - UNUSED_SINCE)
    places = {
        row["id"]: Place(charge_point=row["charge_point"], site=row["site"], currency=row["currency"], at=row["since"])
        for row in rows
    }
    priced = await prices_reservations(connection, places)
    chosen = [row for row in rows if row["id"] in priced]
    if not chosen:
        return []
    added = await SQL.insert_unused.fetch(
        connection,
        reservations=[row["id"] for row in chosen],
        charge_points=[row["charge_point"] for row in chosen],
        tokens=[row["token"] for row in chosen],
        sinces=[row["since"] for row in chosen],
        untils=[row["until"] for row in chosen],
    )
    sessions = sorted(row["id"] for row in added)
    log.info("reservations_unused", sessions=sessions)
    return sessions
