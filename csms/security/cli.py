"""csms security: what threatened, or changed, the security of charge points and of this server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import click

from billing import INSTANT, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.cli.context import connect
from csms.security import service

COLUMNS = ("number", "last_at", "source", "charge_point", "type", "critical", "count", "remote", "tech_info")
ALSO = ("at", "received_at")
SUMMARY_COLUMNS = ("type", "source", "critical", "count", "charge_points", "first_at", "last_at")
POLL_S = 0.5
LOOK_BACK = timedelta(minutes=1)
"""Rows are written up to so much later than what they tell of."""
AT_ONCE_MAX = 1000


@click.group()
def security() -> None:
    """Security events: those that charge points tell, and those that this server sees itself.

    Critical by OCPP's own list, and where somebody tries to be a charge point that he is not. Of what this server sees
    one row counts what one address did to one charge point within an hour. Critical ones also stand in the log.

    \b
    Examples:
      csms security list --critical
      csms security list --cp CP-001 --follow
      csms security summary --since 2026-03-01
    """


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--cp", "charge_point", help="Only of this charge point."),
        click.option("--since", type=INSTANT, help="Only what happened from then on."),
        click.option("--critical", is_flag=True, help="Only what is critical."),
        click.option("--limit", "most", type=click.IntRange(1, 10_000), default=100, show_default=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


@security.command("list")
@_filters
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@output_options
@click.pass_context
@async_command
async def list_(
    context: click.Context, /, charge_point: str | None, since: datetime | None, critical: bool, most: int,
    follow: bool, output: Output,
) -> None:  # fmt: skip
    """List security events, the newest first; followed, the oldest first, and again each time that one counts on.

    \b
    Examples:
      csms security list --critical --since 2026-03-01T00:00:00Z
      csms security list --follow -o jsonl
    """
    async with connect(context) as connection:
        where = await _named(connection, charge_point)
        found = await service.events(connection, charge_point=where, since=since, critical=critical, most=most)
        if not follow:
            output.rows(found, columns=COLUMNS)
            return
        stream = output.stream(COLUMNS, also=ALSO)
        for row in reversed(found):
            stream.send(row)
        with suppress(asyncio.CancelledError):  # Ctrl-C is how it ends
            await _follow(connection, where, critical=critical, known=found, send=stream.send)


async def _follow(
    connection: Any, charge_point: str | None, *, critical: bool, known: list[dict[str, Any]],
    send: Callable[[Mapping[str, object]], None],
) -> None:  # fmt: skip
    shown = {row["number"]: (row["count"], row["last_at"]) for row in known}
    while True:
        await asyncio.sleep(POLL_S)
        since = max((at for _, at in shown.values()), default=None)
        found = await service.events(
            connection, charge_point=charge_point, since=None if since is None else since - LOOK_BACK,
            critical=critical, most=AT_ONCE_MAX,
        )  # fmt: skip
        for row in reversed(found):
            if row["number"] not in shown or row["count"] > shown[row["number"]][0]:
                send(row)
        shown |= {row["number"]: (row["count"], row["last_at"]) for row in found}
        newest = max((at for _, at in shown.values()), default=None)
        shown = {number: each for number, each in shown.items() if newest is None or each[1] >= newest - 2 * LOOK_BACK}


async def _named(connection: Any, charge_point: str | None) -> str | None:
    return None if charge_point is None else (await charge_points.get(connection, charge_point)).id


@security.command()
@click.argument("number", type=click.IntRange(1))
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, number: int, output: Output) -> None:
    """Show one security event.

    \b
    Example:
      csms security show 4711 -o json
    """
    async with connect(context) as connection:
        output.one(await service.event(connection, number))


@security.command()
@_filters
@output_options
@click.pass_context
@async_command
async def summary(
    context: click.Context, /, charge_point: str | None, since: datetime | None, critical: bool, most: int,
    output: Output,
) -> None:  # fmt: skip
    """Count security events by type, the critical ones first.

    \b
    Examples:
      csms security summary
      csms security summary --cp CP-001 --since 2026-03-01
    """
    async with connect(context) as connection:
        where = await _named(connection, charge_point)
        found = await service.summary(connection, charge_point=where, since=since, critical=critical, most=most)
    output.rows(found, columns=SUMMARY_COLUMNS)
