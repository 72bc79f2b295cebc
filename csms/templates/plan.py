"""What a template does to one charge point: which settings are asked for, and what its answers amount to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from csms.charge_points.setting_value import same_value
from csms.templates.difference import Known

NOT_SUPPORTED = frozenset({"NotSupported", "UnknownComponent", "UnknownVariable", "NotSupportedAttributeType"})
"""The charge point does not know the setting (1.6 ConfigurationStatus, 2.0.1 SetVariableStatusEnumType)."""
UNCHANGED, READ_ONLY, NOT_KNOWN = "unchanged", "ReadOnly", "NotSupported"
"""Answers that are read off its settings, so that it is not asked."""
REBOOT_REQUIRED = "RebootRequired"
IN_FORCE = frozenset({"Accepted", UNCHANGED})


class Step(StrEnum):
    SET = "set"
    SAME = "same"
    READ_ONLY = "read_only"
    NOT_SUPPORTED = "not_supported"
    AWAITS_REBOOT = "awaits_reboot"
    REFUSED = "refused"
    """It said no to this very value before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a charge point said to a setting of this version of the template. `status` None: nobody knows."""

    wanted: str
    status: str | None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """`value` is what it has now, None where it has none or nobody knows."""

    name: str
    wanted: str
    value: str | None
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What happened before: the answers so far, and when the charge point last booted. `again`: refusals do not count."""

    answers: Mapping[str, Answer]
    booted_at: datetime | None = None
    again: bool = False


def planned(
    wanted: Mapping[str, str], present: Mapping[str, Known], *, unknown: Iterable[str], past: Past
) -> list[Planned]:
    """One step for each setting, in the order of their names. `present` by name as `by_name` makes it; `unknown` the charge point does not have."""
    missing = {name.casefold() for name in unknown}
    return [
        Planned(
            name=name,
            wanted=value,
            value=None if (known := present.get(name.casefold())) is None else known.value,
            step=_step(value, known, is_unknown=name.casefold() in missing, answer=past.answers.get(name), past=past),
        )
        for name, value in sorted(wanted.items())
    ]


def _step(wanted: str, known: Known | None, *, is_unknown: bool, answer: Answer | None, past: Past) -> Step:
    if is_unknown:
        return Step.NOT_SUPPORTED
    if known is not None and same_value(known.value, wanted):
        return Step.SAME
    if known is not None and known.is_read_only:
        return Step.READ_ONLY
    if answer is not None and answer.status == REBOOT_REQUIRED and not _has_booted_since(answer, past.booted_at):
        return Step.AWAITS_REBOOT
    is_refusal = answer is not None and answer.status is not None and answer.status not in {REBOOT_REQUIRED, *IN_FORCE}
    return Step.REFUSED if is_refusal and not past.again else Step.SET


def _has_booted_since(answer: Answer, booted_at: datetime | None) -> bool:
    return booted_at is not None and answer.answered_at is not None and booted_at > answer.answered_at


class Result(StrEnum):
    """What became of a template in one charge point."""

    APPLIED = "applied"
    REBOOT_REQUIRED = "reboot_required"
    REFUSED = "refused"
    UNFINISHED = "unfinished"
    OFFLINE = "offline"
    BUSY = "busy"
    NOTHING_FOR_IT = "nothing_for_it"


def result_of(statuses: Iterable[str | None]) -> Result:
    """Of what it said to each of the settings; None: to one it said nothing."""
    said = set(statuses)
    if None in said:
        return Result.UNFINISHED
    if said <= IN_FORCE:
        return Result.APPLIED
    return Result.REBOOT_REQUIRED if said <= {*IN_FORCE, REBOOT_REQUIRED} else Result.REFUSED


class Drift(StrEnum):
    CHANGED = "changed"
    AWAITS_REBOOT = "awaits_reboot"
    GONE = "gone"
    OUTDATED = "outdated"
    """The template has a newer version that this charge point has not been given."""


def drift_of(answer: Answer, known: Known | None, *, booted_at: datetime | None) -> Drift | None:
    """How a setting that the charge point took stands now; None: as it should, or it never took it."""
    if answer.status not in {REBOOT_REQUIRED, *IN_FORCE}:
        return None
    if known is None or known.value is None:
        return Drift.GONE
    if same_value(known.value, answer.wanted):
        return None
    waiting = answer.status == REBOOT_REQUIRED and not _has_booted_since(answer, booted_at)
    return Drift.AWAITS_REBOOT if waiting else Drift.CHANGED
