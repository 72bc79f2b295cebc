"""A charge point as the operator registered it, and how it proves who it is. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from csms.protocol.vocabulary import Protocol, Registration

IDENTITY_LENGTH_MAX = 48  # OCPP 2.0.1 Part 4, 3.1.1
PASSWORD_LENGTH_MIN = 16  # OCPP 2.0.1 A00.FR.205; a fast keyed hash is safe only for long random passwords
PASSWORD_LENGTH_MAX = 40

BY_CERTIFICATE = 3
"""The security profile with certificates of charge points."""


class Current(StrEnum):
    AC = "AC"
    DC = "DC"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPassword:
    """One that the charge point may hold beside the present one, as nobody knows yet; `change` is its number."""

    change: int
    salt: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How a peer has shown that it is the charge point: by which profile, and with which password.

    `change`: the waiting password that it came with; None: the present one, or none (`by_password` False).
    """

    profile: int
    by_password: bool = False
    change: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePoint:
    """`id` is the spelling as registered; charge points may write it in any case.

    `protocol` is spoken where a socket offers no subprotocol. `max_power_w` None: not told, the policy's default holds.
    `time_zone` is what its stamps without zone mean (None: UTC). `template` switches the metering template of boot.
    `switched_on`, `switched_off`: quirks of which an operator said so (csms cp quirks set).
    `idle_after_stop`: the stay after the transaction's end is rated too, at most `idle_cap_s` of it.
    `password_given_at`: when it was last settled that a password which we sent over OCPP is in use; `password_changed_at`
    is that instant where it is the present one. `security_profile_wanted` is taken beside `security_profile`, which it is to replace. `serial` is what the charge
    point told at its last boot, `serial_registered` what the operator gave. `serial_is_anothers`: another charge point
    is called by the told one, or is registered with it; asked only where certificates are the proof (profile 3).
    """

    id: str
    site: str
    registration: Registration = Registration.ACCEPTED
    security_profile: int = 1
    password_salt: bytes | None = None
    password_hash: bytes | None = None
    password_changed_at: datetime | None = None
    password_given_at: datetime | None = None
    passwords_waiting: tuple[WaitingPassword, ...] = ()
    security_profile_wanted: int | None = None
    protocol: Protocol | None = None
    strict: bool = False
    switched_on: frozenset[str] = frozenset()
    switched_off: frozenset[str] = frozenset()
    template: bool = True
    current: Current = Current.AC
    max_power_w: Decimal | None = None
    time_zone: str | None = None
    idle_after_stop: bool = False
    idle_cap_s: int | None = None
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    serial_registered: str | None = None
    serial_is_anothers: bool = False
    firmware: str | None = None
    booted_at: datetime | None = None
    created_at: datetime | None = None

    @property
    def comes_by_certificate(self) -> bool:
        """Whether a certificate can be its proof: it has profile 3, or is to get it."""
        return BY_CERTIFICATE in {self.security_profile, self.security_profile_wanted}


def password_hash(password: bytes, *, salt: bytes, key: bytes) -> bytes:
    """Keyed, salted hash of a charge point's password (A01.FR.08).

    Fast on purpose: passwords are random and long, and a fleet that reconnects must not cost CPU minutes.
    """
    return hmac.digest(key, salt + password, "sha256")


def password_proof(charge_point: ChargePoint, password: bytes, *, key: bytes) -> Proof | None:
    """What `password`, as it came in Basic auth, proves; None: nothing. Compared in constant time.

    A 1.6 AuthorizationKey is sent as hex: both the decoded bytes and the literal text are accepted (RULES.md 26).
    """
    candidates = _spellings(password)
    profile = charge_point.security_profile
    if _is_one_of(candidates, charge_point.password_salt, charge_point.password_hash, key):
        return Proof(profile=profile, by_password=True)
    found = [each for each in charge_point.passwords_waiting if _is_one_of(candidates, each.salt, each.hash, key)]
    return Proof(profile=profile, by_password=True, change=found[-1].change) if found else None


def _is_one_of(candidates: Iterable[bytes], salt: bytes | None, stored: bytes | None, key: bytes) -> bool:
    """The first that matches ends it: who has the right one is told sooner, who has not is told after all of them."""
    if salt is None or stored is None:
        return False
    return any(hmac.compare_digest(password_hash(each, salt=salt, key=key), stored) for each in candidates)


def _spellings(password: bytes) -> Iterable[bytes]:
    """All that was stored if this is what came: the bytes themselves first, what they write in hex, or their own hex."""
    written = password.hex().encode()
    found = [password, written, written.upper()]
    with suppress(ValueError):  # it is no hexadecimal text
        found += [bytes.fromhex(password.decode("ascii")), password.lower(), password.upper()]
    return dict.fromkeys(found)
