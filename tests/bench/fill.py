"""A database that has been in use: ended sessions with readings, years of them if need be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from billing import Queries
from csms.charge_points.charge_point import ChargePoint
from csms.database.pool import connect_once
from csms.database.sql import Connection
from csms.intake.statements import SQL as INTAKE
from tests.bench import messages
from tests.bench.inserts import read

SQL = Queries.load(__package__)
READINGS_EACH = 250
"""Of a session."""
_SPAN = timedelta(days=330)
_SESSIONS_AT_A_TIME = 400
_AT_ONCE = 2
"""Connections that write: both cores are free meanwhile."""


async def known_layout(connection: Connection) -> bytes:
    """The id of what ten figures of a reading of the benchmark are of; stored, if it was not."""
    frame = next(messages.readings(messages.V16, "1", messages.session_start()))
    _, _, packed = read(frame, ChargePoint(id="BENCH-00000", site="bench"))
    assert packed.layout is not None, "ten figures"
    await INTAKE.insert_layouts.execute(connection, ids=[packed.layout.id], samples=[packed.layout.to_json()])
    return packed.layout.id


async def fill_readings(dsn: str, *, count: int, charge_points: int) -> None:
    """So many readings of ten values, in sessions of half an hour, spread over the charge points and most of a year."""
    sessions = max(1, count // READINGS_EACH)
    turns = -(-sessions // charge_points)
    choices = {
        "month": datetime.now(UTC).replace(microsecond=0) - _SPAN - timedelta(days=10),
        "apart": _SPAN / turns,
        "charge_points": charge_points,
    }
    async with connect_once(dsn, as_owner=True) as connection:
        layout = await known_layout(connection)
        await _checkpoint_seldom(connection)
        parts = iter(range(0, sessions, _SESSIONS_AT_A_TIME))
        await asyncio.gather(
            *(_fill(dsn, parts, sessions, layout, min(count, READINGS_EACH), choices) for _ in range(_AT_ONCE))
        )
        await connection.execute("SELECT setval('session_id', $1)", sessions + 1)
        await connection.execute("ALTER SYSTEM RESET ALL")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("VACUUM ANALYZE")


async def _checkpoint_seldom(connection: asyncpg.Connection[Any]) -> None:
    """Each checkpoint has Postgres write every page once more."""
    await connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
    await connection.execute("SELECT pg_reload_conf()")


async def _fill(
    dsn: str, parts: Iterator[int], sessions: int, layout: bytes, each: int, choices: dict[str, Any]
) -> None:
    async with connect_once(dsn) as connection:
        await connection.execute("SET synchronous_commit = off")
        for first in parts:
            span = {"first": first, "last": min(first + _SESSIONS_AT_A_TIME, sessions) - 1}
            await SQL.insert_sessions.execute(connection, **span, **choices)
            await SQL.insert_events.execute(connection, **span)
            await SQL.insert_readings.execute(connection, **span, layout=layout, readings=each)
