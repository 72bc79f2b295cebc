"""Charging profiles in OCPP 1.6J: three calls, and what their results say. EVSE n is connector n."""

from __future__ import annotations

from csms.protocol.blocks.charging_profile_rules import problems
from csms.protocol.blocks.smart_charging import ClearChargingProfile, GetCompositeSchedule, SetChargingProfile
from csms.protocol.outcomes import AnswerReaders, status_outcome
from csms.protocol.outgoing import Call, CommandInvalid, Writers, require
from csms.protocol.repair import Fields
from csms.protocol.schedules import (
    KINDS,
    PURPOSES_V16,
    RECURRENCIES,
    period_payload,
    read_schedule,
    read_time,
    schedule_payload,
    schedule_to_json,
    validity_payload,
)
from csms.protocol.times import print_time
from csms.protocol.vocabulary import Outcome


def set_charging_profile(command: SetChargingProfile) -> Call:
    profile = command.profile
    for problem in problems(profile, evse=command.evse):
        raise CommandInvalid("SetChargingProfile", str(problem))
    schedule = profile.schedules[0]
    for period in schedule.periods:
        require("SetChargingProfile", period.phase_to_use is None, "OCPP 1.6 cannot name the phase to use")
    payload: dict[str, object] = {
        "chargingProfileId": profile.id,
        "stackLevel": profile.stack_level,
        "chargingProfilePurpose": PURPOSES_V16[profile.purpose],
        "chargingProfileKind": KINDS[profile.kind],
        **validity_payload(profile.valid_from, profile.valid_to),
        "chargingSchedule": schedule_payload(schedule, [period_payload(period) for period in schedule.periods]),
    }
    if profile.recurrency is not None:
        payload["recurrencyKind"] = RECURRENCIES[profile.recurrency]
    if profile.transaction is not None:
        try:
            payload["transactionId"] = int(profile.transaction)
        except ValueError:
            rule = f"transactionId is an integer in OCPP 1.6, not {profile.transaction[:40]!r}"
            raise CommandInvalid("SetChargingProfile", rule) from None
    return "SetChargingProfile", {
        "connectorId": _connector("SetChargingProfile", command.evse),
        "csChargingProfiles": payload,
    }


def clear_charging_profile(command: ClearChargingProfile) -> Call:
    action = "ClearChargingProfile"
    payload: dict[str, object] = {}
    if command.profile is not None:
        payload["id"] = command.profile
    if command.evse is not None:
        payload["connectorId"] = _connector(action, command.evse)
    if command.purpose is not None:
        require(action, command.purpose in PURPOSES_V16, f"OCPP 1.6 has no purpose {command.purpose}")
        payload["chargingProfilePurpose"] = PURPOSES_V16[command.purpose]
    if command.stack_level is not None:
        payload["stackLevel"] = command.stack_level
    return action, payload


def get_composite_schedule(command: GetCompositeSchedule) -> Call:
    action = "GetCompositeSchedule"
    require(action, command.duration_s > 0, "duration must be more than 0")
    payload: dict[str, object] = {"connectorId": _connector(action, command.evse), "duration": command.duration_s}
    if command.unit is not None:
        payload["chargingRateUnit"] = command.unit.value
    return action, payload


def composite_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    """The schedule, None where the charge point has none (no limit), and from when it counts."""
    fields = Fields(payload, set())
    child = fields.child("chargingSchedule")
    schedule = None if child is None else read_schedule(child, zone=None)
    start = read_time(fields, "scheduleStart", zone=None) or (None if schedule is None else schedule.start)
    return status_outcome(
        payload,
        {
            "start": None if start is None else print_time(start),
            "schedule": None if schedule is None else schedule_to_json(schedule),
        },
    )


def _connector(action: str, evse: int) -> int:
    require(action, evse >= 0, f"connectorId counts from 1, 0 is the charge point, not {evse}")
    return evse


CALLS: Writers = {
    SetChargingProfile: set_charging_profile,
    ClearChargingProfile: clear_charging_profile,
    GetCompositeSchedule: get_composite_schedule,
}
OUTCOMES: AnswerReaders = {GetCompositeSchedule: composite_outcome}
