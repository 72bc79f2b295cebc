"""The habits of charge points in the field that would cost money if they were misunderstood, as they look on the wire.

Metering first: each is a start, some MeterValues and a stop. All sessions begin an hour ago and end five minutes ago.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.charge_point import stamp
from tests.faults.wire import Wire, meter_values_16, start_16, stop_16, wire
from tests.scenarios.spoken import ask, say
from tests.world import World, in_the_past, until

ENERGY = {"measurand": "Energy.Active.Import.Register", "unit": "Wh"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """A session as it is sent - registers in whatever the charge point takes for Wh - and what must become of it.

    `readings`: minutes since the start and sampled values; `connector` is that of the MeterValues.
    """

    began_with: int
    ended_with: int
    readings: tuple[tuple[int, list[dict[str, Any]]], ...] = ()
    after_the_stop: tuple[tuple[int, list[dict[str, Any]]], ...] = ()
    connector: int = 1
    energy_wh: int
    holds: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)


def register(wh: float | str) -> list[dict[str, Any]]:
    return [{"value": str(wh), **ENERGY}]


def with_power(wh: int, watts: int) -> list[dict[str, Any]]:
    return [*register(wh), {"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"}]


METERED = {
    "33: kWh labelled Wh, beside a power that is right": Metered(
        began_with=1000,
        readings=((15, with_power(1001, 5500)), (30, with_power(1002, 5500)), (45, with_power(1004, 5500))),
        ended_with=1005,
        energy_wh=5,
        holds={"unit_suspect"},
    ),
    "34: registers counted from each start": Metered(
        began_with=0, readings=((20, register(1800)), (40, register(3700))), ended_with=5000, energy_wh=5000
    ),
    "34: a register that began again at a reboot": Metered(
        began_with=800_000,
        readings=((20, register(802_000)), (40, register(100))),
        ended_with=1300,
        energy_wh=0,
        holds={"register_backwards", "stop_before_start_register"},
    ),
    "35: lifetime in start and stop, counted per session between": Metered(
        began_with=2_000_000,
        readings=((20, register(1800)), (40, register(3700))),
        ended_with=2_005_000,
        energy_wh=5000,
        flags={"readings_below_start"},
    ),
    "36: a register beyond 32 bits, values on connector 0": Metered(
        began_with=4_296_944_685,
        readings=((20, register("4296946485")), (40, register("4296948385"))),
        connector=0,
        ended_with=4_296_949_685,
        energy_wh=5000,
    ),
    "40: a register that drops out for one reading": Metered(
        began_with=100_000,
        readings=((15, register(101_500)), (30, register(0)), (45, register(104_000))),
        ended_with=105_000,
        energy_wh=5000,
        flags={"readings_below_start"},
    ),
    "41: the whole life of a meter in one session": Metered(
        began_with=0,
        readings=((20, register(937_000)), (40, register(938_500))),
        ended_with=939_000,
        energy_wh=2000,
        holds={"zero_baseline_jump"},
    ),
    "45: MeterValues after the stop, a little higher": Metered(
        began_with=2_254_988,
        readings=((30, register(2_257_000)),),
        ended_with=2_259_988,
        after_the_stop=((56, register("2259992.1")),),
        energy_wh=5000,
    ),
}


@pytest.mark.parametrize("told", METERED.values(), ids=METERED)
async def test_a_meter_with_a_habit_is_billed_by_what_flowed_or_held(world: World, told: Metered) -> None:
    key, began = await world.charge_point("METER", max_power_w=None), in_the_past(hours=1)

    async def read(opened: Wire, transaction: int, minutes: int, samples: list[dict[str, Any]]) -> None:
        value = {"timestamp": stamp(began + timedelta(minutes=minutes)), "sampledValue": samples}
        message = {"connectorId": told.connector, "transactionId": transaction, "meterValue": [value]}
        assert await ask(opened, "MeterValues", message) == {}
        await world.quiet()

    async with wire(world.ocpp_url, key.id, key.password) as opened:
        start = await ask(opened, "StartTransaction", start_16(began, meter_wh=told.began_with))
        for minutes, samples in told.readings:
            await read(opened, start["transactionId"], minutes, samples)
        stop = stop_16(start["transactionId"], in_the_past(minutes=5), meter_wh=told.ended_with)
        assert "idTagInfo" not in await ask(opened, "StopTransaction", stop)
        for minutes, samples in told.after_the_stop:
            await read(opened, start["transactionId"], minutes, samples)

    await world.quiet()
    (session,) = await world.sessions()
    shown = await world.show(session["id"])
    found = (session["energy_wh"], session["state"], session["hold_reasons"])
    assert found == (told.energy_wh, "held" if told.holds else "rated", sorted(told.holds))
    assert told.flags <= set(shown["flags"])
    bills = await world.bills(session["id"])
    assert [bill.kind for bill in bills if bill.kind == "final"] == ([] if told.holds else ["final"])
    assert max([bill.energy_wh for bill in bills], default=0) <= 5000


async def test_7_values_that_were_on_the_old_socket_count_when_a_new_one_came(world: World) -> None:
    key, began = await world.charge_point("TWO-SOCKETS"), in_the_past(hours=1)
    async with wire(world.ocpp_url, key.id, key.password) as old:
        transaction = (await ask(old, "StartTransaction", start_16(began)))["transactionId"]
        for minutes in range(50, 30, -1):
            await old.send(
                "MeterValues", meter_values_16(transaction, in_the_past(minutes=minutes), meter_wh=6000 - minutes)
            )
        async with wire(world.ocpp_url, key.id, key.password) as new:
            assert await old.closed() == 1008
            await ask(new, "MeterValues", meter_values_16(transaction, in_the_past(minutes=30), meter_wh=5980))
            await ask(new, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))

    async def all_are_here() -> bool:
        return bool(await world.connection.fetchval("SELECT count(DISTINCT at) = 21 FROM reading"))

    await until(all_are_here)
    await _require_rated(world, [5000])


async def _require_rated(world: World, energies_wh: list[int]) -> None:
    await world.quiet()
    sessions = [each for each in await world.sessions() if each["state"] == "rated"]
    assert [each["energy_wh"] for each in sessions] == energies_wh


async def test_31_a_start_in_local_time_and_a_stop_in_utc_are_the_same_day(world: World) -> None:
    key = await world.charge_point("LOCAL", time_zone="Europe/Berlin")
    began, ended = in_the_past(hours=1), in_the_past(minutes=5)
    local = began.astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%dT%H:%M:%S")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        start = await ask(opened, "StartTransaction", start_16(began) | {"timestamp": local})
        await ask(opened, "StopTransaction", stop_16(start["transactionId"], ended))

    await _require_rated(world, [5000])
    (session,) = await world.sessions()
    assert (session["started_at"], session["ended_at"]) == (began, ended)


async def test_32_a_start_before_the_clock_was_set_is_answered_and_held(world: World) -> None:
    key = await world.charge_point("1970")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        start = await ask(opened, "StartTransaction", start_16(in_the_past()) | {"timestamp": "1970-01-01T00:00:42Z"})
        await ask(opened, "StopTransaction", stop_16(start["transactionId"], in_the_past(minutes=5)))

    await world.quiet()
    (session,) = await world.sessions()
    assert (session["state"], session["energy_wh"]) == ("held", 5000)
    assert "time_invalid" in session["hold_reasons"]
    assert await world.bills(session["id"]) == []


async def test_48_of_two_starts_for_one_vehicle_only_the_one_that_went_on_is_billed(world: World) -> None:
    key, began = await world.charge_point("TWO-STARTS"), in_the_past(hours=1)
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        first = await ask(opened, "StartTransaction", start_16(began))
        second = await ask(opened, "StartTransaction", start_16(began + timedelta(seconds=4)))
        assert first["transactionId"] != second["transactionId"]
        await ask(opened, "StopTransaction", stop_16(second["transactionId"], in_the_past(minutes=5)))

    await _require_rated(world, [5000])
    other = await world.show(first["transactionId"])
    assert (other["state"], other["hold_reasons"], other["energy_wh"]) == ("held", ["no_stop"], 0)


async def test_51_a_stop_whose_start_was_lost_is_kept_and_a_start_whose_stop_was_lost_is_held(world: World) -> None:
    key = await world.charge_point("RESET")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        assert await ask(opened, "StopTransaction", stop_16(77, in_the_past(hours=3), meter_wh=900)) == {}
        first = await ask(opened, "StartTransaction", start_16(in_the_past(hours=2), meter_wh=1000))
        reading = meter_values_16(first["transactionId"], in_the_past(minutes=100), meter_wh=3000)
        await ask(opened, "MeterValues", reading)
        second = await ask(opened, "StartTransaction", start_16(in_the_past(hours=1), meter_wh=3000))
        await ask(opened, "StopTransaction", stop_16(second["transactionId"], in_the_past(minutes=5), meter_wh=8000))

    await _require_rated(world, [5000])
    lost = await world.show(first["transactionId"])
    assert (lost["state"], lost["hold_reasons"], lost["energy_wh"]) == ("held", ["no_stop"], 2000)
    assert [each["transaction"] for each in await world.orphans()] == ["77"]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"meterStop": None}, id="no register"),
        pytest.param({"timestamp": "yesterday"}, id="no time"),
        pytest.param({"reason": "BecauseISaidSo", "idTag": "X" * 300}, id="words that do not exist"),
        pytest.param({"meterStop": 10**30}, id="a register that no meter has"),
    ],
)
async def test_54_a_stop_that_breaks_the_schema_never_stalls_the_queue(world: World, broken: dict[str, Any]) -> None:
    key = await world.charge_point("QUEUE")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        start = await ask(opened, "StartTransaction", start_16(in_the_past(hours=1)))
        stop = stop_16(start["transactionId"], in_the_past(minutes=5)) | broken
        await ask(opened, "StopTransaction", {name: value for name, value in stop.items() if value is not None})
        await ask(opened, "Heartbeat", {})

    await world.quiet()
    (session,) = await world.sessions()
    assert session["state"] in {"held", "rated"}
    assert max([bill.energy_wh for bill in await world.bills(session["id"])], default=0) <= 5000


async def test_54_a_stop_that_is_not_json_never_stalls_the_queue(world: World) -> None:
    key = await world.charge_point("QUEUE")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        start = await ask(opened, "StartTransaction", start_16(in_the_past(hours=1)))
        text = f'[2,"s-1","StopTransaction",{{"transactionId":{start["transactionId"]},"meterStop":,"timestamp":""}}]'
        assert (await say(opened, text, id_="s-1")).error is None
        await ask(opened, "Heartbeat", {})

    assert await world.quarantined() == [text]
    await world.quiet()
    (session,) = await world.sessions()
    assert (session["state"], await world.bills(session["id"])) == ("held", [])
    assert "malformed" in session["hold_reasons"]
