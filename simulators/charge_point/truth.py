"""What really happened at a charge point, whatever reached the central system: the yardstick of every fault test."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(slots=True, kw_only=True)
class TrueSession:
    """One stay of one vehicle. ``energy_wh`` really flowed; the registers are what the meter showed."""

    charge_point: str
    evse: int
    token: str
    started_at: datetime
    register_start_wh: Decimal
    ended_at: datetime | None = None
    register_end_wh: Decimal | None = None
    energy_wh: Decimal = Decimal(0)
    stop_reason: str | None = None
    transaction_id: int | str | None = None
    start_told: bool = False  # the central system answered the start
    end_told: bool = False  # the central system answered the end
    readings: int = 0
    start_answers: list[int | str] = field(default_factory=list)  # one id per answered copy of the start
    displayed: Decimal | None = None  # the cost that the driver saw last

    @property
    def declared_wh(self) -> Decimal | None:
        """Register difference: what an honest central system can know. None while it runs."""
        return None if self.register_end_wh is None else self.register_end_wh - self.register_start_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A line of the log: what happened at the charge point, and when in true model time."""

    at: datetime
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A transaction message that the central system answered: from here on it may not lose it."""

    action: str
    made_at: datetime
    transaction_id: int | str | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """A transaction message that the charge point threw away after its last attempt, or that a fault swallowed."""

    action: str
    made_at: datetime
    transaction_id: int | str | None
    attempts: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Displayed:
    """A cost that the driver saw. ``by`` is the message that carried it."""

    at: datetime
    transaction_id: int | str | None
    total: Decimal
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRead:
    """A price that a driver read before paying it; `texts` are the same in other languages."""

    at: datetime
    token: str
    text: str
    by: str
    texts: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Truth:
    """Everything that really happened at one charge point, in order."""

    sessions: list[TrueSession] = field(default_factory=list)
    log: list[Happening] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    discarded: list[Discarded] = field(default_factory=list)
    displayed: list[Displayed] = field(default_factory=list)
    prices_read: list[PriceRead] = field(default_factory=list)

    def note(self, at: datetime, what: str, detail: str = "") -> None:
        """Append to the log."""
        self.log.append(Happening(at=at, what=what, detail=detail))
