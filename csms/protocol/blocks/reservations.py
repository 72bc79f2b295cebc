"""Commands about reservations (OCPP 1.6 reservation profile, OCPP 2.0.1 block H)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from csms.protocol.vocabulary import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveNow(Command):
    """Keep an EVSE for a token, or a token of its `group`, `until` then. `evse` None: whichever will be free."""

    reservation: int
    token: str
    until: datetime
    evse: int | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReservation(Command):
    reservation: int
