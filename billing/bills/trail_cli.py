"""csms tariff trail: who published a tariff when, and which open sessions came to it or left it."""

from __future__ import annotations

import click

from billing.bills import history
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import Connect
from billing.tariffs import service

COLUMNS = (
    "at", "act", "tariff", "version", "valid_from", "session", "tariff_before", "version_before", "before_incl_tax",
    "after_incl_tax", "currency", "reason", "legal_basis", "actor",
)  # fmt: skip


def trail_command(connect: Connect) -> click.Command:
    """The command; `connect` gives it a connection."""

    @click.command("trail")
    @click.argument("id_", metavar="ID")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: str, output: Output) -> None:
        """List what was published of a tariff, and which open sessions were given it or lost it, in order of time.

        \b
        Example:
          csms tariff trail day -o json
        """
        async with connect(context) as connection:
            await service.show(connection, id_)
            output.rows(await history.trail_of_tariff(connection, id_), columns=COLUMNS)

    return command
