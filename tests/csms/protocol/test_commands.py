"""Every call that leaves fits the official schema, or says which field breaks which rule."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_payloads import JSON

from csms.protocol import vocabulary as v
from csms.protocol.redaction import is_secret
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.v201.setting_name import SettingName, SettingNameInvalid, parse_setting_name
from csms.protocol.validation import is_valid
from csms.protocol.vocabulary import Protocol

TEXTS = st.text(st.characters(), max_size=60)
NUMBERS = st.integers(-5, 40) | st.integers(2**31 - 2, 2**33)
NAMES = (
    st.sampled_from(["OCPPCommCtrlr.HeartbeatInterval", "EVSE@1.Power[max]", "Connector@1.2.Available", "NoDot"])
    | TEXTS
)
AMOUNTS = st.decimals() | st.decimals(0, 1000, places=2)
COMMANDS = st.one_of(
    st.builds(v.StartCharging, token=TEXTS, evse=st.none() | NUMBERS, remote_start=NUMBERS),
    st.builds(v.StopCharging, transaction=TEXTS | NUMBERS.map(str)),
    st.builds(v.Reset, hard=st.booleans(), evse=st.none() | NUMBERS),
    st.builds(v.UnlockConnector, evse=NUMBERS, connector=NUMBERS),
    st.builds(v.ChangeAvailability, operative=st.booleans(), evse=st.none() | NUMBERS),
    st.builds(v.GetSettings, names=st.lists(NAMES, max_size=3).map(tuple)),
    st.builds(v.SetSettings, values=st.lists(st.tuples(NAMES, TEXTS), max_size=2).map(tuple)),
    st.builds(v.GetFullReport, request=NUMBERS),
    st.builds(
        v.TriggerMessage,
        message=st.sampled_from(["BootNotification", "MeterValues", "Dance"]),
        evse=st.none() | NUMBERS,
        connector=st.none() | NUMBERS,
    ),
    st.builds(v.SendVendorData, vendor=TEXTS, message=st.none() | TEXTS, data=JSON),
    st.builds(v.AskTransactionStatus, transaction=st.none() | TEXTS),
    st.builds(v.ShowCost, transaction=TEXTS, total_cost=AMOUNTS),
)


@given(st.sampled_from(Protocol), COMMANDS)
def test_a_command_is_a_valid_call_or_names_what_is_wrong(protocol, command):
    try:
        call = translator(protocol).command(command)
    except CommandInvalid as error:
        invalid, call = error, None
    else:
        invalid = None

    if invalid is not None:
        assert str(invalid) == f"{invalid.action} cannot be sent: {invalid.problem}"
    elif call is not None:
        action, payload = call
        assert is_valid(protocol, action, payload)
        assert is_valid(protocol, action, orjson.loads(orjson.dumps(payload)))


@given(st.sampled_from(Protocol), COMMANDS, JSON)
def test_an_outcome_is_readable_whatever_is_answered(protocol, command, payload):
    if isinstance(command, v.SetSettings) and len(command.values) != 1:
        command = dataclasses.replace(command, values=(("Key", "1"),))

    outcome = translator(protocol).outcome(command, payload)

    assert outcome.status
    orjson.dumps(outcome.data)


@pytest.mark.parametrize(
    ("command", "call_16", "call_201"),
    [
        (
            v.StartCharging(token="TAG-A", evse=2, remote_start=7),
            ("RemoteStartTransaction", {"idTag": "TAG-A", "connectorId": 2}),
            (
                "RequestStartTransaction",
                {"idToken": {"idToken": "TAG-A", "type": "Central"}, "remoteStartId": 7, "evseId": 2},
            ),
        ),
        (
            v.StopCharging(transaction="42"),
            ("RemoteStopTransaction", {"transactionId": 42}),
            ("RequestStopTransaction", {"transactionId": "42"}),
        ),
        (v.Reset(hard=True), ("Reset", {"type": "Hard"}), ("Reset", {"type": "Immediate"})),
        (v.Reset(), ("Reset", {"type": "Soft"}), ("Reset", {"type": "OnIdle"})),
        (
            v.UnlockConnector(evse=2),
            ("UnlockConnector", {"connectorId": 2}),
            ("UnlockConnector", {"evseId": 2, "connectorId": 1}),
        ),
        (
            v.ChangeAvailability(operative=False),
            ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}),
            ("ChangeAvailability", {"operationalStatus": "Inoperative"}),
        ),
        (
            v.ChangeAvailability(operative=True, evse=1),
            ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}),
            ("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1}}),
        ),
        (
            v.TriggerMessage(message="MeterValues", evse=1),
            ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}),
            ("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 1}}),
        ),
        (
            v.SendVendorData(vendor="Acme", message="m", data={"a": 1}),
            ("DataTransfer", {"vendorId": "Acme", "messageId": "m", "data": '{"a":1}'}),
            ("DataTransfer", {"vendorId": "Acme", "messageId": "m", "data": {"a": 1}}),
        ),
        (v.GetFullReport(request=3), None, ("GetBaseReport", {"requestId": 3, "reportBase": "FullInventory"})),
        (v.AskTransactionStatus(transaction="t"), None, ("GetTransactionStatus", {"transactionId": "t"})),
        (
            v.ShowCost(transaction="t", total_cost=Decimal("9.10")),
            None,
            ("CostUpdated", {"totalCost": 9.1, "transactionId": "t"}),
        ),
    ],
)
def test_a_command_is_said_in_the_words_of_each_version(command, call_16, call_201):
    assert translator(Protocol.V16).command(command) == call_16
    assert translator(Protocol.V201).command(command) == call_201


def test_settings_are_asked_for_and_set_by_name():
    old, new = translator(Protocol.V16), translator(Protocol.V201)
    name = "SampledDataCtrlr.TxUpdatedInterval"
    variable = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}

    assert old.command(v.GetSettings()) == ("GetConfiguration", {})
    assert old.command(v.GetSettings(names=("A",))) == ("GetConfiguration", {"key": ["A"]})
    assert old.command(v.SetSettings(values=(("A", "1"),))) == ("ChangeConfiguration", {"key": "A", "value": "1"})
    assert new.command(v.GetSettings(names=(name,))) == ("GetVariables", {"getVariableData": [variable]})
    assert new.command(v.SetSettings(values=((name, "60"),))) == (
        "SetVariables",
        {"setVariableData": [{"attributeValue": "60", **variable}]},
    )


@pytest.mark.parametrize(
    ("protocol", "command", "message"),
    [
        (
            Protocol.V16,
            v.StartCharging(token="T" * 21, remote_start=1),
            "RemoteStartTransaction cannot be sent: idTag is longer than 20 characters",
        ),
        (
            Protocol.V201,
            v.StopCharging(transaction="T" * 37),
            "RequestStopTransaction cannot be sent: transactionId is longer than 36 characters",
        ),
        (
            Protocol.V16,
            v.StopCharging(transaction="abc"),
            "RemoteStopTransaction cannot be sent: transactionId is an integer in OCPP 1.6, not 'abc'",
        ),
        (
            Protocol.V16,
            v.SetSettings(values=(("A", "1"), ("B", "2"))),
            "ChangeConfiguration cannot be sent: OCPP 1.6 changes exactly one key by each call",
        ),
        (
            Protocol.V16,
            v.Reset(evse=1),
            "Reset cannot be sent: OCPP 1.6 resets only the whole charge point, not one EVSE",
        ),
        (Protocol.V16, v.UnlockConnector(evse=0), "UnlockConnector cannot be sent: connectorId counts from 1, not 0"),
        (
            Protocol.V16,
            v.TriggerMessage(message="TransactionEvent"),
            "TriggerMessage cannot be sent: requestedMessage is none of the words of the schema",
        ),
        (
            Protocol.V201,
            v.StartCharging(token="T", remote_start=2**31),
            "RequestStartTransaction cannot be sent: remoteStartId exceeds the 32 bits of an OCPP integer",
        ),
        (
            Protocol.V201,
            v.GetSettings(),
            "GetVariables cannot be sent: name the settings, or ask for the full report",
        ),
    ],
)
def test_a_command_that_cannot_be_sent_names_the_field_and_the_rule(protocol, command, message):
    with pytest.raises(CommandInvalid) as caught:
        translator(protocol).command(command)

    assert str(caught.value) == message


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("data", [float("inf"), {"limit": float("nan")}, [b"octets"], 2**64])
def test_data_that_json_cannot_say_does_not_leave_as_something_else(protocol, data):
    with pytest.raises(CommandInvalid, match=r"^DataTransfer cannot be sent: data is not JSON"):
        translator(protocol).command(v.SendVendorData(vendor="com.example", data=data))


def outcome(protocol: Protocol, command: v.Command, payload: Any) -> v.Outcome:
    return translator(protocol).outcome(command, payload)


@pytest.mark.parametrize(
    ("command", "payload", "accepted", "status"),
    [
        (v.Reset(), {"status": "Accepted"}, True, "Accepted"),
        (v.Reset(), {"status": "accepted"}, True, "Accepted"),
        (v.Reset(), {"status": "Rejected"}, False, "Rejected"),
        (v.ChangeAvailability(operative=True), {"status": "Scheduled"}, True, "Scheduled"),
        (v.UnlockConnector(evse=1), {"status": "Unlocked"}, True, "Unlocked"),
        (v.UnlockConnector(evse=1), {"status": "UnlockFailed"}, False, "UnlockFailed"),
        (v.TriggerMessage(message="Heartbeat"), {"status": "NotImplemented"}, False, "NotImplemented"),
        (v.Reset(), {}, False, "invalid_answer"),
        (v.Reset(), [], False, "invalid_answer"),
        (v.Reset(), {"status": "\x00"}, False, "\ufffd"),
    ],
)
@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_status_says_whether_the_charge_point_will_do_it(protocol, command, payload, accepted, status):
    said = outcome(protocol, command, payload)

    assert (said.accepted, said.status) == (accepted, status)


def test_a_configuration_is_read_with_all_its_oddities_and_without_its_secrets():
    answer = {
        "configurationKey": [
            {"key": "HeartbeatInterval", "value": 300, "readonly": False},
            {"key": "WebSocketPingInterval", "value": "54", "readonly": False},
            {"key": "\nG_PeakValleyEnable", "value": "1", "readonly": True},
            {"key": "G_CardPin", "value": "000000", "readonly": False},
            {"key": "AuthorizationKey", "value": "0011223344556677", "readonly": False},
            {"key": "LocalPreAuthorize", "value": True},
            {"key": "Empty", "readonly": True},
            {"value": "nameless"},
        ],
        "unknownKey": ["Foo"],
    }
    said = outcome(Protocol.V16, v.GetSettings(), answer)

    assert said.accepted
    assert said.data["settings"] == {
        "HeartbeatInterval": "300",
        "WebSocketPingInterval": "54",
        "G_PeakValleyEnable": "1",
        "G_CardPin": "(hidden)",
        "AuthorizationKey": "(hidden)",
        "LocalPreAuthorize": "true",
        "Empty": None,
    }
    assert said.data["readonly"] == ["G_PeakValleyEnable", "Empty"]
    assert said.data["unknown"] == ["Foo"]


def test_a_changed_key_may_need_a_reboot():
    said = outcome(Protocol.V16, v.SetSettings(values=(("A", "1"),)), {"status": "RebootRequired"})

    assert (said.accepted, said.status, said.data) == (True, "RebootRequired", {"statuses": {"A": "RebootRequired"}})


def test_variables_are_read_one_by_one_without_secrets():
    def result(component, variable, status, value=None):
        entry = {"component": {"name": component}, "variable": {"name": variable}, "attributeStatus": status}
        return entry if value is None else entry | {"attributeValue": value}

    answer = {
        "getVariableResult": [
            result("TxCtrlr", "TxStartPoint", "Accepted", "EVConnected"),
            result("SecurityCtrlr", "BasicAuthPassword", "Accepted", "hunter2hunter2"),
            result("Foo", "Bar", "UnknownComponent"),
        ]
    }
    said = outcome(Protocol.V201, v.GetSettings(names=("a.b",)), answer)

    assert (said.accepted, said.status, said.detail) == (False, "UnknownComponent", "Foo.Bar: UnknownComponent")
    assert said.data["settings"] == {
        "TxCtrlr.TxStartPoint": "EVConnected",
        "SecurityCtrlr.BasicAuthPassword": "(hidden)",
    }
    assert said.data["unknown"] == ["Foo.Bar"]


def test_variables_that_were_set_tell_each_their_status():
    variable = {"component": {"name": "A", "evse": {"id": 1}}, "variable": {"name": "B"}}
    other = {"component": {"name": "C"}, "variable": {"name": "D", "instance": "i"}}
    answer = {
        "setVariableResult": [{**variable, "attributeStatus": "Accepted"}, {**other, "attributeStatus": "Rejected"}]
    }
    said = outcome(Protocol.V201, v.SetSettings(values=(("A@1.B", "1"), ("C.D[i]", "2"))), answer)

    assert (said.accepted, said.status) == (False, "Rejected")
    assert said.data["statuses"] == {"A@1.B": "Accepted", "C.D[i]": "Rejected"}


def test_a_transaction_status_tells_what_is_queued():
    ask = v.AskTransactionStatus(transaction="t")

    assert outcome(Protocol.V201, ask, {"messagesInQueue": False, "ongoingIndicator": True}).data == {
        "ongoing": True,
        "messages_in_queue": False,
    }
    assert outcome(Protocol.V201, ask, {"messagesInQueue": True}).data["ongoing"] is None
    assert outcome(Protocol.V201, ask, {}).status == "invalid_answer"


def test_a_refusal_may_say_why():
    payload = {"status": "Rejected", "statusInfo": {"reasonCode": "TxInProgress", "additionalInfo": "EVSE 1"}}

    assert outcome(Protocol.V201, v.Reset(), payload).detail == "TxInProgress: EVSE 1"


def test_a_remote_start_may_name_its_transaction():
    said = outcome(
        Protocol.V201, v.StartCharging(token="T", remote_start=1), {"status": "Accepted", "transactionId": "tx-9"}
    )

    assert said.data == {"transaction": "tx-9"}


# --- names of settings ----------------------------------------------------------------------------------------------

PARTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
PLACES = st.none() | st.tuples(st.integers(-(2**31), 2**31 - 1), st.none() | st.integers(0, 2**31 - 1))


@given(PARTS, PARTS, st.none() | st.text(max_size=5), st.none() | st.text(max_size=5), PLACES)
def test_a_setting_name_reads_back_as_printed(component, variable, component_instance, variable_instance, place):
    name = SettingName(
        component=component,
        variable=variable,
        component_instance=component_instance,
        variable_instance=variable_instance,
        evse=None if place is None else place[0],
        connector=None if place is None else place[1],
    )

    assert parse_setting_name(str(name)) == name


def test_setting_names_have_a_plain_form():
    parsed = parse_setting_name("Connector[left]@1.2.Available[x]")

    assert (parsed.component, parsed.component_instance, parsed.evse, parsed.connector) == ("Connector", "left", 1, 2)
    assert (parsed.variable, parsed.variable_instance) == ("Available", "x")
    assert str(SettingName(component="EVSE", evse=1, variable="Power")) == "EVSE@1.Power"


@pytest.mark.parametrize("text", ["", "HeartbeatInterval", ".x", "A.", "A.B.C", "A@x.B", "A[.B", "A.B[", "A.B]"])
def test_what_is_no_setting_name_says_how_to_write_one(text):
    with pytest.raises(SettingNameInvalid, match=r"write Component\.Variable"):
        parse_setting_name(text)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("AuthorizationKey", True),
        ("SecurityCtrlr.BasicAuthPassword", True),
        ("G_CardPin", True),
        ("PIN", True),
        ("pin", True),
        ("UserPinCode", True),
        ("ClientSecret", True),
        ("wifi_password", True),
        ("api_key", True),
        ("WebSocketPingInterval", False),
        ("PINGInterval", False),
        ("MeterPublicKey", False),
        ("KeyboardLayout", False),
        ("MonitoringMapping", False),
        ("HeartbeatInterval", False),
    ],
)
def test_secrets_are_known_by_their_names(name, secret):
    assert is_secret(name) is secret
