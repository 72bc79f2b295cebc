"""Replays: the captured calls in order, with our own ids, credentials and, if asked, our own time."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ocpp.v16 import call as call16

from simulators import schemas
from simulators.capture import CaptureError, read, shifted
from simulators.charge_point import HandshakeRefusedError
from simulators.replay import ReplayError, replay
from tests.simulators.central_system import CentralSystem


def line(frame: Any, *, t: float = 0.0, ver: str = "1.6", to_station: bool = False) -> dict[str, Any]:
    return {"t": t, "cp": "OLD-1", "ver": ver, "dir": "cs->cp" if to_station else "cp->cs", "frame": frame}


HANDSHAKE = {"t": 0.1, "kind": "handshake", "path": "/ocpp/OLD-1", "headers": {"Sec-WebSocket-Protocol": "ocpp1.6"}}
START = {"connectorId": 1, "idTag": "CARD-1", "meterStart": 1000, "timestamp": "2026-01-01T00:00:00Z"}
STOP = {"transactionId": 1001, "meterStop": 2500, "timestamp": "2026-01-01T01:00:00.5Z"}
SAMPLE = {"timestamp": "1970-01-01T00:10:00Z", "sampledValue": [{"value": "1200"}]}
CAPTURE: list[Any] = [
    {"t": 0.0, "kind": "note", "note": "made up"},
    HANDSHAKE,
    line([2, "36", "StartTransaction", START]),
    line([3, "36", {"transactionId": 1001, "idTagInfo": {"status": "Accepted"}}], to_station=True),
    line([2, "c1", "GetConfiguration", {}], to_station=True),
    line([3, "c1", {"configurationKey": []}]),
    {"t": 2.0, "kind": "closed", "code": 1006},
    HANDSHAKE | {"t": 3.0},
    line([2, "36", "MeterValues", {"connectorId": 1, "transactionId": 1001, "meterValue": [SAMPLE]}], t=3.0),
    line('[2,"37","MeterValues",{"transactionId":,}]', t=3.5),
    line([2, "37", "StopTransaction", STOP], t=4.0),
]


async def test_the_transaction_id_of_our_server_takes_the_place_of_the_captured_one(central: CentralSystem) -> None:
    report = await replay(CAPTURE, central.url, None, central.password)

    assert report.ok
    assert report.identity == "OLD-1"
    assert report.transactions == {1001: 7001}
    assert central.payloads("MeterValues")[0]["transactionId"] == 7001
    assert central.payloads("StopTransaction") == [STOP | {"transactionId": 7001}]
    assert central.payloads("broken") == [{"text": '[2,"37","MeterValues",{"transactionId":,}]'}]
    assert (report.sent, report.connections) == (4, 2)


async def test_ids_of_2_0_1_stay_as_the_station_gave_them(central: CentralSystem) -> None:
    event = {
        "eventType": "Started",
        "timestamp": "2026-01-01T00:00:00Z",
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-of-the-station"},
    }
    await replay([line([2, "1", "TransactionEvent", event], ver="2.0.1")], central.url, "NEW-1", central.password)

    assert central.payloads("TransactionEvent") == [event]
    assert central.sockets["NEW-1"].subprotocol == "ocpp2.0.1"


async def test_now_moves_the_first_stamp_to_now_and_leaves_clocks_that_were_never_set(central: CentralSystem) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    await replay(CAPTURE, central.url, "NEW-1", central.password, now=True)

    started = datetime.fromisoformat(central.payloads("StartTransaction")[0]["timestamp"])
    stopped = datetime.fromisoformat(central.payloads("StopTransaction")[0]["timestamp"])
    assert before <= started <= datetime.now(UTC)
    assert timedelta(hours=1) <= stopped - started <= timedelta(hours=1, seconds=2)
    assert central.payloads("MeterValues")[0]["meterValue"][0]["timestamp"] == "1970-01-01T00:10:00Z"


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        ("2026-01-01T10:00:00Z", "2026-01-01T11:30:00Z"),
        ("2026-01-01T10:00:00.250+02:00", "2026-01-01T11:30:00.250+02:00"),
        ("2026-01-01T14:35:02+02", "2026-01-01T16:05:02+02"),
        ("2026-01-01T10:00:00", "2026-01-01T11:30:00"),
        ("1970-01-01T00:00:00.740Z", "1970-01-01T00:00:00.740Z"),
        ("222222017-01-01T00:00:00Z", "222222017-01-01T00:00:00Z"),
        ("2026-13-01T10:00:00Z", "2026-13-01T10:00:00Z"),
    ],
)
def test_a_moved_stamp_is_written_as_it_was(written: str, moved: str) -> None:
    assert shifted({"a": [{"timestamp": written}]}, timedelta(minutes=90)) == {"a": [{"timestamp": moved}]}


async def test_a_call_of_the_server_gets_a_schema_valid_answer_meanwhile(central: CentralSystem) -> None:
    async def ask() -> Any:
        await asyncio.wait_for(central.arrived.wait(), 5)
        return await central.peers["NEW-1"].call(call16.GetConfiguration(key=["HeartbeatInterval"]), suppress=False)

    capture = [line([2, "1", "Heartbeat", {}]), line([2, "2", "Heartbeat", {}], t=1.0)]
    asked = asyncio.create_task(ask())
    report = await replay(capture, central.url, "NEW-1", central.password, speed=4)

    assert (await asked) is not None
    assert report.server_calls == {"GetConfiguration": 1}


async def test_a_refused_and_an_unanswered_call_are_reported_with_their_line(central: CentralSystem) -> None:
    central.mood = {"StartTransaction": ["error"], "StopTransaction": ["silent"]}
    report = await replay(CAPTURE, central.url, "NEW-1", central.password, answer_timeout_s=0.3)

    assert [(refused.line, refused.code) for refused in report.refused] == [(3, "InternalError")]
    assert [(gone.line, gone.action) for gone in report.unanswered] == [(11, "StopTransaction")]
    assert not report.ok


async def test_a_capture_without_an_identity_asks_for_one(central: CentralSystem) -> None:
    with pytest.raises(ReplayError, match="--identity"):
        await replay([line([2, "1", "Heartbeat", {}])], central.url, None, central.password)


async def test_wrong_credentials_are_an_error_that_says_so(central: CentralSystem) -> None:
    with pytest.raises(HandshakeRefusedError, match="401 Unauthorized: who are you"):
        await replay(CAPTURE, central.url, None, "wrong")


def test_a_broken_line_of_a_capture_is_named(tmp_path: Path) -> None:
    capture = tmp_path / "capture.jsonl"
    capture.write_text(json.dumps(HANDSHAKE) + "\n{oops\n", encoding="utf-8")
    with pytest.raises(CaptureError, match="line 2"):
        read(capture)


@pytest.mark.parametrize("protocol", sorted(schemas.VERSIONS))
def test_every_generated_message_fits_its_schema(protocol: str) -> None:
    for action in schemas.FROM_CHARGE_POINT[protocol]:
        for full in (False, True):
            assert schemas.is_valid(protocol, action, schemas.request(protocol, action, full=full), response=False)
    for action in OUTBOUND[protocol]:
        assert schemas.is_valid(protocol, action, schemas.reply(protocol, action), response=True)


@pytest.mark.parametrize("protocol", sorted(schemas.VERSIONS))
def test_every_payload_broken_on_purpose_is_broken(protocol: str) -> None:
    for action in schemas.FROM_CHARGE_POINT[protocol]:
        for case in schemas.broken(protocol, action):
            assert not schemas.is_valid(protocol, action, case.payload, response=False), (action, case.how)


OUTBOUND = {
    "ocpp1.6": [
        "CancelReservation",
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "ClearChargingProfile",
        "DataTransfer",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "GetLocalListVersion",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
        "ExtendedTriggerMessage",
        "GetLog",
        "InstallCertificate",
        "SignedUpdateFirmware",
    ],
    "ocpp2.0.1": [
        "ChangeAvailability",
        "ClearCache",
        "CostUpdated",
        "DataTransfer",
        "GetBaseReport",
        "GetLog",
        "GetReport",
        "GetTransactionStatus",
        "GetVariables",
        "RequestStartTransaction",
        "RequestStopTransaction",
        "Reset",
        "SetVariables",
        "TriggerMessage",
        "UnlockConnector",
        "SetChargingProfile",
        "GetChargingProfiles",
        "SetNetworkProfile",
        "SendLocalList",
        "InstallCertificate",
        "UpdateFirmware",
    ],
}
OUTBOUND["ocpp2.1"] = OUTBOUND["ocpp2.0.1"]
