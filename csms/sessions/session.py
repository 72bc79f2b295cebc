"""A session as its facts tell it: a frozen value. Knows neither where facts are stored nor what a kWh costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from csms.sessions.facts import Reserved


class EndSource(StrEnum):
    """How the end of a session became known (RULES.md 13)."""

    STOP = "stop"
    """The charge point said so."""
    FOLLOWING = "following"
    """The next transaction began on the same EVSE."""
    AVAILABLE = "available"
    """The EVSE was Available for long while online."""
    NOT_ONGOING = "not_ongoing"
    """The charge point was asked and knows of no such transaction."""
    RESERVATION = "reservation"
    """There was no transaction: a reservation ran out unused."""


class EnergySource(StrEnum):
    """Which readings the energy comes from (RULES.md 11)."""

    SIGNED = "signed"
    """Begin and end readings with signed data beside them."""
    REGISTER = "register"
    """Begin and end registers that the charge point declared as such."""
    SAMPLES = "samples"
    """At least one end of the span is only the first or last register seen."""
    NONE = "none"


class Completeness(StrEnum):
    """Why the facts count as complete (RULES.md 14)."""

    STOPPED = "stopped"
    SEQUENCE = "sequence"
    SETTLED = "settled"
    QUEUE_EMPTY = "queue_empty"
    TIMEOUT = "timeout"
    NO_STOP = "no_stop"


class Activity(StrEnum):
    """What vehicle and station are doing, the same words for every version of OCPP."""

    UNKNOWN = "unknown"
    CONNECTED = "connected"
    CHARGING = "charging"
    SUSPENDED_EV = "suspended_ev"
    SUSPENDED_EVSE = "suspended_evse"
    FINISHING = "finishing"
    IDLE = "idle"


class Action(StrEnum):
    HOLD = "hold"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """What a rule noticed: values compared with limits stand in `evidence`."""

    rule: str
    action: Action
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """From `at` on the session is in this state."""

    at: datetime
    activity: Activity


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPoint:
    """A plausible meter reading: the register, and the energy since the session's begin, Wh."""

    at: datetime
    register_wh: Decimal
    energy_wh: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPoint:
    """Power (W) and current (A, sum over phases) measured at an instant."""

    at: datetime
    power_w: Decimal | None
    current_a: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What a session's signed values prove beside its energy: when the meter was read, and whether it measures time."""

    readings: tuple[datetime, ...] = ()
    measures_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One vehicle's stay and energy. Times are the charge point's own unless said otherwise.

    `priced_from` begins what is rated: token authorised, EVSE known, EV connected (RULES.md 12, 15). `tariff_at` is the
    same instant in corrected time, for the choice of the tariff. `ended_at` is the transaction's end, `released_at` the
    unplugging. `points` run from (begin, 0 Wh) to the newest plausible register, and `energy_wh` is the last of them.
    `complete_at` may lie ahead: at that instant the facts will count as complete if nothing else is heard.
    `awaiting_events`: Ended is here, events before it are not; the charge point may be asked (RULES.md 14 c).
    `idle_from`, `idle_until` bound what is proven of the stay after the stop (RULES.md 18; `idle_until` None: it goes on).
    `reserved` is what was kept for the driver before `priced_from`, by the charge point's clock; of a reservation that
    nobody used it is all that there is.
    `inputs_hash` is the same for the same facts in any order and number. `proven` is there once it has ended under
    measuring law.
    """

    id: int
    time_zone: str
    transaction: str | None
    evse: int | None
    connector: int | None
    token: str | None
    started_at: datetime | None
    priced_from: datetime | None
    tariff_at: datetime | None
    ended_at: datetime | None
    end_source: EndSource | None
    end_received_at: datetime | None
    released_at: datetime | None
    stopped_reason: str | None
    begin_wh: Decimal | None
    end_wh: Decimal | None
    energy_wh: Decimal
    energy_source: EnergySource
    points: tuple[RegisterPoint, ...]
    powers: tuple[PowerPoint, ...]
    states: tuple[StateChange, ...]
    idle_from: datetime | None
    idle_until: datetime | None
    reserved: Reserved | None
    complete_at: datetime | None
    completeness: Completeness | None
    awaiting_events: bool
    last_fact_at: datetime | None
    is_live: bool
    dropped: str | None
    findings: tuple[Finding, ...]
    quirks: frozenset[str]
    notes: tuple[str, ...]
    inputs_hash: bytes
    proven: Proven | None = None

    @property
    def closed(self) -> bool:
        """The transaction's end is known."""
        return self.ended_at is not None

    @property
    def holds(self) -> frozenset[str]:
        return frozenset(finding.rule for finding in self.findings if finding.action is Action.HOLD)

    @property
    def flags(self) -> frozenset[str]:
        return frozenset(finding.rule for finding in self.findings if finding.action is Action.FLAG)
