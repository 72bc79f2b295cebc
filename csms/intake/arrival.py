"""A fact on its way into the database. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from csms.protocol.blocks.firmware_facts import PublishStatusReported
from csms.protocol.vocabulary import (
    ChargingEvent,
    EventKind,
    FirmwareStatusReported,
    LogStatusReported,
    ReadingsReported,
    SecurityEventReported,
    SettingsReported,
    StatusReported,
    VendorDataReceived,
)

StorableFact = (
    ChargingEvent
    | ReadingsReported
    | StatusReported
    | SecurityEventReported
    | VendorDataReceived
    | FirmwareStatusReported
    | LogStatusReported
    | PublishStatusReported
    | SettingsReported
)


class Arrival(NamedTuple):
    """A fact on its way into the database, with the frame that it came in."""

    charge_point: str
    fact: StorableFact
    frame: str
    socket: UUID | None
    received_at: datetime


def rank(arrival: Arrival) -> int:
    """Beyond capacity the lower is stored first: 0 what begins or ends a session, 1 what else tells of one, 2 all others.

    Charge points count an answer that comes late as a failed attempt, and throw such messages away after a few.
    """
    if not isinstance(arrival.fact, ChargingEvent):
        return 2
    return 1 if arrival.fact.kind is EventKind.UPDATED else 0


def owner(arrival: Arrival) -> str:
    """Whose arrivals are stored in their order."""
    return arrival.charge_point
