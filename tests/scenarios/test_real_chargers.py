"""What real charge points do on the wire: everything is answered with a result and kept, and nothing is billed wrongly."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from simulators.charge_point import stamp
from tests.faults.wire import Wire, event_201, meter_values_16, start_16, stop_16, wire
from tests.scenarios.spoken import ask, say
from tests.world import World, in_the_past, until

BILLED = [("final", 5000, "2.92")]  # 5 kWh at 0.49 EUR plus 19 %


async def _bills(world: World, session: int) -> list[tuple[str, int, str]]:
    return [(str(b.kind), int(b.energy_wh), b.total_incl.text) for b in await world.bills(session) if b.kind == "final"]


async def _require_billed_once(world: World) -> None:
    """One session, of 5 kWh, with one final bill."""
    await world.quiet()
    (session,) = await world.sessions()
    assert (session["state"], session["hold_reasons"], session["energy_wh"]) == ("rated", [], 5000)
    assert await _bills(world, session["id"]) == BILLED


async def _open(opened: Wire, at: datetime, **more: Any) -> int:
    answer = await ask(opened, "StartTransaction", start_16(at, meter_wh=1000, **more))
    assert answer["idTagInfo"] == {"status": "Accepted"}
    return int(answer["transactionId"])


def _reading(transaction: int, at: datetime, *samples: dict[str, Any]) -> dict[str, Any]:
    value = {"timestamp": stamp(at), "sampledValue": list(samples)}
    return {"connectorId": 1, "transactionId": transaction, "meterValue": [value]}


async def test_meter_values_that_are_not_json_are_answered_and_kept(world: World) -> None:
    key, began = await world.charge_point("BENY"), in_the_past(hours=1)
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        transaction = await _open(opened, began)
        sample = '{"value":"6.0","measurand":"Current.Import","unit":"A"}'
        broken = (
            f'[2,"m-1","MeterValues",{{"connectorId":1,"transactionId":{transaction},"meterValue":'
            f'[{{"timestamp":"{stamp(began)}","sampledValue":[,{sample}]}}]}}]'
        )
        reply = await say(opened, broken, id_="m-1")
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))

    assert (reply.error, reply.payload) == (None, {})
    assert await world.quarantined() == [broken]
    await _require_billed_once(world)


async def test_a_start_sent_again_after_a_lost_connection_is_the_same_transaction(world: World) -> None:
    key, began = await world.charge_point("ABB"), in_the_past(hours=1)
    await world.token("20:00:C0:01")
    start = start_16(began, meter_wh=1000, token="20:00:C0:01")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        first = await ask(opened, "StartTransaction", start, id_="0800001")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        second = await ask(opened, "StartTransaction", start, id_="0800044")
        await ask(opened, "StopTransaction", stop_16(second["transactionId"], in_the_past(minutes=5)))

    assert first == second
    await _require_billed_once(world)


async def test_a_negative_id_of_its_own_is_paired_with_the_session_that_it_can_only_be(world: World) -> None:
    key, began = await world.charge_point("ETREL"), in_the_past(hours=1)
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        await _open(opened, began)
        own = -1_700_000_002
        assert await ask(opened, "MeterValues", meter_values_16(own, in_the_past(minutes=30), meter_wh=3000)) == {}
        await ask(opened, "StopTransaction", stop_16(own, in_the_past(minutes=5)))

    async def paired() -> bool:
        return all(each["paired_with"] is not None for each in await world.orphans())

    await until(paired)
    await _require_billed_once(world)


async def test_a_stop_with_minus_one_is_answered_and_kept_and_bills_nothing(world: World) -> None:
    key = await world.charge_point("LIBOCPP")
    stop = stop_16(-1, in_the_past(minutes=5), meter_wh=100) | {"reason": "EVDisconnected", "idTag": "CARD-0001"}
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        await ask(opened, "StopTransaction", stop)
        await ask(opened, "StopTransaction", stop)

    await world.quiet()
    assert await world.sessions() == []
    assert [(each["transaction"], each["paired_with"]) for each in await world.orphans()] == [("-1", None)]


async def test_a_stop_with_minus_one_is_no_proof_where_two_sessions_fit(world: World) -> None:
    key, began = await world.charge_point("TWO"), in_the_past(hours=1)
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        for connector in (1, 2):
            await _open(opened, began, connector=connector)
        await ask(opened, "StopTransaction", stop_16(-1, in_the_past(minutes=5)))
        await world.quiet()
        await ask(opened, "Heartbeat", {})

    assert [each["state"] for each in await world.sessions()] == ["open", "open"]
    assert [each["paired_with"] for each in await world.orphans()] == [None]


async def test_a_stop_for_an_id_that_was_never_given_is_answered_and_ends_nothing(world: World) -> None:
    key, began = await world.charge_point("WALLBOX"), in_the_past(hours=1)
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        transaction = await _open(opened, began)
        await ask(opened, "StopTransaction", stop_16(987_654, began - timedelta(hours=1), meter_wh=90))
        await world.quiet()
        assert [each["state"] for each in await world.sessions()] == ["open"]
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))

    assert [each["transaction"] for each in await world.orphans()] == ["987654"]
    await _require_billed_once(world)


async def test_the_transaction_of_another_charge_point_is_not_ended(world: World) -> None:
    key, other = await world.charge_point("ONE"), await world.charge_point("OTHER")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        transaction = await _open(opened, in_the_past(hours=1))
        async with wire(world.ocpp_url, other.id, other.password) as foreign:
            await ask(foreign, "StopTransaction", stop_16(transaction, in_the_past(minutes=30), meter_wh=9000))
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))

    assert [each["charge_point"] for each in await world.orphans()] == ["OTHER"]
    await _require_billed_once(world)


async def test_one_message_id_for_everything_hides_no_message(world: World) -> None:
    key, began, same = await world.charge_point("GRIZZL-E"), in_the_past(hours=1), "0123456789abcdef01"
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        answer = await ask(opened, "StartTransaction", start_16(began, meter_wh=1000), id_=same)
        transaction = answer["transactionId"]
        for minutes, register in ((50, 2000), (40, 3000), (30, 4000)):
            reading = meter_values_16(transaction, in_the_past(minutes=minutes), meter_wh=register)
            await ask(opened, "MeterValues", reading, id_=same)
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)), id_=same)

    assert await world.connection.fetchval("SELECT count(*) FROM reading") == 3
    await _require_billed_once(world)


async def test_pretty_printed_frames_are_frames(world: World) -> None:
    key, began = await world.charge_point("PULSAR"), in_the_past(hours=1)
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        start = json.dumps([2, "w-1", "StartTransaction", start_16(began, meter_wh=1000)], indent=2)
        reply = await say(opened, start.replace("\n", "\r\n"), id_="w-1")
        assert reply.error is None
        stop = [2, "w-2", "StopTransaction", stop_16(reply.payload["transactionId"], in_the_past(minutes=5))]
        assert (await say(opened, json.dumps(stop, indent=4), id_="w-2")).error is None

    await _require_billed_once(world)


async def test_messages_of_version_2_on_a_socket_of_version_1_are_understood(world: World) -> None:
    key, began, ended = await world.charge_point("FOXESS"), in_the_past(hours=1), in_the_past(minutes=5)
    status = {"timestamp": stamp(began), "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
    events = [
        event_201("Started", 0, began, meter_wh=1000, transaction="f"),
        event_201("Ended", 1, ended, meter_wh=6000, transaction="f"),
    ]
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        await ask(opened, "StatusNotification", status)
        for event in events:
            await ask(opened, "TransactionEvent", event)
        await ask(opened, "Heartbeat", {})

    await _require_billed_once(world)


async def test_a_stop_without_a_token_ends_its_session(world: World) -> None:
    key = await world.charge_point("SIEMENS")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        transaction = await _open(opened, in_the_past(hours=1))
        stop = stop_16(transaction, in_the_past(minutes=5))
        assert "idTag" not in stop
        await ask(opened, "StopTransaction", stop)

    await _require_billed_once(world)


ENERGY = {"measurand": "Energy.Active.Import.Register", "unit": "Wh"}
ODD_SAMPLES: dict[str, list[dict[str, Any]]] = {
    "decimals of Wh, one phase and a total of the power, no context": [
        {"value": "3000.00", **ENERGY},
        {"value": "0.00", "measurand": "Power.Active.Import", "unit": "W", "phase": "L1"},
        {"value": "0.00", "measurand": "Power.Active.Import", "unit": "W"},
    ],
    "a padded number": [{"value": " 3000.0", "context": "Sample.Periodic", "location": "Outlet", **ENERGY}],
    "a frequency in Hz": [{"value": "49.98", "measurand": "Frequency", "unit": "Hz"}, {"value": "3000", **ENERGY}],
    "a unit that does not exist": [
        {"value": "3.0", "measurand": "Energy.Active.Import.Register", "unit": "kWh"},
        {"value": "27", "measurand": "Temperature", "unit": "Celsius degrees"},
    ],
    "a phase that does not exist": [{"value": "230", "measurand": "Voltage", "phase": "L1L2", "unit": "V"}],
    "no sample at all": [],
    "the default measurand and unit": [{"value": "3000"}],
}


@pytest.mark.parametrize("samples", ODD_SAMPLES.values(), ids=ODD_SAMPLES)
async def test_odd_samples_are_answered_and_change_no_bill(world: World, samples: list[dict[str, Any]]) -> None:
    key = await world.charge_point("ODD")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        transaction = await _open(opened, in_the_past(hours=1))
        assert await ask(opened, "MeterValues", _reading(transaction, in_the_past(minutes=30), *samples)) == {}
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))

    await _require_billed_once(world)


async def test_a_fraction_where_whole_numbers_belong_is_repaired(world: World) -> None:
    key = await world.charge_point("FRACTION")
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        transaction = await _open(opened, in_the_past(hours=1))
        await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)) | {"meterStop": 6000.0})

    await _require_billed_once(world)


async def test_signed_data_alone_in_the_stop_is_kept_with_the_declared_registers(world: World) -> None:
    key, ended = await world.charge_point("SIGNED"), in_the_past(minutes=5)
    signed = {"value": 'OCMF|{"FV":"1.0","RD":[]}|{"SD":"00"}', "format": "SignedData", "context": "Transaction.End"}
    data = [{"timestamp": stamp(ended), "sampledValue": [signed]}]
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        transaction = await _open(opened, in_the_past(hours=1))
        await ask(opened, "StopTransaction", stop_16(transaction, ended) | {"transactionData": data})

    await _require_billed_once(world)


@pytest.mark.parametrize("written", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S+00", "%Y-%m-%dT%H:%M:%S.000+00:00"])
async def test_times_in_the_ways_of_the_field_are_the_same_instant(world: World, written: str) -> None:
    key = await world.charge_point("CLOCK", time_zone="Etc/UTC")
    began, ended = in_the_past(hours=1), in_the_past(minutes=5)
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        start = start_16(began, meter_wh=1000) | {"timestamp": began.strftime(written)}
        transaction = (await ask(opened, "StartTransaction", start))["transactionId"]
        await ask(opened, "StopTransaction", stop_16(transaction, ended) | {"timestamp": ended.strftime(written)})

    await _require_billed_once(world)
    (session,) = await world.sessions()
    assert (session["started_at"], session["ended_at"]) == (began, ended)


async def test_an_event_with_an_evse_and_no_connector_belongs_to_its_session(world: World) -> None:
    key, began = await world.charge_point("NO-CONNECTOR"), in_the_past(hours=1)
    async with wire(world.ocpp_url, key.id, key.password, "ocpp2.0.1") as opened:
        for seq_no, (kind, minutes, register) in enumerate(
            [("Started", 60, 1000), ("Updated", 30, 3000), ("Ended", 5, 6000)]
        ):
            at = began + timedelta(minutes=60 - minutes)
            event = event_201(kind, seq_no, at, meter_wh=register, transaction="a") | {"evse": {"id": 1}}
            await ask(opened, "TransactionEvent", event | {"offline": True})

    await _require_billed_once(world)
