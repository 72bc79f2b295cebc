"""The credentials of a simulated charge point: taken over OCPP, used from its next connect on (A01, A05)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from simulators.charge_point.station import SimulatedChargePoint

KEY_16, PASSWORD_201 = "AuthorizationKey", "SecurityCtrlr.BasicAuthPassword"
PROFILE_16, PROFILE_201 = "SecurityProfile", "SecurityCtrlr.SecurityProfile"
PRIORITY_201 = "OCPPCommCtrlr.NetworkConfigurationPriority"
KEY_BYTES = range(16, 21)
PASSWORD_LENGTHS = range(16, 41)

Change = Callable[[str, str], str]


@dataclass(slots=True)
class Secrets:
    """How it takes a new password. `loses`: its connection ends before the answer, with the new password or without."""

    station: SimulatedChargePoint
    rejects: bool = False
    loses: Literal["nothing", "the change", "the answer"] = "nothing"

    def change(self, name: str, value: str, change: Change) -> str:
        """Set what has that name; anything but credentials goes to `change`."""
        match name.lower():
            case lowered if lowered in {KEY_16.lower(), PASSWORD_201.lower()}:
                return self._change_password(name, value, change)
            case lowered if lowered == PROFILE_16.lower():
                return self._change_profile(name, value, change)
            case _:
                return change(name, value)

    def restarted(self) -> None:
        """What waited for a restart is in use: a password, a network profile (2.0.1 B09)."""
        self._use_password()
        settings = self.station.dialect.settings
        found = settings.find(PRIORITY_201)
        first = "" if found is None else found[1].value.split(",")[0].strip()
        network = self.station.monitors.networks.get(int(first)) if first.isdecimal() else None
        profile = settings.find(PROFILE_201)
        if network is not None and profile is not None:
            profile[1].value = str(network["security_profile"])

    def _change_password(self, name: str, value: str, change: Change) -> str:
        if self.rejects or not _is_password(name, value):
            return "Rejected"
        if self.loses == "the change":
            self.station.link.cut()
            return "Rejected"
        status = change(name, value)
        if status == "Accepted":
            self._use_password()
        if self.loses == "the answer":
            self.station.link.cut()
        return status

    def _change_profile(self, name: str, value: str, change: Change) -> str:
        """White paper A05: never lowered; it comes back with the new one at once."""
        settings = self.station.dialect.settings
        if not value.isdecimal() or not settings.number(name, 0) <= int(value) <= 3:  # noqa: PLR2004 - profiles are 0 to 3
            return "Rejected"
        status = change(name, value)
        if status == "Accepted":
            self.station.follow_ups.append(partial(_reconnect, self.station))
        return status

    def _use_password(self) -> None:
        settings = self.station.dialect.settings
        key, text = settings.find(KEY_16), settings.find(PASSWORD_201)
        password: bytes = b""
        if key is not None and key[1].value:
            password = bytes.fromhex(key[1].value)
        elif text is not None:
            password = text[1].value.encode()
        if password:
            self.station.link.credentials = replace(self.station.link.credentials, password=password)


async def _reconnect(station: SimulatedChargePoint) -> None:
    await station.offline()
    await station.online_again()


def _is_password(name: str, value: str) -> bool:
    if name.lower() != KEY_16.lower():
        return len(value) in PASSWORD_LENGTHS
    try:
        return len(bytes.fromhex(value)) in KEY_BYTES
    except ValueError:
        return False
