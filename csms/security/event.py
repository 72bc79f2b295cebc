"""Security events: which kinds there are, and which of them are critical. Pure.

Those of charge points have the names and criticality of OCPP 2.0.1 Part 2, appendix 1 (1.6: security white paper); ours
have names of our own.
"""

from __future__ import annotations

from enum import StrEnum


class OwnKind(StrEnum):
    """What this side saw. A row of it counts what one address did to one charge point within an hour."""

    FAILED_AUTHENTICATION = "FailedAuthenticationBurst"
    """More wrong identities or passwords than the throttle lets pass."""
    PROFILE_REFUSED = "SecurityProfileRefused"
    """A charge point came by a lower security profile than its own (A05.FR.07, A00.FR.002)."""
    CERTIFICATE_REFUSED = "ClientCertificateRefused"
    """A certificate that the client CA signed, and that is not this charge point's."""
    SERIAL_CONTRADICTED = "SerialNumberContradicted"
    """A boot told another serial number than the certificate, or the operator, did (B01.FR.11)."""
    ORIGIN_REFUSED = "ForeignOriginRefused"
    """A page of somebody else's tried to speak for a charge point without password."""
    TLS_REFUSED = "TlsHandshakeRefused"
    PROXY_REFUSED = "ProxyHeaderRefused"
    """A header of the PROXY protocol from somebody who may not say where he comes from, or none from who must."""
    REPLACED_OFTEN = "SocketReplacedOften"
    """Two that hold the credentials of one charge point, or one in a loop."""
    RECONNECTS_OFTEN = "ReconnectFlood"
    FOREIGN_TRANSACTION = "ForeignTransaction"
    """A charge point named transactions of others."""
    EVENTS_CAPPED = "SecurityEventFlood"
    """A charge point sent more events than are kept; all of them were answered."""


_OWN_CRITICAL = frozenset(
    {
        OwnKind.FAILED_AUTHENTICATION,
        OwnKind.PROFILE_REFUSED,
        OwnKind.CERTIFICATE_REFUSED,
        OwnKind.SERIAL_CONTRADICTED,
        OwnKind.REPLACED_OFTEN,
        OwnKind.FOREIGN_TRANSACTION,
    }
)

_OF_CHARGE_POINTS = {
    "FirmwareUpdated": True,
    "FailedToAuthenticateAtCsms": False,
    "FailedToAuthenticateAtCentralSystem": False,
    "CsmsFailedToAuthenticate": False,
    "CentralSystemFailedToAuthenticate": False,
    "SettingSystemTime": True,
    "StartupOfTheDevice": True,
    "ResetOrReboot": True,
    "SecurityLogWasCleared": True,
    "ReconfigurationOfSecurityParameters": False,
    "MemoryExhaustion": True,
    "InvalidMessages": False,
    "AttemptedReplayAttacks": False,
    "TamperDetectionActivated": True,
    "InvalidFirmwareSignature": False,
    "InvalidFirmwareSigningCertificate": False,
    "InvalidCsmsCertificate": False,
    "InvalidCentralSystemCertificate": False,
    "InvalidChargingStationCertificate": False,
    "InvalidChargePointCertificate": False,
    "InvalidTLSVersion": False,
    "InvalidTLSCipherSuite": False,
    "MaintenanceLoginAccepted": True,
    "MaintenanceLoginFailed": True,
}
"""Whether each is critical; names are written in any case."""
_CRITICAL = {name.casefold(): critical for name, critical in _OF_CHARGE_POINTS.items()}
_SPELLING = {name.casefold(): name for name in _OF_CHARGE_POINTS}

OTHER = "other"


def is_critical(type_: str) -> bool:
    """Whether an event that a charge point sent is critical by the list; what the list does not have is not."""
    return _CRITICAL.get(type_.strip().casefold(), False)


def counted_as(type_: str) -> str:
    """The name to count an event of a charge point by: one of the list, or `other`, so that peers make no time series."""
    return _SPELLING.get(type_.strip().casefold(), OTHER)


def is_own_critical(kind: OwnKind) -> bool:
    return kind in _OWN_CRITICAL
