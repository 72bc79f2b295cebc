"""Quirks 17 to 32: how charge points in the field write messages and times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ward import Habit, Habits, Patient, register, require

from csms.protocol.vocabulary import GetSettings
from simulators.charge_point import stamp
from tests.faults.wire import Wire, event_201, start_16, stop_16
from tests.scenarios.spoken import ask
from tests.world import World, in_the_past

pytestmark = pytest.mark.asyncio(loop_scope="module")
HABITS = Habits()
BERLIN = {"time_zone": "Europe/Berlin"}


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: f"{habit.number}-{habit.title}")
async def test_the_doctor_names_what_a_charge_point_does(world_of_all: World, habit: Habit) -> None:
    await require(world_of_all, habit)


def _status(**more: Any) -> dict[str, Any]:
    return {"connectorId": 1, "errorCode": "NoError", "status": "Available", **more}


@HABITS.shown_by(17, "not_json", "malformed", shows='"transactionId":,')
async def a_stop_without_a_number(patient: Patient, opened: Wire) -> None:
    await patient.start(opened, in_the_past(hours=1))
    stop = (
        f'[2,"s","StopTransaction",{{"transactionId":,"meterStop":6000,"timestamp":"{stamp(in_the_past(minutes=5))}"}}]'
    )
    await patient.tell(opened, stop, "s")
    assert await patient.quarantined() == [stop]
    await patient.require_held("malformed")


@HABITS.shown_by(18, "null_as_text", shows='"null"')
async def the_word_null_as_text(_: Patient, opened: Wire) -> None:
    assert await ask(opened, "StatusNotification", _status(info="null")) == {}


@HABITS.shown_by(19, "configuration_not_text")
async def settings_that_are_no_texts(patient: Patient, opened: Wire) -> None:
    items = [
        {"key": "HeartbeatInterval", "readonly": False, "value": 300},
        {"key": "X", "readonly": "true", "value": True},
    ]
    opened.answers["GetConfiguration"] = lambda _payload: {"configurationKey": items}
    outcome = await patient.asked(GetSettings(names=("HeartbeatInterval",)))
    assert outcome.data["settings"] == {"HeartbeatInterval": "300", "X": "true"}


@HABITS.shown_by(20, "error_code_unknown", "unknown_enum", shows='"Error"')
async def an_error_code_of_its_own(_: Patient, opened: Wire) -> None:
    assert await ask(opened, "StatusNotification", _status(errorCode="Error", status="Faulted", connectorId=0)) == {}


@HABITS.shown_by(21, "unit_hz", shows='"Hz"')
async def frequency_in_hz(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    hertz = {"value": "49.98", "measurand": "Frequency", "unit": "Hz"}
    await patient.sample(opened, transaction, 30, hertz, register(3000))
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(22, "missing_unit")
async def power_without_a_unit(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    await patient.sample(opened, transaction, 30, {"value": "5000", "measurand": "Power.Active.Import"}, register(3000))
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(23, "text_too_long", "text_unstorable")
async def a_token_that_is_too_long_and_half_a_character(patient: Patient, opened: Wire) -> None:
    token = "TOKEN-OF-MORE-THAN-TWENTY-CHARACTERS"
    await patient.world.token(token)
    assert (await ask(opened, "Authorize", {"idTag": token}))["idTagInfo"]["status"] == "Accepted"
    told = '[2,"a","Authorize",{"idTag":"CARD\\u0000' + "9" * 30 + '"}]'
    assert (await patient.tell(opened, told, "a"))["idTagInfo"]["status"] == "Invalid"


@HABITS.shown_by(24, "unknown_property", shows="vendorBlinks")
async def properties_of_its_own(_: Patient, opened: Wire) -> None:
    assert await ask(opened, "StatusNotification", _status(vendorBlinks=3)) == {}


@HABITS.shown_by(25, "decimal_register", shows="6000.5")
async def a_fraction_in_the_stop(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)) | {"meterStop": 6000.5})
    (session,) = await patient.sessions()
    assert (session["state"], session["energy_wh"]) == ("rated", 5001)
    row = await patient.world.connection.fetchval("SELECT energy_wh FROM session WHERE id = $1", session["id"])
    assert str(row) == "5000.500"


@HABITS.shown_by(26, "message_id_repeated")
async def one_message_id_for_several_calls(patient: Patient, opened: Wire) -> None:
    start = await ask(opened, "StartTransaction", start_16(in_the_past(hours=1)), id_="1")
    await ask(opened, "StopTransaction", stop_16(start["transactionId"], in_the_past(minutes=5)), id_="1")
    await patient.require_rated(5000)


@HABITS.shown_by(27, "reservation_zero", shows='"reservationId"')
async def reservation_zero(patient: Patient, opened: Wire) -> None:
    start = await ask(opened, "StartTransaction", start_16(in_the_past(hours=1)) | {"reservationId": 0})
    await ask(opened, "StopTransaction", stop_16(start["transactionId"], in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(28, "connector_missing", protocol="ocpp2.0.1")
async def an_evse_without_a_connector(patient: Patient, opened: Wire) -> None:
    for kind, seq_no, minutes, meter_wh in (("Started", 0, 60, 1000), ("Ended", 1, 5, 6000)):
        event = event_201(kind, seq_no, in_the_past(minutes=minutes), meter_wh=meter_wh, transaction="t")
        await ask(opened, "TransactionEvent", event | {"evse": {"id": 1}})
    await patient.require_rated(5000)


# --- times ------------------------------------------------------------------------------------------------------------


@HABITS.shown_by(29, "time_without_zone", choices=BERLIN)
async def times_without_a_zone(patient: Patient, opened: Wire) -> None:
    began, ended = in_the_past(hours=1), in_the_past(minutes=5)
    start = start_16(began) | {"timestamp": _in_berlin(began)}
    transaction = (await ask(opened, "StartTransaction", start))["transactionId"]
    await ask(opened, "StopTransaction", stop_16(transaction, ended) | {"timestamp": _in_berlin(ended)})
    (session,) = await patient.sessions()
    assert (session["started_at"], session["ended_at"], session["state"]) == (began, ended, "rated")


@HABITS.shown_by(30, "time_hour_offset", shows="+02")
async def an_offset_in_hours(patient: Patient, opened: Wire) -> None:
    began, ended = in_the_past(hours=1), in_the_past(minutes=5)
    later = timedelta(hours=2)
    start = start_16(began) | {"timestamp": (began + later).strftime("%Y-%m-%dT%H:%M:%S+02")}
    transaction = (await ask(opened, "StartTransaction", start))["transactionId"]
    stop = stop_16(transaction, ended) | {"timestamp": (ended + later).strftime("%Y-%m-%dT%H:%M:%S+02")}
    await ask(opened, "StopTransaction", stop)
    (session,) = await patient.sessions()
    assert (session["started_at"], session["ended_at"], session["state"]) == (began, ended, "rated")


@HABITS.shown_by(31, "time_zone_mixed", choices=BERLIN)
async def local_and_utc_times_in_one_session(patient: Patient, opened: Wire) -> None:
    began, ended = in_the_past(hours=1), in_the_past(minutes=5)
    start = start_16(began) | {"timestamp": _in_berlin(began)}
    transaction = (await ask(opened, "StartTransaction", start))["transactionId"]
    await ask(opened, "StopTransaction", stop_16(transaction, ended))
    (session,) = await patient.sessions()
    assert (session["started_at"], session["ended_at"], session["state"]) == (began, ended, "rated")


@HABITS.shown_by(32, "clock_not_set", "time_invalid", shows="1970-01-01")
async def times_from_before_the_clock_was_set(patient: Patient, opened: Wire) -> None:
    start = start_16(in_the_past(hours=1)) | {"timestamp": "1970-01-01T00:00:42Z"}
    transaction = (await ask(opened, "StartTransaction", start))["transactionId"]
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_held("time_invalid")


def _in_berlin(at: datetime) -> str:
    return at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%dT%H:%M:%S")
