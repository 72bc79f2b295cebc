"""Quirks of single charge points: what was seen, what operators switched, and what holds because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog
from asyncpg import Record

from billing import NotFound, Queries, Refused
from csms.charge_points import service as charge_points
from csms.charge_points.charge_point import ChargePoint
from csms.database.pool import is_unavailable
from csms.protocol.quirks.catalogue import Choice, Entry, Kind, Make, catalogue, known_for

SQL = Queries.load(__package__)
LOOK_EVERY_S = 1.0
OVERLAP = timedelta(seconds=30)
"""So far back changes are looked for again: a transaction may commit long after it took its time."""

log = structlog.get_logger()


def make_of(charge_point: ChargePoint) -> Make:
    return Make(charge_point.vendor, charge_point.model, charge_point.firmware)


def choice_of(charge_point: ChargePoint, name: str) -> Choice:
    if name in charge_point.switched_off:
        return Choice.OFF
    return Choice.ON if name in charge_point.switched_on else Choice.AUTO


def is_active(charge_point: ChargePoint, entry: Entry) -> bool | None:
    """Whether the repair or work-around holds for the charge point; None where there is nothing to switch."""
    if not entry.switchable:
        return None
    choice = choice_of(charge_point, entry.name)
    if choice is not Choice.AUTO:
        return choice is Choice.ON and not (charge_point.strict and entry.kind is Kind.REPAIR and entry.fault)
    if entry.kind is Kind.WORK_AROUND:
        return entry.is_known_for(make_of(charge_point))
    return not (charge_point.strict and entry.fault is not None)


def find_entry(name: str) -> Entry:
    """Raises NotFound: naming the nearest thing to do."""
    entry = catalogue().get(name)
    if entry is None:
        raise NotFound(f"no quirk {name}", "see csms quirk list")
    return entry


async def choose(connection: Any, identity: str, name: str, choice: Choice, *, actor: str) -> ChargePoint:
    """Switch a repair or work-around of one charge point; its open socket goes on with it within seconds.

    Raises:
        NotFound: no such charge point or quirk.
        Refused: it cannot be switched.
    """
    entry = find_entry(name)
    known = await charge_points.get(connection, identity)
    if not entry.switchable:
        raise Refused(
            f"{name} is only {'told' if entry.kind is Kind.REPORT else 'taken as it is'}: there is nothing to switch",
            "csms quirk list --switchable lists what can be switched",
        )
    async with connection.transaction():
        await SQL.insert_choice.execute(connection, charge_point=known.id, name=name, choice=str(choice), actor=actor)
        await SQL.choose.execute(connection, charge_point=known.id, name=name, choice=str(choice))
    return await charge_points.get(connection, known.id)


async def of_charge_point(
    connection: Any, charge_point: ChargePoint, *, everything: bool = False
) -> list[dict[str, Any]]:
    """What was seen of it, what its make is known for, and what an operator switched; in the catalogue's order."""
    rows = await SQL.seen.fetch(connection, charge_point=charge_point.id, name=None)
    seen = {row["name"]: row for row in rows}
    by_make = {entry.name for entry in known_for(make_of(charge_point))}
    switched = charge_point.switched_on | charge_point.switched_off
    return [
        _listed(charge_point, entry, seen.get(entry.name), by_make=entry.name in by_make)
        for entry in catalogue().values()
        if everything or entry.name in seen or entry.name in switched or entry.name in by_make
    ]


def _listed(charge_point: ChargePoint, entry: Entry, seen: Record | None, *, by_make: bool) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": str(entry.kind),
        "choice": str(choice_of(charge_point, entry.name)),
        "active": is_active(charge_point, entry),
        "count": 0 if seen is None else seen["count"],
        "known_for_make": by_make,
        "first_at": None if seen is None else seen["first_at"],
        "last_at": None if seen is None else seen["last_at"],
        "says": entry.says,
        "ours": entry.ours,
        "frame": None if seen is None else seen["frame"],
    }


async def listed(connection: Any) -> list[dict[str, Any]]:
    """The whole catalogue, with how often each was seen here."""
    counts = {row["name"]: row for row in await SQL.counts.fetch(connection)}
    return [
        {**described(entry), **_counted(counts.get(entry.name))}
        for entry in catalogue().values()
    ]  # fmt: skip


def _counted(row: Record | None) -> dict[str, Any]:
    names = ("charge_points", "messages", "last_at")
    return {name: (None if name == "last_at" else 0) if row is None else row[name] for name in names}


def described(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": str(entry.kind),
        "severity": str(entry.severity),
        "versions": list(entry.versions),
        "switchable": entry.switchable,
        "says": entry.says,
        "ours": entry.ours,
        "billing": entry.billing,
        "move": str(entry.move),
        "next": entry.next,
        "refused_as": entry.fault,
        "models": list(entry.models),
        "sources": list(entry.sources),
    }


async def show(connection: Any, name: str) -> dict[str, Any]:
    """One entry with the makes that showed it here, and the newest proof."""
    entry = find_entry(name)
    makes = [dict(row) for row in await SQL.makes_of.fetch(connection, name=name)]
    rows = await SQL.seen.fetch(connection, charge_point=None, name=name)
    newest = max(rows, key=lambda row: row["last_at"], default=None)
    return {
        **described(entry),
        "charge_points": len(rows),
        "messages": sum(row["count"] for row in rows),
        "makes": makes,
        "newest": None if newest is None else {each: newest[each] for each in ("charge_point", "last_at", "frame")},
    }


async def tell_changes(
    pool: asyncpg.Pool[Any], update: Callable[[ChargePoint], None], *, concerns: Callable[[str], bool]
) -> None:
    """Give `update` every charge point that an operator has changed, on whatever node, forever.

    `concerns`: whether a charge point is of interest here.
    """
    changes = _Changes()
    while True:
        try:
            async with pool.acquire() as connection:
                for id_ in await changes.new(connection):
                    known = await charge_points.find(connection, id_) if concerns(id_) else None
                    if known is not None:
                        update(known)
        except Exception as error:
            if not is_unavailable(error):
                log.exception("changes_not_told")
        await asyncio.sleep(LOOK_EVERY_S)


@dataclass(slots=True)
class _Changes:
    """What has changed since the last look; looks overlap, and each change is told once."""

    since: datetime | None = None
    told: dict[str, datetime] = field(default_factory=dict)

    async def new(self, connection: Any) -> list[str]:
        now: datetime = await SQL.now.fetchval(connection)
        rows = await SQL.changed_since.fetch(connection, since=(self.since or now) - OVERLAP)
        fresh = {row["id"]: row["changed_at"] for row in rows}
        is_first = self.since is None  # sockets that open from now on know all that
        new = [id_ for id_, at in fresh.items() if self.told.get(id_) != at and not is_first]
        self.since, self.told = now, fresh
        return new
