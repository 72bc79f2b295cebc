"""A meter that signs what it shows, as measuring law wants it: OCMF with ECDSA. Faults may spoil what leaves it."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1,
    "secp256k1": ec.SECP256K1,
    "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "brainpool256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1,
}
IMPORT_TOTAL = "1-0:1.8.0"

Spoil = Callable[[str, str], str | None]
"""(reason, text) -> what is told in its place; None: nothing."""


def unspoilt(_reason: str, text: str) -> str | None:
    """No fault."""
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """How a charge point's meters sign. `wrapped`: how 1.6 puts the text into its value; 2.0.1 has a type for it.

    `samples`: periodic samples are signed as well.
    """

    curve: str = "secp256r1"
    register: str = IMPORT_TOTAL
    wrapped: str = "plain"
    samples: bool = False
    first_page: int = 1
    spoil: Spoil = unspoilt


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A register at an instant and why it was read: B begin, C charging, E end."""

    reason: str
    wh: Decimal
    at: datetime


class SigningMeter:
    """One meter with its key and its count of records. The key follows from the serial number, so that worlds repeat."""

    def __init__(self, serial: str, signing: Signing) -> None:
        self.serial = serial
        self.signing = signing
        self.written: list[str] = []
        self._page = signing.first_page
        self._key = private_key(serial, signing.curve)

    @property
    def public_key(self) -> str:
        """DER in hex, as a type plate has it."""
        return public_hex(self._key)

    def record(self, shown: Sequence[Shown], *, token: str) -> str | None:
        """The next record with these readings, as it is told: a fault may change or swallow it."""
        text = self.written_as(shown, token=token)
        return self.signing.spoil(shown[-1].reason, text)

    def written_as(self, shown: Sequence[Shown], *, token: str) -> str:
        payload = payload_text(shown, serial=self.serial, page=self._page, register=self.signing.register, token=token)
        self._page += 1
        text = signed_text(payload, self._key, self.signing.curve)
        self.written.append(text)
        return text

    def in_16(self, text: str) -> str:
        """The value of a sample with format SignedData; makers differ in what they put there."""
        match self.signing.wrapped:
            case "plain":
                return text
            case "hex":
                return text.encode().hex()
            case "base64":
                return b64encode(text.encode()).decode()
            case "object":
                return json.dumps(self._object("signedMeterData", "encodingMethod", "publicKey", text))
        raise ValueError(f"signed data wrapped as {self.signing.wrapped!r} is unknown")

    def in_201(self, text: str) -> dict[str, str]:
        """SignedMeterValueType, in the names of the Python package."""
        return self._object("signed_meter_data", "encoding_method", "public_key", text) | {"signing_method": ""}

    def _object(self, data: str, encoding: str, key: str, text: str) -> dict[str, str]:
        sent_key = b64encode(f"oca:base16:asn1:{self.public_key}".encode()).decode()
        return {data: b64encode(text.encode()).decode(), encoding: "OCMF", key: sent_key}


def private_key(seed: str, curve: str) -> ec.EllipticCurvePrivateKey:
    """A key that is the same for the same seed; good for nothing but simulations."""
    number = int.from_bytes(hashlib.sha512(f"{curve} {seed}".encode()).digest()[:23], "big") + 1
    return ec.derive_private_key(number, CURVES[curve]())


def public_hex(key: ec.EllipticCurvePrivateKey) -> str:
    """The public half, DER in hex."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()


def signed_text(payload: str, key: ec.EllipticCurvePrivateKey, curve: str) -> str:
    """OCMF|payload|signature, the same one for the same payload (RFC 6979)."""
    signature = key.sign(payload.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return f'OCMF|{payload}|{{"SA":"ECDSA-{curve}-SHA256","SD":"{signature.hex()}"}}'


def payload_text(
    shown: Sequence[Shown], *, serial: str, page: int | None, register: str, token: str, **others: Any
) -> str:
    """A payload as meters write it. `others` replace or, as None, remove fields."""
    fields: dict[str, Any] = {
        "FV": "1.0",
        "GI": "Fictitious Gateway",
        "GS": f"G-{serial}",
        "GV": "1.0",
        "PG": None if page is None else f"T{page}",
        "MV": "Fictitious Meters",
        "MM": "Simulated",
        "MS": serial,
        "MF": "1.0",
        "IS": True,
        "IL": "HEARSAY",
        "IF": ["RFID_PLAIN"],
        "IT": "LOCAL",
        "ID": token,
        "CT": "CBIDC",
        "CI": "1",
    }
    kept = {name: value for name, value in (fields | others).items() if value is not None}
    head = json.dumps(kept, separators=(",", ":"))
    readings = ",".join(_reading_text(each, register) for each in shown)
    return f'{head[:-1]},"RD":[{readings}]}}'


def _reading_text(shown: Shown, register: str) -> str:
    """Written by hand: a register keeps its decimal places, which a float would not."""
    at = shown.at
    time = f"{at:%Y-%m-%dT%H:%M:%S},{at.microsecond // 1000:03d}{at:%z} S"
    kwh = shown.wh.scaleb(-3).quantize(Decimal("0.0001"), rounding=ROUND_DOWN)
    return (
        f'{{"TM":"{time}","TX":"{shown.reason}","RV":{kwh:f},"RI":"{register}","RU":"kWh","RT":"AC","EF":"","ST":"G"}}'
    )
