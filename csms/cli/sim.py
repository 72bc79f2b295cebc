"""csms sim: the simulators' commands, with charge points made in our own registry."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import click

from billing import AlreadyDone
from csms.charge_points import service as charge_points
from csms.charge_points.service import Choices
from csms.cli.context import connect, settings_of
from csms.sites import service as sites
from csms.tokens import service as tokens
from simulators.cli import sim_group

SITE = "simulated"
TOKEN = "CARD-0001"  # noqa: S105 - a card's printed id, no secret


def provision(count: int) -> Sequence[tuple[str, str]]:
    """Make `count` fictitious charge points at a fictitious site; their identities and passwords."""
    return asyncio.run(_provision(click.get_current_context(), count))


async def _provision(context: click.Context, count: int) -> list[tuple[str, str]]:
    settings = settings_of(context)
    made: list[tuple[str, str]] = []
    async with connect(context) as connection:
        key = charge_points.load_password_key(settings.data_dir, settings.password_key)
        with suppress(AlreadyDone):
            await sites.create(
                connection, SITE, name="Simulated Site", country="DE", time_zone="Europe/Berlin", currency="EUR"
            )
        with suppress(AlreadyDone):
            await tokens.issue(connection, TOKEN, group=None, expires_at=None, actor="csms sim")
        number = 0
        while len(made) < count:
            number += 1
            try:
                known, password = await charge_points.create(
                    connection, f"SIM-{number:05}", Choices(site=SITE), key=key
                )
            except AlreadyDone:
                continue
            assert password is not None
            made.append((known.id, password))
    return made


sim = sim_group(provision)
