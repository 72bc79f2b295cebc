"""Thirty behaviours of real charge points, rebuilt from public reports with ids and values of our own."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from ward import Habit, Habits, Patient, register, require
from websockets.asyncio.client import connect

from csms.doctor.examination import How
from csms.protocol.vocabulary import GetSettings
from simulators.charge_point import Credentials, stamp
from tests.faults.wire import Wire, event_201, meter_values_16, start_16, stop_16
from tests.scenarios.spoken import ask
from tests.world import World, in_the_past, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HABITS = Habits()


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: f"{habit.number}-{habit.title}")
async def test_the_doctor_names_what_a_charge_point_does(world_of_all: World, habit: Habit) -> None:
    await require(world_of_all, habit)


def _status(**more: Any) -> dict[str, Any]:
    return {"connectorId": 1, "errorCode": "NoError", "status": "Available", **more}


async def _sampled(patient: Patient, opened: Wire, *samples: dict[str, Any]) -> None:
    """A session with these samples in the middle is billed as if they were plain."""
    transaction = await patient.start(opened, in_the_past(hours=1))
    await patient.sample(opened, transaction, 30, *samples)
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(1, "not_json", shows='"sampledValue":[,')
async def beny_puts_a_comma_before_the_first_sample(patient: Patient, opened: Wire) -> None:
    transaction = await patient.start(opened, in_the_past(hours=1))
    sample = '{"value":"9.0","measurand":"Current.Import","unit":"A"}'
    values = f'[{{"timestamp":"{stamp(in_the_past(minutes=30))}","sampledValue":[,{sample}]}}]'
    text = f'[2,"m","MeterValues",{{"connectorId":1,"transactionId":{transaction},"meterValue":{values}}}]'
    assert await patient.tell(opened, text, "m") == {}
    assert await patient.quarantined() == [text]
    await ask(opened, "StopTransaction", stop_16(transaction, in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(2, "answer_mended", shows='{"configurationKey":[]')
async def grizzl_e_cuts_its_answer_off(patient: Patient, opened: Wire) -> None:
    opened.answers["GetConfiguration"] = lambda _payload: {"configurationKey": []}
    send = opened.socket.send

    async def cut_off(text: str) -> None:
        await send(text.replace(" ", "").removesuffix("}]") if '"configurationKey"' in text else text)

    opened.socket.send = cut_off  # type: ignore[method-assign]
    outcome = await patient.asked(GetSettings(names=("NoSuchKey",)))
    assert (outcome.accepted, outcome.data["settings"]) == (True, {})


@HABITS.shown_by(3, "message_id_repeated", "identity_from_credentials", "origin_sent", "subprotocol_missing", make=None)
async def grizzl_e_names_no_identity_and_one_message_id(patient: Patient, _: Wire) -> None:
    key = patient.key
    headers = Credentials(url=patient.world.ocpp_url, identity=key.id, password=key.password).headers
    host = patient.world.ocpp_url.removesuffix("/ocpp")
    async with connect(
        f"{host}/", additional_headers={**headers, "Origin": "https://example.invalid"}, compression=None, proxy=None
    ) as socket:
        for payload in (_status(), _status(status="Preparing")):
            await socket.send(json.dumps([2, "0123456789abcdef02", "StatusNotification", payload]))
            assert json.loads(await socket.recv()) == [3, "0123456789abcdef02", {}]


@HABITS.shown_by(4, "vendor_empty", make=None)
async def huawei_boots_without_a_vendor(_: Patient, opened: Wire) -> None:
    boot = {"chargePointVendor": "", "chargePointModel": "Y", "firmwareVersion": "V2"}
    assert (await ask(opened, "BootNotification", boot))["status"] == "Accepted"


@HABITS.shown_by(5, "unknown_enum", shows="L1L2")
async def huawei_names_a_phase_that_there_is_not(patient: Patient, opened: Wire) -> None:
    await _sampled(patient, opened, {"value": "231", "measurand": "Voltage", "phase": "L1L2", "unit": "V"})


@HABITS.shown_by(6, "error_code_unknown", shows="98765432109876543210")
async def legrand_has_an_error_code_of_its_own_and_ids_of_20_digits(_: Patient, opened: Wire) -> None:
    told = _status(errorCode="Error", status="Faulted", connectorId=0)
    assert await ask(opened, "StatusNotification", told, id_="98765432109876543210") == {}


@HABITS.shown_by(7, "unit_hz", shows='"Hz"')
async def charge_amps_measures_hz_beside_good_samples(patient: Patient, opened: Wire) -> None:
    await _sampled(patient, opened, {"value": "50.02", "measurand": "Frequency", "unit": "Hz"}, register(3000))
    figures = await patient.world.connection.fetchval(
        "SELECT figures FROM reading WHERE charge_point = $1", patient.key.id
    )
    assert figures.split() == ["50.02", "3000.000"]


@HABITS.shown_by(8, "unit_unknown", shows="Celsius degrees")
async def one_bad_unit_among_good_samples(patient: Patient, opened: Wire) -> None:
    good = {"value": "3.0", "measurand": "Energy.Active.Import.Register", "unit": "kWh"}
    await _sampled(patient, opened, good, {"value": "31", "measurand": "Temperature", "unit": "Celsius degrees"})


@HABITS.shown_by(9, "empty_samples", shows='"sampledValue": []')
async def a_meter_value_without_samples(patient: Patient, opened: Wire) -> None:
    await _sampled(patient, opened)


@HABITS.shown_by(10, "start_repeated", make=("ABB", "Terra Example"))
async def abb_sends_the_same_start_again(patient: Patient, opened: Wire) -> None:
    await patient.world.token("20:00:C0:02")
    start = start_16(in_the_past(hours=1), token="20:00:C0:02")
    first = await ask(opened, "StartTransaction", start, id_="0800002")
    assert await ask(opened, "StartTransaction", start, id_="0800045") == first
    await ask(opened, "StopTransaction", stop_16(first["transactionId"], in_the_past(minutes=5)))
    await patient.require_rated(5000)


@HABITS.shown_by(11, "null_as_text", shows='"null"')
async def abb_has_null_as_text_for_info(patient: Patient, opened: Wire) -> None:
    told = _status(info="null", status="Preparing", vendorErrorCode="0x0000")
    assert await ask(opened, "StatusNotification", told) == {}
    row = await patient.world.connection.fetchrow(
        "SELECT info, vendor_error_code FROM status_report WHERE charge_point = $1", patient.key.id
    )
    assert (row["info"], row["vendor_error_code"]) == (None, "0x0000")


@HABITS.shown_by(12, "json_whitespace", "stop_unknown", shows="\n")
async def wallbox_prints_its_json_prettily_and_stops_what_was_never_begun(patient: Patient, opened: Wire) -> None:
    told = json.dumps([2, "w", "StatusNotification", _status(info="", vendorErrorCode="")], indent=1)
    await ask(opened, "StopTransaction", stop_16(4711, in_the_past(hours=1), meter_wh=90))
    assert await patient.tell(opened, told, "w") == {}
    assert await patient.sessions() == []


@HABITS.shown_by(13, "transaction_id_invalid", "stop_paired", shows="-1700000003")
async def etrel_goes_on_with_an_id_of_its_own(patient: Patient, opened: Wire) -> None:
    own = -1_700_000_003
    await patient.start(opened, in_the_past(hours=1))
    assert await ask(opened, "MeterValues", meter_values_16(own, in_the_past(minutes=30), meter_wh=3000)) == {}
    await ask(opened, "StopTransaction", stop_16(own, in_the_past(minutes=5)))

    async def is_rated() -> bool:
        return [each["state"] for each in await patient.sessions()] == ["rated"]

    await until(is_rated)
    await patient.require_rated(5000)


@HABITS.shown_by(14, "transaction_id_invalid", shows="-1")
async def libocpp_stops_minus_one_where_the_start_never_came(patient: Patient, opened: Wire) -> None:
    stop = stop_16(-1, in_the_past(minutes=5), meter_wh=100) | {"reason": "EVDisconnected", "idTag": "CARD-0001"}
    await ask(opened, "StopTransaction", stop)
    assert await patient.sessions() == []


@HABITS.shown_by(15, "time_without_zone", make=("Growatt", "THOR Example"), choices={"time_zone": "Europe/Berlin"})
async def growatt_tells_local_time(_: Patient, opened: Wire) -> None:
    assert await ask(opened, "StatusNotification", _status(timestamp="2026-01-02T11:00:00")) == {}


@HABITS.shown_by(16, "time_hour_offset", shows="+02")
async def monta_writes_offsets_in_hours(_: Patient, opened: Wire) -> None:
    told = _status(status="Preparing", connectorId=2, timestamp="2026-01-02T14:35:03+02")
    assert await ask(opened, "StatusNotification", told) == {}


@HABITS.shown_by(17, "clock_not_set", shows="1970")
async def micro_ocpp_reports_from_1970(_: Patient, opened: Wire) -> None:
    told = _status(connectorId=0, timestamp="1970-01-01T00:00:01.250Z")
    assert await ask(opened, "StatusNotification", told, id_="1000002") == {}


@HABITS.shown_by(18, "padded_value", shows='" 3000.0"')
async def micro_ocpp_pads_its_values(patient: Patient, opened: Wire) -> None:
    soc = {"value": "26.0", "measurand": "SoC", "location": "EV", "unit": "Percent"}
    await _sampled(patient, opened, register(" 3000.0", context="Sample.Periodic", location="Outlet"), soc)


@HABITS.shown_by(19, "phases_beside_total", shows="3000.00")
async def go_e_sends_phases_beside_a_total(patient: Patient, opened: Wire) -> None:
    power = {"value": "0.00", "measurand": "Power.Active.Import", "unit": "W"}
    await _sampled(patient, opened, register("3000.00"), power | {"phase": "L1"}, power)


@HABITS.shown_by(20, "calls_before_boot", "vendor_data", shows="gatewayInfo", make=None)
async def en_plus_tells_of_itself_before_its_boot(patient: Patient, opened: Wire) -> None:
    about = json.dumps({"SN": "SN1", "fwVer": "V1", "maxCurr": 320, "phase": 1})
    told = {"vendorId": "EN+", "messageId": "gatewayInfo", "data": about}
    assert await ask(opened, "DataTransfer", told, id_="3301") == {"status": "UnknownVendorId"}
    await patient.boot(opened, "EN+", "AC Example")


@HABITS.shown_by(
    21, "vendor_data", "start_without_authorize", shows="evbStatusNotification", make=("EVBox", "Elvi Example")
)
async def evbox_tells_each_status_twice_and_starts_unasked(patient: Patient, opened: Wire) -> None:
    await ask(opened, "StatusNotification", _status(status="Preparing"))
    await ask(
        opened, "DataTransfer", {"vendorId": "EV-BOX", "messageId": "evbStatusNotification", "data": "1,Preparing"}
    )
    await patient.charge(opened)
    await patient.require_rated(5000)


@HABITS.shown_by(22, "json_whitespace", shows=" ,")
async def abl_puts_a_blank_before_the_comma(patient: Patient, opened: Wire) -> None:
    opened.answers["GetConfiguration"] = lambda _payload: {
        "configurationKey": [{"key": key, "readonly": True, "value": "1"} for key in ("ShortenUIDs", "SendsSigned")]
    }
    send = opened.socket.send

    async def with_blank(text: str) -> None:
        await send(text.replace(", {", " ,{", 1) if text.startswith("[3") else text)

    opened.socket.send = with_blank  # type: ignore[method-assign]
    outcome = await patient.asked(GetSettings())
    assert set(outcome.data["settings"]) == {"ShortenUIDs", "SendsSigned"}


@HABITS.shown_by(23, "configuration_key_padded", "secret_in_settings", shows="\\nG_PeakValleyEnable")
async def g_keys_begin_with_line_breaks_and_tell_a_pin(patient: Patient, opened: Wire) -> None:
    keys = {"G_ChargerID": "Y", "\nG_PeakValleyEnable": "1", "G_CardPin": "123123"}
    items = [{"key": key, "value": value, "readonly": False} for key, value in keys.items()]
    opened.answers["GetConfiguration"] = lambda _payload: {"configurationKey": items}
    outcome = await patient.asked(GetSettings())
    assert outcome.data["settings"]["G_PeakValleyEnable"] == "1"
    assert "123123" not in str(outcome)
    await patient.require_named(["secret_in_settings"])
    assert "123123" not in str((await patient.findings())["secret_in_settings"])


@HABITS.shown_by(24, "empty_texts", shows="V1.6@1+100", make=None)
async def teison_has_empty_texts_and_odd_signs(patient: Patient, opened: Wire) -> None:
    firmware = "V1.6@1+100,F9.gl,ws,ESP32"
    boot = {
        "chargePointModel": "Me@8KW", "chargePointVendor": "TEISON", "firmwareVersion": firmware, "iccid": "", "imsi": "",
    }  # fmt: skip
    assert (await ask(opened, "BootNotification", boot))["status"] == "Accepted"
    row = await patient.world.connection.fetchval("SELECT firmware FROM charge_point WHERE id = $1", patient.key.id)
    assert row == firmware


@HABITS.shown_by(25, "vendor_empty", "model_empty", "missing_field", make=None)
async def a_boot_without_vendor_and_model(_: Patient, opened: Wire) -> None:
    assert (await ask(opened, "BootNotification", {"firmwareVersion": "1.1"}))["status"] == "Accepted"
    long = {"chargePointVendor": "Example", "chargePointModel": "A model of more than twenty characters"}
    assert (await ask(opened, "BootNotification", long))["status"] == "Accepted"
    assert (await ask(opened, "BootNotification", {"firmwareVersion": "1.1"}))["status"] == "Accepted"


@HABITS.shown_by(26, "wrong_version_shape", "protocol_changes", shows="connectorStatus", make=None)
async def fox_ess_changes_its_version_with_every_connection(patient: Patient, opened: Wire) -> None:
    told = {"timestamp": stamp(in_the_past()), "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
    assert await ask(opened, "StatusNotification", told) == {}
    for protocol in ("ocpp2.0.1", "ocpp1.6"):
        async with patient.on(protocol) as other:
            assert await ask(other, "StatusNotification", told) == {}


@HABITS.shown_by(27, "connector_missing", protocol="ocpp2.0.1")
async def stations_name_an_evse_without_connector_and_come_late(patient: Patient, opened: Wire) -> None:
    told = [("Started", 2, 60, 1000), ("Updated", 3, 30, 3000), ("Ended", 4, 5, 6000)]
    for kind, number, minutes, wh in reversed(told):
        event = event_201(kind, number, in_the_past(minutes=minutes), meter_wh=wh, transaction="late")
        await ask(opened, "TransactionEvent", event | {"evse": {"id": 1}, "offline": True})
    await patient.require_rated(5000)


@HABITS.shown_by(28, "upgrade_header_missing", shows="Upgrade: websocket", make=None)
async def a_handshake_without_the_connection_header(patient: Patient, _: Wire) -> None:
    known = Credentials(url=patient.world.ocpp_url, identity=patient.key.id, password=patient.key.password)
    where = urlsplit(known.address)
    lines = [f"GET {where.path} HTTP/1.1", f"Host: {where.netloc}", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Protocol: ocpp1.6"]
    lines += [f"{name}: {value}" for name, value in known.headers.items()]
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    told = b'[2,"h","Heartbeat",{}]'
    writer.write(bytes([0x81, 0x80 | len(told)]) + bytes(4) + told)  # masked with zeros
    assert b"currentTime" in await reader.readuntil(b"}]")
    writer.close()
    await writer.wait_closed()


@HABITS.shown_by(29, "unit_hertz", shows='"Hertz"')
async def viridian_measures_hertz(patient: Patient, opened: Wire) -> None:
    await _sampled(patient, opened, {"value": "50", "measurand": "Frequency", "unit": "Hertz"})


SIGNED = {
    "OCMF": 'OCMF|{"FV":"1.0","RD":[]}|{"SD":"01"}',
    "hex": "4f434d467c7b7d7c7b7d",
    "base64": "T0NNRnx7fXx7fQ==",
    "JSON": '{"signedMeterData":"T0NNRg==","encodingMethod":"OCMF"}',
}


@HABITS.shown_by(30, "signed_data_at_stop_only", shows="SignedData")
async def signed_meters_write_as_they_like_and_only_in_the_stop(patient: Patient, opened: Wire) -> None:
    for number, value in enumerate(SIGNED.values()):
        minutes = 100 - 20 * number
        transaction = await patient.start(opened, in_the_past(minutes=minutes), meter_wh=1000 * (number + 1))
        ended = in_the_past(minutes=minutes - 15)
        sample = {"value": value, "format": "SignedData", "context": "Transaction.End"}
        stop = stop_16(transaction, ended, meter_wh=1000 * (number + 2))
        data = [{"timestamp": stamp(ended), "sampledValue": [sample]}]
        await ask(opened, "StopTransaction", stop | {"transactionData": data})
    await patient.require_rated(1000, 1000, 1000, 1000)
    rows = await patient.world.connection.fetch("SELECT samples FROM reading WHERE charge_point = $1", patient.key.id)
    assert {row["samples"][0][-1] for row in rows} == set(SIGNED.values())


@HABITS.shown_by(30, "transaction_ids_remembered", how=How.KNOWN, make=("Phoenix Contact", "CHARX Example"))
async def what_a_make_is_known_for_is_told_beside_what_it_shows(patient: Patient, opened: Wire) -> None:
    await patient.charge(opened)
