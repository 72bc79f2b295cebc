"""Commands written as OCPP 1.6J calls: one command, one small function. EVSE n is connector n."""

from __future__ import annotations

from csms.protocol import vocabulary
from csms.protocol.outgoing import Call, CommandInvalid, Writers, json_text, require, require_no_credential


def remote_start(command: vocabulary.StartCharging) -> Call:
    payload: dict[str, object] = {"idTag": command.token}
    if command.evse is not None:
        payload["connectorId"] = _connector("RemoteStartTransaction", command.evse)
    return "RemoteStartTransaction", payload


def remote_stop(command: vocabulary.StopCharging) -> Call:
    try:
        transaction = int(command.transaction)
    except ValueError:
        problem = f"transactionId is an integer in OCPP 1.6, not {command.transaction[:40]!r}"
        raise CommandInvalid("RemoteStopTransaction", problem) from None
    return "RemoteStopTransaction", {"transactionId": transaction}


def reset(command: vocabulary.Reset) -> Call:
    require("Reset", command.evse is None, "OCPP 1.6 resets only the whole charge point, not one EVSE")
    return "Reset", {"type": "Hard" if command.hard else "Soft"}


def unlock_connector(command: vocabulary.UnlockConnector) -> Call:
    require("UnlockConnector", command.connector == 1, "an EVSE of OCPP 1.6 has one connector, number 1")
    return "UnlockConnector", {"connectorId": _connector("UnlockConnector", command.evse)}


def change_availability(command: vocabulary.ChangeAvailability) -> Call:
    connector = 0 if command.evse is None else _connector("ChangeAvailability", command.evse)
    return "ChangeAvailability", {"connectorId": connector, "type": "Operative" if command.operative else "Inoperative"}


def get_configuration(command: vocabulary.GetSettings) -> Call:
    return "GetConfiguration", {"key": list(command.names)} if command.names else {}


def change_configuration(command: vocabulary.SetSettings) -> Call:
    require("ChangeConfiguration", len(command.values) == 1, "OCPP 1.6 changes exactly one key by each call")
    (key, value), *_ = command.values
    require_no_credential("ChangeConfiguration", key)
    return "ChangeConfiguration", {"key": key, "value": value}


def trigger_message(command: vocabulary.TriggerMessage) -> Call:
    require("TriggerMessage", command.connector in (None, 1), "an EVSE of OCPP 1.6 has one connector, number 1")
    payload: dict[str, object] = {"requestedMessage": command.message}
    if command.evse is not None:
        payload["connectorId"] = _connector("TriggerMessage", command.evse)
    return "TriggerMessage", payload


def data_transfer(command: vocabulary.SendVendorData) -> Call:
    """1.6 knows only text as data: anything else goes as JSON text."""
    payload: dict[str, object] = {"vendorId": command.vendor}
    if command.message is not None:
        payload["messageId"] = command.message
    if isinstance(command.data, str):
        payload["data"] = command.data
    elif command.data is not None:
        payload["data"] = json_text("DataTransfer", "data", command.data)
    return "DataTransfer", payload


def _connector(action: str, evse: int) -> int:
    require(action, evse > 0, f"connectorId counts from 1, not {evse}")
    return evse


CALLS: Writers = {
    vocabulary.StartCharging: remote_start,
    vocabulary.StopCharging: remote_stop,
    vocabulary.Reset: reset,
    vocabulary.UnlockConnector: unlock_connector,
    vocabulary.ChangeAvailability: change_availability,
    vocabulary.GetSettings: get_configuration,
    vocabulary.SetSettings: change_configuration,
    vocabulary.TriggerMessage: trigger_message,
    vocabulary.SendVendorData: data_transfer,
}
