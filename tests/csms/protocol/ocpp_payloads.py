"""One valid payload for each call that charge points send, and ways to spoil it."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from csms.charge_points.charge_point import ChargePoint
from csms.protocol.vocabulary import Protocol

RECEIVED_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CHARGE_POINT = ChargePoint(id="CP-1", site="yard")
STRICT = ChargePoint(id="CP-2", site="yard", strict=True)

_SAMPLES_16 = [
    {"value": "1200.5", "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
    {"value": "11.04", "measurand": "Power.Active.Import", "unit": "kW", "location": "Outlet"},
    {"value": "16.0", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
    {"value": "OCMF|{}|{}", "format": "SignedData", "context": "Transaction.End"},
]
_METER_VALUE_16 = {"timestamp": "2026-03-01T10:00:00Z", "sampledValue": _SAMPLES_16}
_METER_VALUE_201 = {
    "timestamp": "2026-03-01T10:00:00Z",
    "sampledValue": [
        {"value": 1.2005, "context": "Transaction.Begin", "unitOfMeasure": {"unit": "kWh", "multiplier": 0}},
        {"value": 11040, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}},
        {
            "value": 7.0,
            "signedMeterValue": {
                "signedMeterData": "AA==",
                "signingMethod": "",
                "encodingMethod": "OCMF",
                "publicKey": "BB==",
            },
        },
    ],
}
_VARIABLE = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power", "instance": "max"}}

VALID: dict[Protocol, dict[str, dict[str, Any]]] = {
    Protocol.V16: {
        "Authorize": {"idTag": "TAG-A"},
        "BootNotification": {
            "chargePointVendor": "Acme",
            "chargePointModel": "One",
            "chargePointSerialNumber": "S1",
            "firmwareVersion": "1.0",
            "iccid": "1",
            "imsi": "2",
        },
        "DataTransfer": {"vendorId": "Acme", "messageId": "hello", "data": "text"},
        "DiagnosticsStatusNotification": {"status": "Uploading"},
        "FirmwareStatusNotification": {"status": "Installed"},
        "Heartbeat": {},
        "LogStatusNotification": {"status": "Uploaded", "requestId": 4},
        "MeterValues": {"connectorId": 1, "transactionId": 7, "meterValue": [_METER_VALUE_16]},
        "SecurityEventNotification": {
            "type": "SettingSystemTime",
            "timestamp": "2026-03-01T10:00:00Z",
            "techInfo": "x",
        },
        "SignedFirmwareStatusNotification": {"status": "SignatureVerified", "requestId": 5},
        "StartTransaction": {
            "connectorId": 1,
            "idTag": "TAG-A",
            "meterStart": 1200,
            "timestamp": "2026-03-01T10:00:00Z",
            "reservationId": 3,
        },
        "StatusNotification": {
            "connectorId": 1,
            "errorCode": "NoError",
            "status": "Charging",
            "timestamp": "2026-03-01T10:00:00Z",
            "info": "fine",
            "vendorErrorCode": "0",
        },
        "StopTransaction": {
            "transactionId": 7,
            "idTag": "TAG-A",
            "meterStop": 9200,
            "timestamp": "2026-03-01T11:00:00Z",
            "reason": "EVDisconnected",
            "transactionData": [_METER_VALUE_16],
        },
    },
    Protocol.V201: {
        "Authorize": {"idToken": {"idToken": "TAG-A", "type": "ISO14443"}},
        "BootNotification": {
            "reason": "PowerUp",
            "chargingStation": {"model": "One", "vendorName": "Acme", "modem": {"iccid": "1", "imsi": "2"}},
        },
        "DataTransfer": {"vendorId": "Acme", "messageId": "hello", "data": {"any": ["thing", 1, None]}},
        "FirmwareStatusNotification": {"status": "Installed", "requestId": 5},
        "Heartbeat": {},
        "LogStatusNotification": {"status": "Uploaded", "requestId": 4},
        "MeterValues": {"evseId": 1, "meterValue": [_METER_VALUE_201]},
        "NotifyEvent": {
            "generatedAt": "2026-03-01T10:00:00Z",
            "seqNo": 0,
            "tbc": True,
            "eventData": [
                {
                    "eventId": 9,
                    "timestamp": "2026-03-01T10:00:00Z",
                    "trigger": "Delta",
                    "actualValue": "42",
                    "eventNotificationType": "CustomMonitor",
                    **_VARIABLE,
                }
            ],
        },
        "NotifyReport": {
            "requestId": 1,
            "generatedAt": "2026-03-01T10:00:00Z",
            "seqNo": 0,
            "reportData": [{**_VARIABLE, "variableAttribute": [{"value": "11000", "mutability": "ReadOnly"}]}],
        },
        "PublishFirmwareStatusNotification": {
            "status": "Published",
            "location": ["https://local.example/pump-2.1.bin"],
            "requestId": 6,
        },
        "SecurityEventNotification": {
            "type": "SettingSystemTime",
            "timestamp": "2026-03-01T10:00:00Z",
            "techInfo": "x",
        },
        "StatusNotification": {
            "timestamp": "2026-03-01T10:00:00Z",
            "connectorStatus": "Occupied",
            "evseId": 1,
            "connectorId": 1,
        },
        "TransactionEvent": {
            "eventType": "Started",
            "timestamp": "2026-03-01T10:00:00Z",
            "triggerReason": "Authorized",
            "seqNo": 0,
            "offline": False,
            "transactionInfo": {"transactionId": "tx-1", "chargingState": "Charging", "remoteStartId": 8},
            "evse": {"id": 1, "connectorId": 1},
            "idToken": {"idToken": "TAG-A", "type": "ISO14443"},
            "meterValue": [_METER_VALUE_201],
        },
    },
}
VALID[Protocol.V21] = VALID[Protocol.V201]

CALLS = [(protocol, action) for protocol, payloads in VALID.items() for action in payloads]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=30)
    | st.sampled_from(
        [
            "",
            "null",
            "\x00",
            "\ud800x",
            " 12 ",
            "1,5",
            "-0.0",
            "1e999",
            "9" * 60,
            "x" * 3000,
            "222222017-01-01T00:00:00Z",
        ]
    ),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


def changed(payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A copy with `fields` set; None takes a field away."""
    merged = copy.deepcopy(payload) | fields
    return {name: value for name, value in merged.items() if value is not None}


@st.composite
def spoilt(draw: st.DrawFn, payload: dict[str, Any]) -> Any:
    """`payload` with up to three places deleted, replaced or added to."""
    result: Any = copy.deepcopy(payload)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(result))
        if not places or draw(st.integers(0, 30)) == 0:
            return draw(JSON)
        container, key = draw(st.sampled_from(places))
        deed = draw(st.sampled_from(["delete", "replace", "add"]))
        if deed == "delete":
            del container[key]
        elif deed == "replace":
            container[key] = draw(JSON)
        elif isinstance(container, dict):
            container[draw(st.text(min_size=1, max_size=8))] = draw(JSON)
        else:
            container.append(draw(JSON))
    return result


def _places(value: Any) -> Any:
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield value, name
        yield from _places(value[name])
