"""OCPP 2.1 calls that 2.0.1 would read otherwise: one message, one small function."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from csms.protocol.blocks.reservation_facts import ReservationReported
from csms.protocol.repair import Fields, Message, parse_decimal
from csms.protocol.v201 import smart_charging
from csms.protocol.v201.reservations import reservation_status_update as reservation_status_update_201
from csms.protocol.vocabulary import Fact

NO_TRANSACTION = "NoTransaction"


def notify_ev_charging_needs(message: Message) -> Fact | None:
    """Energies, currents, voltages and powers are numbers in 2.1; 2.0.1 has integers."""
    return smart_charging.charging_needs(message, quantity=_quantity)


def reservation_status_update(message: Message) -> Fact | None:
    """NoTransaction: somebody used the reservation and started nothing in time (H01). The charge point has ended it."""
    reservation = message.fields.integer("reservationId")
    if message.fields.raw("reservationUpdateStatus") != NO_TRANSACTION or reservation is None:
        return reservation_status_update_201(message)
    return ReservationReported(reservation=reservation, status="Removed", quirks=message.noted())


def _quantity(fields: Fields, name: str) -> int | Decimal | None:
    value = fields.raw(name)
    number = None if value is None else parse_decimal(value, fields.quirks)
    return int(number) if number is not None and number == number.to_integral_value() else number


READERS: dict[str, Callable[[Message], Fact | None]] = {
    "NotifyEVChargingNeeds": notify_ev_charging_needs,
    "ReservationStatusUpdate": reservation_status_update,
}
