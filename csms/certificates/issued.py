"""A certificate that somebody has made for a charge point: whether it is the one that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

PATH_MAX = 5


class CertificateUnusable(Exception):
    """An authority has given something that cannot be passed on to the charge point; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """`chain`: PEM, the charge point's own first, then its sub CAs, without the root. `number`: its serial number, hex."""

    chain: str
    number: str
    fingerprint: str
    subject: str
    issuer: str
    issuer_der: bytes
    valid_from: datetime
    valid_until: datetime


def number_text(number: int) -> str:
    """A serial number as it is shown and compared: hex in capitals without leading zeros."""
    return f"{number:X}"


def put_together(
    request_der: bytes, given: Sequence[x509.Certificate], known: Sequence[x509.Certificate], *, now: datetime
) -> Issued:
    """The chain to send, of what an authority gave (`given`, in any order) and what is known of it (`known`).

    Raises:
        CertificateUnusable: there is none for the key that asked, or not in its name, or not valid now, or nobody known
            has signed it.
    """
    request = x509.load_der_x509_csr(request_der)
    spki = _spki(request)
    leaf = next((each for each in given if _spki(each) == spki), None)
    if leaf is None:
        raise CertificateUnusable("it gave no certificate for the key that was asked for")
    wanted, got = _common_names(request), _common_names(leaf)
    if wanted != got:
        raise CertificateUnusable("its certificate has another CN than was asked for")
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        raise CertificateUnusable("its certificate is not valid now: compare the clocks")
    chain = [leaf, *_path(leaf, [*given, *known])]
    return Issued(
        chain="".join(each.public_bytes(Encoding.PEM).decode() for each in chain),
        number=number_text(leaf.serial_number),
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        issuer_der=leaf.issuer.public_bytes(),
        valid_from=leaf.not_valid_before_utc,
        valid_until=leaf.not_valid_after_utc,
    )


def _path(leaf: x509.Certificate, candidates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """From the leaf's issuer up to below the root."""
    path: list[x509.Certificate] = []
    at = leaf
    while True:
        issuer = next((each for each in candidates if _signed(at, each)), None)
        if issuer is None and not path:
            raise CertificateUnusable("nobody whom the authority names as its own has signed its certificate")
        if issuer is None or issuer.subject == issuer.issuer:
            return path  # RFC 7030 section 4.1.3: the authority may name an intermediate as what is trusted
        if len(path) == PATH_MAX:
            raise CertificateUnusable("its chain does not end")
        path.append(issuer)
        at = issuer


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject or certificate == issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _spki(holder: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _common_names(holder: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    return [str(each.value) for each in holder.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
