"""The end of a session: its stop, or the proof that none will come (RULES.md 13). Of readings it knows only when they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from csms.protocol.vocabulary import EventKind
from csms.sessions.facts import StoredEvent, StoredReading, StoredStatus, Surroundings
from csms.sessions.policy import ReviewPolicy
from csms.sessions.samples import usable
from csms.sessions.session import Action, EndSource, Finding
from csms.sessions.spans import span

AVAILABLE = "Available"


@dataclass(frozen=True, slots=True, kw_only=True)
class LostStop:
    """No stop came, and none is expected. `known_at`: the instant at which that was certain."""

    source: EndSource
    known_at: datetime
    evidence: str


def chosen_stop(events: Sequence[StoredEvent]) -> tuple[StoredEvent | None, tuple[Finding, ...]]:
    """The stop that counts - the first received that could be read - and what the others say (RULES.md 5)."""
    stops = [each for each in events if each.event.kind is EventKind.ENDED]
    if not stops:
        return None, ()
    stops.sort(key=lambda each: (each.event.malformed, each.received_at, each.event.at, each.event.key))
    first, findings = stops[0], []
    for other in stops[1:]:
        evidence = f"stops at {_words(first)} and at {_words(other)}; the first received counts"
        differs = (other.event.at, usable(other.event.register_wh)) != (first.event.at, usable(first.event.register_wh))
        if differs or first.event.seq_no is None:
            findings.append(Finding(rule="stop_conflict", action=Action.FLAG, evidence=evidence))
        if differs:
            findings.append(Finding(rule="stop_conflict", action=Action.HOLD, evidence=evidence))
    return first, tuple(findings)


def _words(stop: StoredEvent) -> str:
    register = "" if stop.event.register_wh is None else f" with {stop.event.register_wh} Wh"
    return stop.event.at.isoformat() + register


def lost_stop(
    events: Sequence[StoredEvent],
    last_received_at: datetime,
    around: Surroundings,
    policy: ReviewPolicy,
    *,
    now: datetime,
) -> LostStop | None:
    """Why a session without stop is over, None while it may go on.

    `last_received_at` is when its newest fact arrived: only an Available after it, undisturbed, says anything.
    """
    following = around.following
    if following is not None and following.started_at is not None:
        return LostStop(
            source=EndSource.FOLLOWING,
            known_at=max(following.started_at, last_received_at),
            evidence=f"session {following.id} began on the same EVSE at {following.started_at.isoformat()}",
        )
    if around.still_ongoing is False:
        return LostStop(
            source=EndSource.NOT_ONGOING,
            known_at=last_received_at,
            evidence="asked, the charge point knows of no such transaction any more",
        )
    freed = _freed(events, around)
    if freed is None:
        return None
    return _after_patience(max(freed.received_at, last_received_at), around, policy, now=now)


def of_the_stay(
    readings: Iterable[StoredReading], events: Sequence[StoredEvent], around: Surroundings
) -> list[StoredReading]:
    """The readings without those that name no transaction and were taken once the EVSE was free again.

    Clock-aligned values of a 1.6 meter go on for ever: they say nothing of a session whose vehicle left.
    """
    freed = _freed(events, around)
    if freed is None:
        return list(readings)
    left_at = freed.at or freed.received_at
    return [
        each
        for each in readings
        if each.transaction is not None or each.received_at <= freed.received_at or each.reading.at <= left_at
    ]


def _freed(events: Sequence[StoredEvent], around: Surroundings) -> StoredStatus | None:
    """The status by which the EVSE became Available for the last time, None where its newest status is another."""
    heard_at = min(each.received_at for each in events)
    freed: StoredStatus | None = None
    for each in sorted(around.statuses, key=lambda one: (one.received_at, one.status)):
        if each.received_at < heard_at:
            continue
        if each.status != AVAILABLE:
            freed = None
        elif freed is None:
            freed = each
    return freed


def _after_patience(since: datetime, around: Surroundings, policy: ReviewPolicy, *, now: datetime) -> LostStop | None:
    patience = span(policy.available_patience_s)
    for online in sorted(around.online, key=lambda one: one.since):
        known_at = max(since, online.since) + patience
        if known_at <= now and (online.until is None or online.until >= known_at):
            return LostStop(
                source=EndSource.AVAILABLE,
                known_at=known_at,
                evidence=f"Available since {since.isoformat()} and online for {policy.available_patience_s} s",
            )
    return None
