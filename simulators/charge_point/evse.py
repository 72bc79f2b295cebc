"""An EVSE with its cable, its meter, and the transaction that runs on it. Knows no OCPP version."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulators.charge_point.battery import Load
    from simulators.charge_point.outbox import Message
    from simulators.charge_point.signing import SigningMeter
    from simulators.charge_point.truth import TrueSession


class Phase(StrEnum):
    """Where an EVSE stands, in the words of OCPP 1.6 (2.0.1 folds most of them into Occupied)."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"
    RESERVED = "Reserved"


@dataclass(slots=True)
class Meter:
    """A lifetime energy register in Wh; faults may move it without any energy flowing."""

    register_wh: Decimal = Decimal(0)

    def count(self, energy_wh: Decimal) -> None:
        """Energy flowed."""
        self.register_wh += energy_wh

    def jump(self, by_wh: Decimal) -> None:
        """A fault: the register moves, no energy flowed."""
        self.register_wh += by_wh

    def show(self, register_wh: Decimal) -> None:
        """A fault: the register suddenly shows something else (a reset, or a first value after a reset)."""
        self.register_wh = register_wh


@dataclass(slots=True, kw_only=True)
class Transaction:
    """An OCPP transaction as the charge point holds it."""

    evse: Evse
    token: str
    started_at: datetime
    truth: TrueSession
    transaction_id: int | str | None = None
    seq_no: int = 0
    remote_start_id: int | None = None
    reservation_id: int | None = None
    start_message: Message | None = None
    stop_message: Message | None = None
    deauthorized: bool = False
    charging_state: str = "EVConnected"
    signed_begin: str | None = None  # 1.6 tells it beside the end


@dataclass(slots=True)
class Evse:
    """One EVSE with one connector."""

    number: int
    meter: Meter = field(default_factory=Meter)
    phase: Phase = Phase.AVAILABLE
    plugged: bool = False
    operative: bool = True
    load: Load | None = None
    transaction: Transaction | None = None
    last_transaction: Transaction | None = None
    next_sample_at: datetime | None = None
    signer: SigningMeter | None = None

    def draw(self, seconds: Decimal) -> None:
        """Let energy flow for so long, if a vehicle is charging."""
        if self.transaction is None or self.load is None or self.phase is not Phase.CHARGING:
            return
        energy = self.load.take(seconds)
        self.meter.count(energy)
        self.transaction.truth.energy_wh += energy

    @property
    def power_w(self) -> Decimal:
        """The power that flows right now."""
        if self.load is None or self.phase is not Phase.CHARGING:
            return Decimal(0)
        return self.load.power_w
