"""What a charging profile must fulfil beyond its shape, before it is sent. Pure; every mistake is reported, with its place.

The clauses are those of OCPP 2.0.1; OCPP 1.6 says the same in prose (sections 3.13 and 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from csms.protocol.blocks.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)

TENTH = Decimal("0.1")
LIMIT_MAX = Decimal(100_000_000)
"""No site draws as much; keeps each limit within the digits of a JSON number."""
PHASES_MAX = 3
LENGTH_S = {Recurrency.DAILY: 86_400, Recurrency.WEEKLY: 7 * 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A mistake: where in the profile (`schedule.periods.1.limit`), and the rule that it breaks."""

    path: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path} {self.rule}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a charge point says that it can; None: it has not said.

    1.6: ChargeProfileMaxStackLevel, ChargingScheduleAllowedChargingRateUnit, ChargingScheduleMaxPeriods,
    MaxChargingProfilesInstalled, SupportedFeatureProfiles. 2.0.1: SmartChargingCtrlr.ProfileStackLevel, RateUnit,
    PeriodsPerSchedule, Available.
    """

    stack_level_max: int | None = None
    units: frozenset[RateUnit] | None = None
    periods_max: int | None = None
    announced: bool | None = None


def problems(profile: ChargingProfile, *, evse: int, abilities: Abilities | None = None) -> list[Problem]:
    """Every rule that the profile breaks, on this EVSE of a charge point with these abilities."""
    found = [*_purpose_problems(profile, evse), *_kind_problems(profile), *_validity_problems(profile)]
    if len(profile.schedules) != 1:
        found.append(Problem(path="schedule", rule=f"must be exactly one, not {len(profile.schedules)}"))
    for schedule in profile.schedules:
        found += _schedule_problems(schedule, profile)
    return [*found, *_beyond(profile, abilities or Abilities())]


def _purpose_problems(profile: ChargingProfile, evse: int) -> Iterator[Problem]:
    match profile.purpose:
        case Purpose.EXTERNAL_CONSTRAINTS:
            yield Problem(path="purpose", rule="external_constraints are set by others than us (K01.FR.22)")
        case Purpose.CHARGE_POINT_MAX:
            if evse != 0:
                yield Problem(path="purpose", rule="charge_point_max holds for the charge point as a whole, EVSE 0")
            if profile.kind is ProfileKind.RELATIVE:
                yield Problem(path="kind", rule="of charge_point_max cannot be relative (K01.FR.38)")
        case Purpose.TX:
            if profile.transaction is None:
                yield Problem(path="purpose", rule="tx needs the session that it is for (K01.FR.03)")
            if evse <= 0:
                yield Problem(path="purpose", rule="tx needs one EVSE, counted from 1 (K01.FR.16)")
        case Purpose.TX_DEFAULT:
            pass
    if profile.transaction is not None and profile.purpose is not Purpose.TX:
        yield Problem(path="purpose", rule=f"{profile.purpose} cannot be for one session; only tx can")


def _kind_problems(profile: ChargingProfile) -> Iterator[Problem]:
    starts = [schedule.start for schedule in profile.schedules]
    match profile.kind:
        case ProfileKind.RELATIVE:
            if any(start is not None for start in starts):
                yield Problem(path="schedule.start", rule="must be absent in a relative profile (K01.FR.41)")
        case ProfileKind.ABSOLUTE | ProfileKind.RECURRING:
            if any(start is None for start in starts):
                yield Problem(
                    path="schedule.start", rule=f"is required in a profile of kind {profile.kind} (K01.FR.40)"
                )
    if profile.kind is ProfileKind.RECURRING and profile.recurrency is None:
        yield Problem(path="recurrency", rule="is required in a recurring profile")
    if profile.kind is not ProfileKind.RECURRING and profile.recurrency is not None:
        yield Problem(path="recurrency", rule="is for recurring profiles only")


def _validity_problems(profile: ChargingProfile) -> Iterator[Problem]:
    if profile.stack_level < 0:
        yield Problem(path="stack_level", rule="counts from 0")
    if profile.valid_from is not None and profile.valid_to is not None and profile.valid_from >= profile.valid_to:
        yield Problem(path="valid_to", rule="must be after valid_from")


def _schedule_problems(schedule: ChargingSchedule, profile: ChargingProfile) -> Iterator[Problem]:
    length_s = None if profile.recurrency is None else LENGTH_S[profile.recurrency]
    if schedule.duration_s is not None and schedule.duration_s <= 0:
        yield Problem(path="schedule.duration_s", rule="must be more than 0")
    if schedule.duration_s is not None and length_s is not None and schedule.duration_s > length_s:
        yield Problem(path="schedule.duration_s", rule=f"is longer than the recurrence, {length_s} s")
    if schedule.rate_min is not None and not _is_rate(schedule.rate_min):
        yield Problem(path="schedule.rate_min", rule=_RATE_RULE)
    if not schedule.periods:
        yield Problem(path="schedule.periods", rule="must hold at least one period")
        return
    if schedule.periods[0].start_s != 0:
        yield Problem(path="schedule.periods.0.start_s", rule="must be 0 (K01.FR.31)")
    for number, period in enumerate(schedule.periods):
        before = schedule.periods[number - 1].start_s if number else None
        yield from _period_problems(period, f"schedule.periods.{number}", before)
        ends_s = min((each for each in (schedule.duration_s, length_s) if each is not None), default=None)
        if number and ends_s is not None and period.start_s >= ends_s:
            yield Problem(path=f"schedule.periods.{number}.start_s", rule=f"is after the schedule's end, {ends_s} s")


def _period_problems(period: SchedulePeriod, path: str, before: int | None) -> Iterator[Problem]:
    if before is not None and period.start_s <= before:
        yield Problem(path=f"{path}.start_s", rule="must be after the start of the period before it (K01.FR.35)")
    if not _is_rate(period.limit):
        yield Problem(path=f"{path}.limit", rule=_RATE_RULE)
    if period.phases is not None and not 1 <= period.phases <= PHASES_MAX:
        yield Problem(path=f"{path}.phases", rule=f"must be 1 to {PHASES_MAX}")
    if period.phase_to_use is not None:
        if not 1 <= period.phase_to_use <= PHASES_MAX:
            yield Problem(path=f"{path}.phase_to_use", rule=f"must be 1 to {PHASES_MAX}")
        if period.phases != 1:
            yield Problem(path=f"{path}.phase_to_use", rule="goes with phases 1 only (K01.FR.19)")


_RATE_RULE = f"must be 0 to {LIMIT_MAX} with at most one decimal"


def _is_rate(rate: Decimal) -> bool:
    """In both versions a charging rate has at most one digit after the point."""
    return rate.is_finite() and 0 <= rate <= LIMIT_MAX and rate % TENTH == 0


def _beyond(profile: ChargingProfile, abilities: Abilities) -> Iterator[Problem]:
    highest = abilities.stack_level_max
    if highest is not None and profile.stack_level > highest:
        yield Problem(path="stack_level", rule=f"is above {highest}, the highest of this charge point")
    for schedule in profile.schedules:
        if abilities.units is not None and schedule.unit not in abilities.units:
            known = ", ".join(sorted(abilities.units))
            yield Problem(path="schedule.unit", rule=f"is none of those that this charge point takes: {known}")
        if abilities.periods_max is not None and len(schedule.periods) > abilities.periods_max:
            rule = f"are {len(schedule.periods)}, this charge point takes {abilities.periods_max}"
            yield Problem(path="schedule.periods", rule=rule)
