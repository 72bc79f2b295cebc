"""csms tariff: prices as OCPI tariffs, who charges by them from when, and what a session would cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import click

from billing.cli_output import CliError, Format, Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.errors import ExitCode, Refused
from billing.jurisdictions.cli import add_lint, jurisdictions
from billing.jurisdictions.show_cli import add_show
from billing.tariffs import service
from billing.tariffs.assignment_cli import (
    PlaceOf,
    add_assign,
    add_assignments,
    add_unassign,
    add_which,
)
from billing.tariffs.export_cli import add_export
from billing.tariffs.idle import IDLE_MAX, IdleAfterStop
from billing.tariffs.ocpi_json import load_json
from billing.tariffs.price import PriceRefused, price_command
from billing.tariffs.problem import Problem
from billing.tariffs.publication_cli import add_publish

HELP = """Tariffs: OCPI 2.2.1 or 2.3.0 JSON, versioned, assigned from a time on.

\b
Examples:
  csms tariff create day.json
  csms tariff assign day --default
  csms tariff publish day.json --from 2026-12-01T00:00:00+01:00 --dry-run
"""

_IDLE_MAX_MIN = IDLE_MAX // timedelta(minutes=1)
LIST_COLUMNS = ("id", "version", "currency", "valid_from", "assignments", "created_at")
SEGMENT_COLUMNS = (
    "dimension", "start", "end", "quantity_billed", "unit", "unit_price", "vat", "amount_excl_tax", "amount_incl_tax",
    "note",
)  # fmt: skip


def tariff_group(connect: Connect, *, place_of: PlaceOf, default_actor: Callable[[], str]) -> click.Group:
    """The command group; `connect` gives the commands that need one a connection, `place_of` who pays what where,
    `default_actor` who gives a command that keeps a trail.
    """
    group = click.Group(
        "tariff",
        help=HELP,
        commands=[_price, jurisdictions],
    )
    for add in (_add_create, _add_list, add_show, add_lint, add_export, add_assign, add_unassign, add_assignments):
        add(group, connect)
    add_which(group, connect, place_of)
    add_publish(group, connect, default_actor)
    return group


def _add_create(group: click.Group, connect: Connect) -> None:
    @group.command()
    @click.argument("file", type=click.File("rb"))
    @click.option("--from", "valid_from", type=INSTANT, help="From when this version holds.")
    @click.option(
        "--idle-after-stop", is_flag=True, help="Rate the stay after the stop as parking, as far as it is proven."
    )
    @click.option(
        "--idle-cap-min",
        type=click.IntRange(1, _IDLE_MAX_MIN),
        help="At most so many minutes of it; a week unless said.",
    )
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def create(
        context: click.Context,
        file: BinaryIO,
        valid_from: datetime | None,
        idle_after_stop: bool,
        idle_cap_min: int | None,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Store a tariff, or the next version where its id exists.

        A first version holds always unless --from says otherwise, a later one from this minute; the file that is the
        newest version already gives that version. Sessions keep the version of their start. csms tariff publish does the
        same for a tariff in use, and says and keeps what that means.

        \b
        Examples:
          csms tariff create day.json
          csms tariff create day.json --from 2026-04-01T00:00:00+02:00 -o json
          csms tariff create parking.json --idle-after-stop --idle-cap-min 240
        """
        idle = _idle(is_on=idle_after_stop, cap_min=idle_cap_min)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            made = await service.create(
                connection, file.read(), now=datetime.now(UTC), valid_from=valid_from, idle=idle
            )
        output.one({"id": made.id, "version": made.version} | _said(dry_run))
        if output.format is Format.TABLE:
            output.note(
                f"version {made.version} was there already" if made.existed else f"valid from {made.valid_from:%F %T}Z"
            )
            output.note(f"next: csms tariff assign {made.id} --default")


def _idle(*, is_on: bool, cap_min: int | None) -> IdleAfterStop | None:
    if cap_min is not None and not is_on:
        raise click.UsageError("--idle-cap-min caps what --idle-after-stop rates; give both")
    return IdleAfterStop.of(is_on=is_on, cap_s=None if cap_min is None else cap_min * 60)


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, output: Output) -> None:
        """List tariffs: the newest version of each, and how often it is assigned.

        \b
        Example:
          csms tariff list -o json
        """
        async with connect(context) as connection:
            output.rows(await service.list_tariffs(connection), columns=LIST_COLUMNS)


def _said(dry_run: bool) -> dict[str, object]:
    return {"dry_run": True} if dry_run else {}


@click.command("price")
@click.argument("file", metavar="TARIFF.json", type=click.File("rb"))
@click.option("--session", "session_file", metavar="SESSION.json", type=click.File("rb"), required=True)
@output_options
def _price(file: BinaryIO, session_file: BinaryIO, output: Output) -> None:
    """Price a session described in a file. Needs no database.

    SESSION.json is {"time_zone", "periods": [{"kind", "start", "end", "energy_kwh", "power_kw", "current_a"}]}; kind is
    charging unless said, end the next period's start, and what is absent is unknown. Tiers look at volume_kwh, prices
    that follow a series at series: [{"name", "values": [{"start", "end", "value"}]}].

    \b
    Example:
      csms tariff price day.json --session night.json -o json
    """
    priced = price_command(_document(file, "tariff"), _document(session_file, "session"))
    if isinstance(priced, PriceRefused):
        raise CliError(
            "this cannot be priced",
            "correct what is listed",
            ExitCode.REFUSED,
            details={"problems": [_problem_row(each) for each in priced.problems]},
        )
    if output.format is Format.TABLE and not output.fields:
        output.rows(priced.pop("segments"), columns=SEGMENT_COLUMNS)
    output.one(priced)


def _document(file: BinaryIO, name: str) -> Any:
    try:
        return load_json(file.read())
    except (ValueError, RecursionError) as wrong:
        raise Refused(f"the {name} file is no JSON: {wrong}", "give a file with one JSON object") from wrong


def _problem_row(problem: Problem) -> dict[str, str]:
    return {"path": problem.path, "message": problem.message, "next": problem.next_step}
