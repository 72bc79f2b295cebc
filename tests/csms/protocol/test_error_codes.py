"""Each version's own error code for what is wrong, misspelt where the version misspells it."""

from __future__ import annotations

import pytest
from ocpp_payloads import CHARGE_POINT, RECEIVED_AT, STRICT, VALID, changed

from csms.protocol.translator import Refusal, translator
from csms.protocol.validation import actions, validator
from csms.protocol.vocabulary import Protocol

METER_VALUES = VALID[Protocol.V16]["MeterValues"]
EVENT = VALID[Protocol.V201]["TransactionEvent"]
START = VALID[Protocol.V16]["StartTransaction"]
STOP = VALID[Protocol.V16]["StopTransaction"]


@pytest.mark.parametrize(
    ("protocol", "action", "payload", "code"),
    [
        (Protocol.V16, "StartTransaction", [], "FormationViolation"),
        (Protocol.V16, "StartTransaction", changed(START, color="red"), "FormationViolation"),
        (Protocol.V16, "StartTransaction", changed(START, meterStart=None), "ProtocolError"),
        (Protocol.V16, "StartTransaction", changed(START, meterStart="12"), "TypeConstraintViolation"),
        (Protocol.V16, "StartTransaction", changed(START, meterStart=12.5), "TypeConstraintViolation"),
        (Protocol.V16, "StartTransaction", changed(START, meterStart=float("nan")), "PropertyConstraintViolation"),
        (Protocol.V16, "StartTransaction", changed(START, idTag="T" * 21), "PropertyConstraintViolation"),
        (Protocol.V16, "MeterValues", changed(METER_VALUES, meterValue=[]), "OccurenceConstraintViolation"),
        (
            Protocol.V16,
            "StopTransaction",
            changed(STOP, transactionData=[{"timestamp": "2026-03-01T10:00:00Z", "sampledValue": []}]),
            "OccurenceConstraintViolation",  # though this schema, other than that of MeterValues, allows it
        ),
        (
            Protocol.V16,
            "StatusNotification",
            {"connectorId": 1, "errorCode": "NoError", "status": "Odd"},
            "PropertyConstraintViolation",
        ),
        (Protocol.V201, "TransactionEvent", "text", "FormatViolation"),
        (Protocol.V201, "TransactionEvent", changed(EVENT, color="red"), "FormatViolation"),
        (Protocol.V201, "TransactionEvent", changed(EVENT, seqNo=None), "OccurrenceConstraintViolation"),
        (Protocol.V201, "TransactionEvent", changed(EVENT, seqNo="1"), "TypeConstraintViolation"),
        (Protocol.V201, "TransactionEvent", changed(EVENT, eventType="Odd"), "PropertyConstraintViolation"),
        (Protocol.V201, "TransactionEvent", changed(EVENT, meterValue=[]), "OccurrenceConstraintViolation"),
    ],
)
def test_strict_mode_names_the_violation_in_the_words_of_the_version(protocol, action, payload, code):
    refusal = translator(protocol).read(action, payload, charge_point=STRICT, received_at=RECEIVED_AT)

    assert isinstance(refusal, Refusal)
    assert refusal.code == code


def test_infinite_numbers_of_a_2_0_1_sample_break_a_property_not_a_type():
    meter_value = [{"timestamp": "2026-03-01T10:00:00Z", "sampledValue": [{"value": float("inf")}]}]
    payload = {"evseId": 1, "meterValue": meter_value}

    refusal = translator(Protocol.V201).read("MeterValues", payload, charge_point=STRICT, received_at=RECEIVED_AT)

    assert isinstance(refusal, Refusal)
    assert refusal.code == "PropertyConstraintViolation"


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize(("action", "code"), [("CustomOperation", "NotImplemented"), ("Reset", "NotSupported")])
def test_unknown_actions_and_actions_of_others_have_their_own_codes(protocol, action, code):
    refusal = translator(protocol).read(action, {}, charge_point=CHARGE_POINT, received_at=RECEIVED_AT)

    assert isinstance(refusal, Refusal)
    assert refusal.code == code


def test_a_refusal_names_the_field_and_never_the_value():
    payload = {"vendorId": {"pin": "1234-5678"}}
    refusal = translator(Protocol.V16).read("DataTransfer", payload, charge_point=CHARGE_POINT, received_at=RECEIVED_AT)

    assert refusal == Refusal(code="TypeConstraintViolation", description="vendorId is not of type string")


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_official_schema_compiles_in_both_directions(protocol):
    assert len(actions(protocol)) == {Protocol.V16: 39, Protocol.V201: 64, Protocol.V21: 90}[protocol]

    for action in actions(protocol):
        assert validator(protocol, action).is_valid([]) is False
        assert validator(protocol, action, response=True).is_valid([]) is False
