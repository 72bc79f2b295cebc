"""Secrets that go over the wire are in nothing that is kept."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.redaction import REDACTED, redacted, without_customer_information, without_description

SECRET = "correct-horse-battery-staple"
PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
SAID = [
    [2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}],
    [3, "1", {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": SECRET}]}],
    [2, "1", "DataTransfer", {"data": {"key": "password", "value": SECRET}}],
    [2, "1", "SetVariables", {"setVariableData": [{**PASSWORD, "attributeValue": SECRET}]}],
    [3, "1", {"getVariableResult": [{**PASSWORD, "attributeStatus": "Accepted", "attributeValue": SECRET}]}],
    [
        2,
        "1",
        "NotifyReport",
        {"reportData": [{**PASSWORD, "variableAttribute": [{"type": "Actual", "value": SECRET}]}]},
    ],
    [2, "1", "SetNetworkProfile", {"connectionData": {"vpn": {"server": "vpn.example", "key": SECRET}}}],
    [2, "1", "SetNetworkProfile", {"connectionData": {"apn": {"apn": "example", "apnPassword": SECRET}}}],
]


@pytest.mark.parametrize("message", SAID, ids=lambda message: str(message[2])[:20])
def test_a_secret_is_hidden_and_nothing_else_is(message: list[Any]) -> None:
    kept = redacted(json.dumps(message))

    assert json.loads(kept) == json.loads(json.dumps(message).replace(SECRET, REDACTED))
    assert SECRET not in kept


@pytest.mark.parametrize(
    "message",
    [
        [2, "1", "GetConfiguration", {"key": ["AuthorizationKey"]}],
        [3, "1", {"configurationKey": [{"key": "WebSocketPingInterval", "readonly": False, "value": "60"}]}],
        [3, "1", {"configurationKey": [{"key": "AuthorizationKey", "readonly": False}], "unknownKey": ["MyKey"]}],
        [2, "1", "MeterValues", {"signedMeterValue": {"publicKey": "0123", "signedMeterData": "4567"}}],
    ],
)
def test_what_is_no_secret_stays_as_it_came(message: list[Any]) -> None:
    text = json.dumps(message)

    assert redacted(text) == text


def test_a_secret_of_the_wrong_type_is_hidden_too() -> None:
    kept = redacted(json.dumps([2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": [SECRET, {}]}]))

    assert json.loads(kept)[3]["value"] == REDACTED


@pytest.mark.parametrize("text", ['[2,"1","ChangeConfiguration",{"key":', f'{{"key":{"[" * 900}{"]" * 900}}}'])
def test_what_cannot_be_searched_for_secrets_is_hidden_as_a_whole(text: str) -> None:
    assert redacted(text) == REDACTED


def escaped(text: str) -> str:
    """Every letter as JSON allows it to be written."""
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


CUSTOMER = '{"requestId": 1, "seqNo": 0, "data": "Erika Musterfrau", "generatedAt": "2026-03-01T12:00:00Z"}'


def test_an_action_written_with_escapes_is_the_same_action() -> None:
    frame = f'[2, "1", "{escaped("NotifyCustomer")}Information", {CUSTOMER}]'

    for kept in (redacted(frame), without_customer_information(frame)):
        assert "Musterfrau" not in kept
        assert json.loads(kept)[3]["requestId"] == 1


@pytest.mark.parametrize("action", ["NotifyCustomerInformation", escaped("NotifyCustomerInformation")])
def test_a_torn_frame_that_tells_of_a_customer_is_hidden_as_a_whole(action: str) -> None:
    frame = f'[2, "1", "{action}", {CUSTOMER[:-20]}'

    assert redacted(frame) == without_customer_information(frame) == REDACTED


@pytest.mark.parametrize(
    "frame",
    [
        f'[2, "1", "ChangeConfiguration", {{"{escaped("key")}": "{escaped("AuthorizationKey")}", "value": "{SECRET}"}}]',
        f'[2, "1", "{escaped("ChangeConfiguration")}", {{"key": "Authorization\\u004Bey", "value": "{SECRET}"}}]',
        f'[2, "1", "X", {{"{escaped("password")}": "{SECRET}"}}]',
        f'[2, "1", "GetLog", {{"log": {{"remoteLocation": "https{escaped("://")}user:{SECRET}@files.example/x"}}}}]',
    ],
)
def test_a_secret_is_hidden_however_its_name_is_written(frame: str) -> None:
    kept = redacted(frame)

    assert SECRET not in kept
    assert REDACTED in kept
    assert json.loads(kept)[2] == json.loads(frame)[2]


@pytest.mark.parametrize("text", [r'[2,"1","X",{"a":"\u0041\u00e4\"\\u006bey"}]', r'[2,"1","X",{"a":"M\u00fcller"}]'])
def test_escapes_that_hide_no_secret_stay_as_they_came(text: str) -> None:
    assert redacted(text) == text


@given(st.text(st.characters(codec="utf-8"), max_size=30), st.randoms(use_true_random=False))
def test_what_is_kept_says_the_same_as_what_came(value: str, chance: Random) -> None:
    """Whatever is escaped; only secrets are replaced."""
    letters = [
        f"\\u{ord(each):04x}" if ord(each) < 0x10000 and chance.random() < 0.5 else json.dumps(each)[1:-1]
        for each in value
    ]
    frame = f'[2,"1","X",{{"note":"{"".join(letters)}","password":"{SECRET}"}}]'

    assert json.loads(redacted(frame)) == [2, "1", "X", {"note": value, "password": REDACTED}]


TOLD = [
    [2, "1", "NotifyEvent", {"eventData": [{**PASSWORD, "trigger": "Delta", "actualValue": SECRET}]}],
    [2, "1", "ChangeConfiguration", {"Key": "AuthorizationKey", "VALUE": SECRET}],
    *([2, "1", "ChangeConfiguration", {"key": name, "value": SECRET}] for name in ("WifiPSK", "ftpPwd", "PASSCODE")),
    *([2, "1", "ChangeConfiguration", {"key": name, "value": SECRET}] for name in ("WlanPass", "AUTHKEY", "wifi_pass")),
    [2, "1", "DataTransfer", {"vendorId": "Example", "data": {"wifiPsk": SECRET, "ftp": {"pwd": SECRET}}}],
    *(
        [2, "1", "NotifyReport", {"reportData": [{**names, "variableAttribute": [{"value": SECRET}]}]}]
        for names in (
            {"component": {"name": "WifiPassword"}, "variable": {"name": "Content"}},
            {"component": {"name": "Modem", "instance": "simPin"}, "variable": {"name": "Content"}},
            {"component": {"name": "Modem"}, "variable": {"name": "Content", "instance": "PresharedKey"}},
        )
    ),
    [
        2, "1", "NotifyReport",
        {"reportData": [{
            "component": {"name": "Modem"}, "variable": {"name": "Content"},
            "variableAttribute": [{"mutability": "WriteOnly", "value": SECRET}],
        }]},
    ],
]  # fmt: skip


@pytest.mark.parametrize("message", TOLD, ids=lambda message: json.dumps(message[3])[:60])
def test_a_secret_is_hidden_under_whatever_name_it_comes(message: list[Any]) -> None:
    kept = redacted(json.dumps(message))

    assert json.loads(kept) == json.loads(json.dumps(message).replace(SECRET, REDACTED))
    assert SECRET not in kept


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_a_secret_in_json_within_a_text_is_hidden(times: int) -> None:
    data: Any = {"key": "AuthorizationKey", "value": SECRET}
    for _ in range(times):
        data = json.dumps(data)

    kept = redacted(json.dumps([2, "1", "DataTransfer", {"vendorId": "Example", "data": data}]))

    assert SECRET not in kept
    assert json.loads(kept)[3]["vendorId"] == "Example"


def test_a_secret_in_json_within_a_text_is_hidden_however_its_name_is_written() -> None:
    inner = f'{{"{escaped("password")}":"{SECRET}"}}'

    assert SECRET not in redacted(json.dumps([2, "1", "DataTransfer", {"data": inner}]))


def test_a_refusal_that_names_a_secret_is_kept_without_its_words() -> None:
    message = [4, "1", "PropertyConstraintViolation", f"AuthorizationKey {SECRET} is too short", {}]

    assert json.loads(redacted(json.dumps(message))) == [*message[:3], REDACTED, {}]


@pytest.mark.parametrize(
    "message",
    [
        [2, "1", "DataTransfer", {"data": '{"passenger": "bypassed", "keyboard": 1}'}],
        [4, "1", "GenericError", "the passenger presses a keyboard", {}],
        [2, "1", "NotifyReport", {"reportData": [{"variableAttribute": [{"mutability": "ReadOnly", "value": "1"}]}]}],
        [2, "1", "X", {"data": "[not json"}],
    ],
)
def test_what_only_looks_like_a_secret_stays_as_it_came(message: list[Any]) -> None:
    text = json.dumps(message)

    assert redacted(text) == text


def test_a_broken_frame_with_a_public_key_stays_and_one_with_a_key_does_not() -> None:
    broken = '[2,"1","StopTransaction",{"meterStop":4711,,"publicKey":"0123"}]'

    assert redacted(broken) == broken
    assert redacted(broken.replace("publicKey", "key")) == REDACTED
    assert redacted(broken.replace("publicKey", 'mutability\\":\\"WriteOnly')) == REDACTED


def test_a_refusal_of_a_call_with_a_secret_says_its_code_only() -> None:
    refused = json.dumps([4, "1", "PropertyConstraintViolation", f"{SECRET} is too short", {"was": SECRET}])

    assert json.loads(without_description(refused)) == [4, "1", "PropertyConstraintViolation", REDACTED, {}]
    assert without_description(refused[:-1]) == REDACTED
