"""The whole database looked through: its schema, every session against its facts, every bill against its inputs.

Sessions and bills are read some at a time, so memory stays flat however many there are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from billing import BillDifference, lost_in, recomputed_bills
from csms.database.migrate import SQL as DATABASE
from csms.database.migrate import schema_status
from csms.database.migration import append_only_wanted
from csms.database.pool import connect_once, open_pool
from csms.settings import Settings
from csms.verification.comparison import SQL, Limits, compared
from csms.verification.difference import Difference

SESSIONS_AT_A_TIME = 50
READING_S = 600
"""So long one statement may take."""
SHOWN_MAX = 10_000
"""Differences that are kept to be printed; the others are counted."""
RERATE = (
    "csms session rerate {session} --reason TEXT corrects it if that is right; else restore a backup (csms db restore)"
)


@dataclass(slots=True, kw_only=True)
class Report:
    """What was looked at, and what is not as it must be.

    `waiting` sessions have facts that are not folded yet, and of `gone` ones the readings are no longer kept
    (CSMS_READING_RETENTION_MONTHS): they are not compared. Of a rebuild, `rebuilt` sessions follow
    from their facts again, and `left` differences are for a person to decide.
    """

    schema: str = ""
    role_protects: bool = False
    append_only_tables: int = 0
    sessions: int = 0
    waiting: int = 0
    gone: int = 0
    bills: int = 0
    differing: int = 0
    rebuilt: int = 0
    left: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def add(self, found: list[Difference]) -> None:
        self.differing += len(found)
        self.differences += found[: max(0, SHOWN_MAX - len(self.differences))]


Advance = Callable[[int], None]
"""Called with how many sessions or bills were looked at."""


async def look_at_schema(dsn: str, report: Report) -> None:
    """Version, protection, and how many rows each table has."""
    async with connect_once(dsn, as_owner=True) as owner, owner.transaction(isolation="repeatable_read", readonly=True):
        status = await schema_status(owner)
        for table in await DATABASE.tables.fetch(owner):
            report.tables[table["name"]] = await owner.fetchval(table["statement"])
    report.schema = "" if not status.applied else f"{status.applied[-1].version:04}_{status.applied[-1].name}"
    report.role_protects = status.role_protects
    report.append_only_tables = len(status.append_only)
    report.add(
        [
            Difference(
                what=f"table {name}",
                stored="may be changed",
                recomputed="append-only",
                next_step="find out who switched its triggers off and what was changed meanwhile, then"
                f' csms db psql --owner -c "ALTER TABLE {name} ENABLE ALWAYS TRIGGER append_only,'
                ' ENABLE ALWAYS TRIGGER append_only_row"',
            )
            for name in sorted(append_only_wanted() - set(status.append_only))
        ]
    )


async def look_at_contents(dsn: str, copy: Path, report: Report) -> None:
    """Every content that the rows of the archive know, in the directory that was copied with a backup."""
    async with connect_once(dsn, as_owner=True) as owner:
        async for lost in lost_in(owner, copy):
            report.add(
                [
                    Difference(
                        what=f"archive entry {each.entry}",
                        stored=each.why,
                        recomputed="a content with its sum",
                        next_step=f"bring {each.file} back from another backup, or from the archive",
                    )
                    for each in lost
                ]
            )


@asynccontextmanager
async def reading_pool(dsn: str) -> AsyncIterator[asyncpg.Pool[Any]]:
    """One connection that may read for long."""
    pool = await open_pool(dsn, size=1, name="csms cli", command_timeout_s=READING_S)
    try:
        yield pool
    finally:
        await pool.close()


async def look_at_sessions(
    pool: asyncpg.Pool[Any], settings: Settings, report: Report
) -> AsyncIterator[tuple[int, list[Difference]]]:
    """Every session, some at a time: how many they were, and what differs in them."""
    after = 0
    while True:
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await SQL.rows_after.fetch(connection, after=after, most=SESSIONS_AT_A_TIME)
            limits = await Limits.read(connection, settings)
            kept = [row for row in rows if not row["gone"]]
            still = [row for row in kept if not row["waits"]]
            found = await compared(connection, still, limits, now=datetime.now(UTC)) if still else []
        if not rows:
            return
        after = rows[-1]["id"]
        report.sessions += len(rows)
        report.gone += len(rows) - len(kept)
        report.waiting += len(kept) - len(still)
        yield len(rows), found


async def look_at_bills(pool: asyncpg.Pool[Any], report: Report, advance: Advance) -> None:
    """Every bill, rated anew from what it stored."""
    async for count, found in recomputed_bills(pool):
        report.bills += count
        report.add([_of_bill(each) for each in found])
        advance(count)


async def verify(dsn: str, settings: Settings, report: Report, advance: Advance) -> None:
    """Sessions and bills, after `look_at_schema`. Changes nothing."""
    async with reading_pool(dsn) as pool:
        async for count, found in look_at_sessions(pool, settings, report):
            report.add(found)
            advance(count)
        await look_at_bills(pool, report, advance)


def _of_bill(each: BillDifference) -> Difference:
    return Difference(
        session=each.session,
        bill=each.seq,
        what=each.what,
        stored=each.stored,
        recomputed=each.recomputed,
        next_step=RERATE.format(session=each.session),
    )
