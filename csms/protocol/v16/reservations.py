"""OCPP 1.6J: reservations (5.2, 5.13)."""

from __future__ import annotations

from csms.protocol.blocks.reservations import CancelReservation, ReserveNow
from csms.protocol.outgoing import Call, Writers, require
from csms.protocol.times import print_time

ANY_CONNECTOR = 0


def reserve_now(command: ReserveNow) -> Call:
    require_sound("ReserveNow", command)
    payload: dict[str, object] = {
        "connectorId": ANY_CONNECTOR if command.evse is None else command.evse,
        "expiryDate": print_time(command.until),
        "idTag": command.token,
        "reservationId": command.reservation,
    }
    if command.group is not None:
        payload["parentIdTag"] = command.group
    return "ReserveNow", payload


def require_sound(action: str, command: ReserveNow) -> None:
    """What the schemas of both versions cannot say."""
    require_number(action, command.reservation)
    require(action, command.evse is None or command.evse > 0, f"EVSEs count from 1, not {command.evse}")
    require(action, command.token != "", "the token is empty")  # an id token, no secret
    require(action, command.group != "", "the group is empty")


def require_number(action: str, reservation: int) -> None:
    """0 means none where charge points tell of reservations."""
    require(action, reservation > 0, f"reservations count from 1, not {reservation}")


def cancel_reservation(command: CancelReservation) -> Call:
    require_number("CancelReservation", command.reservation)
    return "CancelReservation", {"reservationId": command.reservation}


CALLS: Writers = {ReserveNow: reserve_now, CancelReservation: cancel_reservation}
