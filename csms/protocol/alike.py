"""Calls that OCPP 1.6 (with the security white paper) and 2.0.1 write alike, read into facts."""

from __future__ import annotations

from csms.protocol import keys, vocabulary
from csms.protocol.repair import Message, clean_data
from csms.protocol.vocabulary import Fact

FIRMWARE_STATUSES = frozenset(
    {
        "Downloaded",
        "DownloadFailed",
        "Downloading",
        "DownloadScheduled",
        "DownloadPaused",
        "Idle",
        "InstallationFailed",
        "Installing",
        "Installed",
        "InstallRebooting",
        "InstallScheduled",
        "InstallVerificationFailed",
        "InvalidSignature",
        "SignatureVerified",
    }
)
LOG_STATUSES = frozenset(
    {
        "AcceptedCanceled",
        "BadMessage",
        "Idle",
        "NotSupportedOperation",
        "PermissionDenied",
        "Uploaded",
        "UploadFailed",  # DiagnosticsStatusNotification
        "UploadFailure",  # LogStatusNotification
        "Uploading",
    }
)
_NAME_LENGTH_MAX = 255


def heartbeat(_message: Message) -> Fact:
    return vocabulary.HeartbeatReceived()


def data_transfer(message: Message) -> Fact | None:
    vendor = message.fields.text("vendorId", _NAME_LENGTH_MAX)
    if vendor is None:
        return None
    name = message.fields.text("messageId", _NAME_LENGTH_MAX)
    return vocabulary.VendorDataReceived(vendor=vendor, message=name, data=clean_data(message.fields.raw("data")))


def firmware_status_notification(message: Message) -> Fact | None:
    status = message.fields.word("status", FIRMWARE_STATUSES)
    request = message.fields.integer("requestId")
    return None if status is None else vocabulary.FirmwareStatusReported(status=status, request=request)


def log_status_notification(message: Message) -> Fact | None:
    status = message.fields.word("status", LOG_STATUSES)
    request = message.fields.integer("requestId")
    return None if status is None else vocabulary.LogStatusReported(status=status, request=request)


def security_event_notification(message: Message) -> Fact | None:
    name = message.fields.text("type")
    if name is None:
        return None
    stamp = message.stamp(message.fields.raw("timestamp"))
    tech_info = message.fields.text("techInfo")
    key = keys.security_event_key(name=name, at=stamp.key, tech_info=tech_info)
    return vocabulary.SecurityEventReported(type=name, at=stamp.at, tech_info=tech_info, key=key)
