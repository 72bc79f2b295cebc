"""csms mail suppression: addresses that are not written to."""

from __future__ import annotations

from collections.abc import Callable

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, Connect, transaction
from billing.mail import operating

COLUMNS = ("address", "since", "status", "delivery", "key", "account", "lifted_at", "lifted_by", "lifted_reason")
HELP = """Addresses that are not written to, since a mail server has said that nobody is there.

Mails to them are queued all the same, and fail as suppressed: the customer needs another address, or the mistake was the
server's and the suppression is lifted.

\b
Examples:
  csms mail suppression list
  csms mail suppression lift anna@customer.example --reason "the mailbox is there again"
"""


def suppression_group(connect: Connect, actor: Callable[[], str]) -> click.Group:
    """The command group; `connect` gives its commands a connection, `actor` says who gives them."""
    group = click.Group("suppression", help=HELP)
    _add_list(group, connect)
    _add_lift(group, connect, actor)
    return group


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--lifted", is_flag=True, help="Also those that were lifted.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, lifted: bool, output: Output) -> None:
        """List addresses that are not written to, and the mail that told of it.

        \b
        Example:
          csms mail suppression list -o json
        """
        async with connect(context) as connection:
            found = await operating.list_suppressions(connection, lifted=lifted)
        output.rows(found, columns=COLUMNS)


def _add_lift(group: click.Group, connect: Connect, actor: Callable[[], str]) -> None:
    @group.command("lift")
    @click.argument("address")
    @click.option("--reason", required=True, help="Why; kept for ever.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, address: str, reason: str, dry_run: bool, output: Output) -> None:
        """Write to an address again. Mails that failed meanwhile are sent by csms mail retry.

        \b
        Example:
          csms mail suppression lift anna@customer.example --reason "the mailbox is there again"
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            lifted = await operating.lift(connection, address, actor=actor(), reason=reason)
        output.one(lifted | ({"dry_run": True} if dry_run else {}))
