"""Tariffs and their assignments in the database: rows to values and back. Decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg

from billing.sql import Connection, Queries
from billing.tariffs.assignment import Assignment, Audience, Scope, TariffVersion, UserClass, Wanted
from billing.tariffs.idle import IdleAfterStop
from billing.tariffs.ocpi_json import dump_json, load_json
from billing.tariffs.tariff import Tariff, parse_tariff, to_ocpi

SQL: Final = Queries.load("billing.tariffs")

LOCK_KEY: Final = 0x7461_7269_6666
"""Of the advisory lock between those who edit tariffs and those who resolve them ("tariff" in ASCII)."""

Key = tuple[str, int]


def canonical_body(tariff: Tariff) -> str:
    """The tariff as JSON text that is the same for the same tariff, whatever order its file had."""
    return dump_json(_sorted(to_ocpi(tariff)))


def sha256_of(body: str) -> bytes:
    return hashlib.sha256(body.encode()).digest()


def _sorted(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _sorted(value[key]) for key in sorted(value)}
        case list():
            return [_sorted(item) for item in value]
        case _:
            return value


class TariffCache:
    """Parsed versions by id and number. A stored version never changes, so nothing here ever goes stale."""

    def __init__(self, *, size_max: int = 10_000) -> None:
        self._parsed: dict[Key, TariffVersion] = {}
        self._size_max = size_max

    async def get(self, connection: Connection, keys: Collection[Key]) -> dict[Key, TariffVersion]:
        """These versions, as far as they exist."""
        missing = sorted(set(keys) - self._parsed.keys())
        if missing:
            rows = await SQL.tariff_bodies.fetch(
                connection, ids=[tariff for tariff, _ in missing], versions=[version for _, version in missing]
            )
            if len(self._parsed) + len(rows) > self._size_max:
                self._parsed = {key: self._parsed[key] for key in keys if key in self._parsed}
            self._parsed |= {(row["id"], row["version"]): _version(row) for row in rows}
        return {key: self._parsed[key] for key in keys if key in self._parsed}

    async def all_of(self, connection: Connection, ids: Collection[str]) -> dict[str, list[TariffVersion]]:
        """Every version of these tariffs, oldest number first."""
        if not ids:
            return {}
        rows = await SQL.version_numbers.fetch(connection, ids=sorted(ids))
        keys = [(row["id"], row["version"]) for row in rows]
        parsed = await self.get(connection, keys)
        versions: dict[str, list[TariffVersion]] = {tariff: [] for tariff in ids}
        for key in keys:
            versions[key[0]].append(parsed[key])
        return versions


def _version(row: asyncpg.Record) -> TariffVersion:
    return TariffVersion(
        tariff=parse_tariff(load_json(row["body"]), version=row["version"]),
        valid_from=row["valid_from"],
        entered_at=row["created_at"],
        idle=IdleAfterStop.of(is_on=row["idle_after_stop"], cap_s=row["idle_cap_s"]),
    )


def _assignment(row: asyncpg.Record) -> Assignment:
    user_class = row["user_class"]
    return Assignment(
        id=row["id"],
        tariff=row["tariff"],
        scope=Scope(row["scope"]),
        target=row["target"],
        valid_from=row["valid_from"],
        entered_at=row["entered_at"],
        audience=Audience(
            token_group=row["token_group"],
            user_class=None if user_class is None else UserClass(user_class),
            product=row["product"],
        ),
        priority=row["priority"],
    )


async def insert_version(connection: Connection, version: TariffVersion, *, body: str) -> None:
    await SQL.insert_tariff.execute(
        connection,
        id=version.tariff.id,
        version=version.number,
        body=body,
        sha256=sha256_of(body),
        currency=version.tariff.currency,
        valid_from=version.valid_from,
        created_at=version.entered_at,
        idle_after_stop=version.idle is not None,
        idle_cap_s=None if version.idle is None else version.idle.cap_s,
    )


async def assignments_for(
    connection: Connection,
    *,
    charge_points: Collection[str],
    sites: Collection[str],
    location_groups: Collection[str],
    until: datetime,
) -> list[Assignment]:
    """Everything that could price a session at these places up to `until`."""
    rows = await SQL.assignments_for.fetch(
        connection,
        charge_points=sorted(charge_points),
        sites=sorted(sites),
        location_groups=sorted(location_groups),
        until=until,
    )
    return [_assignment(row) for row in rows]


async def assignments_of(connection: Connection, tariff: str) -> list[Assignment]:
    return [_assignment(row) for row in await SQL.list_assignments.fetch(connection, tariff=tariff)]


async def all_assignments(connection: Connection) -> list[Assignment]:
    return [_assignment(row) for row in await SQL.all_assignments.fetch(connection)]


async def find_assignment(connection: Connection, id_: int) -> Assignment | None:
    row = await SQL.find_assignment.fetchrow(connection, id=id_)
    return None if row is None else _assignment(row)


async def same_assignment(connection: Connection, wanted: Wanted) -> Assignment | None:
    """The newest entry for exactly this slot and instant."""
    row = await SQL.same_assignment.fetchrow(connection, **_slot(wanted))
    return None if row is None else _assignment(row)


async def insert_assignment(connection: Connection, wanted: Wanted, *, entered_at: datetime) -> Assignment:
    row = await SQL.insert_assignment.fetchrow(connection, tariff=wanted.tariff, entered_at=entered_at, **_slot(wanted))
    assert row is not None, "an INSERT ... RETURNING gives its row"
    return _assignment(row)


def _slot(wanted: Wanted) -> dict[str, Any]:
    audience = wanted.audience
    return {
        "scope": wanted.scope.value,
        "target": wanted.target,
        "token_group": audience.token_group,
        "user_class": audience.user_class,
        "product": audience.product,
        "priority": wanted.priority,
        "valid_from": wanted.valid_from,
    }
