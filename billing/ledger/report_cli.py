"""csms report: what the books say, for those who do not read postings. Rooms with reports of their own add them to the group."""

from __future__ import annotations

from datetime import date
from typing import Final

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import Connect
from billing.errors import ExitCode
from billing.ledger import service
from billing.ledger.balance import balances, sums_of
from billing.ledger.cli_options import AS_OF, SELLER, whose
from billing.ledger.open_items import Age, ageing, open_items
from billing.ledger.unbilled import charges_fallen_due, unbilled_values
from billing.money import Money

HELP = """Reports: from the books, as they stood on any day, and of what is not in them yet.

\b
Examples:
  csms report trial-balance --as-of 2026-03-31
  csms report open-items --by owner
  csms report unbilled
"""
TRIAL_COLUMNS: Final = ("account", "owner", "debit", "credit", "balance", "currency")
ITEM_COLUMNS: Final = (
    "account", "owner", "document", "opened_on", "due_on", "days_overdue", "age", "open", "currency",
)  # fmt: skip
AGE_COLUMNS: Final = ("account", "owner", *(each.value for each in Age), "total", "currency")
UNBILLED_COLUMNS: Final = (
    "site", "state", "sessions", "without_amount", "kwh", "excl_tax", "incl_tax", "currency",
)  # fmt: skip


def report_group(connect: Connect) -> click.Group:
    """The command group; `connect` gives its commands a connection."""
    group = click.Group("report", help=HELP)
    _add_trial_balance(group, connect)
    _add_open_items(group, connect)
    _add_unbilled(group, connect)
    return group


def _add_trial_balance(group: click.Group, connect: Connect) -> None:
    @group.command("trial-balance")
    @AS_OF
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, as_of: date | None, seller: str | None, output: Output) -> None:
        """List every account with its debits, credits and balance. Together they are zero, else exit status 6.

        \b
        Examples:
          csms report trial-balance --as-of 2026-03-31
          csms report trial-balance -o csv
        """
        async with connect(context) as connection:
            of, day = await whose(connection, seller, as_of)
            found = await balances(connection, of, as_of=day)
        output.rows([each.to_dict() for each in found], columns=TRIAL_COLUMNS)
        sums = sums_of(found)
        if output.format is Format.TABLE:
            for each in sums:
                debit, credit = Money(each.debit_minor, each.currency), Money(each.credit_minor, each.currency)
                output.note(f"{each.accounts} accounts: debit {debit}, credit {credit}")
        if any(each.difference_minor for each in sums):
            context.exit(ExitCode.FINDINGS)


def _add_open_items(group: click.Group, connect: Connect) -> None:
    @group.command("open-items")
    @AS_OF
    @click.option("--owner", metavar="OWNER", help="Only of this customer or party.")
    @click.option(
        "--by", "by", type=click.Choice(["document", "owner"]), default="document", show_default=True,
        help="A row for each document, or the ages of all that somebody owes.",
    )  # fmt: skip
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, as_of: date | None, owner: str | None, by: str, seller: str | None, output: Output
    ) -> None:
        """List what others owe, document by document, and since when it is due. Below zero: paid too much, or in advance.

        \b
        Examples:
          csms report open-items --as-of 2026-03-31
          csms report open-items --by owner -o csv
        """
        async with connect(context) as connection:
            of, day = await whose(connection, seller, as_of)
            found = await open_items(connection, of, as_of=day, owner=owner)
        if by == "owner":
            output.rows(ageing(found, day), columns=AGE_COLUMNS)
        else:
            output.rows([each.to_dict(day) for each in found], columns=ITEM_COLUMNS)


def _add_unbilled(group: click.Group, connect: Connect) -> None:
    @group.command("unbilled")
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, seller: str | None, output: Output) -> None:
        """List what sessions are worth that no document shows: billed ones, running, waiting and held ones.

        What runs, waits or is held has the amount of its last interim bill; without_amount tells how many have none. Charges of
        contracts that fell due and are on no document are counted beside it.

        \b
        Example:
          csms report unbilled -o json
        """
        async with connect(context) as connection:
            of = await service.the_seller(connection, seller)
            found = await unbilled_values(connection, of)
            due = await charges_fallen_due(connection, of)
        output.rows([each.to_dict() for each in found], columns=UNBILLED_COLUMNS)
        for each in due:
            output.note(
                f"fallen due of contracts and on no document: {each.amount} as agreed (charges: {each.charges});"
                " the next csms invoice run of each customer's rhythm takes them"
            )
