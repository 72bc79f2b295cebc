"""csms contract milestones, milestone and reminders: sums in parts, and days that nobody must miss."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN
from billing.contracts import handover, items
from billing.contracts.cli_words import DECIMAL, NUMBER, REASON, Desk, arisen, marked
from billing.contracts.keeping import require
from billing.contracts.project import Offset, WantedPart, WantedSplit
from billing.contracts.store import SQL
from billing.contracts.told import MILESTONE_COLUMNS, REMINDER_COLUMNS, milestone_row

HELP = """Sums that are paid in parts: each is invoiced once, from its day on or when what it waits for was declared reached.

\b
Examples:
  csms contract milestone split DEPOT-7 --name Installation --total 12000 --part "On order=30@2026-04-01" --part "On acceptance=70@acceptance" --reason "order 4711"
  csms contract milestone reach 5 --reason "protocol of 2026-06-30"
"""


class _Part(click.ParamType[tuple[str, Decimal, date | str]]):
    """`On order=30@2026-04-01`, or with an event behind the @."""

    name = "part"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Decimal, date | str]:
        name, _, rest = str(value).rpartition("=")
        percent, _, when = rest.partition("@")
        if not (name and percent and when):
            self.fail(f"{value!r} is no part; write NAME=PERCENT@DAY or NAME=PERCENT@EVENT", param, ctx)
        share = DECIMAL.convert(percent, param, ctx)
        try:
            return name, share, date.fromisoformat(when)
        except ValueError:
            return name, share, when


def add_milestone_commands(group: click.Group, desk: Desk) -> None:
    """milestones, milestone split, reach and cancel, reminders."""
    _add_milestones(group, desk)
    _add_reminders(group, desk)
    milestone = click.Group("milestone", help=HELP)
    for add in (_add_split, _add_reach, _add_cancel):
        add(milestone, desk)
    group.add_command(milestone)


def _add_milestones(group: click.Group, desk: Desk) -> None:
    @group.command("milestones")
    @click.argument("contract", metavar="[ID]", required=False)
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, contract: str | None, output: Output) -> None:
        """List the parts of sums of a contract, or of all, and where each stands: waiting, to come, due, invoiced.

        \b
        Example:
          csms contract milestones DEPOT-7
        """
        async with desk.connect(context) as connection:
            rows = await SQL.list_milestones.fetch(connection, contract=contract, id=None)
        output.rows([milestone_row(row) for row in rows], columns=MILESTONE_COLUMNS)


def _add_split(group: click.Group, desk: Desk) -> None:
    @group.command("split")
    @click.argument("contract", metavar="ID")
    @click.option("--name", required=True, help="Of the whole, as documents call it.")
    @click.option("--total", type=DECIMAL, required=True)
    @click.option(
        "--part",
        "parts",
        type=_Part(),
        multiple=True,
        required=True,
        metavar="NAME=PERCENT@DAY|EVENT",
        help="A share and when it is due: on a day, or when an event is declared reached.",
    )
    @click.option("--supply", default="milestone", show_default=True, help="What tax rules are asked with.")
    @click.option("--country", metavar="CC", help="Where it is supplied; the contract's unless said.")
    @click.option("--with-tax/--without-tax", "price_with_tax", default=None, help="As the contract's unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, name: str, total: Decimal,
        parts: tuple[tuple[str, Decimal, date | str], ...], supply: str, country: str | None, price_with_tax: bool | None,
        reason: str, dry_run: bool, output: Output,
    ) -> None:  # fmt: skip
        """Split a sum into parts that add up to it to the minor unit.

        \b
        Example:
          csms contract milestone split DEPOT-7 --name Installation --total 12000 --part "On order=30@2026-04-01" --part "On acceptance=70@acceptance" --reason "order 4711" --dry-run
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            start = (await require(connection, contract, act)).standing.terms.starts_on
            wanted = WantedSplit(
                name=name, total=total, supply=supply, country=country, price_with_tax=price_with_tax,
                parts=tuple(_part(each, start) for each in parts),
            )  # fmt: skip
            made = await items.split(connection, contract, wanted, act)
            orders = await arisen(connection, contract, act)
            rows = await SQL.list_milestones.fetch(connection, contract=contract, id=None)
        told = [milestone_row(row) for row in rows if row["split"] == made]
        output.one({"contract": contract, "sum": made, "parts": told} | orders | marked(dry_run))


def _part(said: tuple[str, Decimal, date | str], start: date) -> WantedPart:
    name, percent, when = said
    if isinstance(when, date):
        return WantedPart(name=name, percent=percent, after=Offset.between(start, when))
    return WantedPart(name=name, percent=percent, event=when)


def _add_reach(group: click.Group, desk: Desk) -> None:
    @group.command("reach")
    @click.argument("milestone", type=NUMBER)
    @click.option("--on", type=DAY, help="On which day it was reached; today unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, milestone: int, on: date | None, reason: str, dry_run: bool, output: Output
    ) -> None:
        """Declare that what a milestone waits for has happened: it is due then.

        \b
        Example:
          csms contract milestone reach 5 --on 2026-06-30 --reason "protocol signed"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            await items.reach(connection, milestone, act, on=on)
            row = await SQL.list_milestones.fetchrow(connection, contract=None, id=milestone)
            assert row is not None, "it was just reached"
            orders = await arisen(connection, row["contract"], act)
            row = await SQL.list_milestones.fetchrow(connection, contract=None, id=milestone)
        assert row is not None, "it was just reached"
        output.one(milestone_row(row) | orders | marked(dry_run))


def _add_cancel(group: click.Group, desk: Desk) -> None:
    @group.command("cancel")
    @click.argument("milestone", type=NUMBER)
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, milestone: int, reason: str, dry_run: bool, output: Output) -> None:
        """Cancel a part that was not invoiced yet; the others stay what they are.

        \b
        Example:
          csms contract milestone cancel 5 --reason "stage 3 was dropped"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            await items.cancel_milestone(connection, milestone, act)
            row = await SQL.list_milestones.fetchrow(connection, contract=None, id=milestone)
        assert row is not None, "it was just cancelled"
        output.one(milestone_row(row) | marked(dry_run))


def _add_reminders(group: click.Group, desk: Desk) -> None:
    @group.command("reminders")
    @click.argument("contract", metavar="[ID]", required=False)
    @click.option("--due", is_flag=True, help="Only those that nobody was told yet.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, contract: str | None, due: bool, output: Output) -> None:
        """List reminders of deadlines whose day has come: ends, days of notice, milestones, payments.

        \b
        Examples:
          csms contract reminders --due
          csms contract reminders HOME-12 -o json
        """
        async with desk.connect(context) as connection:
            if due:
                found = await handover.due_reminders(connection, until=datetime.now(UTC).date(), contract=contract)
            else:
                found = await handover.list_reminders(connection, contract=contract)
        output.rows([each.to_dict() for each in found], columns=REMINDER_COLUMNS)
