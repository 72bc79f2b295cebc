"""Certificates that charge points are to trust: what a file holds, and by which hashes charge points name it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from csms.certificates.issued import number_text

LENGTH_MAX = 5500  # InstallCertificate.certificate


class FileUnusable(ValueError):
    """A file holds nothing that a charge point can be given to trust; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """`number`: the serial number in hex."""

    pem: str
    number: str
    subject: str
    fingerprint: str
    valid_until: datetime


def read_trusted(text: str, *, now: datetime) -> Trusted:
    """The one certificate of a PEM file.

    Raises:
        FileUnusable: a private key, none or several certificates, one that has ended, or one that is no authority's.
    """
    if "PRIVATE KEY" in text:
        raise FileUnusable("it holds a private key, which is nobody's but its owner's")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise FileUnusable("it holds no certificate in PEM") from None
    if len(found) != 1:
        raise FileUnusable(f"it holds {len(found)} certificates: charge points take one at a time")
    [certificate] = found
    if certificate.not_valid_after_utc <= now:
        raise FileUnusable(f"it ended at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
    if not _is_authority(certificate):
        raise FileUnusable(
            "it is no authority's (basicConstraints CA): nothing that another signs can be trusted by it"
        )
    pem = certificate.public_bytes(Encoding.PEM).decode()
    if len(pem) > LENGTH_MAX:
        raise FileUnusable(f"it is longer than the {LENGTH_MAX} characters that OCPP takes")
    return Trusted(
        pem=pem,
        number=number_text(certificate.serial_number),
        subject=certificate.subject.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        valid_until=certificate.not_valid_after_utc,
    )


def _is_authority(certificate: x509.Certificate) -> bool:
    """Roots from before X.509 version 3 have no extension that would say it."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return certificate.issuer == certificate.subject


def same_number(told: str, number: str) -> bool:
    """Charge points write serial numbers in either case, some with leading zeros or colons."""
    return told.replace(":", "").lstrip("0").upper() == number.replace(":", "").lstrip("0").upper()
