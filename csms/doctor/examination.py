"""The findings about one charge point: what was seen, what its messages and sessions show, what its make is known for.

Pure. Each names a quirk of the catalogue and carries the frame that shows it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from csms.doctor.chart import Chart, Found, Message, SessionSeen
from csms.doctor.meters import transaction_id
from csms.doctor.rules import RULES
from csms.protocol.quirks.catalogue import Entry, Finder, Make, Severity, catalogue, known_for

GRAVITY = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
SESSIONS_SHOWN_MAX = 5


class How(StrEnum):
    """How we know."""

    SEEN = "seen"
    KNOWN = "known"
    """Its make is known for it; here it was not seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted as it came."""

    name: str
    count: int
    first_at: datetime
    last_at: datetime
    frame: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`frame` None: no message that shows it is kept any more. `sessions`: the newest that it was seen in."""

    entry: Entry
    how: How
    evidence: str
    count: int
    first_at: datetime | None
    last_at: datetime | None
    frame: str | None
    sessions: tuple[int, ...] = ()

    @property
    def severity(self) -> Severity:
        """What was not seen harms nobody."""
        return self.entry.severity if self.how is How.SEEN else Severity.INFO


def examine(chart: Chart, counted: Iterable[Counted]) -> list[Finding]:
    """Every finding, the gravest first."""
    entries = catalogue()
    found = {each.name: _of_counted(entries[each.name], each) for each in counted if each.name in entries}
    found |= {finding.entry.name: finding for finding in _of_rules(chart)}
    found |= {finding.entry.name: finding for finding in _of_sessions(chart)}
    known = chart.charge_point
    boot = _boot_of_make(chart)
    for entry in known_for(Make(known.vendor, known.model, known.firmware)):
        if entry.name not in found:
            found[entry.name] = _of_make(entry, chart, boot)
    return sorted(found.values(), key=lambda each: (GRAVITY[each.severity], each.how is How.KNOWN, each.entry.name))


def _of_counted(entry: Entry, counted: Counted) -> Finding:
    return Finding(
        entry=entry,
        how=How.SEEN,
        evidence="once" if counted.count == 1 else f"{counted.count} times",
        count=counted.count,
        first_at=counted.first_at,
        last_at=counted.last_at,
        frame=counted.frame or None,
    )


def _of_rules(chart: Chart) -> Iterable[Finding]:
    for rule in RULES:
        found: Found | None = rule(chart)
        if found is not None:
            yield Finding(
                entry=catalogue()[rule.__name__],
                how=How.SEEN,
                evidence=found.evidence,
                count=found.count,
                first_at=found.first_at,
                last_at=found.last_at,
                frame=found.frame or None,
            )


def _of_sessions(chart: Chart) -> Iterable[Finding]:
    """What the review found in sessions, released ones included: it is the charge point that is looked at here."""
    by_rule: dict[str, list[SessionSeen]] = defaultdict(list)
    for session in chart.sessions:
        for rule in session.rules:
            entry = catalogue().get(rule)
            if entry is not None and entry.by is Finder.SESSION:
                by_rule[rule].append(session)
    frames = _frames_by_transaction(chart.messages, chart)
    for rule, sessions in by_rule.items():
        newest = sessions[-1]
        yield Finding(
            entry=catalogue()[rule],
            how=How.SEEN,
            evidence=f"session {newest.id}: {newest.rules[rule]}",
            count=len(sessions),
            first_at=sessions[0].heard_at,
            last_at=newest.heard_at,
            frame=_put_aside(rule, chart) or frames.get(newest.transaction),
            sessions=tuple(each.id for each in sessions[-SESSIONS_SHOWN_MAX:]),
        )


def _put_aside(rule: str, chart: Chart) -> str | None:
    """The message itself, where the rule is about one that could not become a session's."""
    if rule == "malformed":
        return next((each.frame for each in reversed(chart.quarantine)), None)
    if rule == "stop_paired":
        unknown = {each.what for each in chart.orphans}
        stops = [each for each in chart.told("StopTransaction") if transaction_id(each) in unknown]
        return stops[-1].body if stops else None
    return None


def _frames_by_transaction(messages: Sequence[Message], chart: Chart) -> Mapping[str, str]:
    """The newest message of the charge point about each transaction."""
    frames: dict[str, str] = {}
    for each in messages:
        transaction = chart.transaction_of(each) or transaction_id(each)
        if each.is_theirs and transaction is not None:
            frames[transaction] = each.body
    return frames


def _boot_of_make(chart: Chart) -> Message | None:
    """The newest boot in which the charge point said what it is."""
    vendor, model = chart.charge_point.vendor or "", chart.charge_point.model or ""
    boots = [each for each in chart.told("BootNotification") if vendor in each.body and model in each.body]
    return boots[-1] if boots else None


def _of_make(entry: Entry, chart: Chart, boot: Message | None) -> Finding:
    known = chart.charge_point
    make = " ".join(word for word in (known.vendor, known.model, known.firmware) if word)
    return Finding(
        entry=entry,
        how=How.KNOWN,
        evidence=f"known of {make}",
        count=0,
        first_at=None,
        last_at=known.booted_at,
        frame=None if boot is None else boot.body,
    )
