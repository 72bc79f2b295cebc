"""Quirks 47 to 62: how charge points in the field tell transactions and statuses, and what their queues do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ward import Habit, Habits, Patient, require

from csms.doctor.examination import How
from simulators.charge_point import stamp
from tests.faults.wire import Wire, event_201, meter_values_16, start_16, stop_16
from tests.scenarios.spoken import ask
from tests.world import World, in_the_past, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HABITS = Habits()


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: f"{habit.number}-{habit.title}")
async def test_the_doctor_names_what_a_charge_point_does(world_of_all: World, habit: Habit) -> None:
    await require(world_of_all, habit)


@HABITS.shown_by(47, "start_repeated", shows="StartTransaction")
async def the_same_start_after_a_reconnect(patient: Patient, opened: Wire) -> None:
    start = start_16(in_the_past(hours=1))
    first = await ask(opened, "StartTransaction", start, id_="0800001")
    async with patient.on() as again:
        assert await ask(again, "StartTransaction", start, id_="0800044") == first
        await ask(again, "StopTransaction", stop_16(first["transactionId"], in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(48, "start_doubled", "no_stop")
async def two_starts_for_one_vehicle(patient: Patient, opened: Wire) -> None:
    began = in_the_past(hours=1)
    first = await patient.start(opened, began)
    second = await patient.start(opened, began + timedelta(seconds=4))
    assert first != second
    await ask(opened, "StopTransaction", stop_16(second, in_the_past(minutes=5)))
    await patient.require_rated(5000)


@pytest.mark.parametrize("transaction", [0, -1, -1_700_000_002])
async def test_49_a_stop_with_an_id_that_cannot_be_ours_is_paired_and_named(
    world_of_all: World, transaction: int
) -> None:
    key = await world_of_all.charge_point(f"PAIRED-{-transaction}", max_power_w=None)
    patient = Patient(world_of_all, key)
    async with patient.on() as opened:
        await patient.start(opened, in_the_past(hours=1))
        await ask(opened, "MeterValues", meter_values_16(transaction, in_the_past(minutes=30), meter_wh=3000))
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))

    async def is_rated() -> bool:
        return [each["state"] for each in await patient.sessions()] == ["rated"]

    await until(is_rated)
    await patient.require_rated(5000)
    await patient.require_named(["transaction_id_invalid", "stop_paired"], shows=str(transaction))


@HABITS.shown_by(50, "stop_unknown", shows="987654")
async def a_stop_of_free_charging(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(minutes=30))
    await ask(opened, "StopTransaction", stop_16(987_654, in_the_past(hours=1), meter_wh=90))
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(51, "no_stop", "stop_unknown")
async def a_start_that_was_lost_and_a_stop_that_was(patient: Patient, opened: Wire) -> None:
    await ask(opened, "StopTransaction", stop_16(77, in_the_past(hours=3), meter_wh=900))
    lost = await patient.start(opened, in_the_past(hours=2))
    await ask(opened, "MeterValues", meter_values_16(lost, in_the_past(minutes=100), meter_wh=3000))
    await patient.charge(opened, meter_wh=3000)
    await patient.require_rated(5000)
    held = [each for each in await patient.sessions() if each["state"] == "held"]
    assert [(each["hold_reasons"], each["energy_wh"]) for each in held] == [(["no_stop"], 2000)]


@HABITS.shown_by(52, "stop_without_token", "pseudo_token")
async def stops_without_a_token_or_with_a_reason_for_one(patient: Patient, opened: Wire) -> None:
    await patient.charge(opened, minutes=20)
    transaction = await patient.start(opened, in_the_past(minutes=4), meter_wh=6000)
    stop = stop_16(transaction, in_the_past(minutes=1), meter_wh=6500) | {"idTag": "HardReset"}
    await ask(opened, "StopTransaction", stop)
    await patient.require_rated(5000, 500)
    assert {each["token"] for each in await patient.sessions()} == {"CARD-0001"}


@HABITS.shown_by(53, "available_before_stop", shows="Available")
async def available_before_the_stop(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    await ask(opened, "StatusNotification", _status("Available"))
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)


def _status(status: str, error_code: str = "NoError") -> dict[str, Any]:
    return {"connectorId": 1, "errorCode": error_code, "status": status}


@HABITS.shown_by(54, "queue_stalled", "refused_messages", shows="StopTransaction", choices={"strict": True})
async def an_error_answer_stalls_the_queue(patient: Patient, opened: Wire) -> None:
    """Only a strict charge point gets one; what it said is kept, once."""
    transaction = await patient.start(opened, in_the_past(hours=1))
    stop = stop_16(transaction, in_the_past(minutes=5)) | {"meterStop": 6000.5}
    for _n in range(3):
        assert (await opened.call("StopTransaction", stop)).error == "TypeConstraintViolation"
    assert [text.partition(",")[2].partition(",")[2][:18] for text in await patient.quarantined()] == [
        ' "StopTransaction"'
    ]


@HABITS.shown_by(54, "malformed")
async def no_error_answer_where_a_charge_point_is_not_strict(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    stop = stop_16(transaction, in_the_past(minutes=5))
    del stop["meterStop"]
    await ask(opened, "StopTransaction", stop)
    await patient.require_held("malformed")


CHARX = ("PHOENIX CONTACT", "CHARX Example")


@HABITS.shown_by(55, "transaction_ids_remembered", how=How.KNOWN, make=CHARX, shows="CHARX")
async def ids_are_remembered_for_ever(patient: Patient, opened: Wire) -> None:
    first = await patient.charge(opened, minutes=20)
    second = await patient.start(opened, in_the_past(minutes=4), meter_wh=6000)
    assert second > first


@HABITS.shown_by(56, "stop_data_dropped", shows="StopTransaction")
async def a_stop_that_is_too_long_comes_without_its_data(patient: Patient, opened: Wire) -> None:
    await patient.has_setting("StopTxnSampledData", "Energy.Active.Import.Register,Voltage")
    await patient.charge(opened)
    await patient.require_rated(5000)


@HABITS.shown_by(57, "stop_after_boot", shows="PowerLoss", make=None)
async def the_stop_of_a_power_failure_at_the_next_boot(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    async with patient.on() as again:
        await patient.boot(again)
        stop = stop_16(transaction, in_the_past(minutes=30)) | {"reason": "PowerLoss"}
        await ask(again, "StopTransaction", stop)
    await patient.require_rated(5000)


@HABITS.shown_by(58, "message_retried", "sequence_gap", "attempts_few", protocol="ocpp2.0.1")
async def a_queue_that_repeats_and_leaves_out(patient: Patient, opened: Wire) -> None:
    await patient.has_setting("OCPPCommCtrlr.MessageAttempts[TransactionEvent]", "3")
    told = [("Started", 0, 60, 1000), ("Updated", 2, 30, 3000), ("Ended", 5, 5, 6000)]
    events = [event_201(kind, n, in_the_past(minutes=ago), meter_wh=wh, transaction="q") for kind, n, ago, wh in told]
    for event in (*events, events[1], events[2]):
        await ask(opened, "TransactionEvent", event)
    (session,) = await patient.sessions()
    assert (session["energy_wh"], session["hold_reasons"]) == (5000, [])


@HABITS.shown_by(59, "status_flood")
async def a_flood_of_statuses(_: Patient, opened: Wire) -> None:
    for _n in range(31):
        await opened.send("StatusNotification", _status("Available"))
    await ask(opened, "Heartbeat", {})


@HABITS.shown_by(60, "error_code_without_fault", shows="Finishing")
async def finishing_with_an_error_code(_: Patient, opened: Wire) -> None:
    assert await ask(opened, "StatusNotification", _status("Finishing", "OtherError")) == {}


@HABITS.shown_by(61, "preparing_timed_out")
async def preparing_that_times_out(patient: Patient, opened: Wire) -> None:
    for status in ("Preparing", "Available"):
        await ask(opened, "StatusNotification", _status(status))
    assert await patient.sessions() == []


@HABITS.shown_by(62, "queue_flushed")
async def the_whole_queue_at_once(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=2))
    for minutes in range(110, 70, -4):
        values = meter_values_16(transaction, in_the_past(minutes=minutes), meter_wh=6000 - 40 * (minutes - 60))
        await opened.send("MeterValues", values)
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=60)))
    await patient.require_rated(5000)


async def test_clocks_that_are_off_and_registers_that_are_not_sampled_are_named(world_of_all: World) -> None:
    patient = Patient(world_of_all, await world_of_all.charge_point("CLOCK", max_power_w=None))
    async with patient.on() as opened:
        await patient.boot(opened)
        ahead = in_the_past() + timedelta(hours=3)
        await ask(opened, "StatusNotification", _status("Available") | {"timestamp": stamp(ahead)})
        transaction = await patient.start(opened, in_the_past(hours=2))
        for minutes in (110, 40):
            await patient.sample(
                opened, transaction, minutes, {"value": "16.0", "measurand": "Current.Import", "unit": "A"}
            )
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    names = ["clock_offset", "register_not_sampled", "samples_far_apart", "signed_data_missing", "vendor_unknown"]
    await patient.require_named([*names, "start_without_authorize"], eichrecht=True, shows="timestamp")
    found = await patient.findings(eichrecht=False)
    assert "signed_data_missing" not in found
    assert found["clock_offset"].evidence.endswith("s ahead")
