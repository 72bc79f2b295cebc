"""What charge points ask of us about certificates, and what we answer (1.6 security white paper, 2.0.1 blocks A and M)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CertificatePurpose(StrEnum):
    """What a certificate of a charge point is for. `combined`: the charge point named none, so it is for both."""

    CHARGE_POINT = "charge_point"
    V2G = "v2g"
    COMBINED = "combined"


class HashAlgorithm(StrEnum):
    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHash:
    """A certificate by hashes of its issuer's name and key, in hex, and its own number in hex (CertificateHashDataType)."""

    algorithm: HashAlgorithm
    issuer_name: str
    issuer_key: str
    number: str


# --- facts ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequested:
    """SignCertificate: `csr` as it was sent; None where it is longer than the schema allows, or no text."""

    csr: str | None
    purpose: CertificatePurpose
    length: int
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvCertificateAsked:
    """An EV wants a contract certificate (M01, M02). `exi`: its message, base64."""

    schema_version: str
    action: str
    exi: str
    quirks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatusAsked:
    """The charge point has us ask an OCSP responder (M06). `url`: as it was sent."""

    certificate: CertificateHash
    url: str
    quirks: tuple[str, ...] = ()


CertificateFact = CertificateRequested | EvCertificateAsked | CertificateStatusAsked


# --- decisions -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """StatusInfoType of 2.0.1: a word of its appendix 5, and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningAnswer:
    """Whether a certificate will be made. It follows by CertificateSigned."""

    accepted: bool
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvCertificateAnswer:
    """`exi`: what the EV is told, base64; empty where we have nothing for it."""

    accepted: bool
    exi: str = ""
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatusAnswer:
    """`ocsp_result`: the OCSPResponse in DER, base64; None where there is none."""

    ocsp_result: str | None = None
    reason: Reason | None = None


CertificateAnswer = SigningAnswer | EvCertificateAnswer | CertificateStatusAnswer
