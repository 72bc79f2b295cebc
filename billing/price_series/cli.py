"""csms price-series: hourly energy prices and indices that tariffs may follow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TextIO

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.errors import Refused
from billing.money import MINOR_DIGITS
from billing.price_series import store
from billing.price_series.series_file import PerUnit, read_series

NAME_MAX = 64

HELP = """Price series: values over time that a tariff's energy price follows (x_series).

\b
Examples:
  csms price-series import spot-de day-ahead.csv --currency EUR --per MWh
  csms price-series show spot-de --from 2026-03-01 --to 2026-03-02
"""


def price_series_group(connect: Connect) -> click.Group:
    """The command group; `connect` gives its commands a connection."""
    group = click.Group("price-series", help=HELP)
    for add in (_add_import, _add_list, _add_show):
        add(group, connect)
    return group


def _add_import(group: click.Group, connect: Connect) -> None:
    @group.command("import")
    @click.argument("name")
    @click.argument("file", type=click.File("r", encoding="utf-8-sig"))
    @click.option("--currency", help="Of the values; without it they are points of an index.")
    @click.option(
        "--per", type=click.Choice([each.value for each in PerUnit]), default=PerUnit.KWH.value, show_default=True
    )
    @click.option(
        "--every-min", type=click.IntRange(1, 60 * 24 * 366), default=60, show_default=True,
        help="How long a value holds where the file has no column end.",
    )  # fmt: skip
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def import_(
        context: click.Context,
        name: str,
        file: TextIO,
        currency: str | None,
        per: str,
        every_min: int,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Add the values of a CSV file with the columns start, value and perhaps end.

        Times have an offset. A value that is there already is not added twice; one that differs counts from now on, and
        bills that were made keep theirs. A missing stretch is priced by the tariff's declared fallback.

        \b
        Examples:
          csms price-series import spot-de day-ahead.csv --currency EUR --per MWh
          csms price-series import cpi index.csv --every-min 44640 --dry-run
        """
        if currency is not None and currency not in MINOR_DIGITS:
            raise Refused(f"{currency!r} is no ISO 4217 code", "write one such as EUR, in capitals")
        if not name or len(name) > NAME_MAX or not name.isprintable():
            raise Refused(f"{name[:80]!r} cannot name a series", "write 1 to 64 printable characters")
        try:
            text = file.read()
        except UnicodeDecodeError as wrong:
            raise Refused("the file is not UTF-8", "save it as UTF-8") from wrong
        values = read_series(text, per=PerUnit(per), every=timedelta(minutes=every_min))
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            done = await store.add(connection, name, values, currency=currency)
        output.one(done.to_dict() | ({"dry_run": True} if dry_run else {}))


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, output: Output) -> None:
        """List the series and how far their values reach.

        \b
        Example:
          csms price-series list -o json
        """
        async with connect(context) as connection:
            rows = await store.list_series(connection)
        output.rows(rows, columns=("name", "currency", "values", "since", "until", "created_at"))


def _add_show(group: click.Group, connect: Connect) -> None:
    @group.command()
    @click.argument("name")
    @click.option("--from", "since", type=INSTANT, required=True)
    @click.option("--to", "until", type=INSTANT, required=True)
    @output_options
    @click.pass_context
    @async_command
    async def show(context: click.Context, name: str, since: datetime, until: datetime, output: Output) -> None:
        """Show the values that count in a span, per kWh.

        \b
        Example:
          csms price-series show spot-de --from 2026-03-01 --to 2026-03-02 -o csv
        """
        async with connect(context) as connection:
            currency = await store.require(connection, name)
            found = await store.between(connection, [name], since, until)
        values = found[0].values if found else ()
        rows = [{"start": each.start, "end": each.end, "value": each.value, "currency": currency} for each in values]
        output.rows(rows, columns=("start", "end", "value", "currency"))
