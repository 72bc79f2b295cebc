"""What the engine rates: a session as a row of periods. Knows neither OCPP nor the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class PeriodKind(StrEnum):
    """What the vehicle was doing, in the words of OCPI mod_cdrs."""

    CHARGING = "charging"
    """The vehicle takes power, or wants to and the station withholds it (TIME)."""
    PARKING = "parking"
    """The vehicle does not request power (PARKING_TIME; OCPI 2.3.0-ed2 mod_cdrs)."""
    RESERVATION = "reservation"
    """Reserved before the session; priced by RESERVATION elements only."""
    RESERVATION_EXPIRED = "reservation_expired"
    """Reserved and never used; priced by RESERVATION_EXPIRES elements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A span in which nothing that a charge point reports has changed.

    `energy_wh` is what was delivered within the span (None: nothing known, priced as none); `power_w` and `current_a`
    (sum over phases) are what was measured in it (None: unknown; power then follows from energy and time).
    """

    kind: PeriodKind
    start: datetime
    end: datetime
    energy_wh: Decimal | None = None
    power_w: Decimal | None = None
    current_a: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A session's periods in time order, and the IANA zone whose wall clock the tariff's times mean."""

    time_zone: str
    periods: tuple[Period, ...]
