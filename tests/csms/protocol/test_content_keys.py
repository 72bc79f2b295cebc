"""What makes two messages the same fact, and what makes them different ones."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_payloads import CHARGE_POINT, RECEIVED_AT, VALID, changed

from csms.protocol.translator import translator
from csms.protocol.vocabulary import Protocol

START = VALID[Protocol.V16]["StartTransaction"]
STOP = VALID[Protocol.V16]["StopTransaction"]
METER_VALUES = VALID[Protocol.V16]["MeterValues"]
EVENT = VALID[Protocol.V201]["TransactionEvent"]
SECURITY = VALID[Protocol.V16]["SecurityEventNotification"]


def key(action: str, payload: Any, protocol: Protocol = Protocol.V16) -> bytes:
    fact = translator(protocol).read(action, payload, charge_point=CHARGE_POINT, received_at=RECEIVED_AT)
    return fact.readings[0].key if action == "MeterValues" else fact.key


def shuffled(value: Any, seed: int) -> Any:
    """The same JSON with the keys of its objects in another order."""
    if isinstance(value, list):
        return [shuffled(item, seed) for item in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    random.Random(seed).shuffle(names)
    return {name: shuffled(value[name], seed) for name in names}


KEYED = [
    (Protocol.V16, "StartTransaction", START),
    (Protocol.V16, "StopTransaction", STOP),
    (Protocol.V16, "MeterValues", METER_VALUES),
    (Protocol.V16, "SecurityEventNotification", SECURITY),
    (Protocol.V16, "StopTransaction", {"transactionId": "oops", "meterStop": 1}),
    (Protocol.V201, "TransactionEvent", EVENT),
    (Protocol.V201, "TransactionEvent", {"eventType": "Ended"}),
]


@given(st.sampled_from(KEYED), st.integers())
def test_the_order_of_json_keys_means_nothing(case, seed):
    protocol, action, payload = case

    assert key(action, shuffled(payload, seed), protocol) == key(action, payload, protocol)
    assert len(key(action, payload, protocol)) == 16


def test_keys_stay_what_they_are_since_they_are_stored():
    assert key("StartTransaction", START).hex() == "6607a75cd762102339428734d07f541f"
    assert key("StopTransaction", STOP).hex() == "ea629253b0a9fc3d52302a5de7fc4176"
    assert key("MeterValues", METER_VALUES).hex() == "e7277bbce04ab6bc3bbf29a177a80924"
    assert key("TransactionEvent", EVENT, Protocol.V201).hex() == "1384ab3dee4659bf8e6f5490e3b7b3f9"


def test_a_start_is_its_connector_token_time_and_register():
    same = [
        START | {"idTag": "tag-a"},
        changed(START, reservationId=None),
        START | {"vendor": "x"},
        START | {"meterStart": 1200.0},
    ]
    other = [
        START | {"connectorId": 2},
        START | {"idTag": "TAG-B"},
        START | {"meterStart": 1201},
        START | {"timestamp": "2026-03-01T10:00:01Z"},
    ]

    assert {key("StartTransaction", payload) for payload in same} == {key("StartTransaction", START)}
    assert len({key("StartTransaction", payload) for payload in [START, *other]}) == 5


def test_the_same_instant_in_another_zone_is_the_same_start():
    assert key("StartTransaction", START | {"timestamp": "2026-03-01T11:00:00+01:00"}) == key("StartTransaction", START)


def test_a_stop_is_all_that_it_says():
    others = [
        changed(STOP, transactionId=8),
        changed(STOP, meterStop=9201),
        changed(STOP, timestamp="2026-03-01T11:00:01Z"),
        changed(STOP, reason="Remote"),
        changed(STOP, idTag=None),
        changed(STOP, transactionData=None),
        changed(STOP, transactionData=[{"timestamp": "2026-03-01T10:00:00Z", "sampledValue": [{"value": "1"}]}]),
    ]

    assert len({key("StopTransaction", payload) for payload in [STOP, *others]}) == 8
    assert key("StopTransaction", changed(STOP, reason=None)) == key("StopTransaction", changed(STOP, reason="Local"))


def test_an_event_is_the_same_when_only_its_delay_or_vendor_data_differ():
    said_again = [
        changed(EVENT, offline=True),
        changed(EVENT, offline=None),
        changed(EVENT, customData={"vendorId": "Acme", "attempt": 2}),
        changed(EVENT, evse={"id": 1, "connectorId": 1, "customData": {"vendorId": "Acme"}}),
    ]
    assert {key("TransactionEvent", payload, Protocol.V201) for payload in said_again} == {
        key("TransactionEvent", EVENT, Protocol.V201)
    }


def test_a_malformed_event_is_the_same_when_only_its_delay_or_vendor_data_differ():
    payload = {
        "eventType": "Ended",
        "transactionInfo": {"transactionId": "t", "customData": {"vendorId": "A"}},
        "offline": True,
    }
    again = {"eventType": "Ended", "transactionInfo": {"transactionId": "t"}, "offline": False}

    assert key("TransactionEvent", payload, Protocol.V201) == key("TransactionEvent", again, Protocol.V201)
    assert key("TransactionEvent", payload | {"x": 1}, Protocol.V201) != key("TransactionEvent", again, Protocol.V201)


def test_an_event_differs_by_everything_that_it_says():
    others = [
        changed(EVENT, seqNo=1),
        changed(EVENT, eventType="Updated"),
        changed(EVENT, timestamp="2026-03-01T10:00:01Z"),
        changed(EVENT, triggerReason="CablePluggedIn"),
        changed(EVENT, transactionInfo={"transactionId": "tx-2", "chargingState": "Charging", "remoteStartId": 8}),
        changed(EVENT, transactionInfo={"transactionId": "tx-1", "chargingState": "Idle", "remoteStartId": 8}),
        changed(EVENT, transactionInfo={"transactionId": "tx-1", "chargingState": "Charging"}),
        changed(EVENT, idToken=None),
        changed(EVENT, evse=None),
        changed(EVENT, meterValue=None),
        changed(EVENT, cableMaxCurrent=32),
        changed(EVENT, numberOfPhasesUsed=3),
        changed(EVENT, reservationId=3),
    ]
    assert len({key("TransactionEvent", payload, Protocol.V201) for payload in [EVENT, *others]}) == 14


def reading(**sample: Any) -> dict[str, Any]:
    return changed(METER_VALUES, meterValue=[{"timestamp": "2026-03-01T10:00:00Z", "sampledValue": [sample]}])


def test_a_reading_is_the_same_with_defaults_spelt_out_or_in_another_unit():
    explicit = {
        "value": "1500.0",
        "measurand": "Energy.Active.Import.Register",
        "context": "Sample.Periodic",
        "format": "Raw",
        "location": "Outlet",
        "unit": "Wh",
    }
    same = [reading(value="1500"), reading(value="1.5", unit="kWh"), reading(**explicit)]

    assert len({key("MeterValues", payload) for payload in same}) == 1


def test_a_reading_does_not_depend_on_where_it_belongs_or_on_the_order_of_its_samples():
    elsewhere = changed(METER_VALUES, connectorId=2, transactionId=99)
    turned = copy.deepcopy(METER_VALUES)
    turned["meterValue"][0]["sampledValue"].reverse()

    assert key("MeterValues", elsewhere) == key("MeterValues", turned) == key("MeterValues", METER_VALUES)


@pytest.mark.parametrize(
    "field",
    [
        {"value": "1501"},
        {"context": "Sample.Clock"},
        {"phase": "L1"},
        {"location": "EV"},
        {"measurand": "Voltage", "unit": "V"},
    ],
)
def test_another_sample_at_the_same_instant_is_another_reading(field):
    assert key("MeterValues", reading(**({"value": "1500"} | field))) != key("MeterValues", reading(value="1500"))


def test_a_reading_in_both_versions_has_one_key():
    sample = {"value": 1.5, "unitOfMeasure": {"unit": "kWh"}}
    payload = {"evseId": 1, "meterValue": [{"timestamp": "2026-03-01T10:00:00.000Z", "sampledValue": [sample]}]}

    assert key("MeterValues", payload, Protocol.V201) == key("MeterValues", reading(value="1500"))


def test_unreadable_times_keep_different_messages_apart():
    first, second = (START | {"timestamp": text} for text in ("yesterday", "today"))

    assert key("StartTransaction", first) != key("StartTransaction", second)
    assert key("StartTransaction", first) == key("StartTransaction", dict(first))
