"""What a failed TLS handshake means for whoever operates charge points: the reason, and whose move it is. Pure."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

INSTALL_CA = "install the CA of --tls-cert in the charge point (CentralSystemRootCertificate, CSMSRootCertificate)"
RENEW_CLIENT = "give the charge point a certificate that the CA in --tls-client-ca signed and that is valid now"


@dataclass(frozen=True, slots=True)
class TlsFailure:
    """`reason` is one of a few words: it is counted by."""

    reason: str
    next_step: str


_OF_REASON = {
    "UNSUPPORTED_PROTOCOL": TlsFailure("tls_version_too_old", "update the charge point's firmware: TLS 1.2 or later"),
    "VERSION_TOO_LOW": TlsFailure("tls_version_too_old", "update the charge point's firmware: TLS 1.2 or later"),
    "NO_SHARED_CIPHER": TlsFailure(
        "tls_no_common_suite",
        "the charge point offers none of the suites that OCPP names for the present kinds of certificate: "
        "give --tls-cert an RSA and an ECDSA certificate, or update its firmware",
    ),
    "HTTP_REQUEST": TlsFailure("plain_on_tls_port", "set the charge point to wss://, or to the port for ws://"),
    "WRONG_VERSION_NUMBER": TlsFailure(
        "not_tls", "whoever it was does not speak TLS; if it is your proxy, list its address: --proxy-protocol-from"
    ),
    "TLSV1_ALERT_UNKNOWN_CA": TlsFailure("charge_point_rejects_our_certificate", INSTALL_CA),
    "SSLV3_ALERT_BAD_CERTIFICATE": TlsFailure("charge_point_rejects_our_certificate", INSTALL_CA),
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": TlsFailure("charge_point_rejects_our_certificate", INSTALL_CA),
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": TlsFailure("charge_point_rejects_our_certificate", INSTALL_CA),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": TlsFailure(
        "charge_point_rejects_our_certificate", "renew --tls-cert, or set the charge point's clock"
    ),
}

_OF_CERTIFICATE = {  # X509_V_ERR_*, as ssl.SSLCertVerificationError.verify_code has them
    7: TlsFailure("client_certificate_of_unknown_ca", RENEW_CLIENT),  # named like ours, signed by another
    9: TlsFailure("client_certificate_not_yet_valid", "set the clock of this machine, or renew the certificate"),
    10: TlsFailure("client_certificate_expired", RENEW_CLIENT),
    18: TlsFailure("client_certificate_of_unknown_ca", RENEW_CLIENT),
    19: TlsFailure("client_certificate_of_unknown_ca", RENEW_CLIENT),
    20: TlsFailure("client_certificate_of_unknown_ca", RENEW_CLIENT),
    21: TlsFailure("client_certificate_of_unknown_ca", RENEW_CLIENT),
    26: TlsFailure("client_certificate_for_another_purpose", "its extended key usage must include clientAuth"),
    66: TlsFailure("client_certificate_key_too_weak", "its key must have 2048 bits (RSA) or 256 (ECDSA)"),
    67: TlsFailure("client_certificate_key_too_weak", "the keys of its issuers must have 2048 bits (RSA) or 256"),
    68: TlsFailure("client_certificate_signed_too_weakly", "sign it with SHA-256 or better"),
}


def explain(error: Exception) -> TlsFailure:
    """Why a TLS handshake failed."""
    match error:
        case ssl.SSLCertVerificationError():
            other = TlsFailure("client_certificate_invalid", f"{error.verify_message}: {RENEW_CLIENT}")
            return _OF_CERTIFICATE.get(error.verify_code, other)
        case ssl.SSLError():
            reason = error.reason or "unknown"
            return _OF_REASON.get(reason, TlsFailure("tls_failed", f"OpenSSL says {reason}"))
        case ConnectionAbortedError() | TimeoutError():
            return TlsFailure("tls_timeout", "the peer did not finish the handshake within open_timeout_s")
        case _:
            return TlsFailure(
                "tls_given_up", "the peer left during the handshake; if it is a charge point: " + INSTALL_CA
            )
