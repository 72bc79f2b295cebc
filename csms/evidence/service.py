"""Under which law a site sells kWh, and the keys of its meters: entered for ever, each from a time on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncpg import Record

from billing import AlreadyDone, NotFound, Refused
from csms.charge_points import service as charge_points
from csms.evidence.law import PROFILES
from csms.evidence.obis import IMPORT_TOTAL, Register
from csms.evidence.signatures import KeyUnreadable, PublicKey, key_of, read_key
from csms.evidence.store import SQL
from csms.sites import service as sites

NONE = "none"


async def set_profile(
    connection: Any,
    site: str,
    profile: str,
    *,
    reason: str,
    actor: str,
    now: datetime,
    valid_from: datetime | None = None,
) -> dict[str, Any]:
    """From `valid_from` on the site sells under `profile`, or under none. Sessions go by what held when they began.

    Raises:
        NotFound: no such site.
        AlreadyDone: it does so already.
        Refused: an unknown profile; no reason; taken away for the past, which would make kWh billable that were held.
    """
    known = (await sites.get(connection, site))["id"]
    begin = valid_from or now
    _require_reason(reason)
    if profile not in {*PROFILES, NONE}:
        raise Refused(f"no profile is called {profile!r}", f"choose one of {', '.join((*PROFILES, NONE))}")
    wanted = None if profile == NONE else profile
    if wanted is None and begin < now:
        raise Refused(
            f"the law of measuring cannot be taken from site {site} for the past", "leave --from away: it ends now"
        )
    standing = await SQL.profile_of_site.fetchrow(connection, site=known, at=begin)
    if (None if standing is None else standing["profile"]) == wanted:
        raise AlreadyDone(f"site {site} has the profile {profile} already", f"see csms site profile {site}")
    async with connection.transaction():
        await SQL.insert_profile.execute(
            connection, site=known, profile=wanted, valid_from=begin, reason=reason, actor=actor
        )
        await SQL.fold_again.execute(connection, charge_point=None, site=known)
    return {"site": known, "profile": profile, "valid_from": begin, "reason": reason, "actor": actor}


async def profile_of(connection: Any, site: str, *, at: datetime) -> dict[str, Any]:
    """What holds at a site.

    Raises:
        NotFound: no such site.
    """
    known = (await sites.get(connection, site))["id"]
    row = await SQL.profile_of_site.fetchrow(connection, site=known, at=at)
    if row is None:
        return {"site": known, "profile": NONE, "valid_from": None, "reason": None, "actor": None}
    return {"site": known, **dict(row), "profile": row["profile"] or NONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOf:
    """Whose key it is, and what is billed by it; `register` None: the total of imported energy."""

    charge_point: str
    evse: int | None = None
    serial: str | None = None
    register: str | None = None
    measures_time: bool = False


async def register_key(
    connection: Any, whose: KeyOf, written: str, *, reason: str, actor: str, now: datetime, valid_from: datetime | None
) -> dict[str, Any]:
    """Enter a meter's public key, from now on or from when the meter was installed. Held sessions are judged again.

    Raises:
        NotFound: no such charge point.
        Refused: no key, no OBIS code, or no reason.
        AlreadyDone: the same key is in force there.
    """
    known = await charge_points.get(connection, whose.charge_point)
    _require_reason(reason)
    register = IMPORT_TOTAL if whose.register is None else Register.read(whose.register)
    if register is None:
        raise Refused(f"{whose.register!r} is no OBIS code", "write it as 1-0:1.8.0, or 1.8.0 for any channel")
    try:
        key = read_key(written)
    except KeyUnreadable as wrong:
        raise Refused(f"this is no public key: {wrong}", "give DER in hex or base64, or PEM") from None
    for row in await SQL.list_keys.fetch(connection, charge_point=known.id, key=None):
        same = (row["evse"], row["serial"], row["public_key"]) == (whose.evse, whose.serial, key.der)
        if same and row["valid_until"] is None:
            raise AlreadyDone(f"key {row['id']} of {known.id} is the same", f"see csms cp key list {known.id}")
    async with connection.transaction():
        id_ = await SQL.insert_key.fetchval(
            connection,
            charge_point=known.id,
            evse=whose.evse,
            serial=whose.serial,
            public_key=key.der,
            curve=key.curve,
            register=str(register),
            measures_time=whose.measures_time,
            valid_from=valid_from or now,
            reason=reason,
            actor=actor,
        )
        await SQL.fold_again.execute(connection, charge_point=known.id, site=None)
    return await get_key(connection, id_)


async def revoke_key(
    connection: Any, key: int, *, reason: str, actor: str, now: datetime, valid_until: datetime | None
) -> dict[str, Any]:
    """A key holds no longer for sessions that begin at `valid_until` or later. Bills that stand stay.

    Raises:
        NotFound: no such key.
        AlreadyDone: it is revoked.
        Refused: no reason.
    """
    known = await get_key(connection, key)
    _require_reason(reason)
    if known["valid_until"] is not None:
        raise AlreadyDone(f"key {key} is revoked already", f"see csms cp key list {known['charge_point']}")
    async with connection.transaction():
        await SQL.insert_revocation.execute(
            connection, key=key, valid_until=valid_until or now, reason=reason, actor=actor
        )
        await SQL.fold_again.execute(connection, charge_point=known["charge_point"], site=None)
    return await get_key(connection, key)


async def get_key(connection: Any, key: int) -> dict[str, Any]:
    """One key.

    Raises:
        NotFound: there is none.
    """
    row = await SQL.list_keys.fetchrow(connection, charge_point=None, key=key)
    if row is None:
        raise NotFound(f"no key {key}", "see csms cp key list")
    return _shown(row, await _told(connection, row["charge_point"]))


async def list_keys(connection: Any, charge_point: str | None) -> list[dict[str, Any]]:
    """Keys of one charge point or all, each compared with what the charge point itself tells in its settings.

    Raises:
        NotFound: no such charge point.
    """
    known = None if charge_point is None else (await charge_points.get(connection, charge_point)).id
    told = await _told(connection, known)
    return [_shown(row, told) for row in await SQL.list_keys.fetch(connection, charge_point=known, key=None)]


async def _told(connection: Any, charge_point: str | None) -> dict[str, list[bytes]]:
    """Keys that charge points tell of themselves, as far as they can be read."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for row in await SQL.told_keys.fetch(connection, charge_point=charge_point):
        told = _readable(row["value"])
        if told is not None:
            found[row["charge_point"]].append(told.der)
    return found


def _readable(written: str) -> PublicKey | None:
    try:
        return read_key(written)
    except KeyUnreadable:
        return None


def _shown(row: Record, told: dict[str, list[bytes]]) -> dict[str, Any]:
    key = key_of(row["public_key"])
    said = told.get(row["charge_point"], [])
    return {
        "id": row["id"],
        "charge_point": row["charge_point"],
        "evse": row["evse"],
        "serial": row["serial"],
        "fingerprint": key.fingerprint,
        "curve": row["curve"],
        "register": row["register"],
        "measures_time": row["measures_time"],
        "valid_from": row["valid_from"],
        "valid_until": row["valid_until"],
        "told_by_charge_point": "same" if key.der in said else "another" if said else "none",
        "public_key": key.hex,
        "reason": row["reason"],
        "actor": row["actor"],
        "at": row["at"],
        "revoked_for": row["revoked_for"],
    }


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise Refused("this needs a reason", "say why: --reason TEXT")
