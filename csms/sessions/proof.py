"""A session under measuring law: its kWh are those between its signed readings, or it is held (RULES.md 23). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from csms.evidence.judgement import MISSING, Evidence, Mark, Problem, Sent, judge
from csms.evidence.law import MeasuringLaw
from csms.sessions.facts import StoredReading
from csms.sessions.metering import Frame, Metering
from csms.sessions.policy import ReviewPolicy
from csms.sessions.samples import usable
from csms.sessions.session import Action, EnergySource, Finding, Proven, RegisterPoint

ZERO = Decimal(0)


def signed_values(readings: Iterable[StoredReading]) -> list[Sent]:
    """The signed data in these readings, as it is stored."""
    return [
        Sent(
            stored=sample.signed,
            at=each.reading.at,
            received_at=each.received_at,
            context=str(sample.context),
            carried_by=each.carried_by,
        )
        for each in readings
        for sample in each.reading.samples
        if sample.signed is not None
    ]


def by_law(
    metering: Metering,
    readings: Sequence[StoredReading],
    law: MeasuringLaw | None,
    frame: Frame,
    policy: ReviewPolicy,
    *,
    evse: int | None,
    ended_at: datetime | None,
) -> tuple[Metering, Evidence | None]:
    """What the meter says under the law that holds: nothing else without one.

    While a session runs, its plain registers stand for what the signed ones will say: nobody is billed by them. What ended
    below what is worth a bill, and has no signed values, counts as no energy at all.
    """
    if law is None:
        return metering, None
    evidence = judge(signed_values(readings), law.keys, evse=evse, is_closed=ended_at is not None)
    if ended_at is None:
        return _with(metering, _findings(evidence.problems)), evidence
    if evidence.is_whole:
        return _signed(metering, evidence, frame, ended_at, policy), evidence
    if metering.energy_wh < policy.energy_wh_min and {each.rule for each in evidence.problems} == {MISSING}:
        return _without_energy(metering), evidence
    return _with(metering, _findings(evidence.problems)), evidence


def proven(metering: Metering, evidence: Evidence | None, *, ended_at: datetime | None) -> Proven | None:
    """The instants of signed readings of a session that has ended, and whether its meter measures time."""
    if evidence is None or ended_at is None:
        return None
    readings = tuple(point.at for point in metering.points) if evidence.is_whole else ()
    return Proven(readings=readings, measures_time=evidence.measures_time)


def _with(metering: Metering, findings: Sequence[Finding]) -> Metering:
    return replace(metering, findings=(*metering.findings, *findings))


def _findings(problems: Sequence[Problem]) -> list[Finding]:
    """One hold per rule, with the first reason and the number of others."""
    found: list[Finding] = []
    for rule in dict.fromkeys(each.rule for each in problems):
        first, *others = [each.why for each in problems if each.rule == rule]
        evidence = f"{first} (and {len(others)} more)" if others else first
        found.append(Finding(rule=rule, action=Action.HOLD, evidence=evidence))
    return found


def _without_energy(metering: Metering) -> Metering:
    points = tuple(replace(point, energy_wh=ZERO) for point in metering.points)
    return replace(metering, energy_wh=ZERO, points=points)


def _signed(metering: Metering, evidence: Evidence, frame: Frame, ended_at: datetime, policy: ReviewPolicy) -> Metering:
    """The metering with the signed registers in place of the plain ones; where these say otherwise, that is noted."""
    begin, end = evidence.begin, evidence.end
    assert begin is not None
    assert end is not None
    if usable(begin.wh) is None or usable(end.wh) is None:
        hold = Finding(rule="value_invalid", action=Action.HOLD, evidence="a signed register is beyond any meter")
        return _with(metering, [hold])
    points = _points(begin, evidence.marks, end, frame, ended_at)
    energy = points[-1].energy_wh
    findings = [each for each in metering.findings if each.rule != "register_missing"]
    if metering.begin is not None and abs(metering.energy_wh - energy) > policy.register_resolution_wh:
        evidence_text = f"{energy} Wh signed, {metering.energy_wh} Wh by the registers of the messages"
        findings.append(Finding(rule="evidence_differs", action=Action.FLAG, evidence=evidence_text))
    return replace(
        metering,
        begin=points[0],
        end=points[-1],
        energy_wh=energy,
        declared_wh=energy,
        source=EnergySource.SIGNED,
        points=points,
        findings=tuple(findings),
    )


def _points(
    begin: Mark, marks: Sequence[Mark], end: Mark, frame: Frame, ended_at: datetime
) -> tuple[RegisterPoint, ...]:
    """From (start, 0) to (end, energy), by the times of the session; signed readings between where there are such."""
    first, last = _register(begin), _register(end)
    started_at = frame.started_at
    points = [RegisterPoint(at=started_at, register_wh=first, energy_wh=ZERO)]
    for mark in sorted((each for each in marks if each not in {begin, end}), key=lambda each: each.wh):
        if points[-1].at < mark.at < ended_at:
            register = _register(mark)
            points.append(RegisterPoint(at=mark.at, register_wh=register, energy_wh=register - first))
    points.append(RegisterPoint(at=max(ended_at, points[-1].at), register_wh=last, energy_wh=last - first))
    return tuple(points)


def _register(mark: Mark) -> Decimal:
    found = usable(mark.wh)
    return ZERO if found is None else found
