"""The embedded authority's files: its key, its roots for --tls-client-ca, its list of revoked ones for --tls-client-crl."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from billing import Refused
from csms.certificates.authority import Authority, AuthorityKey, belongs_to
from csms.gateway.client_certificate import RSA_BITS_MIN
from csms.settings import Settings

KEY_FILE = "authority.key"
ROOTS_FILE = "authority.pem"
LIST_FILE = "authority.crl"
_MODE = 0o600


def key_path(settings: Settings) -> Path:
    return settings.authority_key or settings.data_dir / KEY_FILE


def roots_path(settings: Settings) -> Path:
    return settings.data_dir / ROOTS_FILE


def list_path(settings: Settings) -> Path:
    return settings.data_dir / LIST_FILE


def load_key(path: Path) -> AuthorityKey | None:
    """The key; None where there is no file.

    Raises:
        Refused: others may read it, or it is none that may sign.
    """
    try:
        mode, text = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return None
    if mode & 0o077:
        raise Refused(f"{path} can be read by others than its owner", f"chmod 600 {path}")
    try:
        key = load_pem_private_key(text, password=None)
    except TypeError:
        raise Refused(
            f"the key in {path} has a pass phrase", f"take it off: openssl pkey -in {path} -out NEW"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(
            f"{path} holds no private key in PEM", "give the key of the authority, or another place"
        ) from None
    match key:
        case ec.EllipticCurvePrivateKey():
            return key
        case rsa.RSAPrivateKey() if key.key_size >= RSA_BITS_MIN:
            return key
        case _:
            raise Refused(f"the key in {path} is neither ECDSA nor RSA of {RSA_BITS_MIN} bits", "give another one")


def make_key(path: Path) -> AuthorityKey:
    """A new ECDSA P-256 key, readable by its owner alone, before it has any content."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    return key


def authorities_of(key: AuthorityKey | None, roots: Sequence[x509.Certificate]) -> list[Authority]:
    """Those of the roots that this key signs for, in their order."""
    return [] if key is None else [Authority(certificate=each, key=key) for each in roots if belongs_to(key, each)]


def write(path: Path, content: bytes) -> None:
    """All of it or nothing: whoever reads meanwhile sees the old one."""
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    fresh.write_bytes(content)
    fresh.replace(path)


def listed_numbers(content: bytes) -> dict[bytes, frozenset[int]]:
    """Revoked numbers by issuer of a file that we wrote."""
    end = b"-----END X509 CRL-----\n"
    lists = [x509.load_pem_x509_crl(part + end) for part in content.split(end) if part.strip()]
    return {each.issuer.public_bytes(): frozenset(entry.serial_number for entry in each) for each in lists}
