"""A charging profile as operators write it: one JSON file, in the words of our vocabulary, every mistake by its path.

    {
      "id": 7,                               the charge point keeps one profile of an id
      "purpose": "tx_default",               charge_point_max, tx_default or tx
      "kind": "recurring",                   absolute, recurring or relative
      "recurrency": "daily",                 daily or weekly, of recurring profiles
      "stack_level": 1,                      the higher one holds
      "valid_from": "2026-03-01T00:00:00Z",  optional, as valid_to
      "schedule": {
        "unit": "A",                         A (each phase) or W (all phases)
        "start": "2026-03-01T00:00:00Z",     of absolute and recurring profiles
        "duration_s": 86400,                 optional
        "rate_min": 6,                       optional
        "periods": [
          {"start_s": 0, "limit": 16, "phases": 3},
          {"start_s": 64800, "limit": 8.5}
        ]
      }
    }

Which session a profile of purpose tx is for stands on the command line: a file may be used for many.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from csms.protocol.blocks.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from csms.protocol.blocks.charging_profile_rules import Problem
from csms.protocol.repair import INTEGER_MAX

Whole = Annotated[int, Field(ge=0, le=INTEGER_MAX)]


class ProfileFileInvalid(Exception):
    """The file is no charging profile; `problems` names every mistake with its path."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Period(_Strict):
    start_s: Whole
    limit: Decimal
    phases: Whole | None = None
    phase_to_use: Whole | None = None


class _Schedule(_Strict):
    unit: RateUnit
    periods: tuple[_Period, ...]
    start: AwareDatetime | None = None
    duration_s: Whole | None = None
    rate_min: Decimal | None = None


class _Profile(_Strict):
    id: Whole
    purpose: Purpose
    kind: ProfileKind
    stack_level: Whole
    schedule: _Schedule
    recurrency: Recurrency | None = None
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None


def read_profile(text: str, *, transaction: str | None = None) -> ChargingProfile:
    """The profile of a file, for a session where one is named.

    Raises:
        ProfileFileInvalid: with every mistake in the shape of the file; what the values mean is for the rules.
    """
    try:
        read = _Profile.model_validate_json(text)
    except ValidationError as invalid:
        found = [_problem(error["loc"], error["type"], error["msg"]) for error in invalid.errors()]
        raise ProfileFileInvalid(found) from None
    schedule = ChargingSchedule(
        unit=read.schedule.unit,
        periods=tuple(
            SchedulePeriod(start_s=each.start_s, limit=each.limit, phases=each.phases, phase_to_use=each.phase_to_use)
            for each in read.schedule.periods
        ),
        start=read.schedule.start,
        duration_s=read.schedule.duration_s,
        rate_min=read.schedule.rate_min,
    )
    return ChargingProfile(
        id=read.id,
        purpose=read.purpose,
        kind=read.kind,
        stack_level=read.stack_level,
        schedules=(schedule,),
        recurrency=read.recurrency,
        valid_from=read.valid_from,
        valid_to=read.valid_to,
        transaction=transaction,
    )


def _problem(place: tuple[int | str, ...], kind: str, message: str) -> Problem:
    rules = {"missing": "is required", "extra_forbidden": "is no field of a profile"}
    rule = rules.get(kind) or message.replace("Input should", "must").replace("Invalid JSON", "is no JSON")
    return Problem(path=".".join(map(str, place)) or "file", rule=rule)
