"""Secrets that go over the wire are in nothing that is kept."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.redaction import REDACTED, redacted, without_customer_information

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
