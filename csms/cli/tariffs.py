"""csms tariff: billing's commands on our connection."""

from __future__ import annotations

from datetime import datetime

from billing import Connection, Place, simulate_command, tariff_group, trail_command
from csms.cli.context import connect, default_actor
from csms.sessions.recalculation_cli import recalculate_command


async def place_of(connection: Connection, charge_point: str, token: str | None, at: datetime) -> Place:
    """Where and for whom a session of this charge point and token at this instant would be priced."""
    from csms.sessions import buyers  # noqa: PLC0415 - tariff commands start faster without sessions

    return await buyers.place_of(connection, charge_point, token, at)


tariff = tariff_group(connect, place_of=place_of, default_actor=default_actor)
tariff.add_command(simulate_command(connect))
tariff.add_command(trail_command(connect))
tariff.add_command(recalculate_command)
