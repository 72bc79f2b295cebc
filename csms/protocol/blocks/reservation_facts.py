"""What charging stations tell of reservations (OCPP 2.0.1 block H)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationReported:
    """The station has given up a reservation: Expired, or Removed (it has become unable to keep it). `reservation` as told."""

    reservation: int
    status: str
    quirks: tuple[str, ...] = ()
