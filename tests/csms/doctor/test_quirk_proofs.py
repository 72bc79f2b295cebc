"""What is kept as proof: enough to show a manufacturer, and no secret."""

from __future__ import annotations

import json

import pytest

from csms.protocol.redaction import REDACTED
from csms.quirks.log import proof_of

PLAIN = '[3,"g",{"configurationKey":[{"key":"A","value":"1","readonly":true}]'
SECRET = '[3,"g",{"configurationKey":[{"key":"AuthorizationKey","value":"0123456789abcdef","readonly":false}]'


def test_a_broken_frame_without_secrets_is_shown_as_it_came() -> None:
    assert proof_of(PLAIN) == PLAIN


def test_a_broken_frame_with_a_secret_is_shown_mended_and_without_it() -> None:
    shown = json.loads(proof_of(SECRET))

    assert shown[2]["configurationKey"][0] == {"key": "AuthorizationKey", "value": REDACTED, "readonly": False}


def test_a_broken_frame_that_nobody_can_read_and_that_may_hold_a_secret_is_hidden() -> None:
    assert proof_of('[3,"g",{"password": ') == REDACTED


@pytest.mark.parametrize("value", ["9" * 40, '"\\ud800"', "1e999", '"\\u0000"'])
def test_values_that_json_writers_do_not_like_are_no_trouble(value: str) -> None:
    shown = proof_of(f'[3,"g",{{"key":{value},}}')

    assert value.strip('"') not in shown
    assert REDACTED in shown
