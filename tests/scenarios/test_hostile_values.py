"""M8: values that no field can take, in every text, number and date of every message: answered, folded, and printable."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from simulators.charge_point import stamp
from tests.faults.wire import wire
from tests.programs import start_csms
from tests.scenarios.spoken import ask, say
from tests.world import World, in_the_past

MARK = "@hostile@"
TRANSACTION_ACTIONS = {"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"}
# As they stand in JSON text; Python's json would not write most of them.
HOSTILE = {
    "NaN": "NaN",
    "1e400": "1e400",
    "a far year": '"222222017-10-10T10:10:10Z"',
    "U+0000": r'"a\u0000b"',
    "a lone surrogate": r'"a\ud800b"',
    "-1e400": "-1e400",
    "Infinity": "-Infinity",
    "NaN as text": '"NaN"',
    "1e400 as text": '"1e400"',
    "year zero": '"0000-00-00T00:00:00Z"',
    "the end of time": '"9999-12-31T23:59:59.999999999+23:59"',
    "a low surrogate": r'"\udc00"',
    "a huge integer": "9" * 400,
    "nothing": "null",
    "an object": "{}",
    "a list": "[]",
    "true": "true",
}
AT = stamp(in_the_past(minutes=30))
SAMPLE_16 = {
    "value": "1500", "context": "Sample.Periodic", "format": "Raw", "measurand": "Energy.Active.Import.Register",
    "phase": "L1", "location": "Outlet", "unit": "Wh",
}  # fmt: skip
CALLS_16: dict[str, dict[str, Any]] = {
    "BootNotification": {
        "chargePointVendor": "Fictitious", "chargePointModel": "M", "chargePointSerialNumber": "SN-1",
        "chargeBoxSerialNumber": "SN-2", "firmwareVersion": "1", "iccid": "1", "imsi": "1", "meterType": "T",
        "meterSerialNumber": "M-1",
    },
    "Authorize": {"idTag": "CARD-0001"},
    "StatusNotification": {
        "connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": AT, "info": "i", "vendorId": "v",
        "vendorErrorCode": "0x0",
    },
    "StartTransaction": {
        "connectorId": 2, "idTag": "CARD-0001", "meterStart": 1000, "timestamp": AT, "reservationId": 7
    },
    "MeterValues": {
        "connectorId": 1, "transactionId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [SAMPLE_16]}],
    },
    "StopTransaction": {
        "transactionId": 1, "idTag": "CARD-0001", "meterStop": 6000, "timestamp": AT, "reason": "Local",
        "transactionData": [{"timestamp": AT, "sampledValue": [SAMPLE_16]}],
    },
    "DataTransfer": {"vendorId": "v", "messageId": "m", "data": "d"},
    "FirmwareStatusNotification": {"status": "Downloaded"},
    "DiagnosticsStatusNotification": {"status": "Uploaded"},
    "LogStatusNotification": {"status": "Uploaded", "requestId": 1},
    "SecurityEventNotification": {"type": "t", "timestamp": AT, "techInfo": "i"},
}  # fmt: skip
SAMPLE_201 = {
    "value": 1500, "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "phase": "L1",
    "location": "Outlet", "unitOfMeasure": {"unit": "Wh", "multiplier": 0},
    "signedMeterValue": {"signedMeterData": "T0NNRg==", "signingMethod": "m", "encodingMethod": "OCMF", "publicKey": "k"},
}  # fmt: skip
CALLS_201: dict[str, dict[str, Any]] = {
    "BootNotification": {
        "reason": "PowerUp",
        "chargingStation": {
            "model": "M", "vendorName": "Fictitious", "serialNumber": "SN-1", "firmwareVersion": "1",
            "modem": {"iccid": "1", "imsi": "1"},
        },
    },
    "Authorize": {"idToken": {"idToken": "CARD-0001", "type": "ISO14443"}},
    "StatusNotification": {"timestamp": AT, "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1},
    "TransactionEvent": {
        "eventType": "Updated", "timestamp": AT, "triggerReason": "MeterValuePeriodic", "seqNo": 1, "offline": False,
        "numberOfPhasesUsed": 3, "cableMaxCurrent": 32, "reservationId": 7,
        "transactionInfo": {
            "transactionId": "t-1", "chargingState": "Charging", "timeSpentCharging": 10, "stoppedReason": "Local",
            "remoteStartId": 5,
        },
        "idToken": {"idToken": "CARD-0001", "type": "ISO14443"}, "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": AT, "sampledValue": [SAMPLE_201]}],
    },
    "MeterValues": {"evseId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [SAMPLE_201]}]},
    "DataTransfer": {"vendorId": "v", "messageId": "m", "data": "d"},
    "FirmwareStatusNotification": {"status": "Downloaded", "requestId": 1},
    "LogStatusNotification": {"status": "Uploaded", "requestId": 1},
    "SecurityEventNotification": {"type": "t", "timestamp": AT, "techInfo": "i"},
    "NotifyReport": {
        "requestId": 1, "generatedAt": AT, "seqNo": 0, "tbc": False,
        "reportData": [{
            "component": {"name": "C", "instance": "i", "evse": {"id": 1, "connectorId": 1}},
            "variable": {"name": "V", "instance": "i"},
            "variableAttribute": [{"type": "Actual", "value": "1", "mutability": "ReadWrite"}],
            "variableCharacteristics": {"dataType": "integer", "supportsMonitoring": False, "maxLimit": 9},
        }],
    },
    "NotifyEvent": {
        "generatedAt": AT, "seqNo": 0, "tbc": False,
        "eventData": [{
            "eventId": 1, "timestamp": AT, "trigger": "Alerting", "actualValue": "1", "techCode": "c", "techInfo": "i",
            "eventNotificationType": "HardWiredNotification", "component": {"name": "C"}, "variable": {"name": "V"},
        }],
    },
}  # fmt: skip
CALLS = {"ocpp1.6": CALLS_16, "ocpp2.0.1": CALLS_201}


def _spoilt(value: Any) -> Iterator[Any]:
    """The value with one leaf after the other replaced by the mark."""
    match value:
        case dict():
            for key, inner in value.items():
                for spoilt in _spoilt(inner):
                    yield value | {key: spoilt}
        case list():
            for index, inner in enumerate(value):
                for spoilt in _spoilt(inner):
                    yield [*value[:index], spoilt, *value[index + 1 :]]
        case _:
            yield MARK


async def _is_still_served(world: World, protocol: str) -> None:
    """Another charge point's messages are answered as ever."""
    key = await world.charge_point("BESIDE")
    async with wire(world.ocpp_url, key.id, key.password, protocol) as opened:
        assert "currentTime" in await ask(opened, "Heartbeat", {})


async def _csms(world: World, *words: str) -> str:
    """A command of the operator, in a process of its own; its output."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CSMS_")},
        "CSMS_DATABASE_URL": world.dsn,
        "CSMS_DATA_DIR": str(world.settings.data_dir),
    }
    process = await start_csms(*words, env=environment)
    out, err = await process.communicate()
    assert process.returncode == 0, f"csms {' '.join(words)}: {err.decode(errors='replace')[-2000:]}"
    return out.decode()


async def _metrics(world: World) -> str:
    def read() -> bytes:
        with urllib.request.urlopen(f"{world.running.http_url}/metrics", timeout=10) as answer:  # noqa: S310 - our own server
            return bytes(answer.read())

    return (await asyncio.to_thread(read)).decode()


async def _require_printable(world: World, charge_point: str) -> None:
    sessions = json.loads(await _csms(world, "session", "list", "-o", "json"))
    assert {each["id"] for each in sessions} == {each["id"] for each in await world.sessions()}
    assert json.loads(await _csms(world, "session", "orphans", "-o", "json")) is not None
    for words in (("session", "list"), ("review", "list"), ("session", "orphans"), ("cp", "show", charge_point)):
        assert await _csms(world, *words)
    assert "csms" in await _metrics(world)
    for session in sessions:
        await world.show(session["id"])
        await world.bills(session["id"])


@pytest.mark.parametrize("protocol", CALLS)
async def test_hostile_values_are_answered_and_leave_nothing_stuck(world: World, protocol: str) -> None:
    key = await world.charge_point("HOSTILE", template=False)
    unanswered, refused = [], []
    async with wire(world.ocpp_url, key.id, key.password, protocol) as opened:
        number = 0
        for how, text in HOSTILE.items():
            for action, payload in CALLS[protocol].items():
                for spoilt in _spoilt(payload):
                    number += 1
                    call = json.dumps([2, f"h-{number}", action, spoilt]).replace(f'"{MARK}"', text)
                    try:
                        reply = await say(opened, call, id_=f"h-{number}")
                    except (TimeoutError, ConnectionError) as failure:
                        unanswered.append((how, call, repr(failure)))
                        break
                    if reply.error == "InternalError" or (reply.error and action in TRANSACTION_ACTIONS):
                        refused.append((how, call, reply.error))
        assert "currentTime" in await ask(opened, "Heartbeat", {})

    assert unanswered == []
    assert refused == []
    await world.quiet()
    await _is_still_served(world, protocol)
    await _require_printable(world, key.id)


async def test_a_session_spoilt_by_hostile_values_bills_nothing_and_the_next_one_is_billed(world: World) -> None:
    key, began, ended = await world.charge_point("SPOILT"), stamp(in_the_past(hours=2)), in_the_past(minutes=5)
    async with wire(world.ocpp_url, key.id, key.password) as opened:
        text = (
            f'[2,"1","StartTransaction",{{"connectorId":1,"idTag":"CARD-0001","meterStart":NaN,"timestamp":"{began}"}}]'
        )
        spoilt = (await say(opened, text, id_="1")).payload["transactionId"]
        text = f'[2,"2","StopTransaction",{{"transactionId":{spoilt},"meterStop":1e400,"timestamp":"222222017-01-01T00:00:00Z"}}]'
        assert (await say(opened, text, id_="2")).error is None
        start = {"connectorId": 1, "idTag": "CARD-0001", "meterStart": 1000, "timestamp": stamp(in_the_past(hours=1))}
        sound = (await ask(opened, "StartTransaction", start))["transactionId"]
        await ask(opened, "StopTransaction", {"transactionId": sound, "meterStop": 6000, "timestamp": stamp(ended)})

    await world.quiet()
    sessions = {each["id"]: each for each in await world.sessions()}
    assert (sessions[sound]["state"], sessions[sound]["total_incl_tax"]) == ("rated", "2.92")
    assert sessions[spoilt]["state"] == "held"
    assert "malformed" in sessions[spoilt]["hold_reasons"]
    assert await world.bills(spoilt) == []
