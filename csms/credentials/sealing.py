"""Passwords sealed for their way through the database to the node that sends them: no dump holds one in clear. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_LENGTH = 12  # bytes, as AES-GCM wants it


class SealBroken(ValueError):
    """It was sealed with another key than this node's, or changed on its way."""


def sealed(password: str, *, key: bytes, nonce: bytes, context: str) -> str:
    """`password` as it may stand in the database; `key` is that of the password hashes, `nonce` is random.

    It opens only with the same `context`: what was sealed for one charge point is of no use for another.
    """
    assert len(nonce) == NONCE_LENGTH, "AES-GCM is specified for 96 bits"
    box = AESGCM(_transport_key(key)).encrypt(nonce, password.encode(), context.encode())
    return base64.b64encode(nonce + box).decode()


def opened(seal: str, *, key: bytes, context: str) -> str:
    """The inverse.

    Raises:
        SealBroken: it cannot be opened with this key and context.
    """
    try:
        raw = base64.b64decode(seal, validate=True)
        return AESGCM(_transport_key(key)).decrypt(raw[:NONCE_LENGTH], raw[NONCE_LENGTH:], context.encode()).decode()
    except (binascii.Error, InvalidTag, ValueError) as broken:
        raise SealBroken(
            "the password was sealed with another key: CSMS_PASSWORD_KEY or password.key must be the same everywhere"
        ) from broken


def _transport_key(key: bytes) -> bytes:
    """Apart from the key of the hashes, so that neither use weakens the other."""
    return hmac.new(key, b"csms password transport", hashlib.sha256).digest()
