"""Months of readings that go when their time is over (CSMS_READING_RETENTION_MONTHS)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from billing import Refused
from billing.bills.rerating import rerate
from csms.database.partitions import drop_reading_partitions, ensure_reading_partitions
from csms.database.pool import connect_once
from csms.sessions.service import Sessions
from csms.settings import load_settings
from csms.verification.service import Report, look_at_sessions
from tests.world import open_world

KEPT_MONTHS = 12
LONG_AGO = datetime.now(UTC).replace(day=15, hour=12, minute=0, second=0, microsecond=0) - timedelta(days=600)


@pytest.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection]:
    """As the owner, on a database that has months of readings since long ago."""
    async with connect_once(database, as_owner=True) as connection:
        for month in await connection.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
            " WHERE inhparent = 'reading'::regclass AND inhrelid::regclass::text ~ '[0-9]{6}$'"
        ):
            await connection.execute(f"DROP TABLE {month['name']}")
        await connection.execute("ALTER TABLE reading DETACH PARTITION reading_before")
        await connection.execute(
            f"ALTER TABLE reading ATTACH PARTITION reading_before FOR VALUES FROM (MINVALUE) TO ('{LONG_AGO:%Y-%m}-01 00:00+00')"
        )
        await ensure_reading_partitions(connection)
        yield connection


async def homes(connection: asyncpg.Connection) -> list[str]:
    """Where the readings are."""
    return [
        row["home"]
        for row in await connection.fetch("SELECT tableoid::regclass::text AS home FROM reading ORDER BY at")
    ]


async def old_session(owner: asyncpg.Connection, *, at: datetime = LONG_AGO, heard: datetime = LONG_AGO) -> int:
    """One with a start, a reading and a stop, which its row follows; nobody owes anything for it."""
    session: int = await owner.fetchval(
        """
        WITH begun AS (
            INSERT INTO session (id, charge_point, transaction, created_at, evse, connector, started_at, ended_at, energy_wh,
                                 dropped, projected_at)
            SELECT coalesce(max(id), 0) + 1, 'CP-1', (coalesce(max(id), 0) + 1)::text, $2::timestamptz, 1, 1, $1::timestamptz, $1 + interval '1 hour', 7000, 'review: a test', $2
              FROM session
            RETURNING *),
        events AS (
            INSERT INTO charging_event (charge_point, key, session, kind, transaction, evse, connector, at, register_wh, answer,
                                        received_at)
            SELECT 'CP-1', sha256((b.id || e.kind)::bytea), b.id, e.kind, b.transaction, 1, 1, e.at, e.wh, '{}', b.created_at
              FROM begun b, LATERAL (VALUES ('started', b.started_at, 0), ('ended', b.ended_at, 7000)) AS e (kind, at, wh))
        INSERT INTO reading (charge_point, evse, connector, transaction, at, key, carried_by, session, samples, received_at)
        SELECT 'CP-1', 1, 1, transaction, started_at + interval '1 minute', sha256(id::text::bytea), 'meter_values', id,
               '[["100", "Energy.Active.Import.Register", "Wh", "Sample.Periodic", null, "Outlet"]]', created_at
          FROM begun RETURNING session""",
        at,
        heard,
    )
    return session


async def test_a_month_goes_as_a_whole_and_its_sessions_stay_as_they_are(
    database: str, data_home: Path, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    async with open_world(database, data_home) as world:
        await world.site()
        await world.charge_point("CP-1")
        session = await old_session(owner)
        young = await old_session(owner, at=datetime.now(UTC) - timedelta(hours=2), heard=datetime.now(UTC))
        assert await homes(owner) == [
            f"reading_{LONG_AGO:%Y%m}",
            f"reading_{datetime.now(UTC) - timedelta(hours=2):%Y%m}",
        ]

        gone = await drop_reading_partitions(owner, KEPT_MONTHS)
        assert f"reading_{LONG_AGO:%Y%m}" in gone
        assert "reading_before" in gone
        assert len(await homes(owner)) == 1
        assert await drop_reading_partitions(owner, KEPT_MONTHS) == []
        assert await ensure_reading_partitions(owner) == 0

        # A fact that comes after all that time makes nothing of what is no longer known.
        before = await owner.fetchrow("SELECT * FROM session WHERE id = $1", session)
        await owner.execute("INSERT INTO session_due (session) VALUES ($1)", session)
        await world.quiet()
        assert await owner.fetchrow("SELECT * FROM session WHERE id = $1", session) == before

        settings = load_settings({}, data_dir=data_home)
        sessions = Sessions(pool, settings)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO rating (session) VALUES ($1) ON CONFLICT DO NOTHING", session)
            with pytest.raises(Refused, match="has no facts by which it could be rated anew"):
                await rerate(connection, sessions, session, reason="a test", actor="test", now=datetime.now(UTC))

        report = Report()
        found = {each.session async for _, rows in look_at_sessions(pool, settings, report) for each in rows}
        assert (report.sessions, report.gone) == (2, 1)
        assert found <= {young}


async def test_no_month_goes_while_a_session_of_its_time_is_not_settled(
    database: str, data_home: Path, owner: asyncpg.Connection
) -> None:
    async with open_world(database, data_home) as world:
        await world.site()
        await world.charge_point("CP-1")
        session = await old_session(owner)
        await owner.execute("UPDATE session SET dropped = NULL WHERE id = $1", session)
        assert await drop_reading_partitions(owner, KEPT_MONTHS) == []

        await owner.execute("UPDATE session SET dropped = 'review: a test' WHERE id = $1", session)
        assert f"reading_{LONG_AGO:%Y%m}" in await drop_reading_partitions(owner, KEPT_MONTHS)


async def test_a_month_stays_that_has_readings_of_a_session_we_heard_of_much_later(
    database: str, data_home: Path, owner: asyncpg.Connection
) -> None:
    """What a charge point kept for more than a year before it came back."""
    async with open_world(database, data_home) as world:
        await world.site()
        await world.charge_point("CP-1")
        await old_session(owner, heard=datetime.now(UTC))

        assert f"reading_{LONG_AGO:%Y%m}" not in await drop_reading_partitions(owner, KEPT_MONTHS)
        assert await homes(owner) == [f"reading_{LONG_AGO:%Y%m}"]
