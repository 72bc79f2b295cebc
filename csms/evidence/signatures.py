"""Public keys of meters and signatures by them: ECDSA, by `cryptography`. Pure; knows no OCMF."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

KEY_LENGTH_MAX = 4_096
"""Characters of a key as it is written somewhere; the longest one is below 400."""
VERIFIED_MAX = 1_024
"""Verifications that are remembered: a session is judged again with every new fact, and one takes some 0.1 ms."""

CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "secp192r1": ec.SECP192R1,
    "secp256k1": ec.SECP256K1,
    "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "brainpool256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1,
}
"""Curves as OCMF names them (table 22). Its secp192k1 is missing: `cryptography` has it no more."""
_DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
_PREFIXES = ("oca:base16:asn1:", "oca:base64:asn1:")
"""What OCA's white paper on signed meter values puts before a key."""
_NESTED_MAX = 3


class KeyUnreadable(ValueError):
    """It is no public key that signatures could be verified with; the message says why."""


class AlgorithmUnknown(ValueError):
    """Nobody here can verify signatures of this kind; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key: `der` is its SubjectPublicKeyInfo, `curve` as OCMF names it."""

    der: bytes
    curve: str

    @property
    def hex(self) -> str:
        return self.der.hex()

    @property
    def fingerprint(self) -> str:
        """The beginning of its SHA-256: enough to tell keys apart by eye."""
        return hashlib.sha256(self.der).hexdigest()[:16]

    @property
    def pem(self) -> str:
        return _loaded(self.der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_key(text: str) -> PublicKey:
    """A key as a type plate, a register of keys or a charge point writes it: DER in hex or base64, or PEM.

    Raises:
        KeyUnreadable: it is none, or of a curve that nobody can verify.
    """
    if len(text) > KEY_LENGTH_MAX:
        raise KeyUnreadable(f"longer than {KEY_LENGTH_MAX} characters")
    if "-----BEGIN" in text:
        try:
            return _of(load_pem_public_key(text.encode()))
        except (ValueError, UnsupportedAlgorithm):
            raise KeyUnreadable("no public key in PEM") from None
    return key_of(_der(text))


def key_of(der: bytes) -> PublicKey:
    """The key in `der`.

    Raises:
        KeyUnreadable: as read_key.
    """
    return _of(_loaded(der))


def _of(loaded: object) -> PublicKey:
    if not isinstance(loaded, ec.EllipticCurvePublicKey):
        raise KeyUnreadable("no key of an elliptic curve")
    name = next((name for name, curve in CURVES.items() if isinstance(loaded.curve, curve)), None)
    if name is None:
        raise KeyUnreadable(f"curve {loaded.curve.name} is none that OCMF knows")
    return PublicKey(der=loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), curve=name)


@lru_cache(maxsize=64)
def _loaded(der: bytes) -> ec.EllipticCurvePublicKey:
    try:
        loaded = load_der_public_key(der)
    except UnsupportedAlgorithm:
        raise KeyUnreadable("its curve cannot be verified here (secp192k1 is one of those)") from None
    except ValueError:
        raise KeyUnreadable("no public key in DER (SubjectPublicKeyInfo)") from None
    if not isinstance(loaded, ec.EllipticCurvePublicKey):
        raise KeyUnreadable("no key of an elliptic curve")
    return loaded


def _der(text: str) -> bytes:
    """The bytes that `text` stands for; some write the hex of a key once more in base64."""
    written = text
    for _ in range(_NESTED_MAX):
        written = "".join(written.split())
        for prefix in _PREFIXES:
            written = written.removeprefix(prefix)
        try:
            return bytes.fromhex(written)
        except ValueError:
            pass
        try:
            found = b64decode(written, validate=True)
        except (ValueError, NoBase64):
            break
        if not found.isascii():
            return found
        written = found.decode()
    raise KeyUnreadable("neither hex nor base64 nor PEM")


def algorithm_known(curve: str, digest: str) -> bool:
    return curve_named(curve) in CURVES and digest in _DIGESTS


def curve_named(curve: str) -> str:
    """As OCMF names it; `brainpoolP256r1`, as OpenSSL has it, is written too."""
    return curve.replace("brainpoolP", "brainpool")


def is_signed(payload: bytes, signature: bytes, *, curve: str, digest: str, key: PublicKey) -> bool:
    """Whether `signature`, DER, is `key`'s over `payload`. A key of another curve than was said has signed nothing.

    Raises:
        AlgorithmUnknown: the curve or the digest is none that could be verified.
    """
    if not algorithm_known(curve, digest):
        raise AlgorithmUnknown(f"signatures by {curve} with {digest} cannot be verified here")
    return curve_named(curve) == key.curve and _verified(payload, signature, digest, key.der)


@lru_cache(maxsize=VERIFIED_MAX)
def _verified(payload: bytes, signature: bytes, digest: str, der: bytes) -> bool:
    try:
        _loaded(der).verify(signature, payload, ec.ECDSA(_DIGESTS[digest]))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
