"""A charge point as the operator registered it, and how it proves who it is. Pure."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from csms.protocol.vocabulary import Protocol, Registration

IDENTITY_LENGTH_MAX = 48  # OCPP 2.0.1 Part 4, 3.1.1
PASSWORD_LENGTH_MIN = 16  # OCPP 2.0.1 A00.FR.205; a fast keyed hash is safe only for long random passwords
PASSWORD_LENGTH_MAX = 40


class Current(StrEnum):
    AC = "AC"
    DC = "DC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePoint:
    """`id` is the spelling as registered; charge points may write it in any case.

    `protocol` is spoken where a socket offers no subprotocol. `max_power_w` None: not told, the policy's default holds.
    `time_zone` is what its stamps without zone mean (None: UTC). `template` switches the metering template of boot.
    `idle_after_stop`: the stay after the transaction's end is rated too, at most `idle_cap_s` of it.
    """

    id: str
    site: str
    registration: Registration = Registration.ACCEPTED
    security_profile: int = 1
    password_salt: bytes | None = None
    password_hash: bytes | None = None
    protocol: Protocol | None = None
    strict: bool = False
    template: bool = True
    current: Current = Current.AC
    max_power_w: Decimal | None = None
    time_zone: str | None = None
    idle_after_stop: bool = False
    idle_cap_s: int | None = None
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    booted_at: datetime | None = None
    created_at: datetime | None = None


def password_hash(password: bytes, *, salt: bytes, key: bytes) -> bytes:
    """Keyed, salted hash of a charge point's password (A01.FR.08).

    Fast on purpose: passwords are random and long, and a fleet that reconnects must not cost CPU minutes.
    """
    return hmac.new(key, salt + password, hashlib.sha256).digest()


def password_matches(charge_point: ChargePoint, password: bytes, *, key: bytes) -> bool:
    """True if `password`, as it came in Basic auth, is the charge point's, in constant time.

    A 1.6 AuthorizationKey is sent as hex: both the decoded bytes and the literal text are accepted (RULES.md 26).
    """
    if charge_point.password_hash is None or charge_point.password_salt is None:
        return False
    candidates = [password]
    try:
        candidates.append(password.hex().encode())
        candidates.append(bytes.fromhex(password.decode("ascii")))
    except ValueError:
        pass
    hashes = [password_hash(candidate, salt=charge_point.password_salt, key=key) for candidate in candidates]
    matches = [hmac.compare_digest(each, charge_point.password_hash) for each in hashes]
    return any(matches)
