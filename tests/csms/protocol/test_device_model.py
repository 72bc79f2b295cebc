"""What a full report says of variables besides their values (2.0.1 B07), read."""

from __future__ import annotations

from typing import Any

import pytest
from ocpp_payloads import CHARGE_POINT, RECEIVED_AT

from csms.charge_points.device_model import description
from csms.protocol.blocks.device_model_facts import Attribute, VariableDescribed
from csms.protocol.translator import translator
from csms.protocol.validation import is_valid
from csms.protocol.vocabulary import Protocol, SettingsReported

VARIABLE = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "RateUnit"}}


def reported(*items: dict[str, Any], protocol: Protocol = Protocol.V201) -> SettingsReported:
    payload = {"requestId": 1, "generatedAt": "2026-03-01T10:00:00Z", "seqNo": 0, "reportData": list(items)}
    fact = translator(protocol).read("NotifyReport", payload, charge_point=CHARGE_POINT, received_at=RECEIVED_AT)
    assert isinstance(fact, SettingsReported)
    return fact


@pytest.mark.parametrize("protocol", [Protocol.V201, Protocol.V21])
def test_every_field_of_a_reported_variable_is_read(protocol: Protocol) -> None:
    item = {
        **VARIABLE,
        "variableAttribute": [
            {"value": "A", "mutability": "ReadWrite", "persistent": True, "constant": False},
            {"type": "Target", "value": "W", "mutability": "ReadOnly"},
            {"type": "MaxSet", "mutability": "WriteOnly"},
        ],
        "variableCharacteristics": {
            "unit": "Wh", "dataType": "MemberList", "minLimit": -0.50, "maxLimit": 32.0, "valuesList": "A, W",
            "supportsMonitoring": True,
        },
    }  # fmt: skip
    if protocol is Protocol.V21:
        item["variableCharacteristics"] = {**item["variableCharacteristics"], "maxElements": 2}  # type: ignore[dict-item]
    payload = {"requestId": 1, "generatedAt": "2026-03-01T10:00:00Z", "seqNo": 0, "reportData": [item]}
    assert is_valid(protocol, "NotifyReport", payload)

    fact = reported(item, protocol=protocol)

    assert fact.settings == (("SmartChargingCtrlr.RateUnit", "A", "ReadWrite"),)
    assert fact.described == (
        VariableDescribed(
            name="SmartChargingCtrlr.RateUnit",
            data_type="MemberList",
            unit="Wh",
            limit_min="-0.5",
            limit_max="32",
            values=("A", "W"),
            elements_max=2 if protocol is Protocol.V21 else None,
            is_monitored=True,
            is_persistent=True,
            is_constant=False,
            attributes=(
                Attribute(type="Target", value="W", mutability="ReadOnly"),
                Attribute(type="MaxSet", value=None, mutability="WriteOnly"),
            ),
        ),
    )
    shown = description(fact.described[0])
    assert shown["limit_max"] == "32"
    assert shown["attributes"] == (
        {"type": "Target", "value": "W", "mutability": "ReadOnly"},
        {"type": "MaxSet", "value": None, "mutability": "WriteOnly"},
    )


def test_secrets_stay_hidden_in_every_attribute() -> None:
    secret = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    attributes = [{"type": kind, "value": "hunter2"} for kind in ("Actual", "Target", "MinSet")]

    fact = reported({**secret, "variableAttribute": attributes})

    assert "hunter2" not in repr(fact)
    assert [each.value for each in fact.described[0].attributes] == ["(hidden)", "(hidden)"]


def test_a_variable_that_says_little_or_nonsense_is_still_described() -> None:
    fact = reported(
        {**VARIABLE, "variableAttribute": [{}], "variableCharacteristics": {"dataType": "Odd", "minLimit": "low"}},
        {"variableAttribute": [{"value": "nameless"}]},
    )

    assert [description(each) for each in fact.described] == [{"data_type": "Odd"}]
