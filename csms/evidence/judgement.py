"""What signed values prove of one session: begin, end, the energy between, and what is wrong with them. Pure; no price.

RULES.md 23. Signed values prove themselves, so it does not matter by which message they came or when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from csms.evidence import ocmf, signatures
from csms.evidence.law import MeterKey
from csms.evidence.ocmf import MeterReading, OcmfUnreadable, Record
from csms.evidence.signatures import AlgorithmUnknown
from csms.evidence.signed_value import unwrap

MISSING = "evidence_missing"
INVALID = "evidence_invalid"
NO_KEY = "evidence_no_key"
GAP = "evidence_gap"
RULES = (MISSING, INVALID, NO_KEY, GAP)

VALUES_MAX = 2_000
"""Signed values of one session that are looked at."""
_TRANSACTION = "T"
_EXCEPTION = "X"
_ENERGY = "E"
_SHOWN_MAX = 5


class Verdict(StrEnum):
    VALID = "valid"
    """A registered key of the charge point has signed it."""
    INVALID = "invalid"
    """No registered key that could have, has signed it: it was changed, or another key signed it."""
    NO_KEY = "no_key"
    """No key is registered for its meter."""
    UNREADABLE = "unreadable"
    """It is no OCMF, or of an algorithm that cannot be verified here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Signed data as it is stored, with the reading that carried it: `at` is the charge point's own time."""

    stored: str
    at: datetime
    received_at: datetime
    context: str = ""
    carried_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One signed value and what came of its verification. `text` is what the meter wrote, byte for byte."""

    text: str
    sent: Sent
    verdict: Verdict
    why: str
    record: Record | None = None
    key: MeterKey | None = None
    sent_key: str | None = None

    @property
    def label(self) -> str:
        return "a value that is no OCMF" if self.record is None else self.record.label

    @property
    def in_transaction(self) -> bool:
        """Not of the fiscal context, which knows no transactions (OCMF table 2)."""
        return self.record is not None and self.record.context in {None, _TRANSACTION}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """What stands against billing kWh: the rule, and the figures."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A signed register of the kind that is billed. `at` is the charge point's time of the message, `time` the meter's."""

    at: datetime
    wh: Decimal
    time: str | None
    page: str
    reading: MeterReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All signed values of a session, by their numbers, and what they prove.

    `begin`, `end` and `marks` (all between, ends included) are there only if nothing stands against them.
    """

    values: tuple[Value, ...]
    problems: tuple[Problem, ...]
    meter: str | None = None
    register: str | None = None
    begin: Mark | None = None
    end: Mark | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def is_whole(self) -> bool:
        """KWh may be billed by it."""
        return not self.problems and self.end is not None

    @property
    def energy_wh(self) -> Decimal | None:
        return None if self.begin is None or self.end is None else self.end.wh - self.begin.wh

    @property
    def measures_time(self) -> bool:
        keys = [value.key for value in self.values if value.key is not None]
        return bool(keys) and all(key.measures_time for key in keys)


def judge(sent: Iterable[Sent], keys: Sequence[MeterKey], *, evse: int | None, is_closed: bool) -> Evidence:
    """What the signed values of a session prove. Until it has ended nothing is missing yet, and no page either."""
    values = _values(sent, keys, evse)
    problems = list(_authenticity(values))
    told = [value for value in values if value.in_transaction and value.record is not None]
    problems += _one_meter(told)
    marks, found = _marks(told, keys, evse)
    problems += found
    if is_closed:
        problems += _complete(values, told, marks)
    evidence = Evidence(
        values=values,
        problems=tuple(sorted(set(problems))),
        meter=next((value.record.device for value in told if value.record is not None), None),
        register=next((mark.reading.identifier for mark in marks), None),
    )
    return evidence if evidence.problems or not marks else _proven(evidence, marks)


def _proven(evidence: Evidence, marks: Sequence[Mark]) -> Evidence:
    return replace(
        evidence,
        marks=tuple(marks),
        begin=next((mark for mark in marks if mark.reading.is_begin), None),
        end=next((mark for mark in reversed(marks) if mark.reading.is_end), None),
    )


# --- verdicts --------------------------------------------------------------------------------------------------------


def _values(sent: Iterable[Sent], keys: Sequence[MeterKey], evse: int | None) -> tuple[Value, ...]:
    """Each text once, as first received, in the order of the meter's own numbers."""
    first: dict[str, Value] = {}
    ordered = sorted(sent, key=lambda each: (each.received_at, each.at, each.stored))
    for each in ordered[:VALUES_MAX]:
        wrapped = unwrap(each.stored)
        if wrapped.text not in first:
            value = verified(wrapped.text, keys, evse=evse, sent=each)
            first[wrapped.text] = replace(value, sent_key=wrapped.sent_key or value.sent_key)
    return tuple(sorted(first.values(), key=_order))


def _order(value: Value) -> tuple[bool, str, int, str]:
    """Of the values themselves, never of their arrival."""
    record = value.record
    if record is None:
        return (True, "", 0, value.text)
    return (False, record.context or "", record.page or 0, value.text)


def verified(text: str, keys: Sequence[MeterKey], *, evse: int | None, sent: Sent) -> Value:
    """One signed text with its verdict."""
    try:
        record = ocmf.read(text)
    except OcmfUnreadable as unreadable:
        return Value(text=text, sent=sent, verdict=Verdict.UNREADABLE, why=str(unreadable))
    verdict, why, key = _verdict(record, keys, evse)
    return Value(text=text, sent=sent, verdict=verdict, why=why, record=record, key=key, sent_key=record.appended_key)


def _verdict(record: Record, keys: Sequence[MeterKey], evse: int | None) -> tuple[Verdict, str, MeterKey | None]:
    serials = frozenset(serial for serial in (record.meter, record.gateway) if serial is not None)
    fitting = [key for key in keys if key.fits(evse=evse, serials=serials)]
    meter = record.device or "without a serial number"
    if not fitting:
        return Verdict.NO_KEY, f"no key is registered for meter {meter}", None
    try:
        for key in fitting:
            if signatures.is_signed(
                record.payload, record.signature, curve=record.curve, digest=record.digest, key=key.key
            ):
                return Verdict.VALID, f"signed by key {key.id} ({key.key.fingerprint})", key
    except AlgorithmUnknown as unknown:
        return Verdict.UNREADABLE, str(unknown), None
    tried = ", ".join(f"{key.id} ({key.key.fingerprint})" for key in fitting[:_SHOWN_MAX])
    return Verdict.INVALID, f"not signed by key {tried}", None


def _authenticity(values: Sequence[Value]) -> Iterator[Problem]:
    rules = {Verdict.INVALID: INVALID, Verdict.UNREADABLE: INVALID, Verdict.NO_KEY: NO_KEY}
    for value in values:
        if value.verdict in rules:
            yield Problem(rule=rules[value.verdict], why=f"{value.label}: {value.why}")


# --- what hangs together ---------------------------------------------------------------------------------------------


def _one_meter(told: Sequence[Value]) -> Iterator[Problem]:
    meters = sorted({value.record.device or "" for value in told if value.record is not None})
    if len(meters) > 1:
        yield Problem(rule=INVALID, why=f"the meter changed: {', '.join(each or 'one unnamed' for each in meters)}")


def _marks(told: Sequence[Value], keys: Sequence[MeterKey], evse: int | None) -> tuple[list[Mark], list[Problem]]:
    """The readings of the billed register in the order in which the meter signed them, and what is wrong with them.

    Those of values that could not be verified are among them: whether a value is there, and whether it is genuine, are
    two questions.
    """
    marks: list[Mark] = []
    for value in told:
        assert value.record is not None
        wanted = _wanted(value, keys, evse)
        marks += [
            Mark(at=value.sent.at, wh=each.wh, time=each.time, page=value.label, reading=each)
            for each in value.record.readings
            if each.wh is not None
            and each.register is not None
            and any(key.register.covers(each.register) for key in wanted)
        ]
    marks = _once_each(marks)
    return marks, [*_one_register(marks), *_usable(marks), *_in_order(marks)]


def _wanted(value: Value, keys: Sequence[MeterKey], evse: int | None) -> list[MeterKey]:
    """The keys that say which register is billed: the one that has signed, else all that might have."""
    if value.key is not None:
        return [value.key]
    assert value.record is not None
    serials = frozenset(each for each in (value.record.meter, value.record.gateway) if each is not None)
    return [key for key in keys if key.fits(evse=evse, serials=serials)]


def _once_each(marks: Iterable[Mark]) -> list[Mark]:
    """A begin is often told again beside the end, in a record of its own."""
    kept: dict[tuple[str | None, str | None, Decimal, str | None], Mark] = {}
    for mark in marks:
        kept.setdefault((mark.reading.reason, mark.time, mark.wh, mark.reading.identifier), mark)
    begins = [mark for mark in kept.values() if mark.reading.is_begin]
    ends = [mark for mark in kept.values() if mark.reading.is_end]
    between = [mark for mark in kept.values() if not mark.reading.is_begin and not mark.reading.is_end]
    return [*begins, *between, *ends]


def _one_register(marks: Sequence[Mark]) -> Iterator[Problem]:
    names = sorted({str(mark.reading.register) for mark in marks})
    if len(names) > 1:
        yield Problem(rule=INVALID, why=f"registers {', '.join(names)} fit; the key does not say which is billed")
    for word, found in (
        ("begin", {mark.wh for mark in marks if mark.reading.is_begin}),
        ("end", {mark.wh for mark in marks if mark.reading.is_end}),
    ):
        if len(found) > 1:
            figures = ", ".join(f"{wh:f} Wh" for wh in sorted(found)[:_SHOWN_MAX])
            yield Problem(rule=INVALID, why=f"more than one signed {word}: {figures}")


def _usable(marks: Sequence[Mark]) -> Iterator[Problem]:
    for mark in marks:
        reading = mark.reading
        if _ENERGY in reading.errors or reading.reason == _EXCEPTION:
            yield Problem(rule=INVALID, why=f"{mark.page}: the meter says that its energy cannot be used")
        elif reading.status != ocmf.GOOD:
            yield Problem(rule=INVALID, why=f"{mark.page}: the meter's state is {reading.status or 'not told'}, not G")


def _in_order(marks: Sequence[Mark]) -> Iterator[Problem]:
    for before, after in pairwise(marks):
        if after.wh < before.wh:
            why = f"{after.page}: {after.wh:f} Wh after {before.wh:f} Wh of {before.page}"
            yield Problem(rule=INVALID, why=why)
        one, two = before.reading.at, after.reading.at
        if one is not None and two is not None and two < one:
            yield Problem(rule=INVALID, why=f"{after.page}: {after.time} is before {before.time} of {before.page}")


# --- what must be there ----------------------------------------------------------------------------------------------


def _complete(values: Sequence[Value], told: Sequence[Value], marks: Sequence[Mark]) -> Iterator[Problem]:
    """Begin and end, and every page between them. Where a key is missing nobody knows which register to look at."""
    if not values:
        yield Problem(rule=MISSING, why="the charge point sent no signed values")
        return
    if all(value.verdict in {Verdict.NO_KEY, Verdict.UNREADABLE} for value in values):
        return
    others = ", ".join(ocmf.registers_of([value.record for value in told if value.record is not None])[:_SHOWN_MAX])
    for word, is_there in (
        ("begin", any(mark.reading.is_begin for mark in marks)),
        ("end", any(mark.reading.is_end for mark in marks)),
    ):
        if not is_there:
            yield Problem(
                rule=MISSING, why=f"no signed {word} of the billed register; there are readings of {others or 'none'}"
            )
    yield from _pages(told)


def _pages(told: Sequence[Value]) -> Iterator[Problem]:
    """The numbers of a transaction's records follow each other (OCMF table 2): a missing one was taken away, or lost."""
    payloads: dict[int, set[bytes]] = {}
    for value in told:
        assert value.record is not None
        if value.record.page is None:
            yield Problem(rule=GAP, why="a record has no number (PG)")
        else:
            payloads.setdefault(value.record.page, set()).add(value.record.payload)
    for page, found in payloads.items():
        if len(found) > 1:
            yield Problem(rule=INVALID, why=f"{len(found)} records are numbered T{page}")
    for before, after in pairwise(sorted(payloads)):
        if after - before > 1:
            missing = f"T{before + 1}" if after - before == 2 else f"T{before + 1} to T{after - 1}"  # noqa: PLR2004
            yield Problem(rule=GAP, why=f"{missing} missing between T{before} and T{after}")
