"""Sessions as they were folded last: billing asks for a session right after the projector has folded it. Kept in memory,
bounded, and thrown away at any doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from csms.sessions.ending import AVAILABLE
from csms.sessions.facts import Surroundings
from csms.sessions.policy import ReviewPolicy
from csms.sessions.projection import folded_from
from csms.sessions.review import longest_s
from csms.sessions.session import Session
from csms.sessions.spans import later, span
from csms.sessions.store import SessionFacts

READINGS_MAX: Final = 10_000
"""Readings kept in all; of more, the sessions that were folded longest ago are forgotten."""
_FOREVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Fold:
    """`made_at` and `until`: from one to the other the same facts give the same session."""

    made_at: datetime
    until: datetime
    facts: SessionFacts
    policy: ReviewPolicy
    around: Surroundings
    session: Session


class Folds:
    """Folds as `folded_from` does, but a session not again while its facts are the same and time changes nothing.

    What is kept is compared with the facts as they are now, all of them, so that nothing is ever stale.
    """

    def __init__(self, *, readings_max: int = READINGS_MAX) -> None:
        self._readings_max = readings_max
        self._readings = 0
        self._kept: dict[int, _Fold] = {}

    def make(self, facts: SessionFacts, policy: ReviewPolicy, *, now: datetime) -> Session:
        """The session, remembered for whoever takes it next; raises NoFacts as `folded_from` does."""
        self._forget(facts.id)
        fold = _fold(facts, policy, now)
        self._keep(fold)
        return fold.session

    def take(self, facts: SessionFacts, policy: ReviewPolicy, *, now: datetime) -> tuple[Surroundings, Session]:
        """The session and what was around it; raises NoFacts as `folded_from` does.

        It is forgotten by this, unless its end is known and its facts count as complete only later: billing comes back.
        """
        fold = self._forget(facts.id)
        if fold is None or not fold.made_at <= now <= fold.until or fold.policy != policy or fold.facts != facts:
            fold = _fold(facts, policy, now)
        complete_at = fold.session.complete_at
        if complete_at is not None and complete_at > now:
            self._keep(fold)
        return fold.around, fold.session

    def _keep(self, fold: _Fold) -> None:
        if fold.until <= fold.made_at:
            return
        self._kept[fold.facts.id] = fold
        self._readings += _size(fold)
        while self._readings > self._readings_max:
            self._forget(next(iter(self._kept)))

    def _forget(self, session: int) -> _Fold | None:
        fold = self._kept.pop(session, None)
        if fold is not None:
            self._readings -= _size(fold)
        return fold


def _fold(facts: SessionFacts, policy: ReviewPolicy, now: datetime) -> _Fold:
    around = facts.surroundings()
    session = folded_from(facts, policy, now=now, around=around)
    return _Fold(now, _same_until(facts, session, policy, now=now), facts, policy, around, session)


def _same_until(facts: SessionFacts, session: Session, policy: ReviewPolicy, *, now: datetime) -> datetime:
    """How long time alone changes nothing. It can end a session without a stop whose EVSE became Available, and it makes
    one that runs too long (`ending.lost_stop`, `review.too_long`); a fold looks at it for nothing else.
    """
    if facts.kept is not None:
        return now
    if facts.stop is not None:
        return _FOREVER
    if session.started_at is None or any(each.status == AVAILABLE for each in facts.statuses):
        return now
    until = later(session.started_at, span(longest_s(facts.current, policy)))
    return until if until >= now else _FOREVER


def _size(fold: _Fold) -> int:
    """In readings; a session without any, and each of its events, takes as much room as one."""
    return 1 + len(fold.facts.events) + len(fold.facts.readings)
