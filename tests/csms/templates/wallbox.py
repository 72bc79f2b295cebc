"""A charge point reduced to its settings: what we would send it goes in, what it answers comes out, in its version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from csms.protocol.repair import Fields
from csms.protocol.translator import translator
from csms.protocol.v201.setting_name import read_setting_name
from csms.protocol.vocabulary import Command, Outcome, Protocol


@dataclass(slots=True, kw_only=True)
class Wallbox:
    """`at_once`: so many names it takes in one call, answering no more. `answers_left` None: it never tires."""

    protocol: Protocol
    values: dict[str, str]
    read_only: frozenset[str] = frozenset()
    after_reboot: frozenset[str] = frozenset()
    at_once: int = 50
    answers_left: int | None = None
    calls: list[tuple[str, int]] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)

    async def send(self, command: Command) -> Outcome:
        """As a node does that holds its socket."""
        call = translator(self.protocol).command(command)
        assert call is not None, "every version reads and changes settings"
        if self.answers_left == 0:
            return Outcome(accepted=False, status="timeout")
        if self.answers_left is not None:
            self.answers_left -= 1
        action, payload = call
        answer: dict[str, Any] = getattr(self, action)(payload)
        return translator(self.protocol).outcome(command, answer)

    def GetConfiguration(self, payload: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - as the message is called
        names = self._taken("GetConfiguration", payload["key"])
        known = [name for name in names if name in self.values]
        return {
            "configurationKey": [
                {"key": name, "readonly": name in self.read_only, "value": self.values[name]} for name in known
            ],
            "unknownKey": [name for name in names if name not in self.values],
        }

    def GetVariables(self, payload: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        results = []
        for asked in self._taken("GetVariables", payload["getVariableData"]):
            name = str(read_setting_name(Fields(asked, set())))
            told = {"attributeStatus": "UnknownVariable"}
            if name in self.values:
                told = {"attributeStatus": "Accepted", "attributeValue": self.values[name]}
            results.append(asked | told)
        return {"getVariableResult": results}

    def ChangeConfiguration(self, payload: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        status = self._set(payload["key"], payload["value"])
        return {"status": "NotSupported" if status == "UnknownVariable" else status}

    def SetVariables(self, payload: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        [asked] = payload["setVariableData"]
        status = self._set(str(read_setting_name(Fields(asked, set()))), asked["attributeValue"])
        return {"setVariableResult": [{**asked, "attributeStatus": status}]}

    def _taken(self, action: str, names: list[Any]) -> list[Any]:
        self.calls.append((action, len(names)))
        return names[: self.at_once]

    def _set(self, name: str, value: str) -> str:
        self.sets.append(name)
        if name not in self.values:
            return "UnknownVariable"
        if name in self.read_only:
            return "Rejected"
        if name in self.after_reboot:
            return "RebootRequired"
        self.values[name] = value
        return "Accepted"
