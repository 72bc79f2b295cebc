"""Smart charging as a charge point does it: takes profiles, tells what it holds and what they add up to (both versions)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ocpp.v16 import call_result as result16
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201

from simulators.charge_point.battery import Battery
from simulators.charge_point.dialect import Handler
from simulators.charge_point.profiles import (
    DEFAULT,
    EXTERNAL,
    MAX,
    PHASES,
    REPEATS,
    TX,
    Profile,
    Step,
    allowed,
    composite,
)
from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.charge_point.evse import Evse
    from simulators.charge_point.settings import Settings
    from simulators.charge_point.station import SimulatedChargePoint

PURPOSES = {
    "ChargePointMaxProfile": MAX,
    "ChargingStationMaxProfile": MAX,
    "TxDefaultProfile": DEFAULT,
    "TxProfile": TX,
    "ChargingStationExternalConstraints": EXTERNAL,
}
EXTERNAL_IDS = 1_000_000
"""From here on the station numbers the profiles that it makes out of what others impose."""


def handlers_16(station: SimulatedChargePoint, settings: Settings) -> dict[str, Handler]:
    """Answers to the calls of OCPP 1.6."""

    def set_profile(connector_id: int, cs_charging_profiles: dict[str, Any], **_: Any) -> Any:
        profile = read_profile(cs_charging_profiles, connector_id, cs_charging_profiles["charging_schedule"])
        level = settings.number("ChargeProfileMaxStackLevel", 0)
        periods = settings.number("ChargingScheduleMaxPeriods", 1)
        return result16.SetChargingProfile(status=take(station, profile, level_max=level, periods_max=periods))

    def clear_profile(
        id: int | None = None,  # noqa: A002 - the field's name on the wire
        connector_id: int | None = None,
        charging_profile_purpose: str | None = None,
        stack_level: int | None = None,
    ) -> Any:
        purpose = None if charging_profile_purpose is None else PURPOSES[charging_profile_purpose]
        cleared = station.profiles.clear(id=id, evse=connector_id, purpose=purpose, stack_level=stack_level)
        obey(station)
        return result16.ClearChargingProfile(status="Accepted" if cleared else "Unknown")

    def get_composite(connector_id: int, duration: int, charging_rate_unit: str | None = None) -> Any:
        if connector_id and connector_id not in station.evses:
            return result16.GetCompositeSchedule(status="Rejected")
        unit, steps = add_up(station, connector_id, duration, charging_rate_unit)
        start = stamp(whole_second(station.clock.now))
        schedule = {"duration": duration, "start_schedule": start, "charging_rate_unit": unit}
        return result16.GetCompositeSchedule(
            status="Accepted",
            connector_id=connector_id,
            schedule_start=start,
            charging_schedule=schedule | {"charging_schedule_period": [written(step) for step in steps]},
        )

    return {
        "SetChargingProfile": set_profile,
        "ClearChargingProfile": clear_profile,
        "GetCompositeSchedule": get_composite,
    }


def handlers_201(station: SimulatedChargePoint, settings: Settings) -> dict[str, Handler]:
    """Answers to the calls of OCPP 2.0.1, block K."""

    def set_profile(evse_id: int, charging_profile: dict[str, Any], **_: Any) -> Any:
        profile = read_profile(charging_profile, evse_id, charging_profile["charging_schedule"][0])
        level = settings.number("SmartChargingCtrlr.ProfileStackLevel", 0)
        periods = settings.number("SmartChargingCtrlr.PeriodsPerSchedule", 1)
        status = take(station, profile, level_max=level, periods_max=periods)
        if status == "Accepted":
            return result201.SetChargingProfile(status=status)
        return result201.SetChargingProfile(status=status, status_info={"reason_code": "InvalidProfile"})

    def clear_profile(
        charging_profile_id: int | None = None, charging_profile_criteria: dict[str, Any] | None = None, **_: Any
    ) -> Any:
        criteria = charging_profile_criteria or {}
        purpose = criteria.get("charging_profile_purpose")
        cleared = station.profiles.clear(
            id=charging_profile_id,
            evse=criteria.get("evse_id"),
            purpose=None if purpose is None else PURPOSES[purpose],
            stack_level=criteria.get("stack_level"),
        )
        obey(station)
        return result201.ClearChargingProfile(status="Accepted" if cleared else "Unknown")

    def get_composite(evse_id: int, duration: int, charging_rate_unit: str | None = None, **_: Any) -> Any:
        if evse_id and evse_id not in station.evses:
            return result201.GetCompositeSchedule(status="Rejected", status_info={"reason_code": "UnknownEvse"})
        unit, steps = add_up(station, evse_id, duration, charging_rate_unit)
        schedule = {
            "charging_schedule_period": [written(step) for step in steps],
            "evse_id": evse_id,
            "duration": duration,
            "schedule_start": stamp(whole_second(station.clock.now)),
            "charging_rate_unit": unit,
        }
        return result201.GetCompositeSchedule(status="Accepted", schedule=schedule)

    def get_profiles(request_id: int, charging_profile: dict[str, Any], evse_id: int | None = None, **_: Any) -> Any:
        found = matching(station, charging_profile, evse_id)
        if not found:
            return result201.GetChargingProfiles(status="NoProfiles")
        station.follow_ups.append(lambda: report(station, request_id, found))
        return result201.GetChargingProfiles(status="Accepted")

    return {
        "SetChargingProfile": set_profile,
        "ClearChargingProfile": clear_profile,
        "GetCompositeSchedule": get_composite,
        "GetChargingProfiles": get_profiles,
    }


# --- taking and adding up


def take(station: SimulatedChargePoint, profile: Profile, *, level_max: int, periods_max: int) -> str:
    """Accepted or Rejected, as a careful station decides (OCPP 2.0.1 K01)."""
    running = None if profile.evse not in station.evses else station.evses[profile.evse].transaction
    is_sound = (
        (profile.evse == 0 or profile.evse in station.evses)
        and profile.purpose != EXTERNAL
        and (profile.purpose != MAX or profile.evse == 0)
        and (profile.purpose != TX or (running is not None and str(running.transaction_id) == profile.transaction))
        and profile.stack_level <= level_max
        and 1 <= len(profile.steps) <= periods_max
        and profile.steps[0].start_s == 0
    )
    if not is_sound:
        return "Rejected"
    station.profiles.put(profile)
    obey(station)
    return "Accepted"


def matching(station: SimulatedChargePoint, criteria: dict[str, Any], evse: int | None) -> list[Profile]:
    """Profiles that a question is about (OCPP 2.0.1 K09)."""
    purpose, level = criteria.get("charging_profile_purpose"), criteria.get("stack_level")
    ids, sources = criteria.get("charging_profile_id"), criteria.get("charging_limit_source")
    return [
        profile
        for profile in station.profiles.held
        if evse in {None, profile.evse}
        and (purpose is None or PURPOSES[purpose] == profile.purpose)
        and level in {None, profile.stack_level}
        and (ids is None or profile.id in ids)
        and (sources is None or profile.source in sources)
    ]


def read_profile(payload: dict[str, Any], evse: int, schedule: dict[str, Any]) -> Profile:
    """A profile off the wire; both versions name its parts alike, save the id."""
    transaction = payload.get("transaction_id")
    start = schedule.get("start_schedule")
    return Profile(
        id=payload["charging_profile_id"] if "charging_profile_id" in payload else payload["id"],
        evse=evse,
        purpose=PURPOSES[payload["charging_profile_purpose"]],
        stack_level=payload["stack_level"],
        unit=schedule["charging_rate_unit"],
        steps=tuple(
            Step(
                start_s=each["start_period"],
                limit=Decimal(str(each["limit"])),
                phases=each.get("number_phases") or PHASES,
            )
            for each in schedule["charging_schedule_period"]
        ),
        start=None if start is None or payload["charging_profile_kind"] == "Relative" else instant(start),
        repeats=REPEATS.get(payload.get("recurrency_kind", "")),
        duration_s=schedule.get("duration"),
        valid_from=None if "valid_from" not in payload else instant(payload["valid_from"]),
        valid_to=None if "valid_to" not in payload else instant(payload["valid_to"]),
        transaction=None if transaction is None else str(transaction),
        payload=payload,
    )


def add_up(station: SimulatedChargePoint, evse: int, duration_s: int, unit: str | None) -> tuple[str, list[Step]]:
    """The composite schedule from now on, in the unit asked for, else in that of the newest profile."""
    transaction, since = charging(station, station.evses.get(evse))
    profiles = station.profiles.of(evse, transaction)
    chosen = unit or (profiles[-1].unit if profiles else "A")
    now = whole_second(station.clock.now)
    return chosen, composite(profiles, at=now, duration_s=duration_s, unit=chosen, charging_since=since)


def charging(station: SimulatedChargePoint, evse: Evse | None) -> tuple[int | str | None, datetime]:
    """The transaction and since when it runs; a vehicle that came now would begin now."""
    if evse is None or evse.transaction is None:
        return None, whole_second(station.clock.now)
    return evse.transaction.transaction_id, whole_second(evse.transaction.truth.started_at)


def obey(station: SimulatedChargePoint) -> None:
    """Batteries take no more than their EVSEs offer right now; where no profile says anything, what they like."""
    for evse in station.evses.values():
        if isinstance(evse.load, Battery):
            transaction, since = charging(station, evse)
            profiles = station.profiles.of(evse.number, transaction)
            offer = allowed(profiles, station.clock.now, since) if profiles else None
            evse.load.limit_w = None if offer is None else offer.power_w
    station.flow_changed()


def next_changes(station: SimulatedChargePoint, before: datetime) -> list[datetime]:
    """When between now and then the EVSEs may have to offer something else."""
    now = station.clock.now
    found: list[datetime] = []
    for evse in station.evses.values():
        transaction, since = charging(station, evse)
        for profile in station.profiles.of(evse.number, transaction):
            found += profile.changes(now, before, since)
    return found


# --- what a station tells


async def report(station: SimulatedChargePoint, request: int, profiles: list[Profile]) -> None:
    """ReportChargingProfiles: one for each EVSE and source, ``tbc`` on all but the last (K09)."""
    places = sorted({(profile.evse, profile.source) for profile in profiles})
    for number, (evse, source) in enumerate(places, start=1):
        held = [profile.payload for profile in profiles if (profile.evse, profile.source) == (evse, source)]
        await station.ask(
            call201.ReportChargingProfiles(
                request_id=request,
                charging_limit_source=source,
                charging_profile=held,
                evse_id=evse,
                tbc=number < len(places),
            )
        )


async def imposed(station: SimulatedChargePoint, limit_a: int, *, evse: int = 0, source: str = "EMS") -> None:
    """Another system limits the station, which obeys and tells (K12)."""
    schedule = {
        "id": EXTERNAL_IDS,
        "start_schedule": stamp(station.clock.now),
        "charging_rate_unit": "A",
        "charging_schedule_period": [{"start_period": 0, "limit": limit_a}],
    }
    payload = {
        "id": EXTERNAL_IDS + evse,
        "stack_level": 0,
        "charging_profile_purpose": "ChargingStationExternalConstraints",
        "charging_profile_kind": "Absolute",
        "charging_schedule": [schedule],
    }
    station.profiles.lift(source, evse)
    profile = read_profile(payload, evse, schedule)
    station.profiles.held.append(replace(profile, source=source))
    obey(station)
    limit = {"charging_limit_source": source, "is_grid_critical": False}
    await station.ask(call201.NotifyChargingLimit(charging_limit=limit, charging_schedule=[schedule], evse_id=evse))


async def lifted(station: SimulatedChargePoint, *, evse: int = 0, source: str = "EMS") -> None:
    """The other system's limit is gone (K13)."""
    station.profiles.lift(source, evse)
    obey(station)
    await station.ask(call201.ClearedChargingLimit(charging_limit_source=source, evse_id=evse))


async def needs(station: SimulatedChargePoint, *, evse: int, energy_wh: int, departure_at: datetime) -> Any:
    """An EV says how much it wants until when (K15); the answer, None where there was none."""
    ac = {"energy_amount": energy_wh, "ev_min_current": 6, "ev_max_current": 32, "ev_max_voltage": 400}
    wanted = {
        "requested_energy_transfer": "AC_three_phase",
        "departure_time": stamp(departure_at),
        "ac_charging_parameters": ac,
    }
    return await station.ask(call201.NotifyEVChargingNeeds(charging_needs=wanted, evse_id=evse, max_schedule_tuples=3))


async def means_to_charge(station: SimulatedChargePoint, *, evse: int, limit_a: int) -> Any:
    """An EV says how it will charge (K17); the answer, None where there was none."""
    schedule = {
        "id": 1,
        "charging_rate_unit": "A",
        "charging_schedule_period": [{"start_period": 0, "limit": limit_a}],
    }
    now = stamp(station.clock.now)
    return await station.ask(call201.NotifyEVChargingSchedule(time_base=now, charging_schedule=schedule, evse_id=evse))


def instant(text: str) -> datetime:
    """RFC 3339, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def whole_second(at: datetime) -> datetime:
    """Composite schedules count in whole seconds."""
    return at.replace(microsecond=0)


def written(step: Step) -> dict[str, Any]:
    """A period on the wire; one decimal is what both versions have."""
    limit = int(step.limit) if step.limit == step.limit.to_integral_value() else float(step.limit)
    return {"start_period": step.start_s, "limit": limit, "number_phases": step.phases}
