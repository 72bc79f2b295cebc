"""How far a message is on its way to one recipient, and what follows from what happened. Pure.

SMTP cannot say whether a server has a mail whose last dot it was sent and whose answer is lost (RFC 5321 4.5.3.2.6 knows of it,
RFC 1047 is about nothing else). So a delivery is `sending` in the books before the dot goes out; whoever finds it there
afterwards, and nobody at it, knows that it is doubtful, and of every other that its server has it or has it not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final, assert_never

from billing.mail.mail_policy import MailPolicy, WhenDoubtful
from billing.mail.reply import NOBODY_THERE, Reply, Stage

PAUSE: Final = timedelta(minutes=1)
"""Before the second try; each further pause is twice as long. Greylisting asks for some minutes (RFC 6647)."""
PAUSE_MAX: Final = timedelta(hours=4)
JITTER: Final = Fraction(2, 5)
"""A pause is so much shorter or longer, in all, that what was refused together does not come again together."""


class State(StrEnum):
    """Of a delivery."""

    QUEUED = "queued"
    RETRY = "retry"
    """It was tried, and no server has it."""
    SENDING = "sending"
    """The end of the message may have been sent."""
    SENT = "sent"
    """A server has accepted it."""
    FAILED = "failed"
    DOUBTFUL = "doubtful"
    """A server may have it. Nobody tries it again unless that was chosen."""
    CANCELLED = "cancelled"
    BOUNCED = "bounced"
    """A server had accepted it, and reports that it could not deliver it."""


MAY_BECOME: Final = {
    State.QUEUED: frozenset({State.SENDING, State.RETRY, State.FAILED, State.CANCELLED}),
    State.RETRY: frozenset({State.SENDING, State.SENT, State.FAILED, State.CANCELLED, State.BOUNCED}),
    State.SENDING: frozenset({State.SENT, State.RETRY, State.FAILED, State.DOUBTFUL, State.BOUNCED}),
    State.DOUBTFUL: frozenset({State.SENT, State.RETRY, State.FAILED, State.CANCELLED, State.BOUNCED}),
    State.SENT: frozenset({State.BOUNCED}),
    State.FAILED: frozenset({State.RETRY}),
    State.CANCELLED: frozenset({State.RETRY}),
    State.BOUNCED: frozenset({State.RETRY}),
}
"""What the database lets a delivery become. Out of the last three only an operator leads, who says why."""
WAITING: Final = frozenset({State.QUEUED, State.RETRY})
ENDED: Final = frozenset({State.SENT, State.FAILED, State.CANCELLED, State.BOUNCED})


class EventKind(StrEnum):
    """What happened to a delivery. The first ones come of sending, then those of operators, then reports."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    GAVE_UP = "gave_up"
    """The last no for now came when no more time was left for another try."""
    CUT_OFF = "cut_off"
    """The connection was lost while the server could not have it yet."""
    UNANSWERED = "unanswered"
    """The message was sent to its end, and no answer came."""
    LAPSED = "lapsed"
    """Whoever was sending it was not heard of any more."""
    UNREADY = "unready"
    """What goes with it could not be had."""
    UNFIT = "unfit"
    """It cannot be sent as it is: no address, too big, an attachment that is nowhere."""
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"

    SETTLED = "settled"
    RETRIED = "retried"
    CANCELLED = "cancelled"

    BOUNCED = "bounced"
    DELAYED = "delayed"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Answered:
    """The server said something that ends the try."""

    stage: Stage
    reply: Reply


@dataclass(frozen=True, slots=True)
class CutOff:
    """The try ended before the end of the message was sent."""

    why: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The end of the message was sent, and what the server said to it is not known."""

    why: str


@dataclass(frozen=True, slots=True)
class Unready:
    """The message could not be made now."""

    why: str


@dataclass(frozen=True, slots=True)
class Unsendable:
    """It will never be sent as it is. `kind` says of what sort that is."""

    kind: EventKind
    why: str


Outcome = Answered | CutOff | Unanswered | Unready | Unsendable
"""How a try ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a delivery becomes. `pause`: until it is tried again. `suppress`: its address is not written to any more."""

    state: State
    event: EventKind
    code: int | None = None
    status: str | None = None
    words: str = ""
    pause: timedelta | None = None
    suppress: bool = False


def next_step(outcome: Outcome, *, tries: int, age: timedelta, policy: MailPolicy, jitter: Fraction) -> Step:
    """What follows from how a try ended.

    `tries` includes this one; `age` is since the first of them began; `jitter` is from 0 to below 1, by chance.
    """
    pause = pause_before_next(tries, jitter=jitter)
    may_retry = age + pause <= policy.retry
    match outcome:
        case Answered():
            return _after_answer(outcome, pause, may_retry=may_retry)
        case CutOff():
            return _again_or_given_up(EventKind.CUT_OFF, outcome.why, pause, may_retry=may_retry)
        case Unready():
            return _again_or_given_up(EventKind.UNREADY, outcome.why, pause, may_retry=may_retry)
        case Unanswered():
            return _in_doubt(outcome.why, pause, may_resend=may_retry and policy.when_doubtful is WhenDoubtful.RESEND)
        case Unsendable():
            return Step(state=State.FAILED, event=outcome.kind, words=outcome.why)
        case _:
            assert_never(outcome)


def _after_answer(answer: Answered, pause: timedelta, *, may_retry: bool) -> Step:
    reply = answer.reply
    words = f"{answer.stage}: {reply.in_short}"
    if reply.is_yes:
        assert answer.stage is Stage.DOT, "only the answer to the end of a message ends a try well"
        return Step(state=State.SENT, event=EventKind.ACCEPTED, code=reply.code, status=reply.status, words=words)
    if reply.is_for_good:
        return Step(
            state=State.FAILED, event=EventKind.REFUSED, code=reply.code, status=reply.status, words=words,
            suppress=reply.status in NOBODY_THERE and answer.stage is not Stage.MAIL,
        )  # fmt: skip
    return Step(
        state=State.RETRY if may_retry else State.FAILED,
        event=EventKind.DEFERRED if may_retry else EventKind.GAVE_UP,
        code=reply.code, status=reply.status, words=words, pause=pause if may_retry else None,
    )  # fmt: skip


def _again_or_given_up(kind: EventKind, why: str, pause: timedelta, *, may_retry: bool) -> Step:
    if may_retry:
        return Step(state=State.RETRY, event=kind, words=why, pause=pause)
    return Step(state=State.FAILED, event=EventKind.GAVE_UP, words=why)


def _in_doubt(why: str, pause: timedelta, *, may_resend: bool) -> Step:
    if may_resend:
        return Step(state=State.RETRY, event=EventKind.UNANSWERED, words=why, pause=pause)
    return Step(state=State.DOUBTFUL, event=EventKind.UNANSWERED, words=why)


def pause_before_next(tries: int, *, jitter: Fraction) -> timedelta:
    """After so many tries."""
    assert tries >= 1
    assert 0 <= jitter < 1
    doublings = min(tries - 1, 16)
    share = 1 - JITTER / 2 + JITTER * jitter
    plain = min(PAUSE * (1 << doublings), PAUSE_MAX)
    return timedelta(seconds=int(plain.total_seconds()) * share.numerator // share.denominator)
