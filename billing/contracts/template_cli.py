"""csms contract template and margin: projects that are made again, and what a contract earns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import BinaryIO

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN
from billing.contracts import templates
from billing.contracts.cli_words import DECIMAL, REASON, VERSIONED, Desk, marked
from billing.contracts.contract_cli import project_of_file
from billing.contracts.days import DAY as ONE_DAY
from billing.contracts.days import Days
from billing.contracts.earnings import margin
from billing.contracts.margin import Fees
from billing.contracts.plan_json import project_to_json
from billing.contracts.templates import Template
from billing.contracts.told import TEMPLATE_COLUMNS, margin_row
from billing.errors import ExitCode

HELP = """Templates: a whole project - terms, plans, items, sums in parts, discounts - to be made again from another day.

\b
Examples:
  csms contract template save depot --from DEPOT-7 --reason "our standard depot"
  csms contract create DEPOT-8 --account A-3 --start 2026-09-01 --template depot --reason "order 4799"
"""


def add_template_commands(group: click.Group, desk: Desk) -> None:
    """Those of templates, and margin."""
    template = click.Group("template", help=HELP)
    for add in (_add_save, _add_list, _add_show):
        add(template, desk)
    group.add_command(template)
    _add_margin(group, desk)


def _add_save(group: click.Group, desk: Desk) -> None:
    @group.command("save")
    @click.argument("name")
    @click.option("--from", "contract", metavar="ID", help="Take the project of this contract.")
    @click.option("--file", type=click.File("rb"), help="Or a project as JSON, as show prints it.")
    @click.option("--newest-plans", is_flag=True, help="Plans as they will be then, not the contract's versions.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, name: str, contract: str | None, file: BinaryIO | None, newest_plans: bool, reason: str,
        dry_run: bool, output: Output,
    ) -> None:  # fmt: skip
        """Keep a project as the newest version of a template.

        \b
        Examples:
          csms contract template save depot --from DEPOT-7 --newest-plans --reason "our standard depot"
          csms contract template save depot --file depot.json --reason "two chargers more" --dry-run
        """
        if (contract is None) == (file is None):
            raise click.UsageError("give either --from or --file")
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            if contract is not None:
                project = await templates.project_of(connection, contract, act, newest_plans=newest_plans)
            else:
                assert file is not None, "one of the two was given"
                project = project_of_file(file)
            saved = await templates.save(connection, name, project, act)
        output.one(_row(saved) | marked(dry_run))


def _row(template: Template) -> dict[str, object]:
    return {
        "name": template.name,
        "version": template.version,
        "title": template.project.title,
        "subscriptions": len(template.project.subscriptions),
        "items": len(template.project.items),
        "actor": template.actor,
        "created_at": template.created_at,
    }


def _add_list(group: click.Group, desk: Desk) -> None:
    @group.command("list")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, output: Output) -> None:
        """List the templates in their newest versions.

        \b
        Example:
          csms contract template list
        """
        async with desk.connect(context) as connection:
            found = await templates.list_templates(connection)
        output.rows([_row(each) for each in found], columns=TEMPLATE_COLUMNS)


def _add_show(group: click.Group, desk: Desk) -> None:
    @group.command("show")
    @click.argument("template", type=VERSIONED, metavar="NAME[:N]")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, template: tuple[str, int | None], output: Output) -> None:
        """Show the project of a template; as JSON it is what --file reads.

        \b
        Example:
          csms contract template show depot -o json > depot.json
        """
        async with desk.connect(context) as connection:
            found = await templates.require_template(connection, *template)
        output.one(project_to_json(found.project))


def _add_margin(group: click.Group, desk: Desk) -> None:
    @group.command("margin")
    @click.argument("contract", metavar="ID")
    @click.option("--from", "first", type=DAY, required=True)
    @click.option("--to", "last", type=DAY, required=True, help="The last day.")
    @click.option("--energy-price", "per_kwh", type=DECIMAL, help="What a kWh costs us, net.")
    @click.option(
        "--energy-series", "series", metavar="NAME", help="Or a price series; --energy-price where it has no value."
    )
    @click.option("--fee-percent", type=DECIMAL, default=Decimal(0), help="Of the revenue.")
    @click.option("--fee-per-session", type=DECIMAL, default=Decimal(0))
    @click.option("--fee-per-kwh", type=DECIMAL, default=Decimal(0))
    @click.option("--fee", "fixed", type=DECIMAL, default=Decimal(0), help="Once for these days.")
    @click.option("--tax-percent", type=DECIMAL, help="What is in prices with tax of what is on no document yet.")
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, first: date, last: date, per_kwh: Decimal | None, series: str | None,
        fee_percent: Decimal, fee_per_session: Decimal, fee_per_kwh: Decimal, fixed: Decimal, tax_percent: Decimal | None,
        output: Output,
    ) -> None:  # fmt: skip
        """Say what a contract earned: charges and bills of its tokens, less energy, less fees, all without tax.

        What is paid for a period counts by days. Exit status 6 if kWh have no price: then there is no margin either.

        \b
        Examples:
          csms contract margin HOME-12 --from 2026-01-01 --to 2026-12-31 --energy-price 0.28 --fee-percent 1.5
          csms contract margin DEPOT-7 --from 2026-03-01 --to 2026-03-31 --energy-series spot-de -o json
        """
        if last < first:
            raise click.UsageError(f"--to {last} is before --from {first}")
        days = Days(first, last + ONE_DAY)
        fees = Fees(percent=fee_percent, per_session=fee_per_session, per_kwh=fee_per_kwh, fixed=fixed)
        async with desk.connect(context) as connection:
            found = await margin(
                connection, contract, days, desk.act(), fees=fees, per_kwh=per_kwh, series_name=series,
                tax_percent=tax_percent,
            )  # fmt: skip
        output.one(margin_row(contract, days, found))
        if found.margin is None:
            context.exit(ExitCode.FINDINGS)
