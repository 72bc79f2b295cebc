"""Names of 2.0.1 settings as text: `Component[instance]@evse.connector.Variable[instance]`, printed and parsed.

The characters that build a name (`. [ ] @ %`) are percent-encoded inside its parts, so that every name of a device
model, however odd, has one text and that text only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from csms.protocol.repair import Fields

PART_LENGTH_MAX = 255  # of what charge points report; what we send is held to the 50 of the schema

_RESERVED = re.compile(r"[.\[\]@%\s\x00]")
_NAME = re.compile(
    r"(?P<component>[^.\[\]@]+)(?:\[(?P<component_instance>[^.\[\]@]*)\])?(?:@(?P<evse>-?\d{1,10})(?:\.(?P<connector>-?\d{1,10}))?)?"
    r"\.(?P<variable>[^.\[\]@]+)(?:\[(?P<variable_instance>[^.\[\]@]*)\])?",
    re.ASCII,
)


class SettingNameInvalid(ValueError):
    """A 2.0.1 setting is named Component.Variable, with [instance] and @evse.connector where needed."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:100]!r} names no OCPP 2.0.1 setting: write Component.Variable, Component[instance].Variable[instance] "
            "or Component@evse.connector.Variable"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingName:
    """One variable of the device model."""

    component: str
    variable: str
    component_instance: str | None = None
    variable_instance: str | None = None
    evse: int | None = None
    connector: int | None = None

    def __str__(self) -> str:
        place = "" if self.evse is None else f"@{self.evse}"
        if place and self.connector is not None:
            place += f".{self.connector}"
        component = _escape(self.component) + _bracketed(self.component_instance)
        return f"{component}{place}.{_escape(self.variable)}{_bracketed(self.variable_instance)}"

    def component_payload(self) -> dict[str, object]:
        """ComponentType."""
        component: dict[str, object] = {"name": self.component}
        if self.component_instance is not None:
            component["instance"] = self.component_instance
        if self.evse is not None:
            evse = {"id": self.evse}
            if self.connector is not None:
                evse["connectorId"] = self.connector
            component["evse"] = evse
        return component

    def variable_payload(self) -> dict[str, object]:
        """VariableType."""
        variable: dict[str, object] = {"name": self.variable}
        if self.variable_instance is not None:
            variable["instance"] = self.variable_instance
        return variable


def parse_setting_name(text: str) -> SettingName:
    match = _NAME.fullmatch(text)
    if match is None:
        raise SettingNameInvalid(text)
    return SettingName(
        component=unquote(match["component"]),
        variable=unquote(match["variable"]),
        component_instance=None if match["component_instance"] is None else unquote(match["component_instance"]),
        variable_instance=None if match["variable_instance"] is None else unquote(match["variable_instance"]),
        evse=None if match["evse"] is None else int(match["evse"]),
        connector=None if match["connector"] is None else int(match["connector"]),
    )


def read_setting_name(fields: Fields) -> SettingName | None:
    """The name of `component` and `variable`, None where one is absent."""
    component, variable = fields.child("component"), fields.child("variable")
    if component is None or variable is None:
        return None
    component_name, variable_name = component.text("name", PART_LENGTH_MAX), variable.text("name", PART_LENGTH_MAX)
    if not component_name or not variable_name:
        return None
    evse = component.child("evse")
    return SettingName(
        component=component_name,
        variable=variable_name,
        component_instance=component.text("instance", PART_LENGTH_MAX),
        variable_instance=variable.text("instance", PART_LENGTH_MAX),
        evse=None if evse is None else evse.integer("id"),
        connector=None if evse is None else evse.integer("connectorId"),
    )


def _escape(part: str) -> str:
    return _RESERVED.sub(lambda match: quote(match[0], safe="") if match[0] != "." else "%2E", part)


def _bracketed(instance: str | None) -> str:
    return "" if instance is None else f"[{_escape(instance)}]"
