"""Certificate status for charging stations (OCPP 2.0.1 M06): their question, put to a responder that we know.

A URL that a charging station gives is only compared, and the one that is asked begins as the operator has said it may.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from csms.certificates.http_exchange import Asked, Unreachable, exchange
from csms.protocol.blocks.certificate_facts import (
    CertificateHash,
    CertificateStatusAnswer,
    HashAlgorithm,
    Reason,
)

RESULT_LENGTH_MAX = 5500  # GetCertificateStatusResponse.ocspResult
_OK = 200
_PORTS = {"http": 80, "https": 443}
_ALGORITHMS: dict[HashAlgorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    HashAlgorithm.SHA256: hashes.SHA256(),
    HashAlgorithm.SHA384: hashes.SHA384(),
    HashAlgorithm.SHA512: hashes.SHA512(),
}
UNKNOWN_RESPONDER = Reason(code="NotEnabled", text="the operator has not allowed this responder")
BUSY = Reason(code="Unspecified", text="the responders are busy with earlier questions; ask again later")
INVALID_QUESTION = Reason(
    code="InvalidValue", text="the hashes or the serial number are not what their algorithm makes"
)


def allowed_responder(url: str, prefixes: Sequence[str]) -> SplitResult | None:
    """The URL to ask: the station's, where it begins with one of the operator's; None where it does not.

    Compared are scheme, host, port and whole steps of the path, so that no `ocsp.example.evil` passes for
    `ocsp.example`; one with a user, dots in its path or a fragment never does.
    """
    asked = _split(url)
    if asked is None or asked.username is not None or asked.fragment or ".." in asked.path or "\\" in url:
        return None
    if any(character <= " " or character > "~" for character in url):
        return None
    for prefix in prefixes:
        known = _split(prefix)
        if known is None or _origin(known) != _origin(asked):
            continue
        path = known.path.rstrip("/")
        if asked.path.rstrip("/") == path or asked.path.startswith(f"{path}/"):
            return asked
    return None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts if parts.scheme in _PORTS and parts.hostname else None


def _origin(url: SplitResult) -> tuple[str, str | None, int]:
    return url.scheme, url.hostname, url.port or _PORTS[url.scheme]


def question(certificate: CertificateHash) -> bytes | None:
    """An OCSPRequest in DER; None where the hashes cannot be what they are said to be."""
    algorithm = _ALGORITHMS[certificate.algorithm]
    try:
        name, key = bytes.fromhex(certificate.issuer_name), bytes.fromhex(certificate.issuer_key)
        number = int(certificate.number, 16)
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, number, algorithm)
        return builder.build().public_bytes(Encoding.DER)
    except (ValueError, OverflowError):
        return None


async def ask(url: SplitResult, certificate: CertificateHash, *, timeout_s: float) -> CertificateStatusAnswer:
    """What the responder says. Its signature is for the station to check: it knows whom it trusts."""
    der = question(certificate)
    if der is None:
        return CertificateStatusAnswer(reason=INVALID_QUESTION)
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    try:
        answer = await exchange(Asked(method="POST", url=url, body=der, headers=headers), tls=None, timeout_s=timeout_s)
    except Unreachable as trouble:
        return _failed(f"the responder cannot be reached: {trouble}")
    if answer.status != _OK:
        return _failed(f"the responder answered with status {answer.status}")
    return read_result(answer.body, certificate)


def read_result(body: bytes, certificate: CertificateHash) -> CertificateStatusAnswer:
    """The responder's answer as it is passed on, if it is one about this certificate."""
    try:
        response = ocsp.load_der_ocsp_response(body)
        status = response.response_status
        numbers = [each.serial_number for each in response.responses] if status.value == 0 else []
    except (ValueError, UnsupportedAlgorithm):
        return _failed("the responder's answer is no OCSPResponse")
    if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return _failed(f"the responder does not say: {status.name.lower()}")
    if int(certificate.number, 16) not in numbers:
        return _failed("the responder's answer is about another certificate")
    result = base64.b64encode(body).decode()
    if len(result) > RESULT_LENGTH_MAX:
        return _failed(f"the responder's answer is longer than the {RESULT_LENGTH_MAX} characters of OCPP")
    return CertificateStatusAnswer(ocsp_result=result)


def _failed(text: str) -> CertificateStatusAnswer:
    return CertificateStatusAnswer(reason=Reason(code="Unspecified", text=text))
