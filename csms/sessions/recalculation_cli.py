"""csms tariff recalculate: open sessions get another tariff, with what that makes of each amount."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import click

from billing import (
    ExitCode,
    OpenSessions,
    Outcome,
    Output,
    Recalculation,
    async_command,
    count_open,
    output_options,
    recalculate,
)
from csms.charge_points.fleet import progress_bar
from csms.cli.context import default_actor, open_pool_of, settings_of
from csms.settings import Settings

COLUMNS = (
    "session", "charge_point", "tariff_before", "version_before", "tariff_after", "version_after", "before_incl_tax",
    "after_incl_tax", "difference_incl_tax", "currency", "as_of", "outcome", "why_not",
)  # fmt: skip


class _Target(click.ParamType[tuple[str, "int | None"]]):
    name = "id[:version]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | None]:
        tariff, separator, number = str(value).rpartition(":")
        if not separator:
            return str(value), None
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) < 2**31:
            self.fail(f"{value!r} is no tariff such as day or day:2", param, ctx)
        return tariff, int(number)


_OPTIONS = (
    click.option("--tariff", metavar="ID", help="Sessions that have this tariff."),
    click.option("--site", help="Sessions at this site."),
    click.option("--all", "everything", is_flag=True, help="Every open session."),
    click.option(
        "--to", type=_Target(), help="The tariff they get; the version of their own that is in force now unless said."
    ),
    click.option("--reason", required=True, help="Why; kept for ever."),
    click.option("--legal-basis", help="What allows it to cost more; without it nothing rises."),
    click.option("--actor", default=default_actor, help="Who decides; the account's name unless said."),
    click.option("--dry-run", is_flag=True, help="Only say what would happen, through the same code."),
)  # fmt: skip


def _with_options(command: Any) -> Any:
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


@click.command("recalculate")
@_with_options
@output_options
@click.pass_context
@async_command
async def recalculate_command(
    context: click.Context, /, tariff: str | None, site: str | None, everything: bool, dry_run: bool, output: Output,
    **act: Any,
) -> None:  # fmt: skip
    """Give sessions that have no final bill another tariff, for the whole of them.

    Downward only: a session that would cost more by now keeps its tariff, and is listed with exit status 5. One that would
    cost more only later is billed by the tariff that it had. A stated --legal-basis lifts both. Each change is kept with
    both amounts; the next interim bill and the display follow. What is done already is not done again.

    \b
    Examples:
      csms tariff recalculate --tariff day --reason "price cut of 3 May" --dry-run
      csms tariff recalculate --site harbour --to event:2 --reason "wrong tariff at the fair"
      csms tariff recalculate --all --to day --reason "surcharge" --legal-basis "terms 4.2, announced on 1 May"
    """  # fmt: skip
    if (tariff is not None) + (site is not None) + everything != 1:
        raise click.UsageError("give one of --tariff, --site and --all")
    async with open_pool_of(context) as pool:
        rows = await _recalculated(
            pool, settings_of(context), OpenSessions(tariff=tariff, site=site), Recalculation(**act), dry_run=dry_run
        )
    output.rows([row | ({"dry_run": True} if dry_run else {}) for row in rows], columns=COLUMNS)
    _end(context, output, [row["outcome"] for row in rows])


async def _recalculated(
    pool: asyncpg.Pool[Any], settings: Settings, chosen: OpenSessions, act: Recalculation, *, dry_run: bool
) -> list[dict[str, object]]:
    from csms.sessions.service import Sessions  # noqa: PLC0415 - tariff commands start faster without sessions

    sessions = Sessions(pool, settings)
    await sessions.prepare()
    async with pool.acquire() as connection:
        total = await count_open(connection, chosen)
    rows: list[dict[str, object]] = []
    with progress_bar("sessions", total) as advance:
        async for batch in recalculate(pool, sessions, chosen, act, now=datetime.now(UTC), dry_run=dry_run):
            for each in batch:
                rows.append(each.to_dict())
                advance()
    return rows


def _end(context: click.Context, output: Output, outcomes: list[object]) -> None:
    """The exit status says what was left."""
    if Outcome.UPWARD in outcomes:
        output.note(
            f"{outcomes.count(Outcome.UPWARD)} session(s) would cost more and keep their tariff: name another one,"
            " or state what allows it with --legal-basis"
        )
        context.exit(ExitCode.REFUSED)
    if Outcome.NOT_RATED in outcomes:
        context.exit(ExitCode.FINDINGS)
