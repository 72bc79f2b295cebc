"""Charging schedules as both OCPP versions write them: the schedule itself, its periods, its limits."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from csms.protocol.blocks.charging_profile import (
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from csms.protocol.repair import Fields, parse_decimal
from csms.protocol.times import parse_time, print_time

KINDS = {ProfileKind.ABSOLUTE: "Absolute", ProfileKind.RECURRING: "Recurring", ProfileKind.RELATIVE: "Relative"}
RECURRENCIES = {Recurrency.DAILY: "Daily", Recurrency.WEEKLY: "Weekly"}
PERIODS_MAX = 1024
"""As many as 2.0.1 has; what comes beyond is not read."""
_UNITS = frozenset(unit.value for unit in RateUnit)


def json_rate(rate: Decimal) -> float:
    """A charging rate as a JSON number; the rules have made sure that its one decimal survives."""
    return int(rate) if rate == rate.to_integral_value() else float(rate)


def period_payload(period: SchedulePeriod) -> dict[str, object]:
    payload: dict[str, object] = {"startPeriod": period.start_s, "limit": json_rate(period.limit)}
    if period.phases is not None:
        payload["numberPhases"] = period.phases
    return payload


def schedule_payload(schedule: ChargingSchedule, periods: list[dict[str, object]]) -> dict[str, object]:
    payload: dict[str, object] = {"chargingRateUnit": schedule.unit.value, "chargingSchedulePeriod": periods}
    if schedule.start is not None:
        payload["startSchedule"] = print_time(schedule.start)
    if schedule.duration_s is not None:
        payload["duration"] = schedule.duration_s
    if schedule.rate_min is not None:
        payload["minChargingRate"] = json_rate(schedule.rate_min)
    return payload


def validity_payload(valid_from: datetime | None, valid_to: datetime | None) -> dict[str, object]:
    payload: dict[str, object] = {}
    if valid_from is not None:
        payload["validFrom"] = print_time(valid_from)
    if valid_to is not None:
        payload["validTo"] = print_time(valid_to)
    return payload


def read_schedule(fields: Fields, *, zone: str | None, start: str = "startSchedule") -> ChargingSchedule | None:
    """A schedule as a charge point tells it; None where it has no unit or no period that can be read."""
    unit = fields.word("chargingRateUnit", _UNITS)
    items = fields.items("chargingSchedulePeriod")[:PERIODS_MAX]
    periods = [_period(Fields(item, fields.quirks)) for item in items]
    known = tuple(period for period in periods if period is not None)
    if unit not in _UNITS or not known:
        return None
    return ChargingSchedule(
        unit=RateUnit(unit),
        periods=known,
        start=read_time(fields, start, zone=zone),
        duration_s=fields.integer("duration"),
        rate_min=_rate(fields, "minChargingRate"),
    )


def read_time(fields: Fields, name: str, *, zone: str | None) -> datetime | None:
    value = fields.raw(name)
    return None if value is None else parse_time(value, fields.quirks, zone=zone)


def schedule_to_json(schedule: ChargingSchedule) -> dict[str, object]:
    """As it is kept and printed; rates are text, exactly as they are."""
    return {
        "unit": schedule.unit.value,
        "start": None if schedule.start is None else print_time(schedule.start),
        "duration_s": schedule.duration_s,
        "rate_min": None if schedule.rate_min is None else rate_text(schedule.rate_min),
        "periods": [
            {
                "start_s": period.start_s,
                "limit": rate_text(period.limit),
                "phases": period.phases,
                "phase_to_use": period.phase_to_use,
            }
            for period in schedule.periods
        ],
    }


def rate_text(rate: Decimal) -> str:
    """16, 16.5: without zeros that say nothing."""
    return f"{rate.normalize():f}"


def _period(fields: Fields) -> SchedulePeriod | None:
    start_s, limit = fields.integer("startPeriod"), _rate(fields, "limit")
    if start_s is None or limit is None:
        return None
    return SchedulePeriod(
        start_s=start_s,
        limit=limit,
        phases=fields.integer("numberPhases"),
        phase_to_use=fields.integer("phaseToUse"),
    )


def _rate(fields: Fields, name: str) -> Decimal | None:
    value = fields.raw(name)
    return None if value is None else parse_decimal(value, fields.quirks)


PURPOSES_V16 = {
    Purpose.CHARGE_POINT_MAX: "ChargePointMaxProfile",
    Purpose.TX_DEFAULT: "TxDefaultProfile",
    Purpose.TX: "TxProfile",
}
PURPOSES_V201 = {
    **PURPOSES_V16,
    Purpose.CHARGE_POINT_MAX: "ChargingStationMaxProfile",
    Purpose.EXTERNAL_CONSTRAINTS: "ChargingStationExternalConstraints",
}
