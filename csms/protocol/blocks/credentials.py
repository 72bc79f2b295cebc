"""Commands of OCPP functional block A: passwords of charge points."""

from __future__ import annotations

from dataclasses import dataclass, replace

from csms.protocol.redaction import REDACTED
from csms.protocol.vocabulary import Command


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
