"""csms bill: what sessions were billed, and how each amount came about."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import click

from billing.bills import history
from billing.bills.dossier import explained, head_of
from billing.bills.history import Explanation
from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import SESSION_ID, Connect
from billing.errors import NotDone
from billing.sql import Connection
from billing.tariffs.ocpi_json import dump_json

HELP = """Bills: the interim and final amounts of sessions.

\b
Examples:
  csms bill list --session 42
  csms bill show 42
"""

COLUMNS = (
    "session", "kind", "seq", "as_of", "energy_wh", "total_excl_tax", "total_tax", "total_incl_tax", "payable", "currency",
    "tariff", "tariff_version",
)  # fmt: skip
LINE_COLUMNS = ("what", "since", "until", "quantity", "unit_price", "tariff", "rule", "tax", "excl_tax", "incl_tax")


NeverBilled: TypeAlias = "Callable[[Connection, int], Awaitable[NotDone | None]]"
"""What to say of a session that will never have a bill that counts; None where it may."""


def bill_group(connect: Connect, *, never_billed: NeverBilled | None = None) -> click.Group:
    """The command group; `connect` gives its commands a connection, `never_billed` knows what is not ours to know."""
    group = click.Group("bill", help=HELP)
    _add_list(group, connect)
    _add_show(group, connect, never_billed)
    _add_cdr(group, connect)
    return group


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--session", type=SESSION_ID, metavar="ID", help="All bills of this session, in order.")
    @click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Without --session.")
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, session: int | None, limit: int, output: Output) -> None:
        """List the bills of a session, or the bill that counts of each of the newest sessions.

        \b
        Examples:
          csms bill list --session 42 -o json
          csms bill list --limit 20
        """
        async with connect(context) as connection:
            if session is None:
                bills = await history.newest_of_all(connection, limit=limit)
            else:
                bills = await history.bills_of(connection, session)
        output.rows([bill.to_dict() for bill in bills], columns=COLUMNS)


def _add_show(group: click.Group, connect: Connect, never_billed: NeverBilled | None) -> None:
    @group.command()
    @click.argument("session", type=SESSION_ID)
    @click.option("--seq", type=click.IntRange(min=1), help="Which of its bills; the one that counts unless said.")
    @output_options
    @click.pass_context
    @async_command
    async def show(context: click.Context, session: int, seq: int | None, output: Output) -> None:
        """Show a bill of a session, line by line, recomputed from what it stored.

        \b
        Examples:
          csms bill show 42
          csms bill show 42 --seq 1 -o json
        """
        async with connect(context) as connection:
            never = None if seq is not None or never_billed is None else await never_billed(connection, session)
            if never is not None:
                raise never
            print_explanation(await history.explain_bill(connection, session, seq), output)


def _add_cdr(group: click.Group, connect: Connect) -> None:
    @group.command()
    @click.argument("session", type=SESSION_ID)
    @click.pass_context
    @async_command
    async def cdr(context: click.Context, session: int) -> None:
        """Write the figures of a session's OCPI 2.3.0 CDRs, one JSON object in each line.

        A corrected bill has three: the first CDR, the credit CDR that takes it back, and the new one. They hold what
        billing knows; address, coordinates, contract and parties are not among it.

        \b
        Example:
          csms bill cdr 42
        """
        async with connect(context) as connection:
            for each in await history.cdrs_of(connection, session):
                sys.stdout.write(dump_json(each) + "\n")


async def explain_session(connection: Connection, session: int, output: Output) -> None:
    """Print quantity x unit price x tariff version x rule x tax x rounding of the bill that counts."""
    print_explanation(await history.explain_bill(connection, session, None), output)


def print_explanation(explanation: Explanation, output: Output) -> None:
    """One object with its lines; for people the lines, then the bill."""
    if output.format is Format.TABLE and not output.fields:
        output.rows(history.lines_to_dicts(explanation.lines), columns=LINE_COLUMNS)
        output.one(head_of(explanation))
        return
    output.one(explained(explanation))
