"""Security events of both sides: stored, counted, told to whoever watches the log."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from billing import NotFound, Queries
from csms.database.pool import is_unavailable
from csms.security import metrics
from csms.security.event import OwnKind, counted_as, is_own_critical
from csms.security.tally import Sighting, Tally
from csms.security.told import KEPT_WITHIN, Told, divided

SQL = Queries.load(__package__)
PAUSE_S = 1.0
"""Between two writes of what this side saw."""
KEY_LENGTH = 16  # bytes

log = structlog.get_logger()


# --- what charge points tell ---


async def keep_told(connection: Any, events: Sequence[Told]) -> None:
    """Store what charge points told, within the transaction that their answers wait for.

    A repeat is not stored again; what goes beyond the cap is counted in one row an hour.
    """
    fresh = await _fresh(connection, events)
    if not fresh:
        return
    since = min(each.received_at for each in fresh) - KEPT_WITHIN
    names = sorted({each.charge_point for each in fresh})
    rows = await SQL.recent_events.fetch(connection, charge_points=names, since=since)
    kept, counted = divided(fresh, {(row["charge_point"], row["type"]): row["told"] for row in rows})
    await SQL.insert_told_events.execute(
        connection,
        charge_points=[each.charge_point for each in kept],
        keys=[each.key for each in kept],
        types=[each.type for each in kept],
        ats=[each.at for each in kept],
        tech_infos=[each.tech_info for each in kept],
        received_ats=[each.received_at for each in kept],
        criticals=[each.critical for each in kept],
    )
    for each in kept:
        _told(each)
    if counted:
        metrics.EVENTS_NOT_KEPT.inc(len(counted))
        await _store(connection, _capped(counted))


async def _fresh(connection: Any, events: Sequence[Told]) -> list[Told]:
    once = {(each.charge_point, each.key): each for each in reversed(events)}
    rows = await SQL.known_events.fetch(
        connection, charge_points=[name for name, _ in once], keys=[key for _, key in once]
    )
    known = {(row["charge_point"], row["key"]) for row in rows}
    return [each for identity, each in reversed(once.items()) if identity not in known]


def _capped(counted: Sequence[Told]) -> list[Sighting]:
    tally = Tally()
    for name, count in Counter(each.charge_point for each in counted).items():
        first = next(each for each in counted if each.charge_point == name)
        tally.add(
            OwnKind.EVENTS_CAPPED, charge_point=name, remote="", now=first.received_at, count=count,
            info=f"events that were answered and not kept, the first {first.type}",
        )  # fmt: skip
    return tally.take()


def _told(event: Told) -> None:
    metrics.EVENTS.labels("charge_point", counted_as(event.type), str(event.critical).lower()).inc()
    if event.critical:
        log.error(
            "security_event", source="charge_point", charge_point=event.charge_point, type=event.type,
            at=event.at.isoformat(), next_step=f"csms security list --cp {event.charge_point}",
        )  # fmt: skip


# --- what this side saw ---


class SecurityLog:
    """Counts in memory, and writes the sums behind the traffic: an attacker costs a few rows an hour, and no waiting."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._tally = Tally()
        self._wake = asyncio.Event()

    def note(self, kind: OwnKind, *, charge_point: str = "", remote: str = "", info: str = "", count: int = 1) -> None:
        """Something was seen. Neither blocks nor raises."""
        critical = is_own_critical(kind)
        is_first = self._tally.add(
            kind, charge_point=charge_point, remote=remote, info=info, now=datetime.now(UTC), count=count
        )
        metrics.EVENTS.labels("csms", kind.value, str(critical).lower()).inc(count)
        if is_first:  # of this place within this hour: what follows is counted
            (log.error if critical else log.warning)(
                "security_event", source="csms", charge_point=charge_point, type=kind.value, remote=remote, info=info,
                next_step="csms security list --follow",
            )  # fmt: skip
        self._wake.set()

    async def run(self) -> None:
        """Write what was seen, for ever; on cancellation, what is left once more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._write()
                await asyncio.sleep(PAUSE_S)
        finally:
            async with asyncio.timeout(2):
                await self._write()

    async def _write(self) -> None:
        sightings = self._tally.take()
        if not sightings:
            return
        try:
            async with self._pool.acquire() as connection:
                await _store(connection, sightings)
        except Exception as error:
            self._tally.give_back(sightings)
            self._wake.set()
            if not is_unavailable(error):
                log.exception("security_events_not_kept", count=len(sightings))


async def _store(connection: Any, sightings: Sequence[Sighting]) -> None:
    await SQL.count_own_events.execute(
        connection,
        charge_points=[each.charge_point for each in sightings],
        keys=[_key(each) for each in sightings],
        types=[each.kind.value for each in sightings],
        ats=[each.first_at for each in sightings],
        tech_infos=[each.info or None for each in sightings],
        last_ats=[each.last_at for each in sightings],
        criticals=[is_own_critical(each.kind) for each in sightings],
        remotes=[each.remote or None for each in sightings],
        counts=[each.count for each in sightings],
    )


def _key(sighting: Sighting) -> bytes:
    said = f"own security event\x1e{sighting.kind}\x1e{sighting.remote}\x1e{sighting.window.isoformat()}"
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()[:KEY_LENGTH]


# --- for operators ---


async def events(
    connection: Any, *, charge_point: str | None, since: datetime | None, critical: bool, most: int
) -> list[dict[str, Any]]:
    """The newest first; `critical`: only those."""
    rows = await SQL.events.fetch(connection, charge_point=charge_point, since=since, critical=critical, most=most)
    return [_shown(row) for row in rows]


async def event(connection: Any, number: int) -> dict[str, Any]:
    """One of them.

    Raises:
        NotFound: naming where to look.
    """
    row = await SQL.event.fetchrow(connection, number=number)
    if row is None:
        raise NotFound(f"no security event {number}", "see csms security list")
    return _shown(row)


async def summary(
    connection: Any, *, charge_point: str | None, since: datetime | None, critical: bool, most: int
) -> list[dict[str, Any]]:
    """How often what happened."""
    rows = await SQL.summary.fetch(connection, charge_point=charge_point, since=since, critical=critical, most=most)
    return [dict(row) for row in rows]


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    return {**row, "charge_point": row["charge_point"] or None}
