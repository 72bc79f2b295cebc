"""From facts to a session: one pure function, indifferent to the order and number of its inputs (rules.md 1-18)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from csms.evidence.judgement import Evidence
from csms.protocol.vocabulary import ChargingEvent, ChargingState, EventKind
from csms.sessions import completeness, ending, review, timeline
from csms.sessions.clock import correction
from csms.sessions.facts import Neighbour, Reserved, StoredEvent, StoredReading, Surroundings
from csms.sessions.metering import Frame, Metering, measure
from csms.sessions.policy import ReviewPolicy
from csms.sessions.power import PowerLimit
from csms.sessions.proof import by_law, proven
from csms.sessions.samples import usable
from csms.sessions.session import Action, Completeness, EndSource, EnergySource, Finding, Session
from csms.sessions.spans import later, seconds_between, span

_CONNECTED = frozenset(
    {
        ChargingState.CHARGING,
        ChargingState.EV_CONNECTED,
        ChargingState.SUSPENDED_EV,
        ChargingState.SUSPENDED_EVSE,
    }
)
_PLUGGED_IN = "CablePluggedIn"


class NoFacts(Exception):
    """A session needs at least one event; readings alone belong to nobody."""

    def __init__(self, session_id: int) -> None:
        super().__init__(
            f"session {session_id} has no event to be folded from; a session begins with its first event: "
            "look for the charge point's events with `session orphans`"
        )
        self.session_id = session_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """A session's facts without repeats, in order; `start` and `stop` are those that count."""

    events: tuple[StoredEvent, ...]
    readings: tuple[StoredReading, ...]
    start: StoredEvent | None
    stop: StoredEvent | None
    findings: tuple[Finding, ...]

    @property
    def started_at(self) -> datetime:
        return self.start.event.at if self.start is not None else min(each.event.at for each in self.events)

    @property
    def last_received_at(self) -> datetime:
        arrivals = [each.received_at for each in self.events] + [each.received_at for each in self.readings]
        return max(arrivals)

    @property
    def quirks(self) -> frozenset[str]:
        named = [each.event.quirks for each in self.events] + [each.reading.quirks for each in self.readings]
        return frozenset(quirk for quirks in named for quirk in quirks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    token: str | None
    evse: int | None
    connector: int | None
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    at: datetime | None
    source: EndSource | None
    judgement: completeness.Judgement
    findings: tuple[Finding, ...] = ()


def fold(
    session_id: int,
    events: Sequence[StoredEvent],
    readings: Sequence[StoredReading],
    around: Surroundings,
    policy: ReviewPolicy,
    *,
    now: datetime,
    site_time_zone: str,
) -> Session:
    """The session that these facts tell. `now` decides only what waits for time to pass: a lost stop, a too long one.

    Raises:
        NoFacts: there is no event at all.
    """
    if not events:
        raise NoFacts(session_id)
    facts = _facts(events, readings, around)
    twins = _twins(facts.start, around)
    around = _in_order(around, facts)
    limit = PowerLimit.of(current=around.current, max_power_w=around.max_power_w, policy=policy)
    following = around.following
    frame = Frame(
        start=facts.start,
        started_at=facts.started_at,
        stop=facts.stop,
        until=None if following is None else following.started_at,
    )
    metering = measure(frame, facts.readings, limit=limit, policy=policy, previous=around.previous)
    end = _end(facts, metering, around, policy, now=now)
    metering, evidence = by_law(
        metering, facts.readings, around.law, frame, policy, evse=_priced(facts).evse, ended_at=end.at
    )
    session = _session(session_id, facts, metering, end, around, policy, time_zone=site_time_zone)
    found = (*facts.findings, *_ambiguous(facts, twins), *metering.findings, *end.findings, *end.judgement.findings)
    judged = review.judge(session, _case(facts, around, metering, limit), policy, now=now)
    session = replace(
        session,
        findings=_unique([*found, *judged]),
        inputs_hash=_inputs_hash(facts, session, evidence),
        proven=proven(metering, evidence, ended_at=end.at),
    )
    return _without_duplicate(_dropped(session, metering, policy), facts, twins)


def _in_order(around: Surroundings, facts: _Facts) -> Surroundings:
    """Without a following session that began before this one, or at once: it neither ends nor overlaps this one.

    Where this one's clock was ahead, it began when we heard of it.
    """
    following = around.following
    if following is None or following.started_at is None:
        return around
    if not _is_twin(facts.start, following) and following.started_at >= min(
        facts.started_at, *(each.received_at for each in facts.events)
    ):
        return around
    return replace(around, following=None)


def _case(facts: _Facts, around: Surroundings, metering: Metering, limit: PowerLimit) -> review.Case:
    first = facts.start or min(facts.events, key=lambda each: each.received_at)
    return review.Case(
        around=around,
        metering=metering,
        limit=limit,
        start_received_at=first.received_at,
        last_received_at=facts.last_received_at,
    )


# --- facts, once each ------------------------------------------------------------------------------------------------


def _facts(events: Sequence[StoredEvent], readings: Sequence[StoredReading], around: Surroundings) -> _Facts:
    kept = _events(events)
    starts = [each for each in kept if each.event.kind is EventKind.STARTED]
    starts.sort(key=lambda each: (each.event.malformed, each.received_at, each.event.at, each.event.key))
    stop, findings = ending.chosen_stop(kept)
    read = _readings(events, readings)
    if stop is None:
        read = ending.of_the_stay(read, kept, around)
    return _Facts(
        events=tuple(kept),
        readings=tuple(read),
        start=starts[0] if starts else None,
        stop=stop,
        findings=(*findings, *_starts_differ(starts), *_unreadable(kept, starts)),
    )


def _identity(event: ChargingEvent) -> tuple[int, datetime, bytes, str, str]:
    """What two copies of one event have in common - all but when and how they came - in order: seqNo, time, key."""
    content = (
        f"{event.register_wh!s} {event.trigger!s} {event.stopped_reason!s} {event.charging_state!s} {event.token!s} "
        f"{event.malformed!s} {event.evse!s} {event.connector!s} {event.transaction!s}"
    )
    return (-1 if event.seq_no is None else event.seq_no, event.at, event.key, event.kind.value, content)


def _events(events: Sequence[StoredEvent]) -> list[StoredEvent]:
    """Each event as first received, in the order (seqNo, time, key)."""
    first: dict[tuple[int, datetime, bytes, str, str], StoredEvent] = {}
    for each in events:
        identity = _identity(each.event)
        known = first.get(identity)
        if known is None or _arrival(each) < _arrival(known):
            first[identity] = each
    return [first[identity] for identity in sorted(first)]


def _arrival(each: StoredEvent) -> tuple[datetime, bool, bool, str]:
    return (each.received_at, each.linked, each.event.offline, repr(each.event.token))


def _readings(events: Sequence[StoredEvent], readings: Sequence[StoredReading]) -> Iterable[StoredReading]:
    """Each reading as first received, those that stand in events included."""
    first: dict[tuple[datetime, bytes, str], StoredReading] = {}
    carried = (
        StoredReading(
            reading=reading,
            carried_by=each.event.kind.value,
            received_at=each.received_at,
            transaction=each.event.transaction,
        )
        for each in events
        for reading in each.event.readings
    )
    for one in (*readings, *carried):
        identity = (one.reading.at, one.reading.key, one.carried_by)
        known = first.get(identity)
        if known is None or one.received_at < known.received_at:
            first[identity] = one
    return first.values()


def _starts_differ(starts: list[StoredEvent]) -> list[Finding]:
    """Starts that were merged into one session may still disagree about where it began."""
    found: list[Finding] = []
    for other in starts[1:]:
        first, event = starts[0].event, other.event
        begin, another = usable(first.register_wh), usable(event.register_wh)
        if (event.at, another) == (first.at, begin):
            continue
        evidence = f"starts at {first.at.isoformat()} and {event.at.isoformat()}; the first received counts"
        found.append(Finding(rule="start_conflict", action=Action.FLAG, evidence=evidence))
        if another != begin:
            evidence = f"starts with {begin} Wh and {another} Wh; the first received counts"
            found.append(Finding(rule="reading_conflict", action=Action.HOLD, evidence=evidence))
    return found


def _unreadable(events: list[StoredEvent], starts: list[StoredEvent]) -> list[Finding]:
    found: list[Finding] = []
    if not starts:
        found.append(Finding(rule="no_start", action=Action.HOLD, evidence="events without a start"))
    broken = next((each for each in events if each.event.malformed), None)
    if broken is not None:
        evidence = f"the {broken.event.kind.value} message received at {broken.received_at.isoformat()}"
        found.append(Finding(rule="malformed", action=Action.HOLD, evidence=evidence))
    return found


# --- who, where, from when -------------------------------------------------------------------------------------------


def _priced(facts: _Facts) -> _Priced:
    """Token, EVSE and the instant from which the session is rated (rules.md 12, 15).

    A token in the last event is the one that stopped the session, never the one that pays.
    """
    before_end = [each.event for each in facts.events if each.event.kind is not EventKind.ENDED]
    by_time = sorted(before_end, key=lambda event: (event.at, event.seq_no or 0, event.key))
    token = next((event for event in by_time if event.token), None)
    place = next((event for event in by_time if event.evse is not None), None)
    connector = next((event.connector for event in by_time if event.connector is not None), None)
    told = [event.at for event in by_time if event.charging_state in _CONNECTED or event.trigger == _PLUGGED_IN]
    at = None
    if token is not None and place is not None:
        # Who never says whether a vehicle is there (1.6, lean 2.0.1) starts transactions only with one.
        at = max(token.at, place.at, facts.started_at, told[0] if told else facts.started_at)
    evse = (
        place.evse if place is not None else next((each.event.evse for each in facts.events if each.event.evse), None)
    )
    return _Priced(token=None if token is None else token.token, evse=evse, connector=connector, at=at)


def _corrected(at: datetime | None, around: Surroundings, policy: ReviewPolicy) -> datetime | None:
    """`at` in corrected time: the charge point's clock less its offset, in whole seconds. Small offsets are the net's."""
    if at is None:
        return None
    return later(at, correction(around.clock_offset_s, limit_s=policy.clock_offset_s_max))


def _reserved(priced_from: datetime | None, around: Surroundings, policy: ReviewPolicy) -> Reserved | None:
    """What was kept before `priced_from`, as the charge point's clock showed it: a reservation ends when charging starts."""
    kept, offset = around.reserved, usable(around.clock_offset_s)
    if kept is None or priced_from is None:
        return None
    ahead = (
        timedelta() if offset is None or abs(offset) <= policy.clock_offset_s_max else timedelta(seconds=int(offset))
    )
    since, until = later(kept.since, ahead), min(later(kept.until, ahead), priced_from)
    return Reserved(since=since, until=until) if since < until else None


def _is_live(facts: _Facts, around: Surroundings, policy: ReviewPolicy) -> bool:
    """Whether the newest fact came as it happened; else the charge point is telling what it had queued."""
    told = [(each.event.at, each.received_at) for each in facts.events]
    told += [(each.reading.at, each.received_at) for each in facts.readings]
    newest_at = max(at for at, _ in told)
    heard_at = min(heard_at for at, heard_at in told if at == newest_at)
    offset = usable(around.clock_offset_s)
    if offset is not None and abs(offset) > policy.clock_offset_s_max:
        heard_at = later(heard_at, timedelta(seconds=int(offset)))  # as its clock showed it
    return seconds_between(newest_at, heard_at) <= policy.live_s_max


# --- the end ---------------------------------------------------------------------------------------------------------


def _end(facts: _Facts, metering: Metering, around: Surroundings, policy: ReviewPolicy, *, now: datetime) -> _End:
    if facts.stop is not None:
        judgement = completeness.judge(facts.events, facts.stop, around, policy)
        return _End(at=facts.stop.event.at, source=EndSource.STOP, judgement=judgement)
    lost = ending.lost_stop(facts.events, facts.last_received_at, around, policy, now=now)
    if lost is None:
        return _End(at=None, source=None, judgement=completeness.Judgement(at=None, why=None))
    at = facts.started_at if metering.end is None else max(metering.end.at, facts.started_at)
    finding = Finding(rule="no_stop", action=Action.HOLD, evidence=f"{lost.evidence}; ended at its last reading")
    return _End(
        at=at,
        source=lost.source,
        judgement=completeness.Judgement(
            at=later(lost.known_at, span(policy.settle_delay_s)), why=Completeness.NO_STOP
        ),
        findings=(finding,),
    )


def _session(
    session_id: int,
    facts: _Facts,
    metering: Metering,
    end: _End,
    around: Surroundings,
    policy: ReviewPolicy,
    *,
    time_zone: str,
) -> Session:
    priced, started_at, stop = _priced(facts), facts.started_at, facts.stop
    states = timeline.states(facts.events, around, started_at=started_at, ended_at=end.at)
    over = None if end.at is None else timeline.stay(facts.events, stop, around, started_at=started_at, ended_at=end.at)
    stay = over or timeline.Stay()
    instants = [*(each.event.at for each in facts.events), *(change.at for change in states)]
    return Session(
        id=session_id,
        time_zone=time_zone,
        transaction=min((each.event.transaction for each in facts.events if each.event.transaction), default=None),
        evse=priced.evse,
        connector=priced.connector,
        token=priced.token,
        started_at=started_at,
        priced_from=priced.at,
        tariff_at=_corrected(priced.at, around, policy),
        ended_at=end.at,
        end_source=end.source,
        end_received_at=None if stop is None else stop.received_at,
        released_at=stay.released_at,
        stopped_reason=None if stop is None else stop.event.stopped_reason,
        begin_wh=None if metering.begin is None else metering.begin.register_wh,
        end_wh=None if metering.end is None else metering.end.register_wh,
        energy_wh=metering.energy_wh,
        energy_source=metering.source,
        points=metering.points,
        powers=metering.powers,
        states=states,
        idle_from=stay.idle_from,
        idle_until=stay.idle_until,
        reserved=_reserved(priced.at, around, policy),
        complete_at=end.judgement.at,
        completeness=end.judgement.why,
        awaiting_events=end.judgement.awaiting,
        last_fact_at=max(instants if metering.last_at is None else [*instants, metering.last_at]),
        is_live=_is_live(facts, around, policy),
        dropped=None,
        findings=(),
        quirks=facts.quirks,
        notes=metering.notes,
        inputs_hash=b"",
    )


def _unique(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding per rule and action, in a fixed order; of several the first by evidence stands, holds with the number.

    So a release, which covers what was seen, does not cover what comes after it (`review.Release`).
    """
    found: dict[tuple[str, Action], Finding] = {}
    more: Counter[tuple[str, Action]] = Counter()
    for each in sorted(set(findings)):
        key = (each.rule, each.action)
        more[key] += found.setdefault(key, each) is not each
    return tuple(
        replace(each, evidence=f"{each.evidence} (and {more[key]} more)")
        if more[key] and each.action is Action.HOLD
        else each
        for key, each in found.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Twins:
    """Neighbours whose start says the same as this session's (rules.md 4)."""

    elder: Neighbour | None = None
    younger: Neighbour | None = None


def _is_twin(start: StoredEvent | None, neighbour: Neighbour) -> bool:
    """The same token, instant and register: one start that came in two forms, or two drivers."""
    if start is None or start.event.token is None or usable(start.event.register_wh) is None:
        return False
    said = (start.event.token, start.event.at, usable(start.event.register_wh))
    return said == (neighbour.token, neighbour.started_at, usable(neighbour.register_begin_wh))


def _twins(start: StoredEvent | None, around: Surroundings) -> _Twins:
    if around.held_by_ingest:
        return _Twins()
    elder, younger = (
        None if each is None or not _is_twin(start, each) else each for each in (around.previous, around.following)
    )
    return _Twins(elder=elder, younger=younger)


def _has_facts(facts: _Facts) -> bool:
    return facts.stop is not None or any(each.transaction is not None for each in facts.readings)


def _ambiguous(facts: _Facts, twins: _Twins) -> list[Finding]:
    """Where both went on, they may be two drivers' sessions: the younger is held."""
    if twins.elder is None or not twins.elder.has_facts or not _has_facts(facts):
        return []
    evidence = f"starts like session {twins.elder.id}, and both have a stop or readings"
    return [Finding(rule="start_ambiguous", action=Action.HOLD, evidence=evidence)]


def _without_duplicate(session: Session, facts: _Facts, twins: _Twins) -> Session:
    """Where only one went on, the other is its start once more."""
    is_duplicate = twins.elder is not None or (twins.younger is not None and twins.younger.has_facts)
    if not is_duplicate or _has_facts(facts):
        return session
    kept = tuple(finding for finding in session.findings if finding.action is Action.FLAG)
    return replace(session, dropped="duplicate_start", findings=kept)


def _dropped(session: Session, metering: Metering, policy: ReviewPolicy) -> Session:
    """A session that nobody paid for and that gave nothing is dropped, not held (rules.md 12).

    Events that are missing or could not be read, and registers that ran back, keep it: what they hide is not known.
    """
    opaque = {"malformed", "no_start", "quarantined", "stop_before_start_register", "value_invalid"}
    little = metering.energy_wh < policy.energy_wh_min and session.energy_source is not EnergySource.NONE
    if not session.closed or session.awaiting_events or session.token is not None or session.holds & opaque:
        return session
    if not little and metering.declared_wh is not None:
        return session
    kept = tuple(finding for finding in session.findings if finding.action is Action.FLAG)
    return replace(session, dropped=f"no token and less than {policy.energy_wh_min} Wh", findings=kept)


def _inputs_hash(facts: _Facts, session: Session, evidence: Evidence | None) -> bytes:
    """Of the facts, and of what was decided from the session's surroundings; never of the time of asking."""
    parts = sorted(
        [f"event {each.event.kind} {each.event.key.hex()} {usable(each.event.register_wh)}" for each in facts.events]
        + [
            f"reading {each.reading.key.hex()} {each.reading.at.isoformat()} {each.carried_by}"
            for each in facts.readings
        ]
    )
    parts += [f"state {change.at.isoformat()} {change.activity}" for change in session.states]
    decided = (session.ended_at, session.end_source, session.priced_from, session.tariff_at, session.energy_wh)
    parts.append(f"decided {' '.join(str(each) for each in decided)}")
    if session.reserved is not None:
        parts.append(f"reserved {session.reserved.since.isoformat()} {session.reserved.until.isoformat()}")
    if evidence is not None:
        parts += [
            f"signed {value.verdict} {value.label} {value.key.id if value.key else None}" for value in evidence.values
        ]
    return hashlib.sha256("\n".join(parts).encode()).digest()
