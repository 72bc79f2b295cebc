"""What real charge points send against the specification, and what we make of it. Shapes are facts, values invented."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from ocpp_payloads import CHARGE_POINT, RECEIVED_AT, VALID, changed

from csms.protocol.translator import Refusal, translator
from csms.protocol.vocabulary import (
    Booted,
    ChargingAnswer,
    ChargingState,
    EventKind,
    Protocol,
    StatusReported,
    TokenAnswer,
    TokenPresented,
    TokenStatus,
    TokenVerdict,
)

START = VALID[Protocol.V16]["StartTransaction"]
STOP = VALID[Protocol.V16]["StopTransaction"]
EVENT = VALID[Protocol.V201]["TransactionEvent"]
AT = "2026-02-03T04:05:06Z"


def read(action, payload, *, protocol=Protocol.V16, charge_point=CHARGE_POINT):
    fact = translator(protocol).read(action, payload, charge_point=charge_point, received_at=RECEIVED_AT)
    assert not isinstance(fact, Refusal), fact
    return fact


def broken(action, text, *, protocol=Protocol.V16, charge_point=CHARGE_POINT):
    return translator(protocol).read_broken(action, text, charge_point=charge_point, received_at=RECEIVED_AT)


def values(fact):
    return [(sample.measurand, sample.value, sample.unit) for reading in fact.readings for sample in reading.samples]


# --- frames and schema ----------------------------------------------------------------------------------------------


def test_a_comma_before_the_first_sample_costs_no_sample():
    text = (
        '[2,"7","MeterValues",{"connectorId":2,"transactionId":31,"meterValue":[{"timestamp":"2026-02-03T04:05:06Z",'
        '"sampledValue":[,{"value":"9.5","measurand":"Current.Import","unit":"A"}]}]}]'
    )
    fact = broken("MeterValues", text)

    assert fact.malformed
    assert (fact.evse, fact.transaction) == (2, "31")
    assert values(fact) == [("Current.Import", Decimal("9.5"), "A")]
    assert fact.quirks == ("not_json",)


def test_a_stop_without_a_number_after_transaction_id_keeps_its_register_and_time():
    text = '[2,"8","StopTransaction",{"transactionId":,"meterStop":45210,"timestamp":"2026-02-03T04:05:06Z","idTag":"TAG-A"}]'
    fact = broken("StopTransaction", text)

    assert fact.malformed
    assert fact.transaction is None
    assert fact.register_wh == Decimal(45210)
    assert fact.token == "TAG-A"
    assert fact.at == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_a_number_or_text_cut_off_at_the_end_of_the_frame_is_not_taken_for_whole():
    assert broken("StopTransaction", '[2,"8","StopTransaction",{"transactionId":5,"meterStop":45').register_wh is None
    assert broken("StartTransaction", '[2,"8","StartTransaction",{"connectorId":1,"idTag":"TAG').token is None


def test_a_broken_frame_sent_twice_is_the_same_fact_whatever_its_message_id():
    first = broken("StopTransaction", '[2,"8","StopTransaction",{"transactionId":,"meterStop":9}]')
    second = broken("StopTransaction", '[2,"9","StopTransaction",{"transactionId":,"meterStop":9}]')

    assert first.key == second.key


def test_a_broken_frame_that_is_no_transaction_message_is_left_to_an_error():
    assert broken("Heartbeat", '[2,"8","Heartbeat",{') is None
    assert broken("StopTransaction", "[2", charge_point=replace(CHARGE_POINT, strict=True)) is None


@pytest.mark.parametrize(
    ("payload", "vendor", "model", "quirks"),
    [
        ({"chargePointVendor": "", "chargePointModel": "M"}, "", "M", {"vendor_empty"}),
        ({"firmwareVersion": "1.0"}, "", "", {"vendor_empty", "model_empty", "missing_field"}),
        ({"chargePointVendor": "V" * 40, "chargePointModel": "M"}, "V" * 40, "M", {"text_too_long"}),
        (
            {"chargePointVendor": "V", "chargePointModel": 7, "x": 1},
            "V",
            "7",
            {"text_as_number", "wrong_type", "unknown_property"},
        ),
    ],
)
def test_a_boot_is_never_lost_for_its_vendor_or_model(payload, vendor, model, quirks):
    fact = read("BootNotification", payload)

    assert isinstance(fact, Booted)
    assert (fact.vendor, fact.model, set(fact.quirks)) == (vendor, model, quirks)


def test_a_firmware_version_with_odd_signs_and_empty_sim_ids_is_plain():
    payload = {
        "chargePointVendor": "V",
        "chargePointModel": "A@7",
        "firmwareVersion": "V1@0+1,F8",
        "iccid": "",
        "imsi": "",
    }
    fact = read("BootNotification", payload)

    assert (fact.model, fact.firmware, fact.iccid, fact.imsi, fact.quirks) == ("A@7", "V1@0+1,F8", None, None, ())


def test_an_unknown_error_code_is_kept_with_the_status():
    fact = read("StatusNotification", {"connectorId": 0, "errorCode": "Error", "status": "Faulted", "timestamp": AT})

    assert (fact.evse, fact.connector, fact.status, fact.error_code) == (0, 0, "Faulted", "Error")
    assert "error_code_unknown" in fact.quirks


def test_null_as_a_word_is_no_information():
    payload = {
        "connectorId": 1,
        "errorCode": "NoError",
        "info": "null",
        "status": "Preparing",
        "vendorErrorCode": "0x0000",
    }
    fact = read("StatusNotification", payload)

    assert (fact.info, fact.vendor_error_code, fact.at, fact.quirks) == (None, "0x0000", None, ("null_as_text",))


def test_a_status_in_other_case_is_recognised_and_a_nameless_one_refused():
    payload = {"connectorId": 1, "errorCode": "noError", "status": "charging "}
    assert read("StatusNotification", payload).status == "Charging"

    refusal = translator(Protocol.V16).read(
        "StatusNotification", {**payload, "status": "Dancing"}, charge_point=CHARGE_POINT, received_at=RECEIVED_AT
    )
    assert refusal == Refusal(
        code="PropertyConstraintViolation", description="errorCode is none of the words of the schema"
    )


@pytest.mark.parametrize(
    ("register", "wh", "quirk"),
    [
        (1234.5, "1234.500", "decimal_register"),
        (1234.0, "1234.000", "decimal_register"),
        ("1234", "1234.000", "number_as_text"),
        (" 1234.25 ", "1234.250", "decimal_register"),
        (4_296_944_685, "4296944685.000", None),
        (0.0005, "0.001", "decimal_register"),
    ],
)
def test_a_register_is_read_exactly_however_it_is_written(register, wh, quirk):
    for action, payload in (
        ("StartTransaction", START | {"meterStart": register}),
        ("StopTransaction", STOP | {"meterStop": register}),
    ):
        fact = read(action, payload)

        assert str(fact.register_wh) == wh
        assert not fact.malformed
        assert quirk is None or quirk in fact.quirks


def test_a_token_longer_than_the_schema_allows_keeps_its_identity():
    fact = read("Authorize", {"idTag": "A" * 40})

    assert fact == TokenPresented(token="A" * 40, quirks=("text_too_long",))


def test_text_that_postgres_refuses_is_replaced():
    fact = read("Authorize", {"idTag": "A\x00B\ud800C"})

    assert fact == TokenPresented(token="A\ufffdB\ufffdC", quirks=("text_unstorable",))


def test_reservation_zero_means_none():
    assert read("StartTransaction", START | {"reservationId": 0}).reservation is None
    assert read("StartTransaction", START | {"reservationId": 4}).reservation == 4


@pytest.mark.parametrize(
    "payload",
    [
        changed(START, connectorId=None),
        changed(START, idTag=None),
        changed(START, meterStart=None),
        changed(START, meterStart="many"),
        changed(START, meterStart=float("nan")),
        changed(START, meterStart=10**16),
        changed(START, connectorId=-1),
        [],
    ],
)
def test_a_start_without_an_essential_is_malformed_and_keeps_the_rest(payload):
    fact = read("StartTransaction", payload)

    assert fact.malformed
    assert fact.kind is EventKind.STARTED
    assert fact.quirks
    if payload:
        assert fact.at == datetime(2026, 3, 1, 10, tzinfo=UTC)
        assert fact.token == payload.get("idTag")


def test_a_stop_with_words_for_an_id_is_malformed_and_dated_by_arrival():
    fact = read("StopTransaction", {"transactionId": "oops"})

    assert fact.malformed
    assert (fact.transaction, fact.register_wh, fact.at) == ("oops", None, RECEIVED_AT)


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_stamp_without_zone_is_read_in_the_zone_of_the_charge_point():
    payload = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "2026-07-01T10:00:00"}
    berlin = replace(CHARGE_POINT, time_zone="Europe/Berlin")

    assert read("StatusNotification", payload).at == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert read("StatusNotification", payload, charge_point=berlin).at == datetime(2026, 7, 1, 8, tzinfo=UTC)
    assert read("StatusNotification", payload).quirks == ("time_without_zone",)


def test_utc_and_local_times_mixed_in_one_session_are_told_apart():
    berlin = replace(CHARGE_POINT, time_zone="Europe/Berlin")
    start = read("StartTransaction", START | {"timestamp": "2026-07-01T10:00:00"}, charge_point=berlin)
    stop = read("StopTransaction", STOP | {"timestamp": "2026-07-01T09:00:00Z"}, charge_point=berlin)

    assert (start.at, stop.at) == (datetime(2026, 7, 1, 8, tzinfo=UTC), datetime(2026, 7, 1, 9, tzinfo=UTC))
    assert "time_without_zone" in start.quirks
    assert "time_without_zone" not in stop.quirks


def test_a_start_of_1970_keeps_its_time_and_says_that_the_clock_was_not_set():
    fact = read("StartTransaction", START | {"timestamp": "1970-01-01T00:00:12.740Z"})

    assert fact.at == datetime(1970, 1, 1, 0, 0, 12, 740000, tzinfo=UTC)
    assert fact.quirks == ("clock_not_set",)
    assert not fact.malformed


def test_a_start_of_the_year_222222017_is_dated_by_arrival():
    fact = read("StartTransaction", START | {"timestamp": "222222017-01-01T00:00:00Z"})

    assert (fact.at, fact.quirks, fact.malformed) == (RECEIVED_AT, ("time_unreadable",), False)


def test_a_reading_of_an_event_without_readable_time_takes_the_time_of_the_event():
    payload = changed(EVENT, meterValue=[{"timestamp": "yesterday", "sampledValue": [{"value": 1}]}])
    fact = read("TransactionEvent", payload, protocol=Protocol.V201)

    assert fact.readings[0].at == fact.at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert fact.readings[0].quirks == ("time_unreadable",)


# --- transactions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transaction", [0, -1, -1_700_000_002])
def test_ids_that_we_never_gave_come_through_as_sent(transaction):
    fact = read("StopTransaction", changed(STOP, transactionId=transaction))

    assert (fact.transaction, fact.malformed) == (str(transaction), False)


def test_a_stop_without_token_and_reason_is_complete():
    fact = read("StopTransaction", changed(STOP, idTag=None, reason=None, transactionData=None))

    assert (fact.kind, fact.token, fact.stopped_reason, fact.readings) == (EventKind.ENDED, None, None, ())
    assert not fact.malformed
    assert fact.quirks == ()


def test_a_pseudo_tag_in_a_stop_comes_through():
    assert read("StopTransaction", STOP | {"idTag": "HardReset", "reason": "PowerLoss"}).token == "HardReset"


def test_a_transaction_event_without_connector_names_its_evse():
    fact = read("TransactionEvent", changed(EVENT, evse={"id": 1}, offline=True), protocol=Protocol.V201)

    assert (fact.evse, fact.connector, fact.offline, fact.malformed) == (1, None, True, False)
    assert fact.quirks == ("connector_missing",)


def test_no_authorization_is_no_token():
    fact = read(
        "TransactionEvent", changed(EVENT, idToken={"idToken": "", "type": "NoAuthorization"}), protocol=Protocol.V201
    )

    assert (fact.token, fact.token_type, fact.quirks) == (None, "NoAuthorization", ())


def test_a_2_0_1_transaction_event_tells_all_it_knows():
    fact = read("TransactionEvent", EVENT, protocol=Protocol.V201)

    assert (fact.kind, fact.transaction, fact.seq_no, fact.trigger) == (EventKind.STARTED, "tx-1", 0, "Authorized")
    assert (fact.token, fact.token_type, fact.charging_state) == ("TAG-A", "ISO14443", ChargingState.CHARGING)
    assert (fact.evse, fact.connector, fact.remote_start, fact.register_wh) == (1, 1, 8, None)
    energy, power, signed = fact.readings[0].samples
    assert (energy.value, power.value, signed.value) == (Decimal("1200.500"), Decimal(11040), Decimal("7.000"))
    assert signed.signed == '{"signedMeterData":"AA==","signingMethod":"","encodingMethod":"OCMF","publicKey":"BB=="}'


@pytest.mark.parametrize(
    "payload",
    [
        changed(EVENT, eventType="Paused"),
        changed(EVENT, seqNo="x"),
        changed(EVENT, transactionInfo={}),
        changed(EVENT, seqNo=2**40),
    ],
)
def test_a_transaction_event_without_an_essential_is_malformed_and_keeps_the_rest(payload):
    fact = read("TransactionEvent", payload, protocol=Protocol.V201)

    assert fact.malformed
    assert fact.token == "TAG-A"
    assert len(fact.readings) == 1


# --- the other version's words on this socket -----------------------------------------------------------------------


def test_a_2_0_1_status_on_a_1_6_socket_is_understood():
    payload = {"timestamp": AT, "connectorStatus": "Occupied", "evseId": 1, "connectorId": 2}
    fact = read("StatusNotification", payload)

    at = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert fact == StatusReported(evse=1, connector=2, status="Occupied", at=at, quirks=("wrong_version_shape",))


def test_a_1_6_start_on_a_2_0_1_socket_is_understood_and_answered_in_1_6_words():
    fact = read("StartTransaction", START, protocol=Protocol.V201)
    verdict = TokenVerdict(status=TokenStatus.ACCEPTED)
    answer = translator(Protocol.V201).answer(
        "StartTransaction", ChargingAnswer(transaction=4, verdict=verdict), fact=fact
    )

    assert "wrong_version_shape" in fact.quirks
    assert fact.register_wh == Decimal(1200)
    assert answer == {"transactionId": 4, "idTagInfo": {"status": "Accepted"}}


@pytest.mark.parametrize(
    ("protocol", "other", "expected"),
    [(Protocol.V16, Protocol.V201, "idTokenInfo"), (Protocol.V201, Protocol.V16, "idTagInfo")],
)
def test_an_authorize_is_answered_in_the_shape_it_came_in(protocol, other, expected):
    fact = read("Authorize", VALID[other]["Authorize"], protocol=protocol)
    decision = TokenAnswer(verdict=TokenVerdict(status=TokenStatus.INVALID))

    assert fact.token == "TAG-A"
    assert translator(protocol).answer("Authorize", decision, fact=fact) == {expected: {"status": "Invalid"}}


def test_strict_mode_takes_no_other_version():
    strict = replace(CHARGE_POINT, strict=True)
    refusal = translator(Protocol.V201).read("StartTransaction", START, charge_point=strict, received_at=RECEIVED_AT)

    assert isinstance(refusal, Refusal)
    assert refusal.code == "NotImplemented"


# --- settings and reports -------------------------------------------------------------------------------------------


def test_a_report_never_carries_a_password():
    entries = [
        ("BasicAuthPassword", "hunter2hunter2", "WriteOnly"),
        ("Identity", "CP-1", "ReadWrite"),
        ("Shy", "x", "WriteOnly"),
    ]
    data = [
        {
            "component": {"name": "SecurityCtrlr"},
            "variable": {"name": name},
            "variableAttribute": [{"type": "Target", "value": "no"}, {"value": value, "mutability": mutability}],
        }
        for name, value, mutability in entries
    ]
    fact = read(
        "NotifyReport", {"requestId": 1, "generatedAt": AT, "seqNo": 0, "reportData": data}, protocol=Protocol.V201
    )

    assert fact.settings == (
        ("SecurityCtrlr.BasicAuthPassword", "(hidden)", "WriteOnly"),
        ("SecurityCtrlr.Identity", "CP-1", "ReadWrite"),
        ("SecurityCtrlr.Shy", "(hidden)", "WriteOnly"),
    )


def test_an_empty_report_is_a_report():
    fact = read(
        "NotifyReport", {"requestId": 2, "generatedAt": AT, "seqNo": 1, "reportData": []}, protocol=Protocol.V201
    )

    assert (fact.request, fact.seq_no, fact.more, fact.settings) == (2, 1, False, ())


def test_events_of_the_device_model_name_their_variable():
    fact = read("NotifyEvent", VALID[Protocol.V201]["NotifyEvent"], protocol=Protocol.V201)

    [event] = fact.events
    assert (event.id, event.name, event.value, event.trigger) == (9, "EVSE@1.Power[max]", "42", "Delta")
    assert fact.more
