"""The grid connection that charge points share, with an ammeter on each phase: what truly flows, whatever is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from simulators.charge_point.profiles import PHASES, VOLTAGE_V

if TYPE_CHECKING:
    from simulators.charge_point.evse import Evse
    from simulators.charge_point.station import SimulatedChargePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The most that has flowed on a phase, when, and who drew how much of it."""

    at: datetime
    amps: Decimal
    parts: tuple[tuple[str, Decimal], ...]


@dataclass(slots=True)
class GridConnection:
    """Looks at every change of a charge point that hangs on it. Where nothing else is said, an EVSE loads all phases alike."""

    wired: list[tuple[SimulatedChargePoint, Evse, frozenset[int]]] = field(default_factory=list)
    looks: int = 0
    peaks: dict[int, Flow] = field(default_factory=dict)

    def connect(self, station: SimulatedChargePoint, lines: frozenset[int] = frozenset({1, 2, 3})) -> None:
        """Wire all EVSEs of a charge point to these phases."""
        if not lines or not lines <= set(range(1, PHASES + 1)):
            raise ValueError(f"phases count from 1 to {PHASES}, not {sorted(lines)}")
        self.wired += [(station, evse, lines) for evse in station.evses.values()]
        station.ammeters.append(lambda: self.look(station.clock.now))

    def look(self, at: datetime) -> None:
        """Read the ammeters."""
        self.looks += 1
        for line in range(1, PHASES + 1):
            parts = [
                (station.identity, evse.power_w / (VOLTAGE_V * len(lines)))
                for station, evse, lines in self.wired
                if line in lines
            ]
            amps = sum((part for _, part in parts), Decimal(0))
            if line not in self.peaks or amps > self.peaks[line].amps:
                flowing = tuple(part for part in parts if part[1])
                self.peaks[line] = Flow(at=at, amps=amps, parts=flowing)

    def forget(self) -> None:
        """Set the needles back."""
        self.peaks.clear()

    @property
    def peak_a(self) -> Decimal:
        """The most that has flowed on any phase."""
        return max((flow.amps for flow in self.peaks.values()), default=Decimal(0))
