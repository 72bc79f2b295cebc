"""When a session's facts count as complete (RULES.md 14). Knows no clock: it names the instant, past or ahead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from csms.protocol.vocabulary import EventKind
from csms.sessions.facts import OnlineSpan, StoredEvent, Surroundings
from csms.sessions.policy import ReviewPolicy
from csms.sessions.session import Action, Completeness, Finding
from csms.sessions.spans import span


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`at`: the instant at which the facts are complete, by `why`. `awaiting`: events before Ended are missing."""

    at: datetime | None
    why: Completeness | None
    awaiting: bool = False
    findings: tuple[Finding, ...] = ()


def judge(events: Sequence[StoredEvent], stop: StoredEvent, around: Surroundings, policy: ReviewPolicy) -> Judgement:
    """Completeness of a transaction whose stop is stored. `events` come without repeats, `stop` is one of them."""
    numbers = {each.event.seq_no for each in events}
    settled = stop.received_at + span(policy.settle_delay_s)
    if numbers == {None}:
        return Judgement(at=settled, why=Completeness.STOPPED)
    started = [each for each in events if each.event.kind is EventKind.STARTED]
    known_at = max([stop.received_at, *([min(each.received_at for each in started)] if started else [])])
    first = min((each.event.seq_no for each in started if each.event.seq_no is not None), default=None)
    last = stop.event.seq_no
    if started and (None in numbers or first is None or last is None or len(numbers) == 1 or last < first):
        shown = ", ".join(sorted(str(number) for number in numbers)[:5])
        finding = _flag("sequence_unusable", f"seqNo {shown} in {len(events)} events: completeness by time only")
        return Judgement(at=known_at + span(policy.settle_delay_s), why=Completeness.SETTLED, findings=(finding,))
    if started and first is not None and last is not None:
        received = _first_received(events, first, last)
        if len(received) == last - first + 1:
            return Judgement(at=max(received.values()), why=Completeness.SEQUENCE)
    return _incomplete(stop, known_at, around, policy, seen=_seen(numbers, first, last))


def _seen(numbers: Iterable[int | None], first: int | None, last: int | None) -> str:
    count = sum(1 for number in numbers if number is not None)
    return f"{count} of the events {'?' if first is None else first} to {'?' if last is None else last} are here"


def _first_received(events: Sequence[StoredEvent], first: int, last: int) -> dict[int, datetime]:
    received: dict[int, datetime] = {}
    for each in events:
        number = each.event.seq_no
        if number is not None and first <= number <= last:
            received[number] = min(received.get(number, each.received_at), each.received_at)
    return received


def _incomplete(
    stop: StoredEvent, known_at: datetime, around: Surroundings, policy: ReviewPolicy, *, seen: str
) -> Judgement:
    """Interior gaps are legal: the queue may be empty all the same, or nobody will ever send the rest."""
    if around.queue_empty:
        return Judgement(at=known_at, why=Completeness.QUEUE_EMPTY)
    finding = _flag("sequence_gap", f"{seen}, and the queue is not known to be empty")
    at = timeout_at(stop.received_at, around.online, policy)
    return Judgement(at=at, why=Completeness.TIMEOUT, awaiting=True, findings=(finding,))


def timeout_at(ended_received_at: datetime, online: Iterable[OnlineSpan], policy: ReviewPolicy) -> datetime:
    """When the wait is over: after so long online in all, or so long in any case, whichever comes first.

    A span that is still open is taken to go on; should the socket close, the next fold says a later instant.
    """
    deadline = ended_received_at + span(policy.complete_timeout_offline_s)
    left = span(policy.complete_timeout_online_s)
    reached = ended_received_at
    for each in sorted(online, key=lambda one: one.since):
        since = max(each.since, reached)
        if each.until is None or each.until - since >= left:
            return min(since + left, deadline) if since < deadline else deadline
        if each.until > since:
            left -= each.until - since
            reached = each.until
    return deadline


def _flag(rule: str, evidence: str) -> Finding:
    return Finding(rule=rule, action=Action.FLAG, evidence=evidence)
