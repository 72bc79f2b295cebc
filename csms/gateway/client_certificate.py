"""What the certificate of a charge point says, and whether it may speak for one (security profile 3). Pure.

The chain to the client CA is checked by the TLS handshake itself; here is what needs to know who is meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from csms.charge_points.charge_point import ChargePoint

RSA_BITS_MIN = 2048
EC_BITS_MIN = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """`key_bits` is 0 where the key is neither RSA nor ECDSA; `issuer` is the issuer's name in DER."""

    common_names: tuple[str, ...]
    organisations: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    is_rsa: bool
    key_bits: int
    issuer: bytes
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """What our own books say of a certificate that was made through us: for which charge point, and whether it still counts."""

    charge_point: str
    is_revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRules:
    """What this installation demands. `revoked`: numbers of revoked certificates by the issuer's name in DER."""

    organisation: str | None = None
    revoked: Mapping[bytes, frozenset[int]] = field(default_factory=dict)


class CertificateFault(StrEnum):
    """Why a certificate does not prove that its holder is this charge point."""

    UNREADABLE = "certificate_unreadable"
    NOT_YET_VALID = "certificate_not_yet_valid"
    EXPIRED = "certificate_expired"
    WEAK_KEY = "certificate_key_too_weak"
    REVOKED = "certificate_revoked"
    WRONG_ORGANISATION = "certificate_of_another_organisation"
    WRONG_NAME = "certificate_of_another_charge_point"


NEXT_STEPS: Mapping[CertificateFault, str] = {
    CertificateFault.UNREADABLE: "give the charge point a certificate that openssl x509 can read",
    CertificateFault.NOT_YET_VALID: "compare the clock of this machine with the certificate's notBefore",
    CertificateFault.EXPIRED: "give the charge point a new certificate",
    CertificateFault.WEAK_KEY: f"the charge point needs a key of {RSA_BITS_MIN} bits (RSA) or {EC_BITS_MIN} (ECDSA)",
    CertificateFault.REVOKED: "it stands in the revocation list: give the charge point a new certificate",
    CertificateFault.WRONG_ORGANISATION: "O must be what --tls-client-organisation says; correct the one or the other",
    CertificateFault.WRONG_NAME: "CN must be the charge point's identity, or its serial number as registered",
}


def read_certificate(der: bytes) -> ClientCertificate | CertificateFault:
    """What a certificate says. Its signature was checked when it was presented."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        subject = certificate.subject
        return ClientCertificate(
            common_names=_texts(subject, NameOID.COMMON_NAME),
            organisations=_texts(subject, NameOID.ORGANIZATION_NAME),
            valid_from=certificate.not_valid_before_utc,
            valid_until=certificate.not_valid_after_utc,
            is_rsa=isinstance(key, rsa.RSAPublicKey),
            key_bits=key.key_size if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else 0,
            issuer=certificate.issuer.public_bytes(),
            number=certificate.serial_number,
        )
    except (ValueError, UnsupportedAlgorithm):
        return CertificateFault.UNREADABLE


def issuers_in(tls: Any) -> tuple[ClientCertificate, ...]:
    """The intermediate certificates by which a peer's was verified, of an ssl.SSLObject.

    Python tells them from 3.13 on (get_verified_chain). Before, there are none here: a revoked intermediate certificate
    that a peer sends is then not noticed, only those in the files of the client CA are.
    """
    tell = getattr(tls, "get_verified_chain", None)
    chain = [] if tell is None else tell()
    read = (read_certificate(der) for der in chain[1:])
    return tuple(each for each in read if isinstance(each, ClientCertificate))


def _texts(name: x509.Name, kind: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(each.value) for each in name.get_attributes_for_oid(kind))


def is_plain_name(text: str) -> bool:
    """Whether it can stand for a charge point in a certificate: printable ASCII.

    Elsewhere two spellings may or may not be one name, depending on who folds them: U+017F becomes an s for some.
    """
    return bool(text.strip()) and text.isascii() and text.isprintable()


def is_same_name(one: str | None, other: str | None) -> bool:
    """Whether two names of charge points are one, in whatever case; what is no plain name is nobody's."""
    if one is None or other is None or not (is_plain_name(one) and is_plain_name(other)):
        return False
    return one.lower() == other.lower()


def certificate_fault(  # noqa: PLR0911 - one answer for each thing that can be wrong
    certificate: ClientCertificate,
    charge_point: ChargePoint,
    rules: CertificateRules,
    *,
    now: datetime,
    record: CertificateRecord | None = None,
    issuers: Sequence[ClientCertificate] = (),
) -> CertificateFault | None:
    """Why `certificate` does not speak for `charge_point`; None: it does.

    A00.FR.404: O is the operator's name. A00.FR.405: CN is the unique serial number of the charge point; operators
    write the identity there as well. Validity is judged again because a resumed TLS session is not. `record`: where the
    certificate was made through us, it speaks for nobody else than whom it was made for, whatever its CN. `issuers`: the
    intermediate certificates of the verified chain, as far as they are known.
    """
    if now < certificate.valid_from:
        return CertificateFault.NOT_YET_VALID
    if now > certificate.valid_until:
        return CertificateFault.EXPIRED
    if certificate.key_bits < (RSA_BITS_MIN if certificate.is_rsa else EC_BITS_MIN):
        return CertificateFault.WEAK_KEY
    path = (certificate, *issuers)
    is_listed = any(each.number in rules.revoked.get(each.issuer, frozenset()) for each in path)
    if is_listed or (record is not None and record.is_revoked):
        return CertificateFault.REVOKED
    if rules.organisation is not None and certificate.organisations != (rules.organisation,):
        return CertificateFault.WRONG_ORGANISATION
    if not _names(certificate, charge_point) or (record is not None and record.charge_point != charge_point.id):
        return CertificateFault.WRONG_NAME
    return None


def _names(certificate: ClientCertificate, charge_point: ChargePoint) -> bool:
    """Exactly one CN: with two of them nobody could say whose certificate it is."""
    if len(certificate.common_names) != 1:
        return False
    [name] = certificate.common_names
    return is_named(charge_point, name)


def is_named(charge_point: ChargePoint, name: str) -> bool:
    """Whether a certificate with this CN can be this charge point's.

    A serial number that the operator registered counts before one that was told, and a told one that is the name of
    another charge point not at all.
    """
    told = None if charge_point.serial_is_anothers else charge_point.serial
    return is_same_name(name, charge_point.id) or is_same_name(name, charge_point.serial_registered or told)
