"""Charging profiles in OCPP 2.0.1 (block K): calls, what their results say, and what stations tell of their own accord."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from csms.protocol.blocks.charging_profile import (
    ChargingLimitCleared,
    ChargingLimitReported,
    ChargingNeedsReported,
    ChargingProfile,
    ChargingProfilesReported,
    ChargingSchedule,
    EvScheduleReported,
    SchedulePeriod,
    SmartChargingAnswer,
)
from csms.protocol.blocks.charging_profile_rules import problems
from csms.protocol.blocks.smart_charging import (
    ClearChargingProfile,
    GetChargingProfiles,
    GetCompositeSchedule,
    SetChargingProfile,
)
from csms.protocol.outcomes import AnswerReaders, status_outcome
from csms.protocol.outgoing import Call, CommandInvalid, Writers, require
from csms.protocol.repair import Fields, Message
from csms.protocol.schedules import (
    KINDS,
    PURPOSES_V201,
    RECURRENCIES,
    period_payload,
    read_schedule,
    read_time,
    schedule_payload,
    schedule_to_json,
    validity_payload,
)
from csms.protocol.times import print_time
from csms.protocol.v16.answers import acknowledgement
from csms.protocol.vocabulary import Decision, Fact, Outcome

SOURCES = frozenset({"EMS", "Other", "SO", "CSO"})
TRANSFERS = frozenset(
    {
        "DC", "AC_single_phase", "AC_two_phase", "AC_three_phase",
        # added by 2.1
        "AC_BPT", "AC_BPT_DER", "AC_DER", "DC_ACDP", "DC_ACDP_BPT", "DC_BPT", "WPT",
    }
)  # fmt: skip
_PURPOSE_OF = {word: purpose for purpose, word in PURPOSES_V201.items()}
_KIND_OF = {word: kind for kind, word in KINDS.items()}
_RECURRENCY_OF = {word: recurrency for recurrency, word in RECURRENCIES.items()}
_PROFILES_MAX = 1000

# --- calls ---------------------------------------------------------------------------------------------------------


def set_charging_profile(command: SetChargingProfile) -> Call:
    action, profile = "SetChargingProfile", command.profile
    for problem in problems(profile, evse=command.evse):
        raise CommandInvalid(action, str(problem))
    payload: dict[str, object] = {
        "id": profile.id,
        "stackLevel": profile.stack_level,
        "chargingProfilePurpose": PURPOSES_V201[profile.purpose],
        "chargingProfileKind": KINDS[profile.kind],
        **validity_payload(profile.valid_from, profile.valid_to),
        "chargingSchedule": [_schedule(number, each) for number, each in enumerate(profile.schedules, profile.id)],
    }
    if profile.recurrency is not None:
        payload["recurrencyKind"] = RECURRENCIES[profile.recurrency]
    if profile.transaction is not None:
        payload["transactionId"] = profile.transaction
    return action, {"evseId": _evse_id(action, command.evse), "chargingProfile": payload}


def _schedule(id_: int, schedule: ChargingSchedule) -> dict[str, object]:
    return {"id": id_, **schedule_payload(schedule, [_period(period) for period in schedule.periods])}


def _period(period: SchedulePeriod) -> dict[str, object]:
    payload = period_payload(period)
    return payload if period.phase_to_use is None else payload | {"phaseToUse": period.phase_to_use}


def clear_charging_profile(command: ClearChargingProfile) -> Call:
    """By id or by criteria (K10.FR.02)."""
    action = "ClearChargingProfile"
    criteria: dict[str, object] = {}
    if command.evse is not None:
        criteria["evseId"] = _evse_id(action, command.evse)
    if command.purpose is not None:
        criteria["chargingProfilePurpose"] = PURPOSES_V201[command.purpose]
    if command.stack_level is not None:
        criteria["stackLevel"] = command.stack_level
    require(action, not (command.profile is not None and criteria), "name the profile or what profiles match, not both")
    require(
        action, command.profile is not None or bool(criteria), "OCPP 2.0.1 wants an id, an EVSE, a purpose or a level"
    )
    if command.profile is not None:
        return action, {"chargingProfileId": command.profile}
    return action, {"chargingProfileCriteria": criteria}


def get_composite_schedule(command: GetCompositeSchedule) -> Call:
    action = "GetCompositeSchedule"
    require(action, command.duration_s > 0, "duration must be more than 0")
    payload: dict[str, object] = {"evseId": _evse_id(action, command.evse), "duration": command.duration_s}
    if command.unit is not None:
        payload["chargingRateUnit"] = command.unit.value
    return action, payload


def get_charging_profiles(command: GetChargingProfiles) -> Call:
    action = "GetChargingProfiles"
    criteria: dict[str, object] = {}
    if command.purpose is not None:
        criteria["chargingProfilePurpose"] = PURPOSES_V201[command.purpose]
    payload: dict[str, object] = {"requestId": command.request, "chargingProfile": criteria}
    if command.evse is not None:
        payload["evseId"] = _evse_id(action, command.evse)
    return action, payload


def _evse_id(action: str, evse: int) -> int:
    require(action, evse >= 0, f"EVSE ids count from 1, 0 is the charging station, not {evse}")
    return evse


CALLS: Writers = {
    SetChargingProfile: set_charging_profile,
    ClearChargingProfile: clear_charging_profile,
    GetCompositeSchedule: get_composite_schedule,
    GetChargingProfiles: get_charging_profiles,
}

# --- results -------------------------------------------------------------------------------------------------------


def composite_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    """The schedule, None where the station has none (no limit), and from when it counts."""
    child = Fields(payload, set()).child("schedule")
    schedule = None if child is None else read_schedule(child, zone=None, start="scheduleStart")
    data = {
        "start": None if schedule is None or schedule.start is None else print_time(schedule.start),
        "schedule": None if schedule is None else schedule_to_json(schedule),
    }
    return status_outcome(payload, data)


OUTCOMES: AnswerReaders = {GetCompositeSchedule: composite_outcome}

# --- what stations tell --------------------------------------------------------------------------------------------


def notify_charging_limit(message: Message) -> Fact | None:
    fields = message.fields
    evse = _evse(fields)
    limit = fields.child("chargingLimit") or Fields({}, message.quirks)
    source = limit.word("chargingLimitSource", SOURCES)
    if evse is None or source is None:
        return None
    schedules = [
        read_schedule(Fields(item, message.quirks), zone=message.zone) for item in fields.items("chargingSchedule")
    ]
    return ChargingLimitReported(
        evse=evse,
        source=source,
        grid_critical=limit.boolean("isGridCritical"),
        schedules=tuple(schedule for schedule in schedules if schedule is not None),
        quirks=message.noted(),
    )


def cleared_charging_limit(message: Message) -> Fact | None:
    evse = _evse(message.fields)
    source = message.fields.word("chargingLimitSource", SOURCES)
    if evse is None or source is None:
        return None
    return ChargingLimitCleared(evse=evse, source=source, quirks=message.noted())


def notify_ev_charging_needs(message: Message) -> Fact | None:
    return charging_needs(message, quantity=Fields.integer)


def charging_needs(message: Message, *, quantity: Callable[[Fields, str], int | Decimal | None]) -> Fact | None:
    """`quantity` reads what this version has for energies, currents, voltages and powers."""
    fields = message.fields
    needs = fields.child("chargingNeeds")
    evse = fields.place("evseId")
    if evse is None or needs is None:
        return None
    none = Fields({}, message.quirks)
    ac, dc = needs.child("acChargingParameters") or none, needs.child("dcChargingParameters") or none
    energy_wh, current_max_a = quantity(ac, "energyAmount"), quantity(ac, "evMaxCurrent")
    voltage_max_v = quantity(ac, "evMaxVoltage")
    return ChargingNeedsReported(
        evse=evse,
        transfer=needs.word("requestedEnergyTransfer", TRANSFERS),
        departure_at=read_time(needs, "departureTime", zone=message.zone),
        schedule_periods_max=fields.integer("maxScheduleTuples"),
        energy_wh=quantity(dc, "energyAmount") if energy_wh is None else energy_wh,
        current_min_a=quantity(ac, "evMinCurrent"),
        current_max_a=quantity(dc, "evMaxCurrent") if current_max_a is None else current_max_a,
        voltage_max_v=quantity(dc, "evMaxVoltage") if voltage_max_v is None else voltage_max_v,
        power_max_w=quantity(dc, "evMaxPower"),
        capacity_wh=quantity(dc, "evEnergyCapacity"),
        soc_percent=dc.integer("stateOfCharge"),
        soc_full_percent=dc.integer("fullSoC"),
        soc_bulk_percent=dc.integer("bulkSoC"),
        quirks=message.noted(),
    )


def notify_ev_charging_schedule(message: Message) -> Fact | None:
    fields = message.fields
    evse, child = fields.place("evseId"), fields.child("chargingSchedule")
    schedule = None if child is None else read_schedule(child, zone=message.zone)
    since = message.stamp(fields.raw("timeBase")).at
    if evse is None or schedule is None:
        return None
    return EvScheduleReported(evse=evse, since=since, schedule=schedule, quirks=message.noted())


def report_charging_profiles(message: Message) -> Fact | None:
    fields = message.fields
    request, evse = fields.integer("requestId"), _evse(fields)
    if request is None or evse is None:
        return None
    items = fields.items("chargingProfile")[:_PROFILES_MAX]
    profiles = [_profile(Fields(item, message.quirks), message.zone) for item in items]
    return ChargingProfilesReported(
        request=request,
        evse=evse,
        source=fields.word("chargingLimitSource", SOURCES) or "Other",
        profiles=tuple(profile for profile in profiles if profile is not None),
        more=fields.boolean("tbc") or False,
        quirks=message.noted(),
    )


def _profile(fields: Fields, zone: str | None) -> ChargingProfile | None:
    id_, level = fields.integer("id"), fields.integer("stackLevel")
    purpose = _PURPOSE_OF.get(fields.word("chargingProfilePurpose", frozenset(_PURPOSE_OF)) or "")
    kind = _KIND_OF.get(fields.word("chargingProfileKind", frozenset(_KIND_OF)) or "")
    schedules = [read_schedule(Fields(item, fields.quirks), zone=zone) for item in fields.items("chargingSchedule")]
    if id_ is None or level is None or purpose is None or kind is None:
        return None
    return ChargingProfile(
        id=id_,
        purpose=purpose,
        kind=kind,
        stack_level=level,
        schedules=tuple(schedule for schedule in schedules if schedule is not None),
        recurrency=_RECURRENCY_OF.get(fields.word("recurrencyKind", frozenset(_RECURRENCY_OF)) or ""),
        valid_from=read_time(fields, "validFrom", zone=zone),
        valid_to=read_time(fields, "validTo", zone=zone),
        transaction=fields.identifier("transactionId"),
    )


def _evse(fields: Fields) -> int | None:
    """Left out, the whole station is meant."""
    return 0 if "evseId" not in fields.payload else fields.place("evseId")


READERS: dict[str, Callable[[Message], Fact | None]] = {
    "ClearedChargingLimit": cleared_charging_limit,
    "NotifyChargingLimit": notify_charging_limit,
    "NotifyEVChargingNeeds": notify_ev_charging_needs,
    "NotifyEVChargingSchedule": notify_ev_charging_schedule,
    "ReportChargingProfiles": report_charging_profiles,
}


def status_answer(decision: Decision) -> dict[str, object]:
    assert isinstance(decision, SmartChargingAnswer), "needs and schedules of an EV are answered with a status"
    return {"status": decision.status}


ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {
    "ClearedChargingLimit": acknowledgement,
    "NotifyChargingLimit": acknowledgement,
    "NotifyEVChargingNeeds": status_answer,
    "NotifyEVChargingSchedule": status_answer,
    "ReportChargingProfiles": acknowledgement,
}
