"""The energy of a session: which registers begin and end it, which between them are plausible. Knows no price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from csms.protocol.vocabulary import ChargingEvent
from csms.sessions.facts import Neighbour, StoredEvent, StoredReading
from csms.sessions.policy import ReviewPolicy
from csms.sessions.power import PowerLimit
from csms.sessions.samples import MeterSample, read_meter, usable
from csms.sessions.session import Action, EnergySource, Finding, PowerPoint, RegisterPoint
from csms.sessions.spans import seconds_between

ZERO = Decimal(0)
_METER_VALUES = "meter_values"
_JITTER = timedelta(seconds=1)  # the last event is often stamped before the reading that it carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """What the meter says of one session. `energy_wh` is never negative; `declared_wh` is the bare difference."""

    begin: RegisterPoint | None
    end: RegisterPoint | None
    energy_wh: Decimal
    declared_wh: Decimal | None
    source: EnergySource
    points: tuple[RegisterPoint, ...]
    powers: tuple[PowerPoint, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The span that readings are measured against: the transaction's start, its stop if there is one.

    `until` bounds readings outside events while there is no stop: the next session's start on the same EVSE.
    """

    start: StoredEvent | None
    started_at: datetime
    stop: StoredEvent | None
    until: datetime | None

    @property
    def ended_at(self) -> datetime | None:
        return None if self.stop is None else self.stop.event.at


class _Mark(NamedTuple):
    """A register with its instant. `declared`: it was said to be the begin or the end."""

    at: datetime
    wh: Decimal
    declared: bool
    signed: bool = False
    phases: bool = False
    by_event: bool = True
    key: bytes = b""


@dataclass(slots=True)
class _Notebook:
    """Collects what is odd on the way; of flags the first evidence of a rule stands."""

    holds: dict[str, list[str]] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def hold(self, rule: str, evidence: str) -> None:
        self.holds.setdefault(rule, []).append(evidence)

    def flag(self, rule: str, evidence: str) -> None:
        self.flags.setdefault(rule, evidence)

    def findings(self) -> tuple[Finding, ...]:
        """Of holds the first in time stands, with the number of others, so that one that is added is seen."""
        found = [Finding(rule=rule, action=Action.FLAG, evidence=evidence) for rule, evidence in self.flags.items()]
        for rule, evidences in self.holds.items():
            first, *others = dict.fromkeys(evidences)
            evidence = f"{first} (and {len(others)} more)" if others else first
            found.append(Finding(rule=rule, action=Action.HOLD, evidence=evidence))
        return tuple(found)


def measure(
    frame: Frame,
    readings: Sequence[StoredReading],
    *,
    limit: PowerLimit,
    policy: ReviewPolicy,
    previous: Neighbour | None,
) -> Metering:
    """Energy, source and plausible points of a session (RULES.md 11). Readings come without repeats, in any order."""
    book = _Notebook()
    samples = sorted(
        (read_meter(each) for each in readings), key=lambda sample: (sample.at, sample.received_at, sample.key)
    )
    inside = [sample for sample in samples if _is_inside(sample, frame)]
    _note_oddities(samples, inside, frame, book)
    marks = _marks(inside, frame, limit, book)
    begin, end = _begin(frame, inside, marks, book), _end(frame, inside, marks, book)
    if begin is not None:
        begin = _rebased(begin, marks, end, limit=limit, policy=policy, previous=previous, book=book)
    accepted = [] if begin is None else _chain(begin, marks, end, limit=limit, policy=policy, book=book)
    return _metering(begin, end, accepted, inside, policy=policy, closed=frame.stop is not None, book=book)


# --- which readings belong to the session ----------------------------------------------------------------------------


def _is_inside(sample: MeterSample, frame: Frame) -> bool:
    """True if the reading may move the session's energy; all others are evidence (RULES.md 11).

    Those of the first and last event belong to the transaction whatever their stamp; any other must be stamped within
    it, and a MeterValues message that arrives after the stop is too late.
    """
    ended_at = frame.ended_at
    if sample.carried_by == "ended":
        declared = sample.begin_wh is not None or sample.end_wh is not None
        return declared or (sample.at >= frame.started_at and (ended_at is None or sample.at - ended_at <= _JITTER))
    if sample.carried_by == "started" or (sample.begin_wh is not None and sample.carried_by == "updated"):
        return ended_at is None or sample.at <= ended_at
    if sample.at < frame.started_at or (ended_at is not None and sample.at > ended_at):
        return False
    if sample.carried_by != _METER_VALUES:
        return True
    if frame.stop is not None:
        return sample.received_at <= frame.stop.received_at
    return frame.until is None or sample.at < frame.until


def _note_oddities(samples: list[MeterSample], inside: list[MeterSample], frame: Frame, book: _Notebook) -> None:
    after = len(samples) - len(inside)
    if after:
        book.flag(
            "readings_outside", f"{after} readings are stamped outside of the transaction or arrived after its stop"
        )
    for sample in inside:
        if sample.conflict:
            book.hold("reading_conflict", f"the reading of {sample.at.isoformat()} gives two totals; the lower counts")
        if sample.unusable:
            book.hold("value_invalid", f"a register of {sample.at.isoformat()} is no number of any meter")
    for event in (frame.start, frame.stop):
        wh = None if event is None else event.event.register_wh
        if wh is not None and usable(wh) is None:
            book.hold("value_invalid", "the register of the start or the stop is no number of any meter")


def _clamped(at: datetime, frame: Frame) -> datetime:
    at = max(at, frame.started_at)
    return at if frame.ended_at is None else max(min(at, frame.ended_at), frame.started_at)


def _marks(inside: list[MeterSample], frame: Frame, limit: PowerLimit, book: _Notebook) -> list[_Mark]:
    """One register per instant, in time order. Where an instant has several, the first received counts."""
    phased = [sample.phases_wh for sample in inside if sample.phases_wh]
    copies = all(min(values) == max(values) for values in phased)
    marks: list[_Mark] = []
    for sample in inside:
        wh = sample.register_wh
        if wh is None and sample.phases_wh:
            # Some send the total on every phase, others each phase's share: equal all along are copies.
            wh = sample.phases_wh[0] if copies else sum(sample.phases_wh, ZERO)
        if wh is None:
            continue
        mark = _Mark(
            at=_clamped(sample.at, frame),
            wh=wh,
            declared=False,
            signed=sample.signed,
            phases=bool(sample.phases_wh),
            by_event=sample.carried_by != _METER_VALUES,
            key=sample.key,
        )
        if marks and marks[-1].at == mark.at:
            _same_instant(marks, mark, limit, book)
        else:
            marks.append(mark)
    return marks


def _same_instant(marks: list[_Mark], mark: _Mark, limit: PowerLimit, book: _Notebook) -> None:
    """Keeps one of two registers of one instant: a total before phases, else the first received (RULES.md 2)."""
    kept = marks[-1]
    if kept.phases and not mark.phases:
        marks[-1] = mark
    elif kept.phases == mark.phases and not limit.allows_instant(abs(kept.wh - mark.wh)):
        book.hold(
            "reading_conflict",
            f"{mark.at.isoformat()} has registers {kept.wh} Wh and {mark.wh} Wh; the first received counts",
        )


# --- begin and end ---------------------------------------------------------------------------------------------------


def _register(stored: StoredEvent | None) -> Decimal | None:
    event: ChargingEvent | None = None if stored is None else stored.event
    return None if event is None else usable(event.register_wh)


def _declared(values: Iterable[tuple[MeterSample, Decimal]], at: datetime, word: str, book: _Notebook) -> _Mark | None:
    """The register that was received first among those declared as begin or end."""
    ordered = sorted(values, key=lambda each: (each[0].received_at, each[0].at, each[0].key))
    if not ordered:
        return None
    sample, wh = ordered[0]
    others = sorted({value for _, value in ordered} - {wh})
    if others:
        book.hold("reading_conflict", f"the {word} register is {wh} Wh, and {others[0]} Wh by another reading")
    return _Mark(at=at, wh=wh, declared=True, signed=sample.signed, key=sample.key)


def _begin(frame: Frame, inside: list[MeterSample], marks: list[_Mark], book: _Notebook) -> _Mark | None:
    wh = _register(frame.start)
    if wh is not None:
        return _Mark(at=frame.started_at, wh=wh, declared=True)
    begins = [
        (sample, sample.begin_wh)
        for sample in inside
        if sample.begin_wh is not None and sample.carried_by != _METER_VALUES
    ]
    found = _declared(begins, frame.started_at, "begin", book)
    if found is None:
        found = next((mark for mark in marks if mark.by_event), marks[0] if marks else None)
        if found is not None:
            book.flag("no_begin_reading", f"the first register seen, {found.wh} Wh, counts as the begin")
    return found


def _end(frame: Frame, inside: list[MeterSample], marks: list[_Mark], book: _Notebook) -> _Mark | None:
    if frame.stop is None:
        return None
    ended_at = max(frame.stop.event.at, frame.started_at)
    wh = _register(frame.stop)
    if wh is not None:
        return _Mark(at=ended_at, wh=wh, declared=True)
    ends = [(sample, sample.end_wh) for sample in inside if sample.end_wh is not None and sample.carried_by == "ended"]
    found = _declared(ends, ended_at, "end", book)
    if found is None:
        found = next((mark for mark in reversed(marks) if mark.by_event), marks[-1] if marks else None)
        if found is not None:
            book.flag("no_end_reading", f"the last register seen, {found.wh} Wh, counts as the end")
    return found


def _rebased(
    begin: _Mark,
    marks: list[_Mark],
    end: _Mark | None,
    *,
    limit: PowerLimit,
    policy: ReviewPolicy,
    previous: Neighbour | None,
    book: _Notebook,
) -> _Mark:
    """The begin, or the first real register where the begin is a zero written before the meter could be read.

    A charge point that starts offline may write 0 and go on with its lifetime register: then everything after the
    first reading is at that height, and nothing explains the step.
    """
    later = [mark for mark in marks if (mark.key, mark.wh) != (begin.key, begin.wh)]
    if end is not None and end.key not in {mark.key for mark in later}:
        later.append(end)
    if begin.wh != 0 or not later:
        return begin
    first_is_end = end is not None and later[0].key == end.key
    first, lowest = later[0], min(mark.wh for mark in later)
    jumped = first.wh > policy.baseline_wh and not limit.allows(first.wh, seconds_between(begin.at, first.at))
    steady = lowest >= first.wh - policy.clamp_wh and (not first_is_end or first.wh > policy.energy_wh_max)
    before = _end_of(previous, lowest, policy)
    if before is not None and first_is_end:
        base = before
    elif before is not None or (jumped and steady):
        base = first.wh
    else:
        return begin
    book.hold("zero_baseline_jump", f"the begin register is 0 Wh, the next is {first.wh} Wh; counted from {base} Wh")
    return _Mark(at=begin.at, wh=base, declared=begin.declared, signed=begin.signed, key=begin.key)


def _end_of(previous: Neighbour | None, lowest: Decimal, policy: ReviewPolicy) -> Decimal | None:
    """The previous session's end if all registers lie above it; None where registers are counted from 0 per session."""
    begin = None if previous is None else usable(previous.register_begin_wh)
    end = None if previous is None else usable(previous.register_end_wh)
    counted_on = begin is not None and begin > 0 and end is not None and policy.baseline_wh < end <= lowest
    return end if counted_on else None


# --- what lies between -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Chain:
    """Registers in time order, each believed only at or above the one before and within the power."""

    begin: _Mark
    limit: PowerLimit
    policy: ReviewPolicy
    book: _Notebook
    accepted: list[_Mark]
    highest: _Mark
    newest: str = "good"
    jumped: _Mark | None = None

    def take(self, mark: _Mark) -> None:
        last = self.accepted[-1]
        self.newest = "good"
        if mark.wh < self.begin.wh - self.policy.clamp_wh:
            self._below(mark)
        elif mark.wh < last.wh:
            if last.wh - mark.wh > self.policy.clamp_wh:
                self.newest = "back"
                self.book.flag("register_dropout", f"{mark.wh} Wh at {mark.at.isoformat()} after {last.wh} Wh")
        elif self.limit.allows(mark.wh - last.wh, seconds_between(last.at, mark.at)):
            if mark.phases:
                self.book.flag("phases_only", "the register comes per phase, without a total")
            self.accepted.append(mark)
            self.highest = mark if mark.wh > self.highest.wh else self.highest
        elif mark.phases:
            self._unfit()
        else:
            self.jump(mark)
            self.highest = mark if mark.wh > self.highest.wh else self.highest

    def jump(self, mark: _Mark) -> None:
        """Registers that go on from one that jumped are the same jump."""
        before, self.jumped = self.jumped, mark
        if before is None or not self._follows(before, mark):
            _jump(self.accepted[-1], mark, self.limit, self.book)

    def _follows(self, before: _Mark, mark: _Mark) -> bool:
        return before.wh <= mark.wh and self.limit.allows(mark.wh - before.wh, seconds_between(before.at, mark.at))

    def _below(self, mark: _Mark) -> None:
        """Below the begin: a dropout, or a register counted per session beside a lifetime one."""
        self.book.flag("readings_below_start", f"{mark.wh} Wh at {mark.at.isoformat()}, begin {self.begin.wh} Wh")
        if mark.phases:
            self._unfit()
        else:
            self.newest = "below"

    def _unfit(self) -> None:
        self.book.flag("phases_only", f"registers per phase, without a total, do not fit the begin {self.begin.wh} Wh")


def _chain(
    begin: _Mark, marks: list[_Mark], end: _Mark | None, *, limit: PowerLimit, policy: ReviewPolicy, book: _Notebook
) -> list[_Mark]:
    """The plausible registers from begin on; what is not, is noted. None lies above a known end."""
    chain = _Chain(begin=begin, limit=limit, policy=policy, book=book, accepted=[begin], highest=begin)
    for mark in marks:
        chain.take(mark)
    if end is None:
        _judge_newest(chain.newest, begin, marks, book)
        return chain.accepted
    high, last = chain.highest, chain.accepted[-1]
    if high is not begin and high.wh > end.wh + policy.register_resolution_wh:
        evidence = f"the end register {end.wh} Wh is below {high.wh} Wh of {high.at.isoformat()}"
        book.hold("register_backwards", evidence)
    # From begin to end without anything between is judged as a whole: `energy_over_power`.
    steps = last is not begin and end.declared and not end.phases
    if steps and not limit.allows(end.wh - last.wh, seconds_between(last.at, end.at)):
        chain.jump(end)
    return [mark for mark in chain.accepted if mark is begin or mark.wh <= end.wh]


def _judge_newest(newest: str, begin: _Mark, marks: list[_Mark], book: _Notebook) -> None:
    """While a session runs, a newest register that ran back stops its interim amounts (RULES.md 16)."""
    if newest == "below":
        book.hold("stop_before_start_register", f"the register is {marks[-1].wh} Wh, the begin {begin.wh} Wh")
    elif newest == "back":
        book.hold("register_backwards", f"the register is back at {marks[-1].wh} Wh")


def _jump(last: _Mark, mark: _Mark, limit: PowerLimit, book: _Notebook) -> None:
    seconds = seconds_between(last.at, mark.at)
    book.hold(
        "register_jump",
        f"{last.wh} Wh to {mark.wh} Wh in {seconds} s; {limit.words} allow {limit.energy_wh(seconds)} Wh",
    )


def _metering(
    begin: _Mark | None,
    end: _Mark | None,
    accepted: list[_Mark],
    inside: list[MeterSample],
    *,
    policy: ReviewPolicy,
    closed: bool,
    book: _Notebook,
) -> Metering:
    powers = tuple(
        PowerPoint(at=sample.at, power_w=sample.power_w, current_a=sample.current_a)
        for sample in inside
        if sample.power_w is not None or sample.current_a is not None
    )
    last_at = max((sample.at for sample in inside), default=None)
    if begin is None:
        if closed:
            book.hold("register_missing", "no register says how much energy flowed")
        return Metering(
            begin=None,
            end=None,
            energy_wh=ZERO,
            declared_wh=None,
            source=EnergySource.NONE,
            points=(),
            powers=powers,
            findings=book.findings(),
            notes=tuple(book.notes),
            last_at=last_at,
        )
    final = accepted[-1] if end is None else end
    same = final.key == begin.key and not (final.declared and begin.declared)
    if closed and (end is None or same):
        book.hold("register_missing", f"only one register is known, {begin.wh} Wh; the energy is the difference of two")
    declared = _declared_wh(begin, final, policy, book)
    points = _points(begin, accepted, final)
    return Metering(
        begin=points[0],
        end=points[-1],
        energy_wh=points[-1].energy_wh,
        declared_wh=declared,
        source=_source(begin, final),
        points=points,
        powers=powers,
        findings=book.findings(),
        notes=tuple(book.notes),
        last_at=last_at,
    )


def _declared_wh(begin: _Mark, final: _Mark, policy: ReviewPolicy, book: _Notebook) -> Decimal:
    declared = final.wh - begin.wh
    if -policy.clamp_wh <= declared < 0:
        book.notes.append(f"the register ran back by {-declared} Wh, which counts as standing still")
    return declared


def _points(begin: _Mark, accepted: list[_Mark], final: _Mark) -> tuple[RegisterPoint, ...]:
    """From (begin, 0) to (final, energy): time rises strictly except at the two ends, energy never falls."""
    energy = max(final.wh - begin.wh, ZERO)
    points = [RegisterPoint(at=begin.at, register_wh=begin.wh, energy_wh=ZERO)]
    for mark in accepted[1:]:
        if points[-1].at < mark.at < final.at:
            wh = min(max(mark.wh - begin.wh, points[-1].energy_wh), energy)
            points.append(RegisterPoint(at=mark.at, register_wh=mark.wh, energy_wh=wh))
    if final is not begin:
        points.append(RegisterPoint(at=max(final.at, points[-1].at), register_wh=final.wh, energy_wh=energy))
    return tuple(points)


def _source(begin: _Mark, final: _Mark) -> EnergySource:
    if begin.declared and final.declared:
        return EnergySource.SIGNED if begin.signed and final.signed else EnergySource.REGISTER
    return EnergySource.SAMPLES
