"""What charge points answer: each field of the schema survives into the outcome, and no answer whatever breaks it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.redaction import REDACTED
from csms.protocol.translator import translator
from csms.protocol.vocabulary import Command, Protocol
from tests.conformance.commands import asked
from tests.conformance.schemas import EARLIER, PROTOCOLS, Filler, Leaf, fits, leaves, others, owed, value_at, with_value
from tests.conformance.spoiling import spoilt

ANSWERS = [
    (protocol, action, command)
    for protocol in PROTOCOLS
    for action, command in sorted(asked(protocol).items())
    if owed(protocol, action)
]
LIKE_THE_QUESTION = {"attributeStatus": "Accepted", "id": 7}
"""A value is there only where it was read; the command asks for monitor 7."""
STATUS_MAX, DETAIL_MAX = 50, 1000
_SAME = "what was asked for, repeated"
ECHOES = {
    (Protocol.V16, "GetCompositeSchedule"): {"connectorId": _SAME},
    (Protocol.V201, "GetCompositeSchedule"): {"schedule.evseId": _SAME},
    (Protocol.V201, "GetVariables"): {"getVariableResult[].attributeType": _SAME},
    (Protocol.V201, "SetVariables"): {"setVariableResult[].attributeType": _SAME},
    (Protocol.V201, "SetVariableMonitoring"): dict.fromkeys(
        (
            "setMonitoringResult[].type",
            "setMonitoringResult[].severity",
            "setMonitoringResult[].component.name",
            "setMonitoringResult[].component.instance",
            "setMonitoringResult[].component.evse.id",
            "setMonitoringResult[].component.evse.connectorId",
            "setMonitoringResult[].variable.name",
            "setMonitoringResult[].variable.instance",
        ),
        _SAME,
    ),
}


def _lost(protocol: Protocol, command: Command, payload: Any, leaf: Leaf) -> bool:
    values = [value_at(payload, leaf.path)]
    values += others(leaf, values[0])
    said = [
        dataclasses.asdict(translator(protocol).outcome(command, with_value(payload, leaf.path, each)))
        for each in values
    ]
    return any(each in said[:number] for number, each in enumerate(said))


@pytest.mark.parametrize(("protocol", "action", "command"), ANSWERS)
def test_each_field_of_an_answer_makes_a_difference_to_the_outcome(
    protocol: Protocol, action: str, command: Command
) -> None:
    payload = Filler(LIKE_THE_QUESTION).payload(protocol, action, answer=True)
    assert fits(protocol, action, payload, answer=True)
    found = {str(leaf) for leaf in leaves(protocol, action, answer=True) if _lost(protocol, command, payload, leaf)}

    assert found == set(ECHOES.get((EARLIER.get(protocol, protocol), action), {}))


@given(st.data())
def test_whatever_is_answered_is_an_outcome_that_can_be_kept_and_shown(data: st.DataObject) -> None:
    protocol, action, command = data.draw(st.sampled_from(ANSWERS))
    payload = data.draw(spoilt(Filler(LIKE_THE_QUESTION).payload(protocol, action, answer=True)))

    said = translator(protocol).outcome(command, payload)

    assert 0 < len(said.status) <= STATUS_MAX
    assert said.detail is None or 0 < len(said.detail) <= DETAIL_MAX
    kept = json.dumps([said.status, said.detail, said.data], ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in kept
    kept.encode()


@pytest.mark.parametrize(
    ("protocol", "action"), [(protocol, action) for protocol, action, _ in ANSWERS if action.startswith("Get")]
)
def test_no_answer_brings_a_password_into_an_outcome(protocol: Protocol, action: str) -> None:
    """Whatever is named like a secret is hidden before anybody keeps or prints it."""
    names = {"name": "BasicAuthPassword", "key": "AuthorizationKey", "attributeStatus": "Accepted"}
    secrets = {"value": "hunter2hunter2", "attributeValue": "hunter2hunter2"}
    payload = Filler({**names, **secrets}).payload(protocol, action, answer=True)
    told = json.dumps(translator(protocol).outcome(asked(protocol)[action], payload).data)

    assert "hunter2" not in told
    assert (REDACTED in told) is (action in {"GetConfiguration", "GetVariables"})
