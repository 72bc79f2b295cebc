"""A fact on its way into the database. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from csms.protocol.blocks.firmware_facts import PublishStatusReported
from csms.protocol.vocabulary import (
    ChargingEvent,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A fact on its way into the database, with the frame that it came in."""

    charge_point: str
    fact: StorableFact
    frame: str
    socket: UUID | None
    received_at: datetime
