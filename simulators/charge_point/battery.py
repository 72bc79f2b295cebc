"""What draws the energy: a steady load, or a vehicle's battery that takes less the fuller it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

MILLI = Decimal("0.001")
SECONDS_PER_HOUR = Decimal(3600)
STEP_MAX_S = Decimal(30)  # a battery's power is taken as constant over this long


class Load(Protocol):
    """Whatever takes energy out of an EVSE."""

    def take(self, seconds: Decimal) -> Decimal:
        """Let time pass and return the energy that flowed in it, Wh with three decimals."""

    @property
    def power_w(self) -> Decimal:
        """The power that flows right now."""

    @property
    def soc_percent(self) -> int | None:
        """State of charge, where the vehicle tells it."""


@dataclass(slots=True)
class SteadyLoad:
    """A given energy over a given time; what has flowed adds up to exactly ``energy_wh`` at the end."""

    energy_wh: Decimal
    duration_s: Decimal
    elapsed_s: Decimal = Decimal(0)
    soc_percent: int | None = None

    def take(self, seconds: Decimal) -> Decimal:
        """The difference of two rounded totals, so that rounding errors never add up."""
        before = self._delivered()
        self.elapsed_s = min(self.duration_s, self.elapsed_s + seconds)
        return self._delivered() - before

    def _delivered(self) -> Decimal:
        if self.elapsed_s >= self.duration_s:
            return self.energy_wh
        return (self.energy_wh * self.elapsed_s / self.duration_s).quantize(MILLI, rounding=ROUND_HALF_UP)

    @property
    def power_w(self) -> Decimal:
        if self.elapsed_s >= self.duration_s:
            return Decimal(0)
        return (self.energy_wh * SECONDS_PER_HOUR / self.duration_s).quantize(Decimal(1), rounding=ROUND_HALF_UP)


@dataclass(slots=True)
class Battery:
    """A vehicle battery: full power up to ``taper_from`` of its capacity, then falling in a line to a trickle.

    It never takes more than ``limit_w``, where its EVSE sets one.
    """

    capacity_wh: Decimal = Decimal(60_000)
    stored_wh: Decimal = Decimal(12_000)
    power_max_w: Decimal = Decimal(11_000)
    taper_from: Decimal = Decimal("0.8")
    trickle: Decimal = Decimal("0.05")
    limit_w: Decimal | None = None
    _remainder: Decimal = field(default=Decimal(0), repr=False)

    def take(self, seconds: Decimal) -> Decimal:
        """Integrate the curve in short steps; what is below a milliwatt-hour is carried over."""
        left, flowed = seconds, self._remainder
        while left > 0 and self.stored_wh < self.capacity_wh:
            step = min(left, STEP_MAX_S)
            energy = min(self.power_w * step / SECONDS_PER_HOUR, self.capacity_wh - self.stored_wh)
            self.stored_wh += energy
            flowed += energy
            left -= step
        whole = flowed.quantize(MILLI, rounding="ROUND_DOWN")
        self._remainder = flowed - whole
        return whole

    @property
    def power_w(self) -> Decimal:
        return self._wanted_w() if self.limit_w is None else min(self._wanted_w(), self.limit_w)

    def _wanted_w(self) -> Decimal:
        filled = self.stored_wh / self.capacity_wh
        if filled >= 1:
            return Decimal(0)
        if filled <= self.taper_from:
            return self.power_max_w
        share = (1 - filled) / (1 - self.taper_from)
        power = self.power_max_w * max(share, self.trickle)
        return power.quantize(Decimal(1), rounding=ROUND_HALF_UP)

    @property
    def soc_percent(self) -> int | None:
        return int(self.stored_wh * 100 / self.capacity_wh)
