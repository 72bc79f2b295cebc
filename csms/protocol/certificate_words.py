"""What OCPP 1.6 (security white paper) and 2.0.1 write alike about certificates."""

from __future__ import annotations

from collections.abc import Mapping

from csms.protocol.blocks.certificate_facts import (
    CertificateHash,
    CertificatePurpose,
    CertificateRequested,
    HashAlgorithm,
    Reason,
)
from csms.protocol.blocks.certificates import CertificateUse
from csms.protocol.outcomes import invalid_answer, status_outcome
from csms.protocol.outgoing import require
from csms.protocol.repair import Fields, Message, storable_text
from csms.protocol.vocabulary import Fact, Outcome

CSR_LENGTH_MAX = 5500
CERTIFICATE_LENGTH_MAX = 5500  # InstallCertificate.certificate
CHAIN_LENGTH_MAX = 10_000  # CertificateSigned.certificateChain
REASON_TEXT_LENGTH_MAX = 512
_HASH_LENGTH_MAX = 128
_NUMBER_LENGTH_MAX = 40
_ALGORITHMS = frozenset(HashAlgorithm)
_PEM = "-----BEGIN CERTIFICATE-----"


def read_request(message: Message, purpose: CertificatePurpose | None) -> Fact | None:
    """SignCertificate. A longer request than allowed is never cut: what is left would be another text."""
    raw = message.fields.raw("csr")
    if not isinstance(raw, str) or purpose is None:
        return None
    csr = storable_text(raw, CSR_LENGTH_MAX, message.quirks) if len(raw) <= CSR_LENGTH_MAX else None
    return CertificateRequested(csr=csr, purpose=purpose, length=len(raw), quirks=message.noted())


def require_certificate(action: str, field: str, text: str, length_max: int) -> str:
    """PEM that goes out: certificates, and no private key."""
    require(action, "PRIVATE KEY" not in text, f"{field} holds a private key, which is nobody's but its owner's")
    require(action, text.lstrip().startswith(_PEM), f"{field} is no certificate in PEM")
    require(action, len(text) <= length_max, f"{field} is longer than {length_max} characters")
    return text


def hash_data(certificate: CertificateHash) -> dict[str, object]:
    """CertificateHashDataType."""
    return {
        "hashAlgorithm": str(certificate.algorithm),
        "issuerNameHash": certificate.issuer_name,
        "issuerKeyHash": certificate.issuer_key,
        "serialNumber": certificate.number,
    }


def read_hash(fields: Fields) -> CertificateHash | None:
    """None: what is essential is missing."""
    algorithm = fields.word("hashAlgorithm", _ALGORITHMS)
    name, key = fields.text("issuerNameHash", _HASH_LENGTH_MAX), fields.text("issuerKeyHash", _HASH_LENGTH_MAX)
    number = fields.text("serialNumber", _NUMBER_LENGTH_MAX)
    if algorithm not in _ALGORITHMS or not name or not key or not number:
        return None
    return CertificateHash(algorithm=HashAlgorithm(algorithm), issuer_name=name, issuer_key=key, number=number)


def hash_row(use: CertificateUse, certificate: CertificateHash, *, child_of: str | None = None) -> dict[str, object]:
    """An installed certificate as an outcome carries it."""
    return {
        "use": str(use),
        "algorithm": str(certificate.algorithm),
        "issuer_name": certificate.issuer_name,
        "issuer_key": certificate.issuer_key,
        "number": certificate.number,
        "child_of": child_of,
    }


def installed_outcome(payload: Mapping[str, object], certificates: list[dict[str, object]]) -> Outcome:
    """NotFound is an answer, not a refusal: there is none."""
    told = status_outcome(payload)
    if told.status == "NotFound":
        return Outcome(accepted=True, status=told.status, data={"certificates": []}, detail=told.detail)
    if not told.accepted:
        return told
    if not certificates:
        return invalid_answer("the answer is Accepted and names no certificate")
    return Outcome(accepted=True, status=told.status, data={"certificates": certificates}, detail=told.detail)


def answer_status(accepted: bool, refused_word: str, reason: Reason | None, *, told: bool) -> dict[str, object]:
    """`status`, and statusInfo where the version has it (`told`)."""
    answer: dict[str, object] = {"status": "Accepted" if accepted else refused_word}
    if reason is not None and told:
        answer["statusInfo"] = {"reasonCode": reason.code, "additionalInfo": reason.text[:REASON_TEXT_LENGTH_MAX]}
    return answer
