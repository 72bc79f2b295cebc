"""Rows of profiles and keys <-> values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncpg import Record

from billing import Queries
from csms.evidence.law import MeasuringLaw, MeterKey
from csms.evidence.obis import IMPORT_TOTAL, Register
from csms.evidence.signatures import key_of

SQL = Queries.load(__package__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """A session, and when it began by our clock: what held then holds for it."""

    session: int
    charge_point: str
    site: str
    since: datetime


async def laws_of(connection: Any, sessions: Sequence[Began]) -> dict[int, MeasuringLaw]:
    """What held for those of these sessions that began under a profile."""
    rows = await SQL.profiles_of_sessions.fetch(
        connection,
        sessions=[each.session for each in sessions],
        sites=[each.site for each in sessions],
        sinces=[each.since for each in sessions],
    )
    profiles = {row["of_session"]: row["profile"] for row in rows}
    keys = await keys_of(connection, [each for each in sessions if each.session in profiles])
    return {id_: MeasuringLaw(profile=profile, keys=keys.get(id_, ())) for id_, profile in profiles.items()}


async def keys_of(connection: Any, sessions: Sequence[Began]) -> Mapping[int, tuple[MeterKey, ...]]:
    """The keys that were in force for these sessions' charge points when they began."""
    if not sessions:
        return {}
    rows = await SQL.keys_of_sessions.fetch(
        connection,
        sessions=[each.session for each in sessions],
        charge_points=[each.charge_point for each in sessions],
        sinces=[each.since for each in sessions],
    )
    found: dict[int, list[MeterKey]] = defaultdict(list)
    for row in rows:
        found[row["of_session"]].append(key_from_row(row))
    return {id_: tuple(keys) for id_, keys in found.items()}


def key_from_row(row: Record) -> MeterKey:
    return MeterKey(
        id=row["id"],
        key=key_of(row["public_key"]),
        evse=row["evse"],
        serial=row["serial"],
        register=Register.read(row["register"]) or IMPORT_TOTAL,
        measures_time=row["measures_time"],
        valid_from=row["valid_from"],
    )
