"""csms plan: what recurs, as operators make it and give it another version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN
from billing.contracts import plans
from billing.contracts.cli_words import DECIMAL, REASON, STEP, Desk, marked
from billing.contracts.plan import Align, Plan, Timing
from billing.contracts.pricing import Flat, Indexed, Pricing, Step, Stepped
from billing.contracts.recurrence import Interval
from billing.contracts.told import PLAN_COLUMNS, plan_row

HELP = """Plans: what recurs under contracts, how often and for how much. A plan may be about anything that recurs.

A plan never changes: another version follows, and who subscribed to an older one keeps that until it is changed.

\b
Examples:
  csms plan create basic --name "Basic" --interval month --price 29.90 --currency EUR --reason "price list 2026"
  csms plan list
"""

_WHAT = (
    click.option("--name", required=True, help="As documents call it."),
    click.option("--interval", type=click.Choice([each.value for each in Interval]), required=True),
    click.option("--price", type=DECIMAL, required=True, help="Of one piece and a whole period."),
    click.option("--currency", required=True, metavar="CODE"),
    click.option("--with-tax", "price_with_tax", is_flag=True, help="Its prices are meant with tax."),
    click.option(
        "--timing", type=click.Choice([each.value for each in Timing]), default="advance", show_default=True,
        help="Whether a period falls due on its first day or on its last.",
    ),
    click.option(
        "--align", type=click.Choice([each.value for each in Align]), default="calendar", show_default=True,
        help="Whether periods begin with the calendar's or as the subscription did.",
    ),
    click.option("--included-kwh", type=DECIMAL, help="Of each period, for each token or group of the contract."),
    click.option("--supply", default="subscription", show_default=True, help="What tax rules are asked with."),
    click.option("--unit", default="C62", show_default=True, help="A code of UN/ECE recommendation 20; C62: pieces."),
    click.option("--description", help="A line below its name."),
)  # fmt: skip
_OVER_TIME = (
    click.option(
        "--step", "steps", type=STEP, multiple=True, metavar="WHEN=PRICE",
        help="Another price from a day on (2027-01-01=34.90) or so many months after the begin (12m=34.90).",
    ),
    click.option("--index", "series", metavar="SERIES", help="The price follows a series: csms price-series."),
    click.option("--base", "base_on", type=DAY, help="At the index of this day the price is as it is entered."),
    click.option(
        "--index-every", "every_months", type=click.IntRange(1, 120), default=12, show_default=True,
        help="Months between looks at the index.",
    ),
    click.option("--index-first", "first_on", type=DAY, help="The first look; so many months after the begin unless said."),
    click.option(
        "--index-lag", "lag_months", type=click.IntRange(0, 24), default=0, show_default=True,
        help="The index of so many months before counts.",
    ),
    click.option(
        "--threshold", "threshold_percent", type=DECIMAL, default=Decimal(0), metavar="PERCENT",
        help="Nothing changes while the index has moved by less.",
    ),
    click.option("--rise-max", "rise_max_percent", type=DECIMAL, metavar="PERCENT", help="Of one change."),
    click.option("--fall-max", "fall_max_percent", type=DECIMAL, metavar="PERCENT", help="Of one change."),
    click.option("--price-min", type=DECIMAL, help="An indexed price is never below."),
    click.option("--price-max", type=DECIMAL, help="An indexed price is never above."),
    click.option(
        "--places", type=click.IntRange(0, 6), default=2, show_default=True, help="Decimals of an indexed price."
    ),
)  # fmt: skip
_INDEX_WORDS = (
    "base_on", "every_months", "first_on", "lag_months", "threshold_percent", "rise_max_percent", "fall_max_percent",
    "price_min", "price_max", "places",
)  # fmt: skip


def plan_group(desk: Desk) -> click.Group:
    """`csms plan`."""
    group = click.Group("plan", help=HELP)
    for add in (_add_create, _add_version, _add_list, _add_show):
        add(group, desk)
    return group


def _with_options(command: Any) -> Any:
    for option in reversed((*_WHAT, *_OVER_TIME)):
        command = option(command)
    return command


def _plan(said: dict[str, Any]) -> Plan:
    return Plan(
        name=said["name"],
        interval=Interval(said["interval"]),
        currency=said["currency"],
        pricing=_pricing(said["price"], said["steps"], said["series"], {name: said[name] for name in _INDEX_WORDS}),
        price_with_tax=said["price_with_tax"],
        timing=Timing(said["timing"]),
        align=Align(said["align"]),
        supply=said["supply"],
        unit=said["unit"],
        included_kwh=said["included_kwh"],
        description=said["description"],
    )


def _pricing(price: Decimal, steps: tuple[Step, ...], series: str | None, index: dict[str, Any]) -> Pricing:
    base_on: date | None = index["base_on"]
    if series is None:
        if base_on is not None:
            raise click.UsageError("--base is the day of an index: name it with --index")
        return Stepped(price=price, steps=steps) if steps else Flat(price=price)
    if steps:
        raise click.UsageError("a price has either steps or an index")
    if base_on is None:
        raise click.UsageError("say at the index of which day the price is as entered: --base")
    return Indexed(price=price, series=series, **index)


def _add_create(group: click.Group, desk: Desk) -> None:
    @group.command("create")
    @click.argument("id_", metavar="ID")
    @_with_options
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, id_: str, reason: str, dry_run: bool, output: Output, **said: Any
    ) -> None:
        """Make a plan.

        \b
        Examples:
          csms plan create basic --name Basic --interval month --price 29.90 --currency EUR --included-kwh 100 --reason "list 2026"
          csms plan create sim --name "SIM card" --interval year --timing arrears --price 24 --currency EUR --reason "list 2026"
          csms plan create care --name Maintenance --interval quarter --price 90 --currency EUR --index cpi-de --base 2025-12-01 --index-first 2027-01-01 --index-lag 2 --threshold 3 --reason "indexed from 2027"
        """
        await _store(plans.create_plan, desk, context, id_, _plan(said), reason, dry_run, output)


def _add_version(group: click.Group, desk: Desk) -> None:
    @group.command("version")
    @click.argument("id_", metavar="ID")
    @_with_options
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, id_: str, reason: str, dry_run: bool, output: Output, **said: Any
    ) -> None:
        """Give a plan another version, for who subscribes from now on. Say all of it again.

        \b
        Example:
          csms plan version basic --name Basic --interval month --price 34.90 --currency EUR --reason "list 2027" --dry-run
        """
        await _store(plans.add_version, desk, context, id_, _plan(said), reason, dry_run, output)


async def _store(
    store: Callable[..., Any], desk: Desk, context: click.Context, id_: str, plan: Plan, reason: str, dry_run: bool,
    output: Output,
) -> None:  # fmt: skip
    async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
        made = await store(connection, id_, plan, act)
    output.one(plan_row(made) | marked(dry_run))


def _add_list(group: click.Group, desk: Desk) -> None:
    @group.command("list")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, output: Output) -> None:
        """List the plans in their newest versions, and how many subscriptions each has had.

        \b
        Example:
          csms plan list -o json
        """
        async with desk.connect(context) as connection:
            found = await plans.list_plans(connection)
        output.rows([plan_row(each) for each in found], columns=PLAN_COLUMNS)


def _add_show(group: click.Group, desk: Desk) -> None:
    @group.command("show")
    @click.argument("id_", metavar="ID")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: str, output: Output) -> None:
        """Show every version of a plan.

        \b
        Example:
          csms plan show basic
        """
        async with desk.connect(context) as connection:
            await plans.require_plan(connection, id_)
            found = await plans.list_plans(connection, id_)
        output.rows([plan_row(each) for each in found], columns=PLAN_COLUMNS)
