"""csms tariff publish: a changed price, announced with all that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.tariffs.assignment_cli import assignment_row
from billing.tariffs.idle import IDLE_MAX, IdleAfterStop
from billing.tariffs.publication import KEEP, Act, IdleChoice, Published, publish

_IDLE_MAX_MIN = IDLE_MAX // timedelta(minutes=1)
_OPTIONS = (
    click.option("--from", "valid_from", type=INSTANT, help="From when on; this minute unless said."),
    click.option("--backdated", is_flag=True, help="Let --from be past; sessions that have a tariff keep it."),
    click.option("--reason", help="Why; needed with --backdated, kept for ever."),
    click.option(
        "--idle-after-stop/--no-idle-after-stop", "idle_after_stop", default=None,
        help="Whether the stay after the stop is rated; as in the newest version unless said.",
    ),
    click.option(
        "--idle-cap-min", type=click.IntRange(1, _IDLE_MAX_MIN), help="At most so many minutes of it; a week unless said."
    ),
)  # fmt: skip


def _with_options(command: Any) -> Any:
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


def add_publish(group: click.Group, connect: Connect, default_actor: Callable[[], str]) -> None:
    @group.command("publish")
    @click.argument("file", type=click.File("rb"))
    @_with_options
    @click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, file: BinaryIO, actor: str, dry_run: bool, output: Output, **chosen: Any
    ) -> None:
        """Publish the next version of a tariff: what differs, whom it reaches, who keeps the old one.

        Sessions that have begun keep the version that they have; csms tariff recalculate is the act that changes that.
        The file that is the newest version already is not published again. A first version is stored with csms tariff
        create, which also stores later ones, without a trail.

        \b
        Examples:
          csms tariff publish day.json --from 2026-12-01T00:00:00+01:00 --dry-run
          csms tariff publish day.json -o json
          csms tariff publish day.json --from 2026-05-01 --backdated --reason "entered late; announced on 20 April"
        """
        idle = _idle(is_on=chosen.pop("idle_after_stop"), cap_min=chosen.pop("idle_cap_min"))
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            done = await publish(connection, file.read(), Act(actor=actor, **chosen), now=datetime.now(UTC), idle=idle)
        output.one(_row(done) | ({"dry_run": True} if dry_run else {}))
        if output.format is Format.TABLE:
            output.note(_told(done))


def _idle(*, is_on: bool | None, cap_min: int | None) -> IdleChoice:
    if is_on is None and cap_min is None:
        return KEEP
    if not is_on:
        if cap_min is not None:
            raise click.UsageError("--idle-cap-min caps what --idle-after-stop rates; give both")
        return None
    return IdleAfterStop.of(is_on=True, cap_s=None if cap_min is None else cap_min * 60)


def _row(done: Published) -> dict[str, object]:
    return {
        "id": done.id,
        "version": done.version,
        "valid_from": done.valid_from,
        "until": done.until,
        "existed": done.existed,
        "changes": [each.to_dict() for each in done.changes],
        "assignments": [assignment_row(each) for each in done.reaches],
        "sessions_kept": sum(each.sessions for each in done.kept),
        "kept": [{"version": each.version, "sessions": each.sessions} for each in done.kept],
    }


def _told(done: Published) -> str:
    if done.existed:
        return f"version {done.version} says the same; nothing was stored"
    kept = sum(each.sessions for each in done.kept)
    stay = f"{kept} session(s) without a final bill keep the version that they have"
    reach = f"{len(done.reaches)} assignment(s) charge by it" if done.reaches else "nobody charges by it"
    return f"{len(done.changes)} change(s); {reach}; {stay}"
