"""Configuration keys (1.6) and variables (2.0.1) of a simulated charge point: a store that says no where real ones do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Setting:
    """One key or variable. A pending value is taken over at the next reboot."""

    value: str
    readonly: bool = False
    reboot_required: bool = False
    write_only: bool = False
    whole_number: bool = False
    pending: str | None = None


@dataclass(slots=True)
class Settings:
    """Names compare without case; 2.0.1 variables are named ``Component#EVSE.Variable#Instance``."""

    entries: dict[str, Setting] = field(default_factory=dict)

    def find(self, name: str) -> tuple[str, Setting] | None:
        """The registered spelling and the setting, or None."""
        for known, setting in self.entries.items():
            if known.lower() == name.lower():
                return known, setting
        return None

    def change(self, name: str, value: str) -> str:
        """Try to set; the answer is one of Accepted, Rejected, RebootRequired, NotSupported (unknown)."""
        found = self.find(name)
        if found is None:
            return "NotSupported"
        setting = found[1]
        if setting.readonly or (setting.whole_number and not value.strip().isdecimal()):
            return "Rejected"
        if setting.reboot_required:
            setting.pending = value
            return "RebootRequired"
        setting.value = value
        return "Accepted"

    def reboot(self) -> None:
        """Take over what waited for a reboot."""
        for setting in self.entries.values():
            if setting.pending is not None:
                setting.value, setting.pending = setting.pending, None

    def number(self, name: str, default: int) -> int:
        """A whole number, or the default where the value is none."""
        found = self.find(name)
        if found is None or not found[1].value.strip().isdecimal():
            return default
        return int(found[1].value)

    def flag(self, name: str) -> bool:
        """Whether a boolean setting is on."""
        found = self.find(name)
        return found is not None and found[1].value.lower() == "true"


def component_name(asked: dict[str, Any]) -> str:
    """``Component`` or ``EVSE#1``."""
    component = asked["component"]
    evse = component.get("evse")
    return str(component["name"]) if evse is None else f"{component['name']}#{evse['id']}"


def variable_name(asked: dict[str, Any]) -> str:
    """``Component#EVSE.Variable#Instance``, the name under which the store keeps it."""
    variable = asked["variable"]
    instance = variable.get("instance")
    return f"{component_name(asked)}.{variable['name']}" + ("" if instance is None else f"#{instance}")


def whole(value: str) -> Setting:
    """A setting that refuses anything but a whole number."""
    return Setting(value, whole_number=True)


def settings_16(evses: int) -> Settings:
    """The configuration keys that a plain OCPP 1.6 charge point has."""
    keys = {
        "AllowOfflineTxForUnknownId": Setting("true"),
        "AuthorizationCacheEnabled": Setting("true"),
        "AuthorizationKey": Setting("", write_only=True),
        "AuthorizeRemoteTxRequests": Setting("false"),
        "ChargeProfileMaxStackLevel": Setting("8", readonly=True),
        "ChargingScheduleAllowedChargingRateUnit": Setting("Current,Power", readonly=True),
        "ChargingScheduleMaxPeriods": Setting("24", readonly=True),
        "CertificateSignedMaxChainSize": Setting("10000", readonly=True),
        "ClockAlignedDataInterval": whole("0"),
        "ConnectionTimeOut": whole("60"),
        "ConnectorPhaseRotation": Setting("NotApplicable"),
        "CpoName": Setting(""),
        "GetConfigurationMaxKeys": Setting("50", readonly=True),
        "HeartbeatInterval": whole("3600"),
        "LocalAuthListEnabled": Setting("true"),
        "LocalAuthListMaxLength": Setting("1000", readonly=True),
        "LocalAuthorizeOffline": Setting("true"),
        "LocalPreAuthorize": Setting("false"),
        "MeterValueSampleInterval": whole("300"),
        "MeterValuesAlignedData": Setting("Energy.Active.Import.Register"),
        "MeterValuesSampledData": Setting("Energy.Active.Import.Register,Power.Active.Import"),
        "NumberOfConnectors": Setting(str(evses), readonly=True),
        "ReserveConnectorZeroSupported": Setting("true", readonly=True),
        "ResetRetries": whole("1"),
        "SendLocalListMaxLength": Setting("20", readonly=True),
        "StopTransactionOnEVSideDisconnect": Setting("true"),
        "StopTransactionOnInvalidId": Setting("true"),
        "StopTxnAlignedData": Setting(""),
        "StopTxnSampledData": Setting("", reboot_required=True),
        "SupportedFeatureProfiles": Setting(
            "Core,LocalAuthListManagement,RemoteTrigger,Reservation,SmartCharging", readonly=True
        ),
        "TransactionMessageAttempts": whole("3"),
        "TransactionMessageRetryInterval": whole("60"),
        "UnlockConnectorOnEVSideDisconnect": Setting("true"),
        "WebSocketPingInterval": whole("30"),
    }
    return Settings(keys)


def settings_201(evses: int) -> Settings:
    """The variables that a plain OCPP 2.0.1 charging station has, as ``Component.Variable``."""
    sampled = "Energy.Active.Import.Register,Power.Active.Import"
    variables = {
        "AlignedDataCtrlr.Interval": whole("0"),
        "AuthCacheCtrlr.Enabled": Setting("true"),
        "AuthCtrlr.AuthorizeRemoteStart": Setting("false"),
        "AuthCtrlr.LocalAuthorizeOffline": Setting("true"),
        "AuthCtrlr.LocalPreAuthorize": Setting("false"),
        "ChargingStation.Model": Setting("Simulated", readonly=True),
        "ChargingStation.SupplyPhases": Setting("3", readonly=True),
        "DeviceDataCtrlr.ItemsPerMessage": Setting("4", readonly=True),
        "LocalAuthListCtrlr.Available": Setting("true", readonly=True),
        "LocalAuthListCtrlr.BytesPerMessage": Setting("4096", readonly=True),
        "LocalAuthListCtrlr.Enabled": Setting("true"),
        "LocalAuthListCtrlr.Entries": Setting("0", readonly=True),
        "LocalAuthListCtrlr.ItemsPerMessage": Setting("20", readonly=True),
        "OCPPCommCtrlr.HeartbeatInterval": whole("3600"),
        "OCPPCommCtrlr.MessageAttempts#TransactionEvent": whole("3"),
        "OCPPCommCtrlr.MessageAttemptInterval#TransactionEvent": whole("60"),
        "OCPPCommCtrlr.NetworkConfigurationPriority": Setting("0", reboot_required=True),
        "OCPPCommCtrlr.WebSocketPingInterval": whole("30"),
        "SampledDataCtrlr.TxEndedInterval": whole("0"),
        "SampledDataCtrlr.TxEndedMeasurands": Setting("Energy.Active.Import.Register"),
        "SampledDataCtrlr.TxStartedMeasurands": Setting("Energy.Active.Import.Register"),
        "SampledDataCtrlr.TxUpdatedInterval": whole("300"),
        "SampledDataCtrlr.TxUpdatedMeasurands": Setting(sampled),
        "ReservationCtrlr.Available": Setting("true", readonly=True),
        "ReservationCtrlr.Enabled": Setting("true"),
        "ReservationCtrlr.NonEvseSpecific": Setting("true", readonly=True),
        "SecurityCtrlr.BasicAuthPassword": Setting("", write_only=True),
        "SecurityCtrlr.MaxCertificateChainSize": Setting("10000", readonly=True),
        "SecurityCtrlr.OrganizationName": Setting(""),
        "SecurityCtrlr.SecurityProfile": Setting("1", readonly=True),
        "SmartChargingCtrlr.Available": Setting("true", readonly=True),
        "SmartChargingCtrlr.PeriodsPerSchedule": Setting("24", readonly=True),
        "SmartChargingCtrlr.ProfileStackLevel": Setting("8", readonly=True),
        "SmartChargingCtrlr.RateUnit": Setting("A,W", readonly=True),
        "TxCtrlr.StopTxOnEVSideDisconnect": Setting("true"),
        "TxCtrlr.StopTxOnInvalidId": Setting("true"),
        "TxCtrlr.TxStartPoint": Setting("Authorized", readonly=True),
        "TxCtrlr.TxStopPoint": Setting("Authorized,EVConnected", readonly=True),
    }
    for number_of_evse in range(1, evses + 1):
        variables[f"EVSE#{number_of_evse}.Available"] = Setting("true", readonly=True)
    return Settings(variables)
