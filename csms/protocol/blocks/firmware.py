"""Firmware and logs: what is asked of charge points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from csms.protocol.redaction import without_credentials
from csms.protocol.vocabulary import Command


class LogKind(StrEnum):
    """Which log is wanted."""

    DIAGNOSTICS = "diagnostics"
    SECURITY = "security"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFirmware(Command):
    """`certificate` (PEM) and `signature` (base64) come together or not at all; 1.6 has a message of its own for them.

    `retries` and `retry_interval_s` None: as the charge point likes. `install_at` None: as soon as it has it.
    """

    request: int
    url: str
    retrieve_at: datetime
    install_at: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
    certificate: str | None = None
    signature: str | None = None

    def kept(self) -> UpdateFirmware:
        return replace(self, url=without_credentials(self.url))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishFirmware(Command):
    """Have a local controller fetch a file and offer it to the charge points behind it. `checksum`: MD5, 32 hex digits."""

    request: int
    url: str
    checksum: str
    retries: int | None = None
    retry_interval_s: int | None = None

    def kept(self) -> PublishFirmware:
        return replace(self, url=without_credentials(self.url))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpublishFirmware(Command):
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetLog(Command):
    """`since` and `until` None: from the oldest, to the newest entry."""

    request: int
    kind: LogKind
    url: str
    since: datetime | None = None
    until: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None

    def kept(self) -> GetLog:
        return replace(self, url=without_credentials(self.url))


@dataclass(frozen=True, slots=True, kw_only=True)
class GetDiagnostics(Command):
    """What OCPP 1.6 had before the security white paper; no request id goes with it."""

    url: str
    since: datetime | None = None
    until: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None

    def kept(self) -> GetDiagnostics:
        return replace(self, url=without_credentials(self.url))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedTriggerMessage(Command):
    """TriggerMessage of the 1.6 security white paper, which knows other words."""

    message: str
    evse: int | None = None


def sent_for(trigger: str) -> frozenset[str]:
    """The actions that a charge point may send because it was triggered to."""
    if trigger.startswith("Sign"):
        return frozenset({"SignCertificate"})
    if trigger == "FirmwareStatusNotification":
        return frozenset({trigger, "SignedFirmwareStatusNotification"})
    return frozenset({trigger})
