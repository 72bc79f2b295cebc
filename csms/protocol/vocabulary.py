"""The one vocabulary inside: what charge points told us (facts) and what we answer (decisions).

No OCPP version speaks here: connector n of OCPP 1.6 is EVSE n, connector 1; registers are Decimal Wh, times are aware
UTC. Everything that a translator repaired or found odd on the way is named in `quirks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from csms.protocol.blocks.certificate_facts import CertificateAnswer, CertificateFact
from csms.protocol.blocks.charging_profile import SmartChargingAnswer, SmartChargingFact
from csms.protocol.blocks.customer_facts import CustomerInformationReported
from csms.protocol.blocks.device_model_facts import VariableDescribed
from csms.protocol.blocks.display_facts import DisplayMessagesReported
from csms.protocol.blocks.firmware_facts import PublishStatusReported
from csms.protocol.blocks.monitoring_facts import MonitoringFact
from csms.protocol.blocks.reservation_facts import ReservationReported
from csms.protocol.redaction import redact


class Protocol(StrEnum):
    """Websocket subprotocols that we speak."""

    V16 = "ocpp1.6"
    V201 = "ocpp2.0.1"
    V21 = "ocpp2.1"

    @property
    def has_device_model(self) -> bool:
        """Whether settings are `Component.Variable` (2.x), not keys (1.6)."""
        return self is not Protocol.V16


class Registration(StrEnum):
    """Whether a charge point may talk to us (BootNotification status)."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class Measurand(StrEnum):
    """The measurands that decide money or plausibility; any other is kept under its own name."""

    ENERGY_IMPORT_REGISTER = "Energy.Active.Import.Register"
    ENERGY_EXPORT_REGISTER = "Energy.Active.Export.Register"
    POWER_IMPORT = "Power.Active.Import"
    CURRENT_IMPORT = "Current.Import"
    SOC = "SoC"


class Context(StrEnum):
    """When within the transaction a sample was taken."""

    BEGIN = "Transaction.Begin"
    END = "Transaction.End"
    PERIODIC = "Sample.Periodic"
    CLOCK = "Sample.Clock"


class Sample(NamedTuple):
    """One sampled value with the standard's defaults filled in.

    `value` is in the base unit (Wh, W, A, V, Percent ...; kWh and kW are multiplied out), None where the value is
    signed data or no number. `unit` is the base unit's name. `signed` holds signed meter data byte for byte.
    """

    value: Decimal | None
    measurand: str = Measurand.ENERGY_IMPORT_REGISTER
    unit: str = "Wh"
    context: str = Context.PERIODIC
    phase: str | None = None
    location: str = "Outlet"
    signed: str | None = None


class Reading(NamedTuple):
    """One `meterValue` element: samples taken at one instant. `key` is the content key of RULES.md 2."""

    at: datetime
    samples: tuple[Sample, ...]
    key: bytes
    quirks: tuple[str, ...] = ()


class EventKind(StrEnum):
    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


DEPARTED = "EVDeparted"
"""The trigger of an event by which the vehicle has left (OCPP 2.0.1 TriggerReasonEnumType)."""


class ChargingState(StrEnum):
    """What the vehicle and station are doing, in the words of OCPP 2.0.1 ChargingStateEnumType."""

    CHARGING = "Charging"
    EV_CONNECTED = "EVConnected"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    IDLE = "Idle"


# --- facts: past tense; nobody may refuse them ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """`box_serial`: what 1.6 once called the serial number, where it is told beside it; `meter_*` only in 1.6."""

    vendor: str
    model: str
    serial: str | None = None
    firmware: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    reason: str | None = None
    box_serial: str | None = None
    meter_type: str | None = None
    meter_serial: str | None = None
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatReceived:
    """The charge point asks for the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPresented:
    """May this token charge here? `token` is as sent; comparison is case-insensitive."""

    token: str
    token_type: str | None = None
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReported:
    """A connector's status. `evse` 0 is the charge point as a whole. `at` None: the charge point gave no time.

    `status` is one of OCPP 1.6's nine, or 2.0.1's five (Occupied is its word for Preparing ... Finishing).
    """

    evse: int
    connector: int
    status: str
    at: datetime | None
    error_code: str | None = None
    info: str | None = None
    vendor_error_code: str | None = None
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingEvent:
    """Something happened in a transaction: a 1.6 start or stop, or a 2.x transaction event.

    `key` is the content key of RULES.md 3-5 (without the charge point, which scopes it). `transaction` is the id as
    text, None in a 1.6 start (we give the id). `seq_no` is None in 1.6: such a session is complete when its stop is
    there. `register_wh` is 1.6's meterStart / meterStop. `malformed`: the message did not fit the schema, what could be
    read stands here, the frame is in quarantine and the session is held.
    """

    kind: EventKind
    at: datetime
    key: bytes
    transaction: str | None = None
    evse: int | None = None
    connector: int | None = None
    token: str | None = None
    token_type: str | None = None
    register_wh: Decimal | None = None
    seq_no: int | None = None
    trigger: str | None = None
    charging_state: ChargingState | None = None
    stopped_reason: str | None = None
    offline: bool = False
    reservation: int | None = None
    remote_start: int | None = None
    readings: tuple[Reading, ...] = ()
    malformed: bool = False
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsReported:
    """Meter values outside a transaction event. `transaction` is as sent (None: none given)."""

    evse: int
    connector: int | None
    transaction: str | None
    readings: tuple[Reading, ...]
    malformed: bool = False
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorDataReceived:
    vendor: str
    message: str | None = None
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareStatusReported:
    status: str
    request: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatusReported:
    """Diagnostics (1.6) or log (2.0.1, security white paper) upload status."""

    status: str
    request: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEventReported:
    type: str
    at: datetime
    tech_info: str | None
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsReported:
    """One part of a 2.0.1 device model report: (name, value, mutability) with name `Component[.instance].Variable`."""

    request: int
    seq_no: int
    more: bool
    settings: tuple[tuple[str, str | None, str | None], ...]
    described: tuple[VariableDescribed, ...] = ()


Fact = (
    Booted
    | HeartbeatReceived
    | TokenPresented
    | StatusReported
    | ChargingEvent
    | ReadingsReported
    | VendorDataReceived
    | FirmwareStatusReported
    | LogStatusReported
    | PublishStatusReported
    | SecurityEventReported
    | SettingsReported
    | MonitoringFact
    | ReservationReported
    | DisplayMessagesReported
    | CustomerInformationReported
    | SmartChargingFact
    | CertificateFact
)


# --- decisions: our answers, which a translator writes in its version's words --------------------------------------


class TokenStatus(StrEnum):
    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT = "ConcurrentTx"
    NO_CREDIT = "NoCredit"
    """Its limit leaves a new session nothing. 1.6 has no such word and says Blocked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVerdict:
    status: TokenStatus
    group: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalMessage:
    """What the driver reads when a token is accepted: the price. At most 512 bytes; `language` as in RFC 5646."""

    text: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BootAnswer:
    registration: Registration
    now: datetime
    interval_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAnswer:
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    verdict: TokenVerdict
    message: PersonalMessage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingAnswer:
    """`transaction` only where we give it (1.6 start). `total_cost` incl. tax in major units, only where RULES.md 19 lets it.

    `message` only beside a verdict.
    """

    transaction: int | None = None
    verdict: TokenVerdict | None = None
    total_cost: Decimal | None = None
    message: PersonalMessage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorDataAnswer:
    """Accepted | Rejected | UnknownVendorId | UnknownMessageId."""

    status: str = "UnknownVendorId"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """An answer without content."""


Decision = (
    BootAnswer
    | TimeAnswer
    | TokenAnswer
    | ChargingAnswer
    | VendorDataAnswer
    | SmartChargingAnswer
    | CertificateAnswer
    | Acknowledged
)


# --- commands: imperative; what we ask of a charge point ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something asked of a charge point. Other blocks of OCPP have theirs beside this file, in `blocks`."""

    def kept(self) -> Command:
        """As it stays in the books once it is done: without the secrets that it carried."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCharging(Command):
    token: str
    evse: int | None = None
    remote_start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCharging(Command):
    transaction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Command):
    """`hard`: at once (1.6 Hard, 2.0.1 Immediate); else when idle (Soft, OnIdle)."""

    hard: bool = False
    evse: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlockConnector(Command):
    evse: int
    connector: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAvailability(Command):
    """`evse` None: the whole charge point."""

    operative: bool
    evse: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetSettings(Command):
    """Names as `Key` (1.6) or `Component.Variable` (2.0.1); empty: all (1.6 only, 2.0.1 asks for a full report)."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSettings(Command):
    values: tuple[tuple[str, str], ...]

    def kept(self) -> SetSettings:
        return replace(self, values=tuple((name, redact(name, value) or "") for name, value in self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class GetFullReport(Command):
    request: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerMessage(Command):
    """`message` in the version's own words, such as BootNotification or MeterValues."""

    message: str
    evse: int | None = None
    connector: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendVendorData(Command):
    vendor: str
    message: str | None = None
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTransactionStatus(Command):
    transaction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCost(Command):
    """Running or final cost incl. tax, for the charge point's display (2.0.1 CostUpdated)."""

    transaction: str
    total_cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a charge point made of a command.

    `status` is its own word (Accepted, Rejected, Scheduled, UnlockFailed ...), or ours: `timeout`, `offline`,
    `not_supported` (CALLERROR NotImplemented / NotSupported, or the version has no such message), `call_error`,
    `invalid_answer`. `accepted` tells whether it will do it. `data` is what the answer carried, JSON-able. `unsent`: no
    socket took it, so that it may be sent on another one without being done twice.
    """

    accepted: bool
    status: str
    data: dict[str, Any] = field(default_factory=dict)
    detail: str | None = None
    unsent: bool = field(default=False, compare=False)
