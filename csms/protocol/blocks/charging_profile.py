"""A charging profile, in no version's words: who may draw how much when. Pure; knows no charge point and no session.

Also what charge points tell of their own accord: limits that others impose on them, what an EV needs, profiles they hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Purpose(StrEnum):
    """What a profile limits. EXTERNAL_CONSTRAINTS are others' (2.0.1): they are read, never set."""

    CHARGE_POINT_MAX = "charge_point_max"
    TX_DEFAULT = "tx_default"
    TX = "tx"
    EXTERNAL_CONSTRAINTS = "external_constraints"


class ProfileKind(StrEnum):
    """From when the schedule counts: an instant, an instant again and again, or the start of charging."""

    ABSOLUTE = "absolute"
    RECURRING = "recurring"
    RELATIVE = "relative"


class Recurrency(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"


class RateUnit(StrEnum):
    """Limits in A are per phase, limits in W are for all phases together."""

    A = "A"
    W = "W"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePeriod:
    """From `start_s` seconds after the schedule's start until the next period."""

    start_s: int
    limit: Decimal
    phases: int | None = None
    phase_to_use: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSchedule:
    """`rate_min`: below it an EV charges inefficiently, in `unit`. `duration_s` None: until something else holds."""

    unit: RateUnit
    periods: tuple[SchedulePeriod, ...]
    start: datetime | None = None
    duration_s: int | None = None
    rate_min: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfile:
    """Of two profiles of one purpose, the one with the higher `stack_level` holds where both have a period.

    `transaction` is the id by which the charge point knows the session that a profile of purpose `tx` is for. More than
    one schedule occurs only in what charge points report (ISO 15118 offers).
    """

    id: int
    purpose: Purpose
    kind: ProfileKind
    stack_level: int
    schedules: tuple[ChargingSchedule, ...]
    recurrency: Recurrency | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction: str | None = None


# --- facts: what charge points tell (OCPP 2.0.1 K09, K11-K13, K15-K17) ---------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingLimitReported:
    """Somebody else (`source`: EMS, SO, CSO, Other) limits an EVSE; `evse` 0 is the charge point as a whole."""

    evse: int
    source: str
    grid_critical: bool | None = None
    schedules: tuple[ChargingSchedule, ...] = ()
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingLimitCleared:
    evse: int
    source: str
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingNeedsReported:
    """What an EV asks for. `energy_wh`, currents, voltage, power and percentages as the EV told them (2.1: with decimals)."""

    evse: int
    transfer: str | None
    departure_at: datetime | None = None
    schedule_periods_max: int | None = None
    energy_wh: int | Decimal | None = None
    current_min_a: int | Decimal | None = None
    current_max_a: int | Decimal | None = None
    voltage_max_v: int | Decimal | None = None
    power_max_w: int | Decimal | None = None
    capacity_wh: int | Decimal | None = None
    soc_percent: int | None = None
    soc_full_percent: int | None = None
    soc_bulk_percent: int | None = None
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvScheduleReported:
    """How the EV means to charge, counted from `since`."""

    evse: int
    since: datetime
    schedule: ChargingSchedule
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfilesReported:
    """One part of the answer to GetChargingProfiles; the parts carry no numbers, the last one has no `more`."""

    request: int
    evse: int
    source: str
    profiles: tuple[ChargingProfile, ...]
    more: bool
    quirks: tuple[str, ...] = ()


SmartChargingFact = (
    ChargingLimitReported | ChargingLimitCleared | ChargingNeedsReported | EvScheduleReported | ChargingProfilesReported
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartChargingAnswer:
    """Accepted | Rejected | Processing, where a fact of this block is answered with a status at all."""

    status: str
