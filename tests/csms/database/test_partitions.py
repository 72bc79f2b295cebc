"""Frames by day: made ahead of time, dropped when they have served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from csms.database.partitions import drop_frame_partitions, ensure_frame_partitions
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
