"""Repairs that are off: the standard's error, the content kept; and work-arounds that are on."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from ward import Patient

from billing import NotFound, Refused
from csms.charge_points import service as charge_points
from csms.protocol.blocks.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    SchedulePeriod,
)
from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile
from csms.protocol.quirks.catalogue import Choice
from csms.protocol.vocabulary import GetSettings
from csms.quirks import service
from tests.faults.wire import Wire, event_201, start_16, stop_16
from tests.scenarios.spoken import ask, say
from tests.world import World, in_the_past, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ZONELESS = "2026-01-02T11:00:00"


async def _patient(world: World, **choices: Any) -> Patient:
    return Patient(world, await world.charge_point(f"S{uuid4().hex[:10].upper()}", max_power_w=None, **choices))


async def _choose(patient: Patient, name: str, choice: Choice) -> None:
    await service.choose(patient.world.connection, patient.key.id, name, choice, actor="operator")


def _status(**more: Any) -> dict[str, Any]:
    return {"connectorId": 1, "errorCode": "NoError", "status": "Available", **more}


# --- strict -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "told", "code"),
    [
        ("StatusNotification", _status(timestamp=ZONELESS), "PropertyConstraintViolation"),
        ("StatusNotification", _status(status="available"), "PropertyConstraintViolation"),
        ("StatusNotification", _status(blinks=True), "FormationViolation"),
        ("StatusNotification", {"connectorId": 1, "status": "Available"}, "ProtocolError"),
        (
            "StartTransaction",
            start_16(in_the_past()) | {"timestamp": "2026-01-02 11:00Z"},
            "PropertyConstraintViolation",
        ),
        ("StartTransaction", start_16(in_the_past()) | {"meterStart": "1000"}, "TypeConstraintViolation"),
        ("StartTransaction", start_16(in_the_past()) | {"connectorId": 0}, "PropertyConstraintViolation"),
        ("TransactionEvent", event_201("Started", 0, in_the_past(), meter_wh=1, transaction="t"), "NotImplemented"),
    ],
    ids=["no zone", "case", "unknown property", "missing", "separator", "type", "connector 0", "other version"],
)
async def test_a_strict_charge_point_gets_the_error_of_the_standard(
    world_of_all: World, action: str, told: dict[str, Any], code: str
) -> None:
    patient = await _patient(world_of_all, strict=True)
    async with patient.on() as opened:
        assert (await opened.call(action, told)).error == code
        await ask(opened, "Heartbeat", {})
    kept = await patient.quarantined()
    assert [json.loads(text)[2:] for text in kept] == ([] if action == "StatusNotification" else [[action, told]])
    assert await patient.sessions() == []


async def test_a_strict_station_of_2_0_1_gets_the_words_of_its_version_and_loses_nothing(world_of_all: World) -> None:
    patient = await _patient(world_of_all, strict=True)
    event = event_201("Started", 0, in_the_past(), meter_wh=1, transaction="t")
    async with patient.on("ocpp2.0.1") as opened:
        assert (await opened.call("TransactionEvent", event | {"seqNo": "0"})).error == "TypeConstraintViolation"
        del event["triggerReason"]
        assert (await opened.call("TransactionEvent", event)).error == "OccurrenceConstraintViolation"
        broken = '[2,"x","TransactionEvent",{"eventType":,}]'
        assert (await say(opened, broken, id_="x")).error == "RpcFrameworkError"
    assert len(await patient.quarantined()) == 3
    await patient.require_named(["refused_messages", "not_json"])


async def test_what_strict_mode_must_not_refuse_passes(world_of_all: World) -> None:
    """A padded text, a clock that was not set, an empty vendor: odd, and no breach of the standard."""
    patient = await _patient(world_of_all, strict=True)
    async with patient.on() as opened:
        await ask(opened, "BootNotification", {"chargePointVendor": "", "chargePointModel": "M"})
        assert await ask(opened, "StatusNotification", _status(info=" warm ", timestamp="1970-01-01T00:00:01Z")) == {}
        await patient.charge(opened)
    await patient.require_rated(5000)


# --- switches ---------------------------------------------------------------------------------------------------------


async def test_a_repair_that_is_switched_off_is_refused_and_kept_and_comes_back(world_of_all: World) -> None:
    patient = await _patient(world_of_all)
    began = in_the_past(hours=1)
    zoneless = start_16(began) | {"timestamp": began.strftime("%Y-%m-%dT%H:%M:%S")}
    async with patient.on() as opened:
        await _choose(patient, "time_without_zone", Choice.OFF)

        async def is_refused() -> bool:
            return (await opened.call("StatusNotification", _status(timestamp=ZONELESS))).error is not None

        await until(is_refused)  # without a new connection
        reply = await opened.call("StartTransaction", zoneless)
        assert reply.error == "PropertyConstraintViolation"
        assert [json.loads(text)[3] for text in await patient.quarantined()] == [zoneless]
        assert await ask(opened, "StatusNotification", _status(status="available")) == {}  # other repairs are on

        await _choose(patient, "time_without_zone", Choice.AUTO)

        async def is_taken() -> bool:
            return (await opened.call("StatusNotification", _status(timestamp=ZONELESS))).error is None

        await until(is_taken)
        transaction = (await ask(opened, "StartTransaction", zoneless))["transactionId"]
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)
    await patient.require_named(["time_without_zone", "refused_messages"])


async def test_json_that_is_not_to_be_mended_is_refused_and_kept(world_of_all: World) -> None:
    patient = await _patient(world_of_all)
    for name in ("not_json", "message_mended"):
        await _choose(patient, name, Choice.OFF)
    async with patient.on() as opened:
        stop = '[2,"s","StopTransaction",{"transactionId":,"meterStop":9}]'
        assert (await say(opened, stop, id_="s")).error == "GenericError"
        assert (await say(opened, '[2,"h","Heartbeat",{,}]', id_="h")).error == "GenericError"
    assert await patient.quarantined() == [stop]


async def test_a_message_with_commas_too_many_is_answered_and_one_that_ends_too_early_is_not(
    world_of_all: World,
) -> None:
    patient = await _patient(world_of_all)
    async with patient.on() as opened:
        assert (await say(opened, '[2,"h","Heartbeat",{}', id_="h")).error == "GenericError"
        assert "currentTime" in await patient.tell(opened, '[2,"i","Heartbeat",{,}]', "i")
        assert (
            await patient.tell(opened, '[2,"t","StatusNotification",' + json.dumps(_status())[:-1] + ",}]", "t") == {}
        )
    await patient.require_named(["message_mended", "not_json"])


async def test_only_what_is_repaired_or_worked_around_can_be_switched(world_of_all: World) -> None:
    patient = await _patient(world_of_all)
    for name in ("boot_loop", "second_socket", "transaction_ids_remembered"):
        with pytest.raises(Refused):
            await _choose(patient, name, Choice.OFF)
    with pytest.raises(NotFound):
        await _choose(patient, "no_such_quirk", Choice.OFF)
    known = await charge_points.get(world_of_all.connection, patient.key.id)
    assert (known.switched_on, known.switched_off) == (frozenset(), frozenset())


async def test_the_last_choice_holds_and_every_choice_is_kept(world_of_all: World) -> None:
    patient = await _patient(world_of_all)
    for choice in (Choice.ON, Choice.OFF, Choice.OFF, Choice.ON):
        await _choose(patient, "one_setting_per_call", choice)
    known = await charge_points.get(world_of_all.connection, patient.key.id)
    kept = await world_of_all.connection.fetch(
        "SELECT choice FROM quirk_choice WHERE charge_point = $1 ORDER BY id", patient.key.id
    )
    assert (known.switched_on, known.switched_off) == (frozenset({"one_setting_per_call"}), frozenset())
    assert [row["choice"] for row in kept] == ["on", "off", "off", "on"]


# --- work-arounds -----------------------------------------------------------------------------------------------------


def _answer_settings(opened: Wire, values: dict[str, str]) -> None:
    def get(payload: dict[str, Any]) -> dict[str, Any]:
        asked = payload.get("key", list(values))
        found = [{"key": key, "value": values[key], "readonly": False} for key in asked if key in values]
        return {"configurationKey": found, "unknownKey": [key for key in asked if key not in values]}

    opened.answers["GetConfiguration"] = get


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("one_setting_per_call", [{"key": ["A"]}, {"key": ["B"]}, {"key": ["C"]}]),
        ("settings_without_list", [{}]),
        (None, [{"key": ["A", "B", "C"]}]),
    ],
)
async def test_settings_are_asked_for_as_the_charge_point_can(
    world_of_all: World, name: str | None, asked: list[dict[str, Any]]
) -> None:
    patient = await _patient(world_of_all, template=False)
    if name is not None:
        await _choose(patient, name, Choice.ON)
    async with patient.on() as opened:
        _answer_settings(opened, {"A": "1", "B": "2", "D": "4"})
        await patient.boot(opened)
        outcome = await patient.asked(GetSettings(names=("A", "B", "C")))
    assert [payload for action, payload in opened.asked if action == "GetConfiguration"] == asked
    assert outcome.accepted
    assert outcome.data["settings"] == {"A": "1", "B": "2"}
    assert outcome.data["unknown"] == ["C"]


async def test_stack_levels_are_one_higher_where_zero_is_rejected(world_of_all: World) -> None:
    patient = await _patient(world_of_all, template=False)
    await _choose(patient, "stack_level_from_one", Choice.ON)
    schedule = ChargingSchedule(unit=RateUnit.A, periods=(SchedulePeriod(start_s=0, limit=Decimal(16)),))
    profile = ChargingProfile(
        id=1, stack_level=0, purpose=Purpose.TX_DEFAULT, kind=ProfileKind.RELATIVE, schedules=(schedule,)
    )
    async with patient.on() as opened:
        opened.answers |= {
            "SetChargingProfile": lambda _payload: {"status": "Accepted"},
            "ClearChargingProfile": lambda _payload: {"status": "Accepted"},
        }
        await patient.boot(opened)
        assert (await patient.asked(SetChargingProfile(evse=1, profile=profile))).accepted
        assert (await patient.asked(ClearChargingProfile(evse=1, stack_level=0))).accepted
    sent = dict(opened.asked)
    assert sent["SetChargingProfile"]["csChargingProfiles"]["stackLevel"] == 1
    assert sent["ClearChargingProfile"]["stackLevel"] == 1
