"""Frames by day and readings by month: made ahead of time, frames dropped when they have served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from csms.database.migrate import migrate
from csms.database.migration import own_migrations
from csms.database.partitions import drop_frame_partitions, ensure_frame_partitions, ensure_reading_partitions
from csms.database.pool import connect_once

FRAME = "INSERT INTO frame (charge_point, direction, body, received_at) VALUES ('CP-1', 'in', '[]', $1)"


async def partitions(pool: asyncpg.Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'frame'::regclass"
    )
    return sorted(row["name"] for row in rows)


def name_of(day: datetime) -> str:
    return f"frame_{day:%Y%m%d}"


async def test_the_application_makes_partitions_from_yesterday_on_and_only_once(pool: asyncpg.Pool) -> None:
    assert await ensure_frame_partitions(pool, days_ahead=3) == 5
    assert await ensure_frame_partitions(pool, days_ahead=3) == 0

    now = await pool.fetchval("SELECT now()")
    for days in (-1, 0, 3):
        await pool.execute(FRAME, now + timedelta(days=days))
    assert await pool.fetchval("SELECT count(*) FROM frame") == 3
    with pytest.raises(asyncpg.CheckViolationError, match="no partition"):
        await pool.execute(FRAME, now + timedelta(days=30))


async def test_only_days_older_than_asked_are_dropped(pool: asyncpg.Pool, database: str) -> None:
    await ensure_frame_partitions(pool, days_ahead=0)
    old = datetime.now(UTC) - timedelta(days=10)
    async with connect_once(database, as_owner=True) as owner:
        await owner.execute(
            f"CREATE TABLE {name_of(old)} PARTITION OF frame"
            f" FOR VALUES FROM ('{old:%Y-%m-%d} 00:00+00') TO ('{old + timedelta(days=1):%Y-%m-%d} 00:00+00')"
        )

    assert await drop_frame_partitions(pool, older_than_days=11) == []
    assert await drop_frame_partitions(pool, older_than_days=9) == [name_of(old)]
    assert name_of(old) not in await partitions(pool)
    assert len(await partitions(pool)) == 2


async def test_the_application_reaches_frames_through_their_table_only(pool: asyncpg.Pool) -> None:
    await ensure_frame_partitions(pool, days_ahead=0)
    (first, *_) = await partitions(pool)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(f"TRUNCATE {first}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(f"DROP TABLE {first}")


READING = """
INSERT INTO reading (charge_point, at, key, carried_by, samples, received_at)
VALUES ('CP-1', $1, '\\x01', 'meter_values', '[["1", "Voltage", "V", "Sample.Periodic", null, "Outlet"]]', now())
    ON CONFLICT DO NOTHING"""
WILD = datetime(2099, 5, 17, tzinfo=UTC)
HOMES = "SELECT at, tableoid::regclass::text AS home FROM reading ORDER BY at"


def months_on(now: datetime, months: int) -> datetime:
    """The middle of a later month."""
    number = now.year * 12 + now.month - 1 + months
    return now.replace(year=number // 12, month=number % 12 + 1, day=15)


async def homes(connection: asyncpg.Connection | asyncpg.Pool) -> list[str]:
    return [row["home"] for row in await connection.fetch(HOMES)]


async def test_readings_lie_in_the_month_of_their_instant_and_what_no_month_holds_beside_them(
    pool: asyncpg.Pool,
) -> None:
    now = await pool.fetchval("SELECT now()")
    past, next_month = datetime(2001, 1, 1, tzinfo=UTC), months_on(now, 1)
    for at in (past, now, next_month, WILD):
        await pool.execute(READING, at)
        await pool.execute(READING, at)

    assert await homes(pool) == ["reading_before", "reading_before", f"reading_{next_month:%Y%m}", "reading_other"]


async def test_months_are_made_without_a_gap_and_take_in_what_came_before_them(pool: asyncpg.Pool) -> None:
    now = await pool.fetchval("SELECT now()")
    early = months_on(now, 5)
    for at in (early, WILD):
        await pool.execute(READING, at)
    assert await homes(pool) == ["reading_other"] * 2

    assert await ensure_reading_partitions(pool, months_ahead=2) == 0
    assert await ensure_reading_partitions(pool, months_ahead=6) == 4
    assert await homes(pool) == [f"reading_{early:%Y%m}", "reading_other"]
    for at in (early, WILD):  # where they lie now they are known all the same
        await pool.execute(READING, at)
    assert await homes(pool) == [f"reading_{early:%Y%m}", "reading_other"]


async def test_readings_can_be_changed_in_no_month(pool: asyncpg.Pool, database: str) -> None:
    await pool.execute(READING, WILD)
    await ensure_reading_partitions(pool, months_ahead=3)
    async with connect_once(database, as_owner=True) as owner:
        for home in ("reading", "reading_other"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await owner.execute(f"DELETE FROM {home}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("DELETE FROM reading")


async def test_readings_of_before_keep_all_they_say(empty_database: str) -> None:
    """Those of a clock that was ahead of all months too."""
    await migrate(empty_database, migrations=[each for each in own_migrations() if each.version <= 30])
    async with connect_once(empty_database, as_owner=True) as owner:
        now = await owner.fetchval("SELECT now()")
        for at in (now, months_on(now, 1), WILD):
            await owner.execute(READING, at)
        before = [tuple(row) for row in await owner.fetch("SELECT at, key, samples, quirks FROM reading ORDER BY at")]
    await migrate(empty_database)

    async with connect_once(empty_database) as connection:
        after = [
            tuple(row) for row in await connection.fetch("SELECT at, key, samples, quirks FROM reading ORDER BY at")
        ]
        assert after == before
        assert await homes(connection) == ["reading_before", f"reading_{months_on(now, 1):%Y%m}", "reading_other"]
        await connection.execute(READING, WILD)
        assert len(await homes(connection)) == 3
