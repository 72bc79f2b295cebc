"""csms item: hardware, installations, inspections and whatever else is paid once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN
from billing.contracts import items
from billing.contracts.cli_words import DECIMAL, NUMBER, REASON, Desk, arisen, marked
from billing.contracts.keeping import require, today_of
from billing.contracts.project import WantedItem
from billing.contracts.store import SQL
from billing.contracts.told import ITEM_COLUMNS, item_row

HELP = """One-time items of contracts: hardware, an installation, an inspection. Each is invoiced once, from its day on.

\b
Examples:
  csms item add DEPOT-7 --name "Wallbox 22 kW" --price 899 --quantity 3 --supply hardware --reason "order 4711"
  csms item list --contract DEPOT-7
"""


def item_group(desk: Desk) -> click.Group:
    """`csms item`."""
    group = click.Group("item", help=HELP)
    for add in (_add_add, _add_list, _add_cancel):
        add(group, desk)
    return group


def _add_add(group: click.Group, desk: Desk) -> None:
    @group.command("add")
    @click.argument("contract", metavar="CONTRACT")
    @click.option("--name", required=True, help="As documents call it.")
    @click.option("--price", type=DECIMAL, required=True, help="Of one piece.")
    @click.option("--quantity", type=DECIMAL, default=Decimal(1), show_default=True)
    @click.option("--on", "due_on", type=DAY, help="From which day it may be invoiced; today unless said.")
    @click.option(
        "--supply", default="item", show_default=True, help="Its kind: hardware, installation; for tax rules."
    )
    @click.option("--unit", default="C62", show_default=True, help="A code of UN/ECE recommendation 20; C62: pieces.")
    @click.option("--description", help="A line below its name.")
    @click.option("--country", metavar="CC", help="Where it is supplied; the contract's unless said.")
    @click.option("--with-tax/--without-tax", "price_with_tax", default=None, help="As the contract's unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, contract: str, price: Decimal, due_on: date | None, reason: str, dry_run: bool,
        output: Output, **said: Any,
    ) -> None:  # fmt: skip
        """Add an item to a contract.

        \b
        Examples:
          csms item add DEPOT-7 --name "Wallbox 22 kW" --price 899 --quantity 3 --supply hardware --reason "order 4711"
          csms item add DEPOT-7 --name Inspection --price 120 --on 2027-03-01 --supply inspection --reason "yearly" --dry-run
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            day = due_on or today_of(await require(connection, contract, act), act)
            made = await items.add(connection, contract, WantedItem(unit_price=price, **said), act, start=day)
            orders = await arisen(connection, contract, act)
            row = await SQL.list_items.fetchrow(connection, contract=None, id=made)
        assert row is not None, "it was just made"
        output.one(item_row(row) | orders | marked(dry_run))


def _add_list(group: click.Group, desk: Desk) -> None:
    @group.command("list")
    @click.option("--contract", metavar="ID", help="Only of this contract.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, contract: str | None, output: Output) -> None:
        """List items and where each stands: to come, due, invoiced or cancelled.

        \b
        Example:
          csms item list --contract DEPOT-7 -o json
        """
        async with desk.connect(context) as connection:
            rows = await SQL.list_items.fetch(connection, contract=contract, id=None)
        output.rows([item_row(row) for row in rows], columns=ITEM_COLUMNS)


def _add_cancel(group: click.Group, desk: Desk) -> None:
    @group.command("cancel")
    @click.argument("item", type=NUMBER)
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, item: int, reason: str, dry_run: bool, output: Output) -> None:
        """Cancel an item that was not invoiced yet. One that was is credited with its invoice.

        \b
        Example:
          csms item cancel 12 --reason "not delivered"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            await items.cancel(connection, item, act)
            row = await SQL.list_items.fetchrow(connection, contract=None, id=item)
        assert row is not None, "it was just cancelled"
        output.one(item_row(row) | marked(dry_run))
