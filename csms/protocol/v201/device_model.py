"""OCPP 2.x ReportDataType read: what a variable is, besides its value (B07, B08)."""

from __future__ import annotations

from csms.protocol.blocks.device_model_facts import Attribute, VariableDescribed
from csms.protocol.redaction import REDACTED, redact
from csms.protocol.repair import Fields, parse_decimal
from csms.protocol.v201.setting_name import read_setting_name

ATTRIBUTES = frozenset({"Actual", "Target", "MinSet", "MaxSet"})
DATA_TYPES = frozenset(
    {"string", "decimal", "integer", "dateTime", "boolean", "OptionList", "SequenceList", "MemberList"}
)
VALUE_LENGTH_MAX = 2500  # VariableAttributeType.value
_LIST_LENGTH_MAX = 4000
"""VariableCharacteristicsType.valuesList has 1000; stations that list more tell it."""
_VALUES_MAX = 500


def describe(fields: Fields) -> VariableDescribed | None:
    name = read_setting_name(fields)
    if name is None:
        return None
    said = fields.child("variableCharacteristics") or Fields({}, fields.quirks)
    attributes = [Fields(item, fields.quirks) for item in fields.items("variableAttribute")]
    actual = [each for each in attributes if _type(each) == "Actual"]
    listed = said.text("valuesList", _LIST_LENGTH_MAX) or ""
    return VariableDescribed(
        name=str(name),
        data_type=said.word("dataType", DATA_TYPES),
        unit=said.description("unit", 50),
        limit_min=_limit(said, "minLimit"),
        limit_max=_limit(said, "maxLimit"),
        values=tuple(part.strip() for part in listed.split(",") if part.strip())[:_VALUES_MAX],
        elements_max=said.integer("maxElements"),
        is_monitored=said.boolean("supportsMonitoring"),
        is_persistent=next((each.boolean("persistent") for each in actual), None),
        is_constant=next((each.boolean("constant") for each in actual), None),
        attributes=tuple(_attribute(str(name), each) for each in attributes if _type(each) != "Actual"),
    )


def _type(attribute: Fields) -> str:
    return attribute.word_or("type", ATTRIBUTES, "Actual")


def _attribute(name: str, fields: Fields) -> Attribute:
    """Secrets and write-only values are not taken over."""
    value, mutability = fields.text("value", VALUE_LENGTH_MAX), fields.text("mutability", 50)
    hidden = REDACTED if value and mutability == "WriteOnly" else redact(name, value)
    return Attribute(type=_type(fields), value=hidden, mutability=mutability)


def _limit(fields: Fields, name: str) -> str | None:
    raw = fields.raw(name)
    number = None if raw is None else parse_decimal(raw, fields.quirks)
    return None if number is None else f"{number.normalize():f}"
