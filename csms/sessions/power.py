"""How much energy can have flowed in a span. Pure arithmetic; knows no session."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from csms.sessions.policy import ReviewPolicy

_SECONDS_PER_HOUR = Decimal(3600)
_STEP = Decimal("0.001")


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLimit:
    """The power beyond which nothing is believed. `assumed_w`: nobody told it, and above this it is worth a flag."""

    power_w: Decimal
    factor: Decimal
    assumed_w: Decimal | None
    resolution_s: Decimal
    resolution_wh: Decimal

    @classmethod
    def of(cls, *, current: str, max_power_w: Decimal | None, policy: ReviewPolicy) -> PowerLimit:
        """The limit of a charge point: as told, else the policy's (a value that is no power counts as not told)."""
        told = max_power_w if max_power_w is not None and max_power_w.is_finite() and max_power_w > 0 else None
        assumed = policy.power_w_assumed_ac if told is None and current.upper() == "AC" else None
        return cls(
            power_w=policy.power_w_unknown if told is None else told,
            factor=policy.power_factor,
            assumed_w=assumed,
            resolution_s=policy.time_resolution_s,
            resolution_wh=policy.register_resolution_wh,
        )

    @property
    def words(self) -> str:
        return f"{self.power_w / 1000} kW x {self.factor}"

    def energy_wh(self, seconds: Decimal) -> Decimal:
        """The most that can have flowed within `seconds`, the resolution of clocks included."""
        return self._energy(self.power_w, seconds)

    def assumed_energy_wh(self, seconds: Decimal) -> Decimal | None:
        """The same by the power that is only assumed."""
        return None if self.assumed_w is None else self._energy(self.assumed_w, seconds)

    def allows(self, wh: Decimal, seconds: Decimal) -> bool:
        """True if a register may step by `wh` within `seconds`."""
        return wh <= self.resolution_wh or wh <= self.energy_wh(seconds) + self.resolution_wh

    def allows_instant(self, wh: Decimal) -> bool:
        """True if two registers of one written instant may differ by `wh`."""
        return wh <= self.energy_wh(Decimal(0))

    def _energy(self, power_w: Decimal, seconds: Decimal) -> Decimal:
        return (power_w * self.factor * (seconds + self.resolution_s) / _SECONDS_PER_HOUR).quantize(_STEP)
