"""Secrets that go over the wire are in nothing that is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from csms.protocol.redaction import REDACTED, redacted

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
