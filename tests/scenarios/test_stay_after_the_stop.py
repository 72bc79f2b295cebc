"""The vehicle stays when its transaction is over: whether that costs is the tariff's choice, or the charge point's."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.tariffs.idle import IdleAfterStop
from simulators.charge_point import stamp
from tests.faults.wire import Wire, event_201, start_16, stop_16, wire
from tests.scenarios.spoken import ask
from tests.world import World, in_the_past, open_world, tariff_document, until

STAY_S = 2
PRICES = {
    "price_components": [
        {"type": "ENERGY", "price": "0.50", "step_size": 1},
        {"type": "PARKING_TIME", "price": "360.00", "step_size": 1},
    ]
}
"""The parking is ten cents a second."""


async def _status(opened: Wire, protocol: str, word: str, at: datetime) -> None:
    if protocol == "ocpp1.6":
        told = {"connectorId": 1, "errorCode": "NoError", "status": word}
    else:
        told = {"evseId": 1, "connectorId": 1, "connectorStatus": word if word == "Available" else "Occupied"}
    await ask(opened, "StatusNotification", told | {"timestamp": stamp(at)})


async def _session(opened: Wire, protocol: str) -> datetime:
    """Five kWh since an hour ago, stopped now, which is the answer; the vehicle is still there."""
    began = in_the_past(hours=1)
    await _status(opened, protocol, "Charging", began)
    if protocol == "ocpp1.6":
        transaction = (await ask(opened, "StartTransaction", start_16(began)))["transactionId"]
    else:
        await ask(opened, "TransactionEvent", event_201("Started", 0, began, meter_wh=1000, transaction="stay"))
    await asyncio.sleep(1.1)  # stamps are whole seconds: the stop must not look earlier than the socket
    ended = in_the_past()
    if protocol == "ocpp1.6":
        await ask(opened, "StopTransaction", stop_16(transaction, ended))
    else:
        await ask(opened, "TransactionEvent", event_201("Ended", 1, ended, meter_wh=6000, transaction="stay"))
    await _status(opened, protocol, "Finishing", ended)
    return ended


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
@pytest.mark.parametrize(
    ("tariff", "choices", "total"),
    [
        pytest.param(None, {}, "2.50", id="off"),
        pytest.param(IdleAfterStop(), {}, "2.70", id="on by the tariff"),
        pytest.param(IdleAfterStop(cap=timedelta(seconds=1)), {}, "2.60", id="capped by the tariff"),
        pytest.param(None, {"idle_after_stop": True}, "2.70", id="on at the charge point"),
        pytest.param(None, {"idle_after_stop": True, "idle_cap_s": 1}, "2.60", id="capped at the charge point"),
    ],
)
async def test_a_stay_after_the_stop_costs_what_the_tariff_or_the_charge_point_says(
    database: str, data_home: Any, protocol: str, tariff: IdleAfterStop | None, choices: dict[str, Any], total: str
) -> None:
    async with open_world(database, data_home) as world:
        await _furnish(world, tariff)
        key = await world.charge_point("STAY", **choices)
        async with wire(world.ocpp_url, key.id, key.password, protocol) as opened:
            ended = await _session(opened, protocol)
            await asyncio.sleep(STAY_S)
            await _status(opened, protocol, "Available", ended + timedelta(seconds=STAY_S))
        await world.quiet()
        [session] = await world.sessions()
        shown = await world.show(session["id"])
        final = (await world.bills(session["id"]))[-1]

    assert (session["state"], session["energy_wh"], final.kind, final.total_incl.text) == (
        "rated",
        5000,
        "final",
        total,
    )
    assert shown["released_at"] - session["ended_at"] == timedelta(seconds=STAY_S)


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_nothing_is_billed_while_the_vehicle_stays(database: str, data_home: Any, protocol: str) -> None:
    async with open_world(database, data_home) as world:
        await _furnish(world, IdleAfterStop())
        key = await world.charge_point("STAYS")
        async with wire(world.ocpp_url, key.id, key.password, protocol) as opened:
            ended = await _session(opened, protocol)
            await asyncio.sleep(1)
            await world.quiet()
            [session] = await world.sessions()
            meanwhile = await world.bills(session["id"])
            await _status(opened, protocol, "Available", ended + timedelta(seconds=1))
        await world.quiet()
        kinds = [bill.kind for bill in await world.bills(session["id"])]

    assert (session["state"], session["hold_reasons"]) == ("ended", [])
    assert [bill for bill in meanwhile if bill.kind == "final"] == []
    assert kinds[len(meanwhile) :] == ["final"]


async def _furnish(world: World, idle: IdleAfterStop | None) -> None:
    await world.site()
    await world.token("CARD-0001")
    await world.tariff(tariff_document("STAY", PRICES), idle=idle)


def _unplugged(transaction: int, at: datetime) -> dict[str, Any]:
    told = json.dumps({"transactionId": transaction, "timestamp": stamp(at)})
    return {"vendorId": "org.openchargealliance.costmsg", "messageId": "ConnectorUnplugged", "data": told}


@pytest.mark.parametrize("idle", [None, IdleAfterStop()], ids=["off", "on"])
async def test_a_1_6_charge_point_may_say_that_the_vehicle_has_left(
    database: str, data_home: Any, idle: IdleAfterStop | None
) -> None:
    async with open_world(database, data_home) as world:
        await _furnish(world, idle)
        key = await world.charge_point("LEAVES")
        await world.connection.execute(
            "INSERT INTO device_setting (charge_point, name, value, read_at)"
            " VALUES ('LEAVES', 'CustomDisplayCostAndPrice', 'true', now())"
        )
        async with wire(world.ocpp_url, key.id, key.password, "ocpp1.6") as opened:
            opened.answers["DataTransfer"] = lambda _: {"status": "Accepted"}
            ended = await _session(opened, "ocpp1.6")
            [session] = await world.sessions()
            await asyncio.sleep(STAY_S)
            left = _unplugged(session["id"], ended + timedelta(seconds=STAY_S))
            answers = [await ask(opened, "DataTransfer", left) for _ in range(2)]

            async def is_told() -> bool:
                return any(payload.get("messageId") == "FinalCost" for _, payload in opened.asked)

            await until(is_told)
            await world.quiet()
            told = [
                json.loads(payload["data"], parse_float=Decimal)
                for _, payload in opened.asked
                if payload.get("messageId") == "FinalCost"
            ]
        shown = await world.show(session["id"])
        [final] = [bill for bill in await world.bills(session["id"]) if bill.kind == "final"]
        kept = await world.connection.fetchval("SELECT count(*) FROM charging_event WHERE trigger = 'EVDeparted'")

    assert answers == [{"status": "Accepted"}] * 2
    assert kept == 1
    assert final.total_incl.text == ("2.50" if idle is None else "2.70")
    assert [each["cost"] for each in told] == [final.total_incl.decimal]
    assert shown["released_at"] - ended == timedelta(seconds=STAY_S)


@pytest.mark.parametrize("data", ["", "nonsense", '{"transactionId": "x"}', "[]"])
async def test_a_vehicle_of_which_nothing_can_be_read_is_a_note_and_no_error(
    database: str, data_home: Any, data: str
) -> None:
    async with open_world(database, data_home) as world:
        await _furnish(world, None)
        key = await world.charge_point("MUMBLES")
        async with wire(world.ocpp_url, key.id, key.password, "ocpp1.6") as opened:
            told = _unplugged(1, in_the_past())
            said = await ask(opened, "DataTransfer", told | {"data": data})
            unknown = await ask(opened, "DataTransfer", _unplugged(4711, in_the_past()))
        orphans = await world.orphans()

    assert said == {"status": "UnknownVendorId"}
    assert unknown == {"status": "Accepted"}
    assert [each["transaction"] for each in orphans] == ["4711"]
