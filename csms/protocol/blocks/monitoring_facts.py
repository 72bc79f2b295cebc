"""What charging stations tell of what they watch (OCPP 2.0.1 block N)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringEvent:
    """One element of NotifyEvent. `name` as settings are named; `monitor` None: none that has an id saw it.

    `key` tells events apart: ids begin again after a restart.
    """

    id: int
    at: datetime
    name: str
    value: str
    trigger: str
    key: bytes
    monitor: int | None = None
    kind: str | None = None
    is_cleared: bool = False
    cause: int | None = None
    tech_code: str | None = None
    tech_info: str | None = None
    transaction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringReported:
    """NotifyEvent, or a part of it."""

    seq_no: int
    more: bool
    events: tuple[MonitoringEvent, ...]
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A monitor as the station describes it. `value`: a limit, a difference or seconds, by `type`, in the station's own digits."""

    id: int
    name: str
    type: str
    value: str | None
    severity: int | None
    during_transaction: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorsReported:
    """One part of what answers a GetMonitoringReport: NotifyMonitoringReport."""

    request: int
    seq_no: int
    more: bool
    monitors: tuple[Monitor, ...]
    quirks: tuple[str, ...] = ()


MonitoringFact = MonitoringReported | MonitorsReported
