"""The registry of charge points: who is known, with which password, and what each says it is."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
from asyncpg import Record

from billing import AlreadyDone, NoSuchZone, NotFound, Queries, Refused, zone_named
from csms.charge_points.charge_point import (
    IDENTITY_LENGTH_MAX,
    PASSWORD_LENGTH_MAX,
    PASSWORD_LENGTH_MIN,
    ChargePoint,
    Current,
    WaitingPassword,
    password_hash,
)
from csms.protocol.vocabulary import Booted, Protocol, Registration

BOOTS_A_DAY_MAX = 48
"""Boots of one charge point in a day that are kept with all that they told; the newest is kept in its columns always."""
SQL = Queries.load(__package__)
WITH_PASSWORD = (1, 2)
"""Security profiles in which a password is the credential."""
_KEPT_OF_BOOT = tuple(field.name for field in fields(Booted) if field.name != "quirks")
FORBIDDEN_IN_IDENTITY = set(":/?#%") | {chr(code) for code in range(33)} | {"\x7f"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What an operator may say of a charge point; None: nothing."""

    site: str | None = None
    registration: Registration | None = None
    security_profile: int | None = None
    password: str | None = None
    serial: str | None = None
    protocol: Protocol | None = None
    strict: bool | None = None
    template: bool | None = None
    current: Current | None = None
    max_power_w: Decimal | None = None
    time_zone: str | None = None
    idle_after_stop: bool | None = None
    idle_cap_s: int | None = None
    product: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """A charge point has told at `at` what it is."""

    charge_point: str
    told: Booted
    at: datetime


@dataclass(frozen=True, slots=True)
class Registered:
    """What a boot is answered by. `template`: whether the metering template is set."""

    registration: Registration
    template: bool


def load_password_key(data_dir: Path, given: str | None = None) -> bytes:
    """The key of the password hashes: `given` (CSMS_PASSWORD_KEY), else a file in the data directory, made once.

    Nodes that share a Postgres must share this key.
    """
    if given is not None:
        return given.encode()
    path = data_dir / "password.key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(fresh, path)  # the first process wins; nobody reads a half-written key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()


async def require_password_key(connection: Any, key: bytes) -> None:
    """Refuse to work with another key than the one that the stored hashes were made with: nobody could connect.

    Raises:
        Refused: naming what to bring along.
    """
    fingerprint = hashlib.sha256(b"csms password key " + key).hexdigest()[:16]
    await SQL.remember_key.execute(connection, fingerprint=fingerprint)
    if await SQL.remembered_key.fetchval(connection) != fingerprint:
        raise Refused(
            "the password key here is not the one that this database's charge point passwords were hashed with",
            "bring password.key of the first data directory along, or set CSMS_PASSWORD_KEY to the same value everywhere",
        )


async def find(connection: Any, identity: str) -> ChargePoint | None:
    """The charge point of an identity in any case; its id is the registered spelling."""
    return (await find_all(connection, [identity])).get(identity)


async def find_all(connection: Any, identities: Sequence[str]) -> dict[str, ChargePoint]:
    """As find(), by identity as asked for, of those that there are."""
    rows = await SQL.find_charge_points.fetch(connection, identities=identities)
    return {row["identity"]: _charge_point(row) for row in rows}


async def get(connection: Any, identity: str) -> ChargePoint:
    """As find(), for commands.

    Raises:
        NotFound: naming how to create it.
    """
    found = await find(connection, identity)
    if found is None:
        raise NotFound(f"no charge point {identity}", f"create it: csms cp create {identity} --site SITE")
    return found


async def create(connection: Any, identity: str, choices: Choices, *, key: bytes) -> tuple[ChargePoint, str | None]:
    """Make a charge point known. The password is in the answer and nowhere else; None for profiles 0 and 3."""
    _check_identity(identity)
    _check(choices)
    await require_password_key(connection, key)
    if choices.site is None:
        raise Refused("a charge point belongs to a site", "name it: --site SITE")
    profile = 1 if choices.security_profile is None else choices.security_profile
    if profile not in WITH_PASSWORD and choices.password is not None:
        raise Refused(
            f"security profile {profile} has no password", "leave out --password, or use --security-profile 1 or 2"
        )
    password = (choices.password or secrets.token_hex(20)) if profile in WITH_PASSWORD else None
    salt = None if password is None else secrets.token_bytes(16)
    hashed = None if password is None or salt is None else password_hash(password.encode(), salt=salt, key=key)
    try:
        made = await SQL.insert_charge_point.fetchval(
            connection,
            id=identity, site=choices.site, registration=str(choices.registration or Registration.ACCEPTED),
            security_profile=profile, password_salt=salt, password_hash=hashed,
            protocol=None if choices.protocol is None else str(choices.protocol),
            strict=bool(choices.strict), template=choices.template is not False,
            current=str(choices.current or Current.AC), max_power_w=choices.max_power_w, time_zone=choices.time_zone,
            idle_after_stop=bool(choices.idle_after_stop), idle_cap_s=choices.idle_cap_s, serial=choices.serial,
            product=choices.product,
        )  # fmt: skip
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f"no site {choices.site}", f"create it: csms site create {choices.site} ...") from None
    if made is None:
        raise AlreadyDone(f"charge point {identity} exists already", f"see csms cp show {identity}")
    return await get(connection, identity), password


async def change(
    connection: Any, identity: str, choices: Choices, *, key: bytes, new_password: bool = False
) -> tuple[ChargePoint, str | None]:
    """Change what was said of a charge point. A new password, given or generated, is in the answer once."""
    _check(choices)
    await require_password_key(connection, key)
    known = await get(connection, identity)
    password = secrets.token_hex(20) if new_password and choices.password is None else choices.password
    profile = known.security_profile if choices.security_profile is None else choices.security_profile
    if profile in WITH_PASSWORD and known.password_hash is None and password is None:
        raise Refused(f"{known.id} has no password yet", "give one with --password, or --new-password to make one")
    salt = None if password is None else secrets.token_bytes(16)
    hashed = None if password is None or salt is None else password_hash(password.encode(), salt=salt, key=key)
    try:
        await _change(
            connection,
            id=known.id, site=choices.site,
            registration=None if choices.registration is None else str(choices.registration),
            security_profile=choices.security_profile, password_salt=salt, password_hash=hashed,
            protocol=None if choices.protocol is None else str(choices.protocol), strict=choices.strict,
            template=choices.template, current=None if choices.current is None else str(choices.current),
            max_power_w=choices.max_power_w, time_zone=choices.time_zone,
            idle_after_stop=choices.idle_after_stop, idle_cap_s=choices.idle_cap_s, serial=choices.serial,
            product=choices.product,
        )  # fmt: skip
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f"no site {choices.site}", "see csms site list") from None
    return await get(connection, identity), password


async def _change(connection: Any, *, id: str, password_hash: bytes | None, **changed: Any) -> None:  # noqa: A002 - the column's name
    """With a password that the operator names, whatever was on its way to the charge point is over."""
    async with connection.transaction():
        await SQL.change_charge_point.fetchval(connection, id=id, password_hash=password_hash, **changed)
        if password_hash is not None:
            await SQL.drop_waiting_passwords.execute(connection, charge_point=id)


async def record_boots(connection: Any, boots: Sequence[Boot]) -> dict[str, Registered]:
    """Note what charge points say they are, each named once; how each is registered, by its id."""
    if not boots:
        return {}
    told = [boot.told for boot in boots]
    rows = await SQL.record_boots.fetch(
        connection, ids=[boot.charge_point for boot in boots], vendors=[each.vendor for each in told],
        models=[each.model for each in told], serials=[each.serial for each in told],
        firmwares=[each.firmware for each in told], ats=[boot.at for boot in boots],
        bodies=[_body(each) for each in told], a_day_max=BOOTS_A_DAY_MAX,
    )  # fmt: skip
    return {row["id"]: Registered(Registration(row["registration"]), row["template"]) for row in rows}


def _body(told: Booted) -> dict[str, str]:
    return {name: value for name in _KEPT_OF_BOOT if (value := getattr(told, name))}


async def list_charge_points(
    connection: Any, *, identity: str | None = None, site: str | None = None
) -> list[Mapping[str, Any]]:
    """Charge points as operators see them: what they are, whether they are online, what their connectors say."""
    rows = await SQL.list_charge_points.fetch(connection, id=identity, site=site)
    return [_listed(row) for row in rows]


async def show(connection: Any, identity: str) -> dict[str, Any]:
    """Everything about one charge point, its settings and what became of the metering template included."""
    known = await get(connection, identity)
    (row,) = await list_charge_points(connection, identity=known.id)
    settings = await SQL.settings_of.fetch(connection, charge_point=known.id)
    template = await SQL.template_results.fetch(connection, charge_point=known.id)
    return {
        **row,
        "registration": str(known.registration),
        "security_profile": known.security_profile,
        "security_profile_wanted": known.security_profile_wanted,
        "password_changed_at": known.password_changed_at,
        "passwords_waiting": len(known.passwords_waiting),
        "strict": known.strict,
        "template": known.template,
        "time_zone": known.time_zone,
        "idle_after_stop": known.idle_after_stop,
        "idle_cap_s": known.idle_cap_s,
        "serial": known.serial,
        "serial_registered": known.serial_registered,
        "booted_at": known.booted_at,
        "boot": await SQL.newest_boot.fetchval(connection, id=known.id),
        "created_at": known.created_at,
        "template_results": [dict(each) for each in template],
        "settings": [dict(each) for each in settings],
    }


def _listed(row: Record) -> dict[str, Any]:
    return {
        "id": row["id"],
        "site": row["site"],
        "online": row["opened_at"] is not None,
        "since": row["opened_at"],
        "protocol": row["spoken"] or row["protocol"],
        "vendor": row["vendor"],
        "model": row["model"],
        "firmware": row["firmware"],
        "current": row["current"],
        "product": row["product"],
        "max_kw": None if row["max_power_w"] is None else (row["max_power_w"] / 1000).normalize(),
        "evses": [_reported(each) for each in row["connectors"]],
    }


def _reported(connector: Mapping[str, Any]) -> dict[str, Any]:
    """A connector out of a JSON column, which knows no order and no times."""
    at = connector["reported_at"]
    known = {name: connector[name] for name in ("evse", "connector", "status", "error_code")}
    return {**known, "reported_at": None if at is None else datetime.fromisoformat(at)}


def _charge_point(row: Record) -> ChargePoint:
    return ChargePoint(
        id=row["id"],
        site=row["site"],
        registration=Registration(row["registration"]),
        security_profile=row["security_profile"],
        password_salt=row["password_salt"],
        password_hash=row["password_hash"],
        password_changed_at=row["password_changed_at"],
        password_given_at=row["password_given_at"],
        passwords_waiting=_waiting(row),
        security_profile_wanted=row["security_profile_wanted"],
        protocol=None if row["protocol"] is None else Protocol(row["protocol"]),
        strict=row["strict"],
        switched_on=frozenset(row["quirks_on"]),
        switched_off=frozenset(row["quirks_off"]),
        template=row["template"],
        current=Current(row["current"]),
        max_power_w=row["max_power_w"],
        time_zone=row["time_zone"],
        idle_after_stop=row["idle_after_stop"],
        idle_cap_s=row["idle_cap_s"],
        vendor=row["vendor"],
        model=row["model"],
        serial=row["serial"],
        serial_registered=row["serial_registered"],
        serial_is_anothers=bool(row["serial_is_anothers"]),
        firmware=row["firmware"],
        booted_at=row["booted_at"],
        created_at=row["created_at"],
    )


def _waiting(row: Record) -> tuple[WaitingPassword, ...]:
    if row["changes"] is None:
        return ()
    columns = zip(row["changes"], row["salts"], row["hashes"], strict=True)
    return tuple(WaitingPassword(change=change, salt=salt, hash=hashed) for change, salt, hashed in columns)


def _check_identity(identity: str) -> None:
    if not identity or len(identity) > IDENTITY_LENGTH_MAX:
        raise Refused(
            f"a charge point identity has 1 to {IDENTITY_LENGTH_MAX} characters (OCPP 2.0.1 Part 4, 3.1.1)",
            "shorten it, in the charge point as well",
        )
    wrong = sorted({character for character in identity if character in FORBIDDEN_IN_IDENTITY})
    if wrong:
        raise Refused(
            f"a charge point identity is part of an address and cannot contain {wrong}", "leave these characters out"
        )


def _check(choices: Choices) -> None:
    password = choices.password
    if password is not None and not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise Refused(
            f"a charge point password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters "
            "(OCPP 2.0.1 A00.FR.205)",
            "leave out --password to have one made",
        )
    if choices.time_zone is not None:
        try:
            zone_named(choices.time_zone)
        except NoSuchZone:
            raise Refused(f"no time zone {choices.time_zone}", "name it as in Europe/Berlin") from None
