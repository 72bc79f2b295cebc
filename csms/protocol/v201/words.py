"""The words of OCPP 2.0.1 that readers recognise, and below each list those that 2.1 has added to it.

Recognised they are in both; which version may say which is what its schemas are for.
"""

from __future__ import annotations

MEASURANDS = frozenset(
    {
        "Current.Export",
        "Current.Import",
        "Current.Offered",
        "Energy.Active.Export.Register",
        "Energy.Active.Import.Register",
        "Energy.Reactive.Export.Register",
        "Energy.Reactive.Import.Register",
        "Energy.Active.Export.Interval",
        "Energy.Active.Import.Interval",
        "Energy.Active.Net",
        "Energy.Reactive.Export.Interval",
        "Energy.Reactive.Import.Interval",
        "Energy.Reactive.Net",
        "Energy.Apparent.Net",
        "Energy.Apparent.Import",
        "Energy.Apparent.Export",
        "Frequency",
        "Power.Active.Export",
        "Power.Active.Import",
        "Power.Factor",
        "Power.Offered",
        "Power.Reactive.Export",
        "Power.Reactive.Import",
        "SoC",
        "Voltage",
        # added by 2.1
        "Current.Export.Minimum",
        "Current.Export.Offered",
        "Current.Import.Minimum",
        "Current.Import.Offered",
        "Display.BatteryEnergyCapacity",
        "Display.ChargingComplete",
        "Display.InletHot",
        "Display.MaximumSOC",
        "Display.MinimumSOC",
        "Display.PresentSOC",
        "Display.RemainingTimeToMaximumSOC",
        "Display.RemainingTimeToMinimumSOC",
        "Display.RemainingTimeToTargetSOC",
        "Display.TargetSOC",
        "Energy.Active.Import.CableLoss",
        "Energy.Active.Import.LocalGeneration.Register",
        "Energy.Active.Setpoint.Interval",
        "EnergyRequest.Bulk",
        "EnergyRequest.Maximum",
        "EnergyRequest.Maximum.V2X",
        "EnergyRequest.Minimum",
        "EnergyRequest.Minimum.V2X",
        "EnergyRequest.Target",
        "Power.Active.Residual",
        "Power.Active.Setpoint",
        "Power.Export.Minimum",
        "Power.Export.Offered",
        "Power.Import.Minimum",
        "Power.Import.Offered",
        "Voltage.Maximum",
        "Voltage.Minimum",
    }
)
CHARGING_STATES = frozenset(
    {
        "Charging",
        "EVConnected",
        "SuspendedEV",
        "SuspendedEVSE",
        "Idle",
    }
)
TOKEN_TYPES = frozenset(
    {
        "Central",
        "eMAID",
        "ISO14443",
        "ISO15693",
        "KeyCode",
        "Local",
        "MacAddress",
        "NoAuthorization",
        # added by 2.1 (Appendix, IdTokenEnumStringType)
        "DirectPayment",
        "EVCCID",
        "VIN",
    }
)
REASONS = frozenset(
    {
        "DeAuthorized",
        "EmergencyStop",
        "EnergyLimitReached",
        "EVDisconnected",
        "GroundFault",
        "ImmediateReset",
        "Local",
        "LocalOutOfCredit",
        "MasterPass",
        "Other",
        "OvercurrentFault",
        "PowerLoss",
        "PowerQuality",
        "Reboot",
        "Remote",
        "SOCLimitReached",
        "StoppedByEV",
        "TimeLimitReached",
        "Timeout",
        # added by 2.1
        "ReqEnergyTransferRejected",
    }
)
EVENT_TYPES = frozenset(
    {
        "Ended",
        "Started",
        "Updated",
    }
)
TRIGGERS = frozenset(
    {
        "Authorized",
        "CablePluggedIn",
        "ChargingRateChanged",
        "ChargingStateChanged",
        "Deauthorized",
        "EnergyLimitReached",
        "EVCommunicationLost",
        "EVConnectTimeout",
        "MeterValueClock",
        "MeterValuePeriodic",
        "TimeLimitReached",
        "Trigger",
        "UnlockCommand",
        "StopAuthorized",
        "EVDeparted",
        "EVDetected",
        "RemoteStop",
        "RemoteStart",
        "AbnormalCondition",
        "SignedDataReceived",
        "ResetCommand",
        # added by 2.1
        "CostLimitReached",
        "LimitSet",
        "OperationModeChanged",
        "RunningCost",
        "SoCLimitReached",
        "TariffChanged",
        "TariffNotAccepted",
        "TxResumed",
    }
)
BOOT_REASONS = frozenset(
    {
        "ApplicationReset",
        "FirmwareUpdate",
        "LocalReset",
        "PowerUp",
        "RemoteReset",
        "ScheduledReset",
        "Triggered",
        "Unknown",
        "Watchdog",
    }
)
STATUSES = frozenset(
    {
        "Available",
        "Occupied",
        "Reserved",
        "Unavailable",
        "Faulted",
        # 1.6 words that some send: the vocabulary has room for both
        "Preparing",
        "Charging",
        "SuspendedEVSE",
        "SuspendedEV",
        "Finishing",
    }
)
