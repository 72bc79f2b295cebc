"""Firmware and logs in OCPP 1.6J: the firmware management profile, and the security white paper's messages beside it."""

from __future__ import annotations

from csms.protocol.blocks import firmware
from csms.protocol.blocks.firmware import LogKind
from csms.protocol.outcomes import AnswerReaders, log_outcome, status_outcome
from csms.protocol.outgoing import Call, Writers, require, transfer_url
from csms.protocol.repair import Fields
from csms.protocol.times import print_time
from csms.protocol.vocabulary import Outcome

FILE_NAME_LENGTH_MAX = 255
LOG_TYPES = {LogKind.DIAGNOSTICS: "DiagnosticsLog", LogKind.SECURITY: "SecurityLog"}


def update_firmware(command: firmware.UpdateFirmware) -> Call:
    """Signed where there is something to check; the plain message knows neither signature nor time of installation."""
    if command.certificate is not None or command.signature is not None:
        return signed_update_firmware(command)
    action = "UpdateFirmware"
    require(action, command.install_at is None, "OCPP 1.6 installs when it will; only SignedUpdateFirmware has a time")
    location = transfer_url(action, "location", command.url)
    return action, {"location": location, "retrieveDate": print_time(command.retrieve_at), **retries(command)}


def signed_update_firmware(command: firmware.UpdateFirmware) -> Call:
    action = "SignedUpdateFirmware"
    require(action, bool(command.certificate), "firmware.signingCertificate is required beside a signature")
    require(action, bool(command.signature), "firmware.signature is required beside a certificate")
    return action, {"requestId": command.request, "firmware": firmware_type(action, command), **retries(command)}


def get_log(command: firmware.GetLog) -> Call:
    parameters: dict[str, object] = {"remoteLocation": transfer_url("GetLog", "log.remoteLocation", command.url)}
    if command.since is not None:
        parameters["oldestTimestamp"] = print_time(command.since)
    if command.until is not None:
        parameters["latestTimestamp"] = print_time(command.until)
    kind = LOG_TYPES[command.kind]
    return "GetLog", {"logType": kind, "requestId": command.request, "log": parameters, **retries(command)}


def get_diagnostics(command: firmware.GetDiagnostics) -> Call:
    payload: dict[str, object] = {"location": transfer_url("GetDiagnostics", "location", command.url)}
    if command.since is not None:
        payload["startTime"] = print_time(command.since)
    if command.until is not None:
        payload["stopTime"] = print_time(command.until)
    return "GetDiagnostics", {**payload, **retries(command)}


def extended_trigger_message(command: firmware.ExtendedTriggerMessage) -> Call:
    payload: dict[str, object] = {"requestedMessage": command.message}
    if command.evse is not None:
        require("ExtendedTriggerMessage", command.evse > 0, f"connectorId counts from 1, not {command.evse}")
        payload["connectorId"] = command.evse
    return "ExtendedTriggerMessage", payload


def firmware_type(action: str, command: firmware.UpdateFirmware) -> dict[str, object]:
    """FirmwareType, which 2.0.1 took over."""
    payload: dict[str, object] = {
        "location": transfer_url(action, "firmware.location", command.url),
        "retrieveDateTime": print_time(command.retrieve_at),
    }
    if command.install_at is not None:
        payload["installDateTime"] = print_time(command.install_at)
    if command.certificate is not None:
        payload["signingCertificate"] = command.certificate
    if command.signature is not None:
        payload["signature"] = command.signature
    return payload


def retries(
    command: firmware.UpdateFirmware | firmware.PublishFirmware | firmware.GetLog | firmware.GetDiagnostics,
) -> dict[str, object]:
    """How often and after how many seconds to try again, where the operator says so."""
    payload: dict[str, object] = {}
    if command.retries is not None:
        payload["retries"] = command.retries
    if command.retry_interval_s is not None:
        payload["retryInterval"] = command.retry_interval_s
    return payload


def update_outcome(command: firmware.UpdateFirmware, payload: dict[str, object]) -> Outcome:
    """The plain message is answered with nothing: that is all the acceptance there is."""
    if command.certificate is None and "status" not in payload:
        return Outcome(accepted=True, status="Accepted")
    return status_outcome(payload)


def diagnostics_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    """A file name is what will be uploaded; without one there is nothing to upload (1.6 section 5.9)."""
    name = Fields(payload, set()).description("fileName", FILE_NAME_LENGTH_MAX)
    if name is None:
        detail = "the charge point has no diagnostics for that time"
        return Outcome(accepted=False, status="NoDiagnostics", detail=detail)
    return Outcome(accepted=True, status="Accepted", data={"file": name})


CALLS: Writers = {
    firmware.UpdateFirmware: update_firmware,
    firmware.GetLog: get_log,
    firmware.GetDiagnostics: get_diagnostics,
    firmware.ExtendedTriggerMessage: extended_trigger_message,
}
OUTCOMES: AnswerReaders = {
    firmware.UpdateFirmware: update_outcome,
    firmware.GetLog: log_outcome,
    firmware.GetDiagnostics: diagnostics_outcome,
}
