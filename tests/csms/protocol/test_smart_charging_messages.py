"""Charging profiles in the words of each version, and what charge points tell of limits and needs."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_payloads import JSON

from csms.charge_points.charge_point import ChargePoint
from csms.protocol.blocks.charging_profile import (
    ChargingLimitCleared,
    ChargingLimitReported,
    ChargingNeedsReported,
    ChargingProfile,
    ChargingProfilesReported,
    ChargingSchedule,
    EvScheduleReported,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
    SmartChargingAnswer,
)
from csms.protocol.blocks.smart_charging import (
    ClearChargingProfile,
    GetChargingProfiles,
    GetCompositeSchedule,
    SetChargingProfile,
)
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.validation import Refusal, is_valid
from csms.protocol.vocabulary import Acknowledged, Command, Protocol

AT = datetime(2026, 3, 1, tzinfo=UTC)
STAMP = "2026-03-01T00:00:00.000Z"
CP = ChargePoint(id="CP-1", site="harbour")
SCHEDULE = ChargingSchedule(
    unit=RateUnit.A,
    periods=(SchedulePeriod(start_s=0, limit=Decimal("16.0"), phases=3), SchedulePeriod(start_s=64800, limit=Decimal("8.5"))),
    start=AT,
    duration_s=86400,
    rate_min=Decimal(6),
)  # fmt: skip
NIGHT = ChargingProfile(
    id=7,
    purpose=Purpose.TX_DEFAULT,
    kind=ProfileKind.RECURRING,
    stack_level=1,
    schedules=(SCHEDULE,),
    recurrency=Recurrency.DAILY,
    valid_from=AT,
)
WIRE_SCHEDULE: dict[str, Any] = {
    "chargingRateUnit": "A",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16, "numberPhases": 3}, {"startPeriod": 64800, "limit": 8.5}],
    "startSchedule": STAMP,
    "duration": 86400,
    "minChargingRate": 6,
}  # fmt: skip
RELATIVE = ChargingSchedule(unit=RateUnit.W, periods=(SchedulePeriod(start_s=0, limit=Decimal(4200)),))
FOR_SESSION = ChargingProfile(
    id=8, purpose=Purpose.TX, kind=ProfileKind.RELATIVE, stack_level=0, schedules=(RELATIVE,), transaction="42"
)
WIRE_RELATIVE = {"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 4200}]}


@pytest.mark.parametrize(
    ("command", "call_16", "call_201"),
    [
        (
            SetChargingProfile(evse=0, profile=NIGHT),
            (
                "SetChargingProfile",
                {
                    "connectorId": 0,
                    "csChargingProfiles": {
                        "chargingProfileId": 7,
                        "stackLevel": 1,
                        "chargingProfilePurpose": "TxDefaultProfile",
                        "chargingProfileKind": "Recurring",
                        "recurrencyKind": "Daily",
                        "validFrom": STAMP,
                        "chargingSchedule": WIRE_SCHEDULE,
                    },
                },
            ),
            (
                "SetChargingProfile",
                {
                    "evseId": 0,
                    "chargingProfile": {
                        "id": 7,
                        "stackLevel": 1,
                        "chargingProfilePurpose": "TxDefaultProfile",
                        "chargingProfileKind": "Recurring",
                        "recurrencyKind": "Daily",
                        "validFrom": STAMP,
                        "chargingSchedule": [{"id": 7, **WIRE_SCHEDULE}],
                    },
                },
            ),
        ),
        (
            SetChargingProfile(evse=2, profile=FOR_SESSION),
            (
                "SetChargingProfile",
                {
                    "connectorId": 2,
                    "csChargingProfiles": {
                        "chargingProfileId": 8,
                        "transactionId": 42,
                        "stackLevel": 0,
                        "chargingProfilePurpose": "TxProfile",
                        "chargingProfileKind": "Relative",
                        "chargingSchedule": WIRE_RELATIVE,
                    },
                },
            ),
            (
                "SetChargingProfile",
                {
                    "evseId": 2,
                    "chargingProfile": {
                        "id": 8,
                        "transactionId": "42",
                        "stackLevel": 0,
                        "chargingProfilePurpose": "TxProfile",
                        "chargingProfileKind": "Relative",
                        "chargingSchedule": [{"id": 8, **WIRE_RELATIVE}],
                    },
                },
            ),
        ),
        (
            ClearChargingProfile(profile=7),
            ("ClearChargingProfile", {"id": 7}),
            ("ClearChargingProfile", {"chargingProfileId": 7}),
        ),
        (
            ClearChargingProfile(evse=0, purpose=Purpose.CHARGE_POINT_MAX, stack_level=3),
            (
                "ClearChargingProfile",
                {"connectorId": 0, "chargingProfilePurpose": "ChargePointMaxProfile", "stackLevel": 3},
            ),
            (
                "ClearChargingProfile",
                {
                    "chargingProfileCriteria": {
                        "evseId": 0,
                        "chargingProfilePurpose": "ChargingStationMaxProfile",
                        "stackLevel": 3,
                    }
                },
            ),
        ),
        (
            GetCompositeSchedule(evse=1, duration_s=3600, unit=RateUnit.W),
            ("GetCompositeSchedule", {"connectorId": 1, "duration": 3600, "chargingRateUnit": "W"}),
            ("GetCompositeSchedule", {"evseId": 1, "duration": 3600, "chargingRateUnit": "W"}),
        ),
        (
            GetChargingProfiles(request=9, evse=1, purpose=Purpose.EXTERNAL_CONSTRAINTS),
            None,
            (
                "GetChargingProfiles",
                {
                    "requestId": 9,
                    "evseId": 1,
                    "chargingProfile": {"chargingProfilePurpose": "ChargingStationExternalConstraints"},
                },
            ),
        ),
        (GetChargingProfiles(request=9), None, ("GetChargingProfiles", {"requestId": 9, "chargingProfile": {}})),
    ],
)
def test_a_command_is_said_in_the_words_of_each_version(
    command: Command, call_16: tuple[str, dict[str, Any]] | None, call_201: tuple[str, dict[str, Any]]
) -> None:
    assert translator(Protocol.V16).command(command) == call_16
    assert translator(Protocol.V201).command(command) == call_201


def phase_named() -> ChargingProfile:
    period = SchedulePeriod(start_s=0, limit=Decimal(16), phases=1, phase_to_use=2)
    return dataclasses.replace(FOR_SESSION, schedules=(dataclasses.replace(RELATIVE, periods=(period,)),))


@pytest.mark.parametrize(
    ("protocol", "command", "message"),
    [
        (
            Protocol.V16,
            SetChargingProfile(evse=1, profile=dataclasses.replace(FOR_SESSION, transaction="abc")),
            "SetChargingProfile cannot be sent: transactionId is an integer in OCPP 1.6, not 'abc'",
        ),
        (
            Protocol.V16,
            SetChargingProfile(evse=1, profile=phase_named()),
            "SetChargingProfile cannot be sent: OCPP 1.6 cannot name the phase to use",
        ),
        (
            Protocol.V201,
            SetChargingProfile(evse=1, profile=dataclasses.replace(FOR_SESSION, transaction="T" * 37)),
            "SetChargingProfile cannot be sent: chargingProfile.transactionId is longer than 36 characters",
        ),
        (
            Protocol.V201,
            SetChargingProfile(evse=-1, profile=NIGHT),
            "SetChargingProfile cannot be sent: EVSE ids count from 1, 0 is the charging station, not -1",
        ),
        (
            Protocol.V201,
            ClearChargingProfile(),
            "ClearChargingProfile cannot be sent: OCPP 2.0.1 wants an id, an EVSE, a purpose or a level",
        ),
        (
            Protocol.V201,
            ClearChargingProfile(profile=1, evse=1),
            "ClearChargingProfile cannot be sent: name the profile or what profiles match, not both",
        ),
        (
            Protocol.V16,
            ClearChargingProfile(purpose=Purpose.EXTERNAL_CONSTRAINTS),
            "ClearChargingProfile cannot be sent: OCPP 1.6 has no purpose external_constraints",
        ),
        (
            Protocol.V16,
            GetCompositeSchedule(evse=1, duration_s=0),
            "GetCompositeSchedule cannot be sent: duration must be more than 0",
        ),
        (
            Protocol.V201,
            GetCompositeSchedule(evse=1, duration_s=2**31),
            "GetCompositeSchedule cannot be sent: duration exceeds the 32 bits of an OCPP integer",
        ),
    ],
)
def test_a_command_that_cannot_be_sent_names_the_field_and_the_rule(
    protocol: Protocol, command: Command, message: str
) -> None:
    with pytest.raises(CommandInvalid) as caught:
        translator(protocol).command(command)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        (
            Protocol.V16,
            {"status": "Accepted", "connectorId": 1, "scheduleStart": STAMP, "chargingSchedule": WIRE_SCHEDULE},
        ),
        (Protocol.V16, {"status": "Accepted", "chargingSchedule": WIRE_SCHEDULE}),
        (
            Protocol.V201,
            {
                "status": "Accepted",
                "schedule": {
                    "evseId": 1,
                    "scheduleStart": STAMP,
                    **{name: value for name, value in WIRE_SCHEDULE.items() if name != "startSchedule"},
                },
            },
        ),
    ],
)
def test_a_composite_schedule_is_read_alike(protocol: Protocol, answer: dict[str, Any]) -> None:
    said = translator(protocol).outcome(GetCompositeSchedule(evse=1, duration_s=60), answer)

    assert (said.accepted, said.data["start"]) == (True, STAMP)
    periods = [(each["start_s"], each["limit"], each["phases"]) for each in said.data["schedule"]["periods"]]
    assert (said.data["schedule"]["unit"], periods) == ("A", [(0, "16", 3), (64800, "8.5", None)])


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_charge_point_without_a_limit_gives_no_schedule(protocol: Protocol) -> None:
    command = GetCompositeSchedule(evse=1, duration_s=60)
    none = translator(protocol).outcome(command, {"status": "Accepted"})
    refused = translator(protocol).outcome(command, {"status": "Rejected"})

    assert (none.accepted, none.data) == (True, {"start": None, "schedule": None})
    assert (refused.accepted, refused.status) == (False, "Rejected")


@pytest.mark.parametrize(
    ("command", "status", "accepted"),
    [
        (SetChargingProfile(evse=0, profile=NIGHT), "Accepted", True),
        (SetChargingProfile(evse=0, profile=NIGHT), "NotSupported", False),
        (ClearChargingProfile(profile=1), "Unknown", False),
        (GetChargingProfiles(request=1), "NoProfiles", False),
    ],
)
def test_a_status_says_whether_it_is_done(command: Command, status: str, accepted: bool) -> None:
    said = translator(Protocol.V201).outcome(command, {"status": status})

    assert (said.accepted, said.status) == (accepted, status)


@given(st.sampled_from(Protocol), JSON)
def test_an_outcome_is_readable_whatever_is_answered(protocol: Protocol, payload: Any) -> None:
    command = GetCompositeSchedule(evse=1, duration_s=60)
    for answer in (payload, {"status": "Accepted", "schedule": payload, "chargingSchedule": payload}):
        said = translator(protocol).outcome(command, answer)

        assert said.status
        orjson.dumps(said.data)


def read(action: str, payload: Any, *, charge_point: ChargePoint = CP) -> Any:
    return translator(Protocol.V201).read(action, payload, charge_point=charge_point, received_at=AT)


WIRE_PROFILE = {
    "id": 7,
    "stackLevel": 1,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Recurring",
    "recurrencyKind": "Daily",
    "validFrom": STAMP,
    "chargingSchedule": [{"id": 1, **WIRE_SCHEDULE}],
}


@pytest.mark.parametrize(
    ("action", "payload", "fact"),
    [
        (
            "NotifyChargingLimit",
            {
                "chargingLimit": {"chargingLimitSource": "EMS", "isGridCritical": True},
                "chargingSchedule": [{"id": 1, **WIRE_SCHEDULE}],
            },
            ChargingLimitReported(evse=0, source="EMS", grid_critical=True, schedules=(SCHEDULE,)),
        ),
        (
            "ClearedChargingLimit",
            {"chargingLimitSource": "SO", "evseId": 2},
            ChargingLimitCleared(evse=2, source="SO"),
        ),
        (
            "NotifyEVChargingNeeds",
            {
                "evseId": 1,
                "maxScheduleTuples": 3,
                "chargingNeeds": {
                    "requestedEnergyTransfer": "AC_three_phase",
                    "departureTime": STAMP,
                    "acChargingParameters": {
                        "energyAmount": 20000,
                        "evMinCurrent": 6,
                        "evMaxCurrent": 32,
                        "evMaxVoltage": 400,
                    },
                },
            },
            ChargingNeedsReported(
                evse=1,
                transfer="AC_three_phase",
                departure_at=AT,
                schedule_periods_max=3,
                energy_wh=20000,
                current_min_a=6,
                current_max_a=32,
                voltage_max_v=400,
            ),
        ),
        (
            "NotifyEVChargingNeeds",
            {
                "evseId": 1,
                "chargingNeeds": {
                    "requestedEnergyTransfer": "DC",
                    "dcChargingParameters": {
                        "evMaxCurrent": 200,
                        "evMaxVoltage": 800,
                        "evMaxPower": 150000,
                        "stateOfCharge": 35,
                        "evEnergyCapacity": 77000,
                        "fullSoC": 99,
                        "bulkSoC": 80,
                    },
                },
            },
            ChargingNeedsReported(
                evse=1,
                transfer="DC",
                current_max_a=200,
                voltage_max_v=800,
                power_max_w=150000,
                capacity_wh=77000,
                soc_percent=35,
                soc_full_percent=99,
                soc_bulk_percent=80,
            ),
        ),
        (
            "NotifyEVChargingSchedule",
            {"evseId": 1, "timeBase": STAMP, "chargingSchedule": {"id": 1, **WIRE_SCHEDULE}},
            EvScheduleReported(evse=1, since=AT, schedule=SCHEDULE),
        ),
        (
            "ReportChargingProfiles",
            {"requestId": 5, "chargingLimitSource": "CSO", "evseId": 0, "chargingProfile": [WIRE_PROFILE], "tbc": True},
            ChargingProfilesReported(request=5, evse=0, source="CSO", profiles=(NIGHT,), more=True),
        ),
    ],
)
def test_what_a_station_tells_is_read(action: str, payload: dict[str, Any], fact: Any) -> None:
    assert is_valid(Protocol.V201, action, payload)
    assert read(action, payload) == fact


@pytest.mark.parametrize(
    ("action", "decision", "answer"),
    [
        ("NotifyChargingLimit", Acknowledged(), {}),
        ("ClearedChargingLimit", Acknowledged(), {}),
        ("ReportChargingProfiles", Acknowledged(), {}),
        ("NotifyEVChargingNeeds", SmartChargingAnswer(status="Processing"), {"status": "Processing"}),
        ("NotifyEVChargingSchedule", SmartChargingAnswer(status="Accepted"), {"status": "Accepted"}),
    ],
)
def test_what_a_station_tells_is_answered(action: str, decision: Any, answer: dict[str, Any]) -> None:
    assert translator(Protocol.V201).answer(action, decision) == answer


def test_oddities_are_repaired_and_named() -> None:
    limit = read("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "ems"}, "evseId": "1"})
    profile = {**WIRE_PROFILE, "chargingSchedule": [{"id": 1, **WIRE_SCHEDULE, "chargingSchedulePeriod": [{"startPeriod": "0", "limit": "16,5"}]}]}  # fmt: skip
    report = read("ReportChargingProfiles", {"requestId": 5, "chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": [profile, {"id": 1}]})  # fmt: skip

    assert (limit.evse, limit.source) == (1, "EMS")
    assert {"word_case", "number_as_text"} <= set(limit.quirks)
    assert [each.id for each in report.profiles] == [7]
    assert report.profiles[0].schedules[0].periods == (SchedulePeriod(start_s=0, limit=Decimal("16.5")),)
    assert "decimal_comma" in report.quirks


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("NotifyChargingLimit", {}),
        ("ClearedChargingLimit", {"evseId": 1}),
        ("NotifyEVChargingNeeds", {"evseId": 1}),
        ("NotifyEVChargingSchedule", {"evseId": 1, "timeBase": STAMP}),
        ("ReportChargingProfiles", {"chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": [WIRE_PROFILE]}),
    ],
)
def test_what_has_no_meaning_is_refused(action: str, payload: dict[str, Any]) -> None:
    assert isinstance(read(action, payload), Refusal)


@given(
    st.sampled_from(
        ["NotifyChargingLimit", "ClearedChargingLimit", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule", "ReportChargingProfiles"]
    ),
    JSON,
)  # fmt: skip
def test_no_payload_breaks_a_reader(action: str, payload: Any) -> None:
    assert read(action, payload) is not None
    inside = {
        "evseId": 1,
        "requestId": 1,
        "timeBase": payload,
        "chargingLimitSource": payload,
        "chargingNeeds": payload,
    }
    more = {"chargingSchedule": payload, "chargingProfile": payload, "chargingLimit": payload}
    assert read(action, {**inside, **more}) is not None
