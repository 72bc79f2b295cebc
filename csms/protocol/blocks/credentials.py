"""Commands of OCPP functional block A: passwords of charge points."""

from __future__ import annotations

from dataclasses import dataclass, replace

from csms.protocol.redaction import REDACTED
from csms.protocol.vocabulary import Command

GUARDED = {
    "authorizationkey": "csms cp password rotate",
    "securityctrlr.basicauthpassword": "csms cp password rotate",
    "securityprofile": "csms cp security-profile",
    "securityctrlr.securityprofile": "csms cp security-profile",
}
"""Settings, in small letters, that this side must know of: changed as any other, they would lock the charge point out."""


def own_command_of(setting: str) -> str | None:
    """The command by which `setting` is changed, where it is one of the credentials."""
    return GUARDED.get(setting.strip().casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword(Command):
    """Have the charge point come with another password from its next handshake on (OCPP 2.0.1 A01).

    On its way through the database it is `sealed` and `password` is empty; the node that sends it opens it. `change` is
    the number under which we remember it.
    """

    change: int
    password: str = ""
    sealed: str = ""

    def kept(self) -> ChangePassword:
        return replace(self, password=REDACTED, sealed="")


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseSecurityProfile(Command):
    """Have the charge point come with a higher security profile (A05). 2.x says so by SetNetworkProfile instead."""

    profile: int
