"""Commands written as OCPP 2.0.1 calls: one command, one small function."""

from __future__ import annotations

from csms.protocol import vocabulary
from csms.protocol.json_number import AMOUNT_DIGITS_MAX, json_number
from csms.protocol.outgoing import Call, CommandInvalid, Writers, json_text, require, require_no_credential
from csms.protocol.v201.setting_name import SettingName, SettingNameInvalid, parse_setting_name


def request_start(command: vocabulary.StartCharging) -> Call:
    """The token's type is Central: the start comes from here, not from a reader (IdTokenEnumType)."""
    require("RequestStartTransaction", command.token != "", "idToken is empty")  # an id token, no secret
    payload: dict[str, object] = {
        "idToken": {"idToken": command.token, "type": "Central"},
        "remoteStartId": command.remote_start,
    }
    if command.evse is not None:
        payload["evseId"] = _evse_id("RequestStartTransaction", command.evse)
    return "RequestStartTransaction", payload


def request_stop(command: vocabulary.StopCharging) -> Call:
    return "RequestStopTransaction", {"transactionId": command.transaction}


def unlock_connector(command: vocabulary.UnlockConnector) -> Call:
    evse = _evse_id("UnlockConnector", command.evse)
    return "UnlockConnector", {"evseId": evse, "connectorId": command.connector}


def reset(command: vocabulary.Reset) -> Call:
    payload: dict[str, object] = {"type": "Immediate" if command.hard else "OnIdle"}
    if command.evse is not None:
        payload["evseId"] = _evse_id("Reset", command.evse)
    return "Reset", payload


def change_availability(command: vocabulary.ChangeAvailability) -> Call:
    payload: dict[str, object] = {"operationalStatus": "Operative" if command.operative else "Inoperative"}
    if command.evse is not None:
        payload["evse"] = {"id": _evse_id("ChangeAvailability", command.evse)}
    return "ChangeAvailability", payload


def get_variables(command: vocabulary.GetSettings) -> Call:
    require("GetVariables", bool(command.names), "name the settings, or ask for the full report")
    names = [_setting_name("GetVariables", name) for name in command.names]
    return "GetVariables", {"getVariableData": [_variable(name) for name in names]}


def set_variables(command: vocabulary.SetSettings) -> Call:
    named = [(_setting_name("SetVariables", name), value) for name, value in command.values]
    for name, _ in named:
        require_no_credential("SetVariables", f"{name.component}.{name.variable}")
    return "SetVariables", {"setVariableData": [{"attributeValue": value, **_variable(name)} for name, value in named]}


def get_base_report(command: vocabulary.GetFullReport) -> Call:
    return "GetBaseReport", {"requestId": command.request, "reportBase": "FullInventory"}


def trigger_message(command: vocabulary.TriggerMessage) -> Call:
    require("TriggerMessage", command.connector is None or command.evse is not None, "a connector needs its EVSE")
    payload: dict[str, object] = {"requestedMessage": command.message}
    if command.evse is not None:
        evse = {"id": _evse_id("TriggerMessage", command.evse)}
        if command.connector is not None:
            evse["connectorId"] = command.connector
        payload["evse"] = evse
    return "TriggerMessage", payload


def data_transfer(command: vocabulary.SendVendorData) -> Call:
    payload: dict[str, object] = {"vendorId": command.vendor}
    if command.message is not None:
        payload["messageId"] = command.message
    if command.data is not None:
        json_text("DataTransfer", "data", command.data)
        payload["data"] = command.data
    return "DataTransfer", payload


def get_transaction_status(command: vocabulary.AskTransactionStatus) -> Call:
    return "GetTransactionStatus", {} if command.transaction is None else {"transactionId": command.transaction}


def cost_updated(command: vocabulary.ShowCost) -> Call:
    digits = len(command.total_cost.as_tuple().digits)
    fits = command.total_cost.is_finite() and digits <= AMOUNT_DIGITS_MAX
    require("CostUpdated", fits, f"totalCost {command.total_cost} has more digits than a JSON number keeps")
    return "CostUpdated", {"totalCost": json_number(command.total_cost), "transactionId": command.transaction}


def _variable(name: SettingName) -> dict[str, object]:
    return {"component": name.component_payload(), "variable": name.variable_payload()}


def _setting_name(action: str, text: str) -> SettingName:
    try:
        return parse_setting_name(text)
    except SettingNameInvalid as error:
        raise CommandInvalid(action, str(error)) from error


def _evse_id(action: str, evse: int) -> int:
    require(action, evse > 0, f"EVSE ids count from 1, not {evse}")
    return evse


CALLS: Writers = {
    vocabulary.StartCharging: request_start,
    vocabulary.StopCharging: request_stop,
    vocabulary.Reset: reset,
    vocabulary.UnlockConnector: unlock_connector,
    vocabulary.ChangeAvailability: change_availability,
    vocabulary.GetSettings: get_variables,
    vocabulary.SetSettings: set_variables,
    vocabulary.GetFullReport: get_base_report,
    vocabulary.TriggerMessage: trigger_message,
    vocabulary.SendVendorData: data_transfer,
    vocabulary.AskTransactionStatus: get_transaction_status,
    vocabulary.ShowCost: cost_updated,
}
