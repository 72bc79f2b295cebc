"""Signed data as charge points wrap it, and the text that the meter signed in it. Pure.

OCPP 1.6 has one text for it, and makers put into it what they like: the record itself, its hex or base64, or the JSON
object that 2.0.1 has as `signedMeterValue` (OCA white paper 'Signed Meter Values in OCPP').
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass

_BEGINNING = "OCMF|"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedValue:
    """`text` is what the meter wrote; `sent_key` a public key that came with it, which proves nothing by itself."""

    text: str
    sent_key: str | None = None


def unwrap(stored: str) -> SignedValue:
    """What was signed, out of what is stored; what is not recognised stays as it is."""
    trimmed = stored.strip()
    if trimmed.startswith("{"):
        return _out_of_object(trimmed) or SignedValue(text=stored)
    return SignedValue(text=_plain(stored))


def _out_of_object(stored: str) -> SignedValue | None:
    try:
        found = json.loads(stored)
    except (ValueError, RecursionError):
        return None
    data = found.get("signedMeterData") if isinstance(found, dict) else None
    if not isinstance(data, str):
        return None
    key = found.get("publicKey")
    return SignedValue(text=_plain(data), sent_key=key if isinstance(key, str) and key.strip() else None)


def _plain(data: str) -> str:
    if data.lstrip().startswith(_BEGINNING):
        return data
    compact = "".join(data.split())
    for decoded in (_hex(compact), _base64(compact)):
        if decoded is not None and decoded.lstrip().startswith(_BEGINNING):
            return decoded
    return data


def _hex(data: str) -> str | None:
    try:
        return bytes.fromhex(data).decode()
    except ValueError:
        return None


def _base64(data: str) -> str | None:
    try:
        return b64decode(data, validate=True).decode()
    except (ValueError, NoBase64):
        return None
