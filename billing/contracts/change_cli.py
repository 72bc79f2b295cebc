"""csms contract subscribe, change, unsubscribe, terminate, renew, discount and token: what changes of a contract on its way."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN
from billing.contracts import bearing, discounting, ending, subscribing
from billing.contracts.cli_words import DECIMAL, NUMBER, PLAN, REASON, VERSIONED, Desk, arisen, marked
from billing.contracts.days import DAY as ONE_DAY
from billing.contracts.discount import Target
from billing.contracts.keeping import require, today_of
from billing.contracts.project import Offset, WantedDiscount, WantedSubscription
from billing.contracts.store import SQL
from billing.contracts.told import contract_sheet

DISCOUNT_HELP = """Discounts of a contract on plans and items; csms discount is for sessions.

\b
Example:
  csms contract discount add HOME-12 --label "Welcome" --percent 50 --periods 3 --reason "spring offer"
"""
BEARERS_HELP = """Whose charging a contract is about; they get the kWh that are in its plans.

\b
Example:
  csms contract token add HOME-12 --token 04AB12CD --reason "new card"
"""


def add_change_commands(group: click.Group, desk: Desk) -> None:
    """All of them."""
    for add in (_add_subscribe, _add_change, _add_unsubscribe, _add_terminate, _add_renew):
        add(group, desk)
    discount = click.Group("discount", help=DISCOUNT_HELP)
    _add_discount(discount, desk)
    _end_discount(discount, desk)
    token = click.Group("token", help=BEARERS_HELP)
    _add_token(token, desk)
    _end_token(token, desk)
    group.add_command(discount)
    group.add_command(token)


def _add_subscribe(group: click.Group, desk: Desk) -> None:
    @group.command("subscribe")
    @click.argument("contract", metavar="ID")
    @click.argument("plan", type=PLAN, metavar="PLAN[=N]")
    @click.option("--from", "first", type=DAY, help="Its first day; the contract's unless said.")
    @click.option("--last-day", type=DAY, help="Its last day; as long as the contract lasts unless said.")
    @click.option("--version", type=NUMBER, help="Of the plan; the newest unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, plan: tuple[str, Decimal], first: date | None, last_day: date | None,
        version: int | None, reason: str, dry_run: bool, output: Output,
    ) -> None:  # fmt: skip
        """Subscribe a contract to so many pieces of a plan. What is due of it at once is charged at once.

        \b
        Example:
          csms contract subscribe DEPOT-7 sim=12 --from 2026-05-01 --reason "order 4712"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            start = first or (await require(connection, contract, act)).standing.terms.starts_on
            until = None if last_day is None else Offset.between(start, last_day + ONE_DAY)
            wanted = WantedSubscription(plan=plan[0], quantity=plan[1], version=version, until=until)
            made = await subscribing.subscribe(connection, contract, wanted, act, start=start)
            orders = await arisen(connection, contract, act)
        output.one({"contract": contract, "subscription": made} | orders | marked(dry_run))


def _add_change(group: click.Group, desk: Desk) -> None:
    @group.command("change")
    @click.argument("subscription", type=NUMBER)
    @click.option(
        "--plan", type=VERSIONED, metavar="ID[:N]", help="Another plan, or another version; as it is unless said."
    )
    @click.option("--quantity", type=DECIMAL, help="Other pieces; as many unless said.")
    @click.option("--on", type=DAY, required=True, help="The first day of what is new.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, subscription: int, plan: tuple[str, int | None] | None, quantity: Decimal | None,
        on: date, reason: str, dry_run: bool, output: Output,
    ) -> None:  # fmt: skip
        """Change a subscription's plan or quantity from a day on: no day is charged twice.

        What was charged in advance beyond that day is credited by days, and what is new charged by days.

        \b
        Examples:
          csms contract change 12 --plan plus --on 2026-03-17 --reason "upgrade by phone" --dry-run
          csms contract change 12 --quantity 5 --on 2026-04-01 --reason "two more chargers"
        """
        name, version = plan or (None, None)
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            made = await subscribing.change(
                connection, subscription, act, on=on, plan=name, version=version, quantity=quantity
            )
            contract = await SQL.find_subscription.fetchval(connection, id=made)
            orders = await arisen(connection, contract, act)
        output.one({"contract": contract, "subscription": made} | orders | marked(dry_run))


def _add_unsubscribe(group: click.Group, desk: Desk) -> None:
    @group.command("unsubscribe")
    @click.argument("subscription", type=NUMBER)
    @click.option("--last-day", type=DAY, required=True, help="The last day that it holds.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, subscription: int, last_day: date, reason: str, dry_run: bool, output: Output
    ) -> None:
        """Let a subscription end; its contract goes on. What was charged beyond is credited when the end has come.

        \b
        Example:
          csms contract unsubscribe 12 --last-day 2026-06-30 --reason "charger sold"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            await subscribing.end_subscription(connection, subscription, act, on=last_day + ONE_DAY)
            contract = await SQL.find_subscription.fetchval(connection, id=subscription)
            orders = await arisen(connection, contract, act)
        output.one({"contract": contract, "subscription": subscription} | orders | marked(dry_run))


def _add_terminate(group: click.Group, desk: Desk) -> None:
    @group.command("terminate")
    @click.argument("contract", metavar="ID")
    @click.option("--noticed", type=DAY, help="When notice was received; today unless said.")
    @click.option("--last-day", type=DAY, help="Its last day; the earliest by its terms unless said.")
    @click.option("--for-cause", is_flag=True, help="Its terms do not bind: on any day.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, noticed: date | None, last_day: date | None, for_cause: bool, reason: str,
        dry_run: bool, output: Output,
    ) -> None:  # fmt: skip
        """Give notice: the contract ends when its terms say. What was charged beyond is credited when the end has come.

        \b
        Examples:
          csms contract terminate HOME-12 --reason "letter of 2026-09-01" --dry-run
          csms contract terminate HOME-12 --for-cause --last-day 2026-09-30 --reason "moved abroad"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            until = None if last_day is None else last_day + ONE_DAY
            await ending.terminate(
                connection, contract, act, noticed_on=noticed, until=until, for_cause=for_cause
            )  # fmt: skip
            orders = await arisen(connection, contract, act)
            ended = await require(connection, contract, act)
        output.one(contract_sheet(ended, []) | orders | marked(dry_run))


def _add_renew(group: click.Group, desk: Desk) -> None:
    @group.command("renew")
    @click.argument("contract", metavar="ID")
    @click.option("--last-day", type=DAY, help="Another last day; without one as if no end had been said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, last_day: date | None, reason: str, dry_run: bool, output: Output
    ) -> None:
        """Let a contract go on that would end: notice is taken back, or its term is made longer.

        \b
        Examples:
          csms contract renew HOME-12 --reason "customer stays"
          csms contract renew DEPOT-7 --last-day 2029-12-31 --reason "addendum 2"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            until = None if last_day is None else last_day + ONE_DAY
            await ending.prolong(connection, contract, act, until=until)
            orders = await arisen(connection, contract, act)
            renewed = await require(connection, contract, act)
        output.one(contract_sheet(renewed, []) | orders | marked(dry_run))


def _add_discount(group: click.Group, desk: Desk) -> None:
    @group.command("add")
    @click.argument("contract", metavar="ID")
    @click.option("--label", required=True, help="As documents call it.")
    @click.option("--percent", type=DECIMAL)
    @click.option("--amount", type=DECIMAL, help="Of each period; on items once, shared by what they cost.")
    @click.option(
        "--on", "target", type=click.Choice([each.value for each in Target]), default="plans", show_default=True
    )
    @click.option("--only", metavar="NAME", help="Only this plan, or items of this kind of supply.")
    @click.option("--from", "first", type=DAY, help="Its first day; today unless said.")
    @click.option("--last-day", type=DAY, help="Its last day; for good unless said.")
    @click.option(
        "--periods", type=click.IntRange(1, 1000),
        help="Only for so many periods of each plan; those that are charged already do not count.",
    )  # fmt: skip
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, label: str, percent: Decimal | None, amount: Decimal | None, target: str,
        only: str | None, first: date | None, last_day: date | None, periods: int | None, reason: str, dry_run: bool,
        output: Output,
    ) -> None:  # fmt: skip
        """Give a discount on what is charged from now on; what was charged keeps its price.

        \b
        Examples:
          csms contract discount add HOME-12 --label "Welcome" --percent 50 --periods 3 --reason "spring offer"
          csms contract discount add DEPOT-7 --label "Framework" --amount 500 --on items --only hardware --reason "frame contract"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            start = first or today_of(await require(connection, contract, act), act)
            until = None if last_day is None else Offset.between(start, last_day + ONE_DAY)
            wanted = WantedDiscount(
                label=label,
                target=Target(target),
                percent=percent,
                amount=amount,
                until=until,
                periods=periods,
                only=only,
            )
            made = await discounting.add_discount(connection, contract, wanted, act, start=start)
            orders = await arisen(connection, contract, act)
        output.one({"contract": contract, "discount": made} | orders | marked(dry_run))


def _end_discount(group: click.Group, desk: Desk) -> None:
    @group.command("end")
    @click.argument("contract", metavar="ID")
    @click.argument("discount", type=NUMBER)
    @click.option("--last-day", type=DAY, required=True)
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, discount: int, last_day: date, reason: str, dry_run: bool, output: Output
    ) -> None:
        """Let a discount end; what was charged keeps it.

        \b
        Example:
          csms contract discount end HOME-12 3 --last-day 2026-12-31 --reason "offer is over"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            await discounting.end_discount(connection, contract, discount, act, on=last_day + ONE_DAY)
            orders = await arisen(connection, contract, act)
        output.one({"contract": contract, "discount": discount, "last_day": last_day} | orders | marked(dry_run))


def _add_token(group: click.Group, desk: Desk) -> None:
    @group.command("add")
    @click.argument("contract", metavar="ID")
    @click.option("--token", metavar="TOKEN")
    @click.option("--token-group", metavar="GROUP", help="They share the kWh that are in its plans.")
    @click.option("--from", "first", type=DAY, help="From which day on; today unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, token: str | None, token_group: str | None, first: date | None, reason: str,
        dry_run: bool, output: Output,
    ) -> None:  # fmt: skip
        """Say whose charging a contract is about. Sessions that began before get none of its kWh.

        \b
        Example:
          csms contract token add HOME-12 --token 04AB12CD --reason "new card"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            await bearing.add_token(connection, contract, act, token=token, token_group=token_group, on=first)
            await arisen(connection, contract, act)
            changed = await require(connection, contract, act)
        output.one(contract_sheet(changed, []) | marked(dry_run))


def _end_token(group: click.Group, desk: Desk) -> None:
    @group.command("end")
    @click.argument("contract", metavar="ID")
    @click.option("--token", metavar="TOKEN")
    @click.option("--token-group", metavar="GROUP")
    @click.option("--last-day", type=DAY, help="Yesterday unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, contract: str, token: str | None, token_group: str | None, last_day: date | None,
        reason: str, dry_run: bool, output: Output,
    ) -> None:  # fmt: skip
        """Say whose charging a contract is not about any more.

        \b
        Example:
          csms contract token end HOME-12 --token 04AB12CD --reason "card lost"
        """
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            on = None if last_day is None else last_day + ONE_DAY
            await bearing.end_token(connection, contract, act, token=token, token_group=token_group, on=on)
            await arisen(connection, contract, act)
            changed = await require(connection, contract, act)
        output.one(contract_sheet(changed, []) | marked(dry_run))
