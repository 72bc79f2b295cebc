"""OCPP 2.0.1: reservations (block H)."""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol.blocks.reservation_facts import ReservationReported
from csms.protocol.blocks.reservations import CancelReservation, ReserveNow
from csms.protocol.outgoing import Call, Writers
from csms.protocol.repair import Message
from csms.protocol.times import print_time
from csms.protocol.v16.answers import acknowledgement
from csms.protocol.v16.reservations import cancel_reservation, require_sound
from csms.protocol.v201.local_lists import token_type
from csms.protocol.vocabulary import Decision, Fact

UPDATE_STATUSES = frozenset({"Expired", "Removed"})


def reserve_now(command: ReserveNow) -> Call:
    require_sound("ReserveNow", command)
    payload: dict[str, object] = {
        "id": command.reservation,
        "expiryDateTime": print_time(command.until),
        "idToken": {"idToken": command.token, "type": token_type(command.token)},
    }
    if command.evse is not None:
        payload["evseId"] = command.evse
    if command.group is not None:
        payload["groupIdToken"] = {"idToken": command.group, "type": "Central"}
    return "ReserveNow", payload


def reservation_status_update(message: Message) -> Fact | None:
    reservation = message.fields.integer("reservationId")
    status = message.fields.word("reservationUpdateStatus", UPDATE_STATUSES)
    if reservation is None or status not in UPDATE_STATUSES:
        return None
    return ReservationReported(reservation=reservation, status=status, quirks=message.noted())


CALLS: Writers = {ReserveNow: reserve_now, CancelReservation: cancel_reservation}
READERS: dict[str, Callable[[Message], Fact | None]] = {"ReservationStatusUpdate": reservation_status_update}
ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {"ReservationStatusUpdate": acknowledgement}
