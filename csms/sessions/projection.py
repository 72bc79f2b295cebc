"""From the facts of a session to its row: what the projector stores, and what a row must equal. Knows no database."""

from __future__ import annotations

from datetime import datetime

from csms.sessions.facts import Surroundings
from csms.sessions.fold import fold
from csms.sessions.policy import ReviewPolicy
from csms.sessions.review import still_held
from csms.sessions.session import Session
from csms.sessions.store import Projection, SessionFacts
from csms.sessions.unused import unused
from csms.tokens.token import canonical


def folded_from(
    facts: SessionFacts, policy: ReviewPolicy, *, now: datetime, around: Surroundings | None = None
) -> Session:
    """The session that these facts tell; `around` where the caller knows it already.

    Raises:
        NoFacts: there is no event, and no reservation that nobody used.
    """
    around = around or facts.surroundings()
    if facts.kept is not None:
        return unused(facts.id, facts.kept, around, policy, time_zone=facts.time_zone)
    return fold(facts.id, facts.events, facts.readings, around, policy, now=now, site_time_zone=facts.time_zone)


def dropped_because(facts: SessionFacts, session: Session) -> str | None:
    """Why nobody is billed for it, by a person's decision or by the rules; None: it counts."""
    if facts.dropped_by_review is not None:
        return f"review: {facts.dropped_by_review}"
    return session.dropped


def projection_of(facts: SessionFacts, session: Session) -> Projection:
    """The session's row, less what a person has released."""
    return Projection(
        session=facts.id,
        evse=session.evse,
        connector=session.connector,
        token=None if session.token is None else canonical(session.token),
        started_at=session.started_at,
        ended_at=session.ended_at,
        released_at=session.released_at,
        complete_at=session.complete_at,
        energy_wh=session.energy_wh,
        register_begin_wh=session.begin_wh,
        register_end_wh=session.end_wh,
        energy_source=str(session.energy_source),
        dropped=dropped_because(facts, session),
        holds=still_held(session, facts.releases),
        flags=session.flags | _flags_of(facts),
        last_fact_at=session.last_fact_at,
        inputs_hash=session.inputs_hash,
        findings=[
            {"rule": each.rule, "action": str(each.action), "evidence": each.evidence} for each in session.findings
        ],
    )


def _flags_of(facts: SessionFacts) -> set[str]:
    """What the fold cannot know: how the facts came to be this session's."""
    flags = {"transaction_id_reused"} if facts.reused else set()
    return flags | ({"stop_paired"} if any(each.linked for each in facts.events) else set())
