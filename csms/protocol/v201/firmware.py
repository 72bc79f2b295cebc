"""Firmware and logs in OCPP 2.0.1: blocks L (firmware) and N (diagnostics)."""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol.blocks import firmware
from csms.protocol.blocks.firmware_facts import PublishStatusReported
from csms.protocol.outcomes import AnswerReaders, log_outcome
from csms.protocol.outgoing import Call, Writers, require, transfer_url
from csms.protocol.repair import Message, clean_text
from csms.protocol.transfer_url import URL_LENGTH_MAX
from csms.protocol.v16.answers import acknowledgement
from csms.protocol.v16.firmware import firmware_type, get_log, retries
from csms.protocol.vocabulary import Decision, Fact

PUBLISH_STATUSES = frozenset(
    {
        "ChecksumVerified",
        "Downloaded",
        "DownloadFailed",
        "Downloading",
        "DownloadPaused",
        "DownloadScheduled",
        "Idle",
        "InvalidChecksum",
        "Published",
        "PublishFailed",
    }
)
LOCATIONS_MAX = 20


def update_firmware(command: firmware.UpdateFirmware) -> Call:
    action = "UpdateFirmware"
    together = (command.certificate is None) is (command.signature is None)
    require(action, together, "signingCertificate and signature come together (L01)")
    return action, {"requestId": command.request, "firmware": firmware_type(action, command), **retries(command)}


def publish_firmware(command: firmware.PublishFirmware) -> Call:
    location = transfer_url("PublishFirmware", "location", command.url)
    payload: dict[str, object] = {"location": location, "checksum": command.checksum, "requestId": command.request}
    return "PublishFirmware", {**payload, **retries(command)}


def unpublish_firmware(command: firmware.UnpublishFirmware) -> Call:
    return "UnpublishFirmware", {"checksum": command.checksum}


def publish_status_notification(message: Message) -> Fact | None:
    status = message.fields.word("status", PUBLISH_STATUSES)
    if status is None:
        return None
    told = [each for each in message.fields.items("location")[:LOCATIONS_MAX] if isinstance(each, str)]
    return PublishStatusReported(
        status=status,
        request=message.fields.integer("requestId"),
        locations=tuple(clean_text(each, URL_LENGTH_MAX, message.quirks) for each in told),
    )


CALLS: Writers = {
    firmware.UpdateFirmware: update_firmware,
    firmware.PublishFirmware: publish_firmware,
    firmware.UnpublishFirmware: unpublish_firmware,
    firmware.GetLog: get_log,
}
OUTCOMES: AnswerReaders = {firmware.GetLog: log_outcome}
READERS: dict[str, Callable[[Message], Fact | None]] = {
    "PublishFirmwareStatusNotification": publish_status_notification,
}
ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {"PublishFirmwareStatusNotification": acknowledgement}
