"""The days of the table `frame` and the months of `reading`: made ahead of time, dropped when they have served.

Knows neither frame nor reading.
"""

from __future__ import annotations

from csms.database.migrate import SQL
from csms.database.sql import Connection


async def ensure_frame_partitions(connection: Connection, days_ahead: int = 3) -> int:
    """A partition for every day (UTC) from yesterday to `days_ahead`; returns how many are new.

    A frame outside them cannot be stored: call it at start and daily. Safe on several nodes at once.
    """
    return int(await SQL.ensure_frame_partitions.fetchval(connection, days_ahead=days_ahead))


async def ensure_reading_partitions(connection: Connection, months_ahead: int = 2) -> int:
    """A partition for every month (UTC) up to `months_ahead`; returns how many are new.

    A reading outside them is stored all the same, where nobody looks for months: call it at start and daily. Safe on
    several nodes at once.
    """
    return int(await SQL.ensure_reading_partitions.fetchval(connection, months_ahead=months_ahead))


async def drop_frame_partitions(connection: Connection, older_than_days: int) -> list[str]:
    """Drop whole days that ended more than `older_than_days` ago; returns the names of the partitions.

    Frames that must outlive them (held, disputed, signed sessions) have to be copied elsewhere before.
    """
    return [row["name"] for row in await SQL.drop_frame_partitions.fetch(connection, older_than_days=older_than_days)]


async def drop_reading_partitions(connection: Connection, older_than_months: int) -> list[str]:
    """Drop whole months of readings that ended so long ago or more; returns the names of the partitions.

    None goes while a session of that time has no final bill. Sessions of before are never folded again.
    """
    found = await SQL.drop_reading_partitions.fetch(connection, older_than_months=older_than_months)
    return [row["name"] for row in found]
