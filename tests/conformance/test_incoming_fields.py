"""For every message that charge points send, each field of the schema survives into the fact that is read of it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from csms.charge_points.charge_point import ChargePoint
from csms.protocol.translator import Refusal, translator
from csms.protocol.vocabulary import Protocol
from tests.conformance.frame_only import FRAME_ONLY
from tests.conformance.schemas import (
    EARLIER,
    PROTOCOLS,
    Filler,
    Leaf,
    fits,
    incoming,
    leaves,
    others,
    owed,
    value_at,
    with_value,
)

RECEIVED_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KNOWN = ChargePoint(id="CP-1", site="yard")
MESSAGES = [(protocol, action) for protocol in PROTOCOLS for action in incoming(protocol) if owed(protocol, action)]
# Units that are the base unit already, so that a sample keeps the number that was sent.
PLAIN = {"measurand": "Voltage", "multiplier": 0, "unitOfMeasure": {"unit": "V", "multiplier": 0}}
TELLS_ONLY_WHAT_IS_NEW = {("NotifyEVChargingSchedule", False)}
"""In 2.1 a period needs no limit any more."""
SAME = {("meterValue[].sampledValue[].unit", "Celcius"), ("transactionData[].sampledValue[].unit", "Celcius")}
"""Words of one meaning: the 1.6 schema spells Celsius in two ways."""


def told(protocol: Protocol, action: str, payload: Any) -> Any:
    """The fact as plain values, without what is computed of the whole message; None where the message is refused."""
    fact = translator(protocol).read(action, payload, charge_point=KNOWN, received_at=RECEIVED_AT)
    return None if isinstance(fact, Refusal) else _plain(dataclasses.asdict(fact))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name not in {"key", "quirks"}}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def lost(protocol: Protocol, action: str, payload: dict[str, Any], leaf: Leaf) -> bool:
    """Whether some value of a field makes no difference to the fact."""
    values = [value_at(payload, leaf.path)]
    values += [each for each in others(leaf, values[0]) if (str(leaf), str(each)) not in SAME]
    facts = [told(protocol, action, with_value(payload, leaf.path, each)) for each in values]
    return any(fact in facts[:number] for number, fact in enumerate(facts))


def filled(protocol: Protocol, action: str) -> dict[str, Any]:
    payload: dict[str, Any] = Filler(PLAIN).payload(protocol, action)
    assert fits(protocol, action, payload)
    return payload


def _frame_only(protocol: Protocol, action: str) -> set[str]:
    return set(FRAME_ONLY.get((EARLIER.get(protocol, protocol), action), {}))


@pytest.mark.parametrize(("protocol", "action"), MESSAGES)
def test_each_field_makes_a_difference_to_what_is_read(protocol: Protocol, action: str) -> None:
    """Fields that stay in the kept frame alone are those of FRAME_ONLY, each with its reason."""
    payload = filled(protocol, action)
    assert told(protocol, action, payload) is not None, "refused, though the schema allows it"
    found = {str(leaf) for leaf in leaves(protocol, action) if lost(protocol, action, payload, leaf)}

    assert found == _frame_only(protocol, action)


@pytest.mark.parametrize(("protocol", "action"), MESSAGES)
def test_what_the_schema_allows_is_taken_also_in_strict_mode(protocol: Protocol, action: str) -> None:
    """With every field and with the fewest; of 2.1 what 2.0.1 could tell as well."""
    strict = ChargePoint(id="CP-1", site="yard", strict=True)
    for everything in (True, False):
        payload = Filler(PLAIN).payload(protocol, action, everything=everything)
        noted: set[str] = set()
        read = translator(protocol).read(action, payload, charge_point=strict, received_at=RECEIVED_AT, noted=noted)
        new = protocol in EARLIER and (action, everything) in TELLS_ONLY_WHAT_IS_NEW
        assert isinstance(read, Refusal) is new, read
        assert noted == set()


def test_what_is_said_to_stay_in_the_frame_is_a_field_of_the_schema() -> None:
    named = {(*key, field) for key, fields in FRAME_ONLY.items() for field in fields}
    known = {(protocol, action, str(leaf)) for protocol, action in MESSAGES for leaf in leaves(protocol, action)}

    assert named <= known
