"""TLS of the listener: certificate files become one SSL context, or one error that says what is wrong with which file.

OCPP 2.0.1 A00.FR.318 (and 1.6 security extension A00.FR.318): TLS 1.2 or later, and of TLS 1.2 these four suites. Two
of them need an RSA and two an ECDSA certificate, so both can stand on one port.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from csms.gateway.client_certificate import EC_BITS_MIN, RSA_BITS_MIN, CertificateRules
from csms.settings import Settings

SUITES_TLS_1_2 = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
SECURITY_LEVEL = 2  # OpenSSL's: 112 bits everywhere in a chain, so no RSA below 2048 and no SHA-1 (A00.FR.503)
EXPIRY_WARNING = timedelta(days=30)

_PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


class TlsFilesInvalid(Exception):
    """A file of TLS cannot be used."""

    def __init__(self, file: Path, problem: str, next_step: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.file = file
        self.problem = problem
        self.next_step = next_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """Something that ends: soon, or has ended and is used all the same."""

    file: Path
    what: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What the TLS port works with. `rules` None: no client certificates are asked for."""

    context: ssl.SSLContext
    rules: CertificateRules | None
    valid_until: datetime
    expiries: tuple[Expiry, ...]


def load_tls(settings: Settings, *, now: datetime) -> Tls | None:
    """TLS as set; None where no certificate is set.

    Raises:
        TlsFilesInvalid: naming the file, what is wrong with it, and what to do.
    """
    if not settings.tls_cert:
        return None
    context = _context()
    expiries: list[Expiry] = []
    kinds: dict[str, Path] = {}
    ends: list[datetime] = []
    for certificate_file, key_file in zip(settings.tls_cert, settings.tls_key, strict=True):
        leaf = _server_certificate(certificate_file, key_file, now=now)
        kind = "RSA" if isinstance(leaf.public_key(), rsa.RSAPublicKey) else "ECDSA"
        if kind in kinds:
            raise TlsFilesInvalid(
                certificate_file,
                f"is the second {kind} certificate beside {kinds[kind]}",
                "give one certificate with an RSA key and one with an ECDSA key, or only one of them",
            )
        kinds[kind] = certificate_file
        try:
            context.load_cert_chain(certificate_file, key_file, password=_no_pass_phrase)
        except (ssl.SSLError, OSError) as trouble:
            raise TlsFilesInvalid(
                certificate_file,
                f"OpenSSL refuses it: {trouble}",
                "check the chain in it: leaf first, then its issuers",
            ) from None
        ends.append(leaf.not_valid_after_utc)
        expiries += _soon(certificate_file, "server certificate", leaf.not_valid_after_utc, now)
    rules, of_clients = _client_rules(settings, context, now=now)
    return Tls(context=context, rules=rules, valid_until=min(ends), expiries=(*expiries, *of_clients))


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join((*SUITES_TLS_1_2, f"@SECLEVEL={SECURITY_LEVEL}")))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _no_pass_phrase() -> bytes:
    """Without it OpenSSL would ask at the terminal; keys with a pass phrase were refused before."""
    return b""


# --- the server's certificate ---


def _server_certificate(certificate_file: Path, key_file: Path, *, now: datetime) -> x509.Certificate:
    """The leaf of a certificate file, after everything about it and its key was checked."""
    leaf = _certificates(certificate_file)[0]
    key = _private_key(key_file)
    if now > leaf.not_valid_after_utc:
        raise TlsFilesInvalid(
            certificate_file,
            f"expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            "renew it: charge points refuse it (compare this machine's clock, if it should be valid)",
        )
    if now < leaf.not_valid_before_utc:
        raise TlsFilesInvalid(
            certificate_file,
            f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "compare this machine's clock, or use the certificate that is valid now",
        )
    _require_strength(certificate_file, leaf.public_key())
    if _spki(leaf.public_key()) != _spki(key.public_key()):
        raise TlsFilesInvalid(
            key_file,
            f"is not the key of {certificate_file}",
            "give certificates and keys in the same order; the first certificate in a file is the server's own",
        )
    return leaf


def _require_strength(file: Path, key: PublicKeyTypes) -> None:
    match key:
        case rsa.RSAPublicKey() if key.key_size >= RSA_BITS_MIN:
            return
        case ec.EllipticCurvePublicKey() if key.key_size >= EC_BITS_MIN:
            return
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey():
            problem = f"has a key of {key.key_size} bits"
        case _:
            problem = "has a key that is neither RSA nor ECDSA, with which OCPP names no cipher suite"
    raise TlsFilesInvalid(file, problem, f"use RSA with {RSA_BITS_MIN} bits or ECDSA with {EC_BITS_MIN} at least")


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _private_key(file: Path) -> PrivateKeyTypes:
    text = _content(file)
    try:
        return load_pem_private_key(text, password=None)
    except TypeError:
        raise TlsFilesInvalid(
            file, "the key has a pass phrase", f"take it off: openssl pkey -in {file} -out NEW, readable by csms only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsFilesInvalid(file, "holds no private key in PEM", "are certificate and key mixed up?") from None


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content(file))
    except ValueError:
        raise TlsFilesInvalid(
            file, "holds no certificate in PEM", "are certificate and key mixed up? DER: openssl x509 -inform der"
        ) from None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise TlsFilesInvalid(file, "there is no such file", "correct the path") from None
    except OSError as trouble:
        raise TlsFilesInvalid(
            file, f"cannot be read: {trouble.strerror}", "let the account that csms runs as read it"
        ) from None


def _soon(file: Path, what: str, end: datetime, now: datetime) -> Iterator[Expiry]:
    if end - now < EXPIRY_WARNING:
        yield Expiry(file=file, what=what, at=end)


# --- charge points' certificates ---


def _client_rules(
    settings: Settings, context: ssl.SSLContext, *, now: datetime
) -> tuple[CertificateRules | None, Sequence[Expiry]]:
    """Ask for a certificate, but take sockets without one: profiles 1 to 3 share the port."""
    file = settings.tls_client_ca
    if file is None:
        return None, ()
    issuers = _certificates(file)
    if all(each.not_valid_after_utc < now for each in issuers):
        raise TlsFilesInvalid(file, "every certificate in it has expired", "put the client CA's present one into it")
    context.load_verify_locations(cadata="".join(each.public_bytes(Encoding.PEM).decode() for each in issuers))
    context.verify_mode = ssl.CERT_OPTIONAL
    expiries = [
        expiry
        for each in issuers
        for expiry in _soon(file, f"client CA {each.subject.rfc4514_string()}", each.not_valid_after_utc, now)
    ]
    revoked: Mapping[bytes, frozenset[int]] = {}
    if settings.tls_client_crl is not None:
        revoked, of_lists = _revoked(settings.tls_client_crl, issuers, now=now)
        expiries += of_lists
        for each in issuers:
            if each.serial_number in revoked.get(each.issuer.public_bytes(), ()):
                raise TlsFilesInvalid(
                    file,
                    f"{each.subject.rfc4514_string()} is revoked by {settings.tls_client_crl}",
                    "take that certificate out of the file",
                )
    return CertificateRules(organisation=settings.tls_client_organisation, revoked=revoked), expiries


def _revoked(
    file: Path, issuers: Sequence[x509.Certificate], *, now: datetime
) -> tuple[Mapping[bytes, frozenset[int]], Sequence[Expiry]]:
    """Revoked numbers by issuer. A list past its date still revokes what stands in it: it is told, not dropped."""
    revoked: dict[bytes, frozenset[int]] = {}
    expiries = []
    for crl in _lists(file):
        name = crl.issuer.rfc4514_string()
        if not any(_signed(crl, each) for each in issuers):
            raise TlsFilesInvalid(
                file,
                f"the list of {name} is signed by no certificate in --tls-client-ca",
                "add its issuer there, or take the list out",
            )
        key = crl.issuer.public_bytes()
        revoked[key] = revoked.get(key, frozenset()) | {each.serial_number for each in crl}
        if crl.next_update_utc is not None and crl.next_update_utc < now:
            expiries.append(Expiry(file=file, what=f"revocation list of {name}", at=crl.next_update_utc))
    return revoked, expiries


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    if crl.issuer != issuer.subject or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return False
    return crl.is_signature_valid(key)


def _lists(file: Path) -> list[x509.CertificateRevocationList]:
    content = _content(file)
    blocks = _PEM_CRL.findall(content)
    try:
        if blocks:
            return [x509.load_pem_x509_crl(each) for each in blocks]
        return [x509.load_der_x509_crl(content)]
    except ValueError:
        raise TlsFilesInvalid(file, "holds no revocation list", "make one: openssl ca -gencrl -out FILE") from None
