"""Reservations that nobody used, as sessions without a transaction, where the tariff has a price for them (RULES.md 12)."""

from __future__ import annotations

import hashlib
from decimal import Decimal

from csms.sessions.completeness import timeout_at
from csms.sessions.facts import Kept, Reserved, Surroundings
from csms.sessions.policy import ReviewPolicy
from csms.sessions.session import Action, Completeness, EndSource, EnergySource, Finding, Session


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
