"""What has become of a reservation: its facts folded to a state, whatever the order in which they came. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar


class State(StrEnum):
    """Requested until the charge point has answered; from accepted on, the first thing that ends it is not always the
    first that is heard: what is stronger wins (see `standing`).
    """

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    USED = "used"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REMOVED = "removed"


OPEN = frozenset({State.REQUESTED, State.ACCEPTED})
"""The charge point keeps it, or may."""


class Question(StrEnum):
    RESERVE = "reserve"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What was asked for. `evse` None: whichever would be free."""

    id: int
    charge_point: str
    evse: int | None
    token: str
    group: str | None
    until: datetime
    asked_at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of a question. `accepted` None: the answer was lost."""

    question: Question
    accepted: bool | None
    status: str
    at: datetime
    detail: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The station gave it up of its own accord: Expired or Removed."""

    status: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A transaction named it, at `at` by the charge point's clock. `session` None: the event fits no session."""

    at: datetime
    heard_at: datetime
    transaction: str | None = None
    session: int | None = None
    token: str | None = None


ReservationFact = Answered | Told | Used
F = TypeVar("F", Answered, ReservationFact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`since` None: nothing has been heard yet; of a use it is the charge point's time. `answer`: the charge point's word
    to the wish itself, or ours for it. `session`: the one that used it, or the one by which an unused one is billed.
    """

    state: State
    since: datetime | None = None
    session: int | None = None
    answer: str | None = None
    detail: str | None = None


def standing(until: datetime, facts: Iterable[ReservationFact], *, now: datetime) -> Standing:
    """The state by these facts, in any order and however often each came.

    A transaction that names the reservation has used it, even where we took it for expired or had it cancelled: a start
    may be told hours late. What we took back is cancelled, even if the station also says Removed. What was refused was
    never kept. What is over by our clock is expired, even if nobody ever answered.
    """
    known = list(facts)
    answers = [each for each in known if isinstance(each, Answered)]
    answer = _earliest([each for each in answers if each.question is Question.RESERVE])
    state, since, session = _state(until, known, now=now)
    return Standing(
        state=state,
        since=since,
        session=session,
        answer=None if answer is None else answer.status,
        detail=None if answer is None else answer.detail,
    )


def _state(
    until: datetime, known: Sequence[ReservationFact], *, now: datetime
) -> tuple[State, datetime | None, int | None]:
    uses = [each for each in known if isinstance(each, Used)]
    if uses:
        first = min(uses, key=_rank_of_use)
        return State.USED, first.at, first.session
    for state, decides in _ENDS:
        ended = _earliest([each for each in known if decides(each)])
        if ended is not None:
            return state, ended.at, None
    if until <= now:
        return State.EXPIRED, until, None
    accepted = _earliest([each for each in known if _was_accepted(each)])
    return (State.REQUESTED, None, None) if accepted is None else (State.ACCEPTED, accepted.at, None)


def _rank_of_use(use: Used) -> tuple[bool, datetime, int]:
    """The first by the charge point's clock; one with a session before one without."""
    return use.session is None, use.at, use.session or 0


def _was_accepted(fact: ReservationFact) -> bool:
    return isinstance(fact, Answered) and fact.question is Question.RESERVE and fact.accepted is True


def _was_cancelled(fact: ReservationFact) -> bool:
    return isinstance(fact, Answered) and fact.question is Question.CANCEL and fact.accepted is True


def _was_refused(fact: ReservationFact) -> bool:
    return isinstance(fact, Answered) and fact.question is Question.RESERVE and fact.accepted is False


def _was_told(status: str) -> Callable[[ReservationFact], bool]:
    return lambda fact: isinstance(fact, Told) and fact.status == status


_ENDS: tuple[tuple[State, Callable[[ReservationFact], bool]], ...] = (
    (State.CANCELLED, _was_cancelled),
    (State.REMOVED, _was_told("Removed")),
    (State.EXPIRED, _was_told("Expired")),
    (State.REFUSED, _was_refused),
)
"""What ends a reservation that was not used, the stronger first."""


def _earliest(facts: Sequence[F]) -> F | None:
    return min(facts, key=lambda fact: (fact.at, str(fact)), default=None)


# --- whose move it is ------------------------------------------------------------------------------------------------

NEXT_STEPS: Mapping[str, str] = {
    "Faulted": "the EVSE is out of order: see csms cp show {charge_point}; reserve another one",
    "Occupied": "the EVSE is in use or kept for somebody else: reserve another one, or later",
    "Rejected": "the charge point takes no such reservation: name an EVSE that it has, see csms cp config get {charge_point}",
    "Unavailable": "the EVSE is out of service: csms cp availability {charge_point} operative",
    "not_supported": "the charge point does not know reservations: nothing can be kept there",
    "offline": "the charge point was away: ask again when csms cp show {charge_point} says that it is online",
}
"""By what a refusal said."""


def next_step(reservation: Reservation, now: Standing, facts: Iterable[ReservationFact]) -> str | None:
    """What the operator can do about it; None where nothing is to be done."""
    if now.state is State.REFUSED:
        step = NEXT_STEPS.get(now.answer or "", "see what it answered: csms cp trace {charge_point}")
        return step.format(charge_point=reservation.charge_point)
    if now.state is State.REQUESTED:
        return f"nobody knows whether it is kept: csms reservation cancel {reservation.id} makes sure that it is not"
    denied = any(
        isinstance(each, Answered) and each.question is Question.CANCEL and each.status == "Rejected" for each in facts
    )
    if now.state is State.ACCEPTED and denied:
        return "the charge point says that it keeps no such reservation, as after a restart: make a new one if it is wanted"
    return None
