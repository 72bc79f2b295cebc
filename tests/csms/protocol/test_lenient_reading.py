"""Whatever a charge point sends, reading it gives a sound fact or a legal error code."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_payloads import CALLS, CHARGE_POINT, JSON, RECEIVED_AT, STRICT, VALID, spoilt

from csms.protocol.quirks import Quirk
from csms.protocol.translator import TRANSACTION_ACTIONS, Refusal, translator
from csms.protocol.validation import ERROR_CODES, is_valid
from csms.protocol.vocabulary import ChargingEvent, Protocol, ReadingsReported


def read(protocol: Protocol, action: str, payload: object, *, charge_point=CHARGE_POINT):
    return translator(protocol).read(action, payload, charge_point=charge_point, received_at=RECEIVED_AT)


def is_storable(value: Any) -> bool:  # noqa: PLR0911  # one line for each type
    """What Postgres and our columns take."""
    match value:
        case Enum() | bool() | None | bytes():
            return True
        case str():
            return "\x00" not in value and len(value) <= 100_000 and bool(value.encode() or not value)
        case datetime():
            return value.utcoffset() is not None and 1970 <= value.year <= 2199
        case Decimal():
            return value.is_finite() and abs(value) < 10**15 and -value.as_tuple().exponent <= 6
        case int():
            return -(2**63) <= value < 2**63
        case dict():
            return all(is_storable(item) for pair in value.items() for item in pair)
        case tuple() | list():
            return all(is_storable(item) for item in value)
        case float():
            return math.isfinite(value)
        case _:
            return all(is_storable(getattr(value, field.name)) for field in dataclasses.fields(value))


@pytest.mark.parametrize(("protocol", "action"), CALLS)
def test_a_valid_message_is_a_fact_without_quirks(protocol, action):
    payload = VALID[protocol][action]
    assert is_valid(protocol, action, payload)

    fact = read(protocol, action, payload, charge_point=STRICT)

    assert not isinstance(fact, Refusal)
    assert getattr(fact, "quirks", ()) == ()
    assert not getattr(fact, "malformed", False)


@given(st.data())
def test_a_spoilt_message_is_a_sound_fact_or_a_legal_refusal(data):
    protocol, action = data.draw(st.sampled_from(CALLS))
    payload = data.draw(spoilt(VALID[protocol][action]))

    fact = read(protocol, action, payload)

    if isinstance(fact, Refusal):
        assert action not in TRANSACTION_ACTIONS
        assert fact.code in ERROR_CODES[protocol].values()
        assert 0 < len(fact.description) <= 255
        fact.description.encode()
    else:
        assert is_storable(fact)
        assert set(getattr(fact, "quirks", ())) <= {str(quirk) for quirk in Quirk}


@given(st.data())
def test_strict_mode_refuses_exactly_what_the_schema_refuses(data):
    protocol, action = data.draw(st.sampled_from(CALLS))
    payload = data.draw(spoilt(VALID[protocol][action]))

    fact = read(protocol, action, payload, charge_point=STRICT)

    if is_valid(protocol, action, payload):
        assert not isinstance(fact, Refusal) or "32 bits" in fact.description
    else:
        assert isinstance(fact, Refusal)
        assert fact.code in ERROR_CODES[protocol].values()


@given(st.data())
def test_a_broken_frame_of_a_transaction_message_is_a_malformed_fact(data):
    protocol, action = data.draw(st.sampled_from([call for call in CALLS if call[1] in TRANSACTION_ACTIONS]))
    whole = json.dumps([2, "m-1", action, VALID[protocol][action]])
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    text = whole[:start] + data.draw(st.text(max_size=5)) + whole[end:]

    fact = translator(protocol).read_broken(action, text, charge_point=CHARGE_POINT, received_at=RECEIVED_AT)

    assert isinstance(fact, ChargingEvent | ReadingsReported)
    assert fact.malformed
    assert "not_json" in fact.quirks
    assert is_storable(fact)


@given(st.text(), JSON)
def test_an_unknown_action_is_refused_whatever_it_carries(action, payload):
    for protocol in Protocol:
        fact = read(protocol, f"Custom{action}", payload)

        assert isinstance(fact, Refusal)
        assert fact.code == "NotImplemented"


@pytest.mark.parametrize("depth", [40, 500, 5000])
@pytest.mark.parametrize("protocol", list(Protocol))
def test_deeply_nested_payloads_are_no_way_in(protocol, depth):
    nested: Any = []
    for _ in range(depth):
        nested = [nested]

    vendor_data = read(protocol, "DataTransfer", {"vendorId": "Acme", "data": nested})
    assert is_storable(vendor_data)
    for action in ("MeterValues", "StartTransaction", "TransactionEvent"):
        fact = read(protocol, action, {"meterValue": nested, "connectorId": nested, "idTag": nested})
        assert not isinstance(fact, Refusal)
        assert fact.malformed
