"""OCPP 2.1 as far as it is 2.0.1: what is shared is read and written, what is new is refused in the words of 2.1."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from typing import Any

import pytest
from ocpp_payloads import CHARGE_POINT, RECEIVED_AT, STRICT, VALID, changed

from csms.charge_points.charge_point import ChargePoint
from csms.protocol.blocks.certificate_facts import EvCertificateAsked
from csms.protocol.blocks.charging_profile import ChargingNeedsReported
from csms.protocol.blocks.monitoring import SetNetworkProfile
from csms.protocol.blocks.reservation_facts import ReservationReported
from csms.protocol.translator import Refusal, translator
from csms.protocol.v201 import words
from csms.protocol.validation import SENDS, actions, is_valid
from csms.protocol.vocabulary import (
    ChargingAnswer,
    ChargingEvent,
    Fact,
    Protocol,
    ReadingsReported,
    SetSettings,
    TokenAnswer,
    TokenPresented,
    TokenStatus,
    TokenVerdict,
)

V21, V201 = Protocol.V21, Protocol.V201
TO_US = {
    "BatterySwap": {
        "eventType": "BatteryIn",
        "requestId": 1,
        "idToken": {"idToken": "TAG-A", "type": "ISO14443"},
        "batteryData": [{"evseId": 1, "serialNumber": "B1", "soC": 80, "soH": 97}],
    },
    "ClosePeriodicEventStream": {"id": 1},
    "GetCertificateChainStatus": {
        "certificateStatusRequests": [
            {
                "certificateHashData": {
                    "hashAlgorithm": "SHA256",
                    "issuerNameHash": "a",
                    "issuerKeyHash": "b",
                    "serialNumber": "1",
                },
                "source": "OCSP",
                "urls": ["http://ocsp.example"],
            }
        ]
    },
    "NotifyDERAlarm": {"controlType": "FreqDroop", "timestamp": "2026-03-01T10:00:00Z"},
    "NotifyDERStartStop": {"controlId": "1", "started": True, "timestamp": "2026-03-01T10:00:00Z"},
    "NotifyPriorityCharging": {"transactionId": "tx-1", "activated": True},
    "NotifySettlement": {
        "pspRef": "ref",
        "status": "Settled",
        "settlementAmount": 9.02,
        "settlementTime": "2026-03-01T10:00:00Z",
    },
    "OpenPeriodicEventStream": {"constantStreamData": {"id": 1, "variableMonitoringId": 2, "params": {"interval": 60}}},
    "PullDynamicScheduleUpdate": {"chargingProfileId": 1},
    "ReportDERControl": {"requestId": 1},
    "VatNumberValidation": {"vatNumber": "XX000000000"},
}
"""What is new in 2.1 and comes from charging stations, each as its schema wants it."""
FROM_US = {
    "AFRRSignal", "AdjustPeriodicEventStream", "ChangeTransactionTariff", "ClearDERControl", "ClearTariffs",
    "GetDERControl", "GetPeriodicEventStream", "GetTariffs", "NotifyAllowedEnergyTransfer", "NotifyWebPaymentStarted",
    "RequestBatterySwap", "SetDERControl", "SetDefaultTariff", "UpdateDynamicSchedule", "UsePriorityCharging",
}  # fmt: skip
"""What is new in 2.1 and would come from us."""


def read(payload: Any, action: str, *, protocol: Protocol = V21, by: ChargePoint = CHARGE_POINT) -> Fact | Refusal:
    return translator(protocol).read(action, payload, charge_point=by, received_at=RECEIVED_AT)


def test_what_is_new_in_2_1_is_named_here_in_full() -> None:
    assert actions(V21) - actions(V201) == TO_US.keys() | FROM_US
    assert actions(V201) <= actions(V21)
    assert {V21: frozenset({"NotifyPeriodicEventStream"})} == {each: SENDS[each] for each in Protocol if SENDS[each]}


@pytest.mark.parametrize("charge_point", [CHARGE_POINT, STRICT], ids=["lenient", "strict"])
@pytest.mark.parametrize("action", sorted(TO_US))
def test_a_message_that_is_new_in_2_1_is_known_and_not_supported(action: str, charge_point: ChargePoint) -> None:
    assert is_valid(V21, action, TO_US[action])

    assert read(TO_US[action], action, by=charge_point) == Refusal(
        code="NotSupported", description="this central system does not take this action"
    )
    assert read(TO_US[action], action, protocol=V201) == Refusal(
        code="NotImplemented", description="ocpp2.0.1 has no such action"
    )


@pytest.mark.parametrize("action", sorted(FROM_US))
def test_what_only_a_central_system_sends_is_not_supported_either(action: str) -> None:
    assert isinstance(refused := read({}, action), Refusal)
    assert refused.code == "NotSupported"


@pytest.mark.parametrize("action", sorted(VALID[V201]))
def test_what_2_1_shares_with_2_0_1_becomes_the_same_fact(action: str) -> None:
    payload = VALID[V201][action]

    assert read(payload, action, by=STRICT) == read(payload, action, protocol=V201, by=STRICT)


def of_2_1() -> dict[str, Any]:
    """A transaction event with what 2.1 has added to it."""
    event = changed(
        VALID[V201]["TransactionEvent"],
        triggerReason="RunningCost",
        evseSleep=False,
        preconditioningStatus="Ready",
        idToken={"idToken": "T" * 200, "type": "VIN"},
        costDetails={
            "totalCost": {"currency": "EUR", "typeOfCost": "NormalCost", "total": {"exclTax": 1.0, "inclTax": 1.2}},
            "totalUsage": {"energy": 1.0, "chargingTime": 60, "idleTime": 0},
        },
    )
    event["transactionInfo"] |= {"tariffId": "evening", "operationMode": "ChargingOnly"}
    event["meterValue"] = copy.deepcopy(event["meterValue"])
    event["meterValue"][0]["sampledValue"] += [
        {"value": 3, "measurand": "Display.PresentSOC", "location": "Upstream"},
        {"value": 8, "signedMeterValue": {"signedMeterData": "AA==", "encodingMethod": "OCMF"}},
    ]
    return event


def test_a_transaction_event_of_2_1_is_read_without_a_complaint() -> None:
    assert is_valid(V21, "TransactionEvent", of_2_1())
    fact = read(of_2_1(), "TransactionEvent", by=STRICT)

    assert isinstance(fact, ChargingEvent)
    assert (fact.quirks, fact.malformed) == ((), False)
    assert (fact.trigger, fact.token, fact.token_type) == ("RunningCost", "T" * 200, "VIN")
    told = [(sample.measurand, sample.location) for sample in fact.readings[0].samples]
    assert ("Display.PresentSOC", "Upstream") in told
    assert json.loads(fact.readings[0].samples[-1].signed or "") == {
        "signedMeterData": "AA==",
        "encodingMethod": "OCMF",
    }


def test_the_same_event_over_2_0_1_is_read_too_and_its_words_are_noted() -> None:
    fact = read(of_2_1(), "TransactionEvent", protocol=V201)

    assert isinstance(fact, ChargingEvent)
    assert {"unknown_enum", "unknown_property", "text_too_long", "missing_field"} <= set(fact.quirks)
    assert fact.trigger == "RunningCost"


def test_words_that_readers_recognise_are_those_of_the_schemas_of_both_versions() -> None:
    def of_schemas(action: str, name: str) -> set[str]:
        found: set[str] = set()
        for directory in ("v201", "v21"):
            file = resources.files("ocpp").joinpath(directory, "schemas", f"{action}Request.json")
            found |= set(json.loads(file.read_text(encoding="utf-8-sig"))["definitions"][name]["enum"])
        return found

    assert of_schemas("TransactionEvent", "MeasurandEnumType") == words.MEASURANDS
    assert of_schemas("TransactionEvent", "ReasonEnumType") == words.REASONS
    assert of_schemas("TransactionEvent", "TriggerReasonEnumType") == words.TRIGGERS
    assert of_schemas("TransactionEvent", "ChargingStateEnumType") == words.CHARGING_STATES


def test_what_an_ev_needs_has_decimals_in_2_1() -> None:
    ac = {"energyAmount": 12000.5, "evMinCurrent": 6, "evMaxCurrent": 16.5, "evMaxVoltage": 230.0}
    payload = {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "AC_BPT", "acChargingParameters": ac}}
    assert is_valid(V21, "NotifyEVChargingNeeds", payload)
    fact = read(payload, "NotifyEVChargingNeeds", by=STRICT)

    assert fact == ChargingNeedsReported(
        evse=1,
        transfer="AC_BPT",
        energy_wh=Decimal("12000.5"),
        current_min_a=6,
        current_max_a=Decimal("16.5"),
        voltage_max_v=230,
    )


def test_what_may_be_longer_in_2_1_is_not_cut() -> None:
    asked = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "A" * 11_000}
    assert is_valid(V21, "Get15118EVCertificate", asked)
    fact = read(asked, "Get15118EVCertificate", by=STRICT)

    assert isinstance(fact, EvCertificateAsked)
    assert len(fact.exi) == 11_000


def test_a_used_reservation_without_a_transaction_has_ended() -> None:
    payload = {"reservationId": 7, "reservationUpdateStatus": "NoTransaction"}

    assert read(payload, "ReservationStatusUpdate") == ReservationReported(reservation=7, status="Removed")
    assert read(payload | {"reservationUpdateStatus": "Expired"}, "ReservationStatusUpdate") == ReservationReported(
        reservation=7, status="Expired"
    )
    assert isinstance(read(payload, "ReservationStatusUpdate", protocol=V201), Refusal)


def test_a_schedule_that_sets_no_limit_is_refused_with_a_hint_at_its_novelty() -> None:
    period = {"startPeriod": 0, "setpoint": -5000, "operationMode": "CentralSetpoint"}
    schedule = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [period]}
    payload = {"evseId": 1, "timeBase": "2026-03-01T10:00:00Z", "chargingSchedule": schedule}
    assert is_valid(V21, "NotifyEVChargingSchedule", payload)

    assert isinstance(refused := read(payload, "NotifyEVChargingSchedule"), Refusal)
    assert refused.code == "PropertyConstraintViolation"
    assert "new in OCPP 2.1" in refused.description


def test_a_network_profile_names_no_version_because_the_handshake_does() -> None:
    command = SetNetworkProfile(
        slot=1, url="wss://csms.example/ocpp", security_profile=2, interface="Wired0", message_timeout_s=30
    )
    profiles = []
    for protocol in (V201, V21):
        call = translator(protocol).command(command)
        assert call is not None
        profiles.append(call[1]["connectionData"])

    assert profiles[0] == {"ocppVersion": "OCPP20"} | profiles[1]
    assert "ocppVersion" not in profiles[1]


def test_a_value_may_be_longer_than_in_2_0_1() -> None:
    command = SetSettings(values=(("TariffCostCtrlr.TotalCostFallbackMessage", "x" * 2000),))

    assert translator(V21).command(command) is not None
    with pytest.raises(ValueError, match="longer than 1000 characters"):
        translator(V201).command(command)


@pytest.mark.parametrize(("length", "versions"), [(36, {V201, V21}), (37, {V21}), (255, {V21}), (256, set())])
def test_a_group_is_named_where_the_version_has_room_for_it(length: int, versions: set[Protocol]) -> None:
    verdict = TokenVerdict(status=TokenStatus.ACCEPTED, group="G" * length, expires_at=datetime(2027, 1, 1, tzinfo=UTC))
    for protocol in (V201, V21):
        speaker = translator(protocol)
        infos = [
            speaker.answer("Authorize", TokenAnswer(verdict=verdict)),
            speaker.answer("TransactionEvent", ChargingAnswer(verdict=verdict)),
        ]
        for each in infos:
            info = each["idTokenInfo"]
            assert isinstance(info, dict)
            assert ("groupIdToken" in info) is (protocol in versions)


def test_a_1_6_shape_on_a_2_1_socket_is_read_and_answered_as_such() -> None:
    fact = read({"idTag": "TAG-A"}, "Authorize")
    assert isinstance(fact, TokenPresented)
    assert "wrong_version_shape" in fact.quirks
    verdict = TokenAnswer(verdict=TokenVerdict(status=TokenStatus.ACCEPTED))

    assert translator(V21).answer("Authorize", verdict, fact=fact) == {"idTagInfo": {"status": "Accepted"}}


def test_broken_transaction_messages_of_2_1_are_kept() -> None:
    fact = translator(V21).read_broken(
        "MeterValues", '[2,"1","MeterValues",{"evseId":1,}]', charge_point=CHARGE_POINT, received_at=RECEIVED_AT
    )

    assert isinstance(fact, ReadingsReported)
    assert fact.malformed
