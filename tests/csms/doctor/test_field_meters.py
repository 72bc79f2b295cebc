"""Quirks 33 to 46: what charge points in the field measure, and how they write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ward import WIND, Habit, Habits, Patient, register, require

from csms.doctor.examination import How
from simulators.charge_point import stamp
from tests.faults.wire import Wire, event_201, stop_16
from tests.scenarios.spoken import ask
from tests.world import World, in_the_past

pytestmark = pytest.mark.asyncio(loop_scope="module")
HABITS = Habits()
Samples = Sequence[dict[str, Any]]


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: f"{habit.number}-{habit.title}")
async def test_the_doctor_names_what_a_charge_point_does(world_of_all: World, habit: Habit) -> None:
    await require(world_of_all, habit)


async def _metered(
    patient: Patient, opened: Wire, began: int, ended: int, *readings: tuple[int, Samples], connector: int = 1
) -> int:
    """A session from an hour to five minutes ago; readings are told by how many minutes ago they were taken."""
    transaction = await patient.start(opened, in_the_past(hours=1), meter_wh=began)
    for minutes, samples in readings:
        await patient.sample(opened, transaction, minutes, *samples, connector=connector)
        await patient.world.quiet()
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5), meter_wh=ended))
    return transaction


def _with_power(wh: int) -> Samples:
    return [register(wh), {"value": "5500", "measurand": "Power.Active.Import", "unit": "W"}]


@HABITS.shown_by(33, "unit_suspect")
async def kwh_that_are_labelled_wh(patient: Patient, opened: Wire) -> None:
    await _metered(
        patient, opened, 1000, 1005, (45, _with_power(1001)), (30, _with_power(1002)), (15, _with_power(1004))
    )
    await patient.require_held("unit_suspect")


@HABITS.shown_by(34, "register_per_session")
async def a_register_that_begins_at_zero_each_time(patient: Patient, opened: Wire) -> None:
    for hours in (3, 1):
        transaction = await patient.start(opened, in_the_past(hours=hours), meter_wh=0)
        end = in_the_past(minutes=60 * hours - 55)
        await ask(opened, "StopTransaction", stop_16(transaction, end, meter_wh=5000))
    await patient.require_rated(5000, 5000)


@HABITS.shown_by(34, "register_backwards", "stop_before_start_register")
async def a_register_that_was_reset_at_a_reboot(patient: Patient, opened: Wire) -> None:
    await _metered(patient, opened, 800_000, 1300, (40, [register(802_000)]), (20, [register(100)]))
    await patient.require_held("register_backwards")


@HABITS.shown_by(35, "readings_below_start")
async def life_in_the_stop_and_session_in_the_values(patient: Patient, opened: Wire) -> None:
    await _metered(patient, opened, 2_000_000, 2_005_000, (40, [register(1800)]), (20, [register(3700)]))
    await patient.require_rated(5000)


@HABITS.shown_by(36, "register_beyond_32_bits", "connector_zero")
async def a_register_beyond_32_bits_on_connector_0(patient: Patient, opened: Wire) -> None:
    readings = ((40, [register("4296946485")]), (20, [register("4296948385")]))
    await _metered(patient, opened, 4_296_944_685, 4_296_949_685, *readings, connector=0)
    await patient.require_rated(5000)


@HABITS.shown_by(37, "values_of_connector_zero")
async def values_of_its_main_meter(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    await patient.sample(opened, None, 30, register(99_000_000), connector=0)
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(38, "context_mixed", "context_missing", shows="Transaction.Begin")
async def begin_and_periodic_registers_side_by_side(patient: Patient, opened: Wire) -> None:
    began, now = register(1000, context="Transaction.Begin"), register(3000, context="Sample.Periodic")
    transaction = await patient.start(opened, in_the_past(hours=1))
    await patient.sample(opened, transaction, 30, began, now)
    data = [{"timestamp": stamp(in_the_past(minutes=5)), "sampledValue": [register(6000)]}]
    stop = stop_16(transaction, in_the_past(minutes=5)) | {"transactionData": data}
    await ask(opened, "StopTransaction", stop)
    await patient.require_rated(5000)


@HABITS.shown_by(39, "clock_samples_only", shows="Sample.Clock")
async def samples_by_the_clock_alone(patient: Patient, opened: Wire) -> None:
    readings = [(minutes, [register(6000 - 80 * minutes, context="Sample.Clock")]) for minutes in (45, 30, 15)]
    await _metered(patient, opened, 1000, 6000, *readings)
    await patient.require_rated(5000)


@HABITS.shown_by(40, "register_dropout")
async def a_register_that_falls_out(patient: Patient, opened: Wire) -> None:
    readings = [(50, 100_900), (40, 101_800), (30, 100_200), (20, 103_600)]
    await _metered(patient, opened, 100_000, 105_000, *[(minutes, [register(wh)]) for minutes, wh in readings])
    await patient.require_rated(5000)


@HABITS.shown_by(41, "zero_baseline_jump")
async def the_whole_life_of_the_meter_in_one_session(patient: Patient, opened: Wire) -> None:
    await _metered(patient, opened, 0, 939_000, (40, [register(937_000)]), (20, [register(938_500)]))
    await patient.require_held("zero_baseline_jump")


def _phases(wh: int, **more: str) -> Samples:
    return [register(wh / 4, phase=phase, **more) for phase in ("L1", "L2")] + [register(wh / 2, phase="L3", **more)]


@HABITS.shown_by(42, "phases_only", protocol="ocpp2.0.1")
async def registers_of_phases_without_a_total(patient: Patient, opened: Wire) -> None:
    for kind, seq_no, minutes, meter_wh in (("Started", 0, 60, 1000), ("Ended", 1, 5, 6000)):
        event = event_201(kind, seq_no, in_the_past(minutes=minutes), meter_wh=meter_wh, transaction="t")
        context = event["meterValue"][0]["sampledValue"][0]["context"]
        samples = [
            {"value": wh, "measurand": "Energy.Active.Import.Register", "context": context, "phase": phase}
            for phase, wh in (("L1", meter_wh / 4), ("L2", meter_wh / 4), ("L3", meter_wh / 2))
        ]
        event["meterValue"][0]["sampledValue"] = samples
        await ask(opened, "TransactionEvent", event)
    await patient.require_rated(5000)


@HABITS.shown_by(43, "no_begin_reading", protocol="ocpp2.0.1")
async def no_register_at_the_begin(patient: Patient, opened: Wire) -> None:
    for kind, seq_no, minutes, meter_wh in (("Started", 0, 60, 1000), ("Updated", 1, 50, 1000), ("Ended", 2, 5, 6000)):
        event = event_201(kind, seq_no, in_the_past(minutes=minutes), meter_wh=meter_wh, transaction="t")
        if kind == "Started":
            del event["meterValue"]
        await ask(opened, "TransactionEvent", event)
    await patient.require_rated(5000)


ABB = ("ABB", "Terra Example")


@HABITS.shown_by(44, "energy_register_only", shows="Terra Example", how=How.KNOWN, make=None)
async def all_measurands_are_too_many(patient: Patient, opened: Wire) -> None:
    for name, make, measurands in (("usual", WIND, 2), ("energy only", ABB, 1)):
        changed: dict[str, str] = {}
        _obey(opened, changed)
        async with patient.on() as fresh:
            _obey(fresh, changed)
            await patient.boot(fresh, *make)
            while "MeterValuesSampledData" not in changed:
                await ask(fresh, "Heartbeat", {})
        assert changed["MeterValuesSampledData"].count(",") + 1 == measurands, name


def _obey(opened: Wire, changed: dict[str, str]) -> None:
    def get(payload: dict[str, Any]) -> dict[str, Any]:
        items = [{"key": key, "readonly": False, "value": "0"} for key in payload.get("key", [])]
        return {"configurationKey": items, "unknownKey": []}

    def change(payload: dict[str, Any]) -> dict[str, Any]:
        changed[payload["key"]] = payload["value"]
        return {"status": "Accepted"}

    opened.answers |= {"GetConfiguration": get, "ChangeConfiguration": change}


@HABITS.shown_by(45, "readings_outside")
async def values_after_the_stop_a_little_higher(patient: Patient, opened: Wire) -> None:
    transaction = await _metered(patient, opened, 2_254_988, 2_259_988, (30, [register(2_257_000)]))
    await patient.sample(opened, transaction, 4, register("2259992.1"))
    await patient.require_rated(5000)


@HABITS.shown_by(46, "transaction_id_missing", shows="MeterValues")
async def values_without_their_transaction(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    await patient.sample(opened, None, 30, register(3000))
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)
