"""The settings of one charge point, read and changed over its socket; what it says is kept. Whoever sets uses this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from csms.charge_points.service import SQL
from csms.protocol.redaction import redact
from csms.protocol.vocabulary import Command, GetSettings, Outcome, Protocol, SetSettings

Send = Callable[[Command], Awaitable[Outcome]]
Settings = Mapping[str, tuple[str | None, str | None]]
"""Name -> (value, mutability)."""
ASKED_AT_ONCE = 10
"""So many names go into one call where the charge point does not say how many it takes."""
_AT_ONCE_201 = ("DeviceDataCtrlr.ItemsPerMessage[GetVariables]", "DeviceDataCtrlr.ItemsPerMessage")
AT_ONCE: Mapping[Protocol, tuple[str, ...]] = {
    Protocol.V16: ("GetConfigurationMaxKeys",),
    Protocol.V201: _AT_ONCE_201,
    Protocol.V21: _AT_ONCE_201,
}
"""Where it says so: OCPP 1.6 9.1.7, 2.0.1 Part 2 2.1.4 (the first one counts)."""
_NOT_ANSWERED = frozenset({"timeout", "offline", "invalid", "call_error", "not_supported", "invalid_answer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """`books` gives a database connection for a moment: none is held while a charge point is waited for."""

    charge_point: str
    protocol: Protocol
    send: Send
    books: Callable[[], AbstractAsyncContextManager[Any]]

    async def read(self, names: Sequence[str]) -> Outcome:
        """Ask for values by name, in as many calls as it takes, and keep them. Ends where one is not answered."""
        most = await self._at_once(len(names))
        outcomes: list[Outcome] = []
        for part in _parts(names, most):
            outcomes.append(await self._read(part))
            if outcomes[-1].status in _NOT_ANSWERED:
                break
        return merged(outcomes)

    async def change(self, name: str, value: str) -> Outcome:
        """Set one; a value that is in force at once is kept as its value."""
        outcome = await self.send(SetSettings(values=((name, value),)))
        if outcome.status == "Accepted":
            async with self.books() as connection:
                await remember(connection, self.charge_point, {name: (redact(name, value), None)})
        return outcome

    async def _at_once(self, wanted: int) -> int:
        names = AT_ONCE[self.protocol]
        async with self.books() as connection:
            rows = await SQL.settings_named.fetch(
                connection, charge_point=self.charge_point, names=[name.lower() for name in names]
            )
        known = {row["name"].lower(): row["value"] for row in rows}
        if not known and wanted > ASKED_AT_ONCE:
            told = settings_of(await self._read(names))
            known = {name.lower(): value for name, (value, _) in told.items()}
        said = (known.get(name.lower()) for name in names)
        return next((int(value) for value in said if value and _is_count(value)), ASKED_AT_ONCE)

    async def _read(self, names: Sequence[str]) -> Outcome:
        outcome = await self.send(GetSettings(names=tuple(names)))
        async with self.books() as connection:
            await remember(connection, self.charge_point, settings_of(outcome))
        return outcome


async def remember(connection: Any, charge_point: str, settings: Settings) -> None:
    """Keep settings, as `settings_of` gives them, as just read: other commands look what a charge point can do."""
    if settings:
        values, mutabilities = zip(*settings.values(), strict=True)
        await SQL.store_settings.execute(
            connection, charge_point=charge_point, names=list(settings), values=values, mutabilities=mutabilities
        )


def settings_of(outcome: Outcome) -> dict[str, tuple[str | None, str | None]]:
    """Name -> (value, mutability) of a GetSettings outcome; what the charge point does not know is not in it."""
    read_only = set(outcome.data.get("readonly", []))
    settings = outcome.data.get("settings", {})
    return {name: (value, "ReadOnly" if name in read_only else None) for name, value in settings.items()}


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of several calls that read settings as if it had been one."""
    assert outcomes, "at least one call was made"
    if len(outcomes) == 1:
        return outcomes[0]
    first = next((each for each in outcomes if not each.accepted), outcomes[0])
    data: dict[str, Any] = {"settings": {}, "statuses": {}, "readonly": [], "unknown": []}
    for outcome in outcomes:
        for name, told in outcome.data.items():
            data[name] = data[name] | told if isinstance(told, dict) else [*data.get(name, []), *told]
    details = ", ".join(each.detail for each in outcomes if each.detail) or None
    return Outcome(accepted=first.accepted, status=first.status, data=data, detail=details)


def _parts(names: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    for begin in range(0, max(len(names), 1), most):
        yield names[begin : begin + most]


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdecimal() and 0 < int(value) <= 2**31
