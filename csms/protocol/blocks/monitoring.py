"""Commands about what charging stations watch and tell of themselves (OCPP 2.0.1 blocks B and N)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from csms.protocol.redaction import REDACTED, without_credentials
from csms.protocol.vocabulary import Command

SEVERITY_MAX = 9
"""0 is the gravest (Danger), 9 only for debugging (SetMonitoringDataType.severity)."""


class MonitorType(StrEnum):
    """What a monitor looks for; Periodic ones tell the value every so many seconds."""

    UPPER_THRESHOLD = "UpperThreshold"
    LOWER_THRESHOLD = "LowerThreshold"
    DELTA = "Delta"
    PERIODIC = "Periodic"
    PERIODIC_CLOCK_ALIGNED = "PeriodicClockAligned"


class MonitoringBase(StrEnum):
    """Which monitors shall be there; those set before by hand are gone, save with All."""

    ALL = "All"
    FACTORY_DEFAULT = "FactoryDefault"
    HARD_WIRED_ONLY = "HardWiredOnly"


class MonitoringCriterion(StrEnum):
    THRESHOLD = "ThresholdMonitoring"
    DELTA = "DeltaMonitoring"
    PERIODIC = "PeriodicMonitoring"


class ComponentCriterion(StrEnum):
    ACTIVE = "Active"
    AVAILABLE = "Available"
    ENABLED = "Enabled"
    PROBLEM = "Problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMonitor(Command):
    """Watch one variable, named as settings are. `monitor` None: a new one, whose id the station chooses."""

    name: str
    type: MonitorType
    value: Decimal
    severity: int
    monitor: int | None = None
    during_transaction: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearMonitors(Command):
    monitors: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMonitoringBase(Command):
    base: MonitoringBase


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMonitoringLevel(Command):
    """Tell of events up to this severity: the higher the number, the more is told."""

    severity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GetMonitoringReport(Command):
    """`names`: Component, or Component.Variable; of everything where none is given."""

    request: int
    criteria: tuple[MonitoringCriterion, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GetReport(Command):
    """Some of the device model; names as in GetMonitoringReport."""

    request: int
    criteria: tuple[ComponentCriterion, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPoint:
    """Of a mobile network; `authentication` as in APNAuthenticationEnumType."""

    name: str
    authentication: str = "AUTO"
    user: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNetworkProfile(Command):
    """How to reach the central system, kept by the station in a numbered slot until its priority list names that."""

    slot: int
    url: str
    security_profile: int
    interface: str
    message_timeout_s: int
    access_point: AccessPoint | None = None

    def kept(self) -> SetNetworkProfile:
        point = self.access_point
        if point is not None and point.password:
            point = replace(point, password=REDACTED)
        return replace(self, url=without_credentials(self.url), access_point=point)
