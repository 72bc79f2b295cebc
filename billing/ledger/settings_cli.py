"""csms ledger map and csms ledger datev: what an operator says for exports."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, Connect, transaction
from billing.errors import NotFound
from billing.ledger import export_settings as settings
from billing.ledger import service
from billing.ledger.account_map import ANY, Mapped
from billing.ledger.cli_options import KIND, REASON, SELLER, Actor
from billing.ledger.datev import DatevSettings
from billing.ledger.entry import AccountKind

MAP_HELP = """By which numbers the general ledger knows accounts. A whole owner goes before a pattern, a longer one before a
shorter one. Files that were made keep the numbers they were made with.

\b
Examples:
  csms ledger map set bank 1200 --reason "chart SKR03"
  csms ledger map set tax_payable 'DE:S:19' 1776 --reason "chart SKR03"
  csms ledger map set receivable 10000 --reason "one account for all customers"
"""
DATEV_HELP = """What DATEV files bear: the numbers of the tax adviser and of the seller there, and its financial year.

\b
Example:
  csms ledger datev set --consultant 29098 --client 55003 --reason "as the adviser said"
"""
MAP_COLUMNS = ("account", "pattern", "number", "tax_key")


def map_group(connect: Connect, actor: Actor) -> click.Group:
    """`csms ledger map`."""
    group = click.Group("map", help=MAP_HELP)
    _add_map_set(group, connect, actor)
    _add_map_unset(group, connect, actor)
    _add_map_list(group, connect)
    return group


def _map_row(mapped: Mapped) -> dict[str, object]:
    return {"account": mapped.kind, "pattern": mapped.pattern, "number": mapped.number, "tax_key": mapped.tax_key}


def _add_map_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.argument("kind", type=KIND)
    @click.argument("pattern_and_number", nargs=-1, required=True, metavar="[OWNER-PATTERN] NUMBER")
    @click.option("--tax-key", metavar="KEY", help="DATEV's BU-Schluessel of lines on them, such as 40 for none.")
    @SELLER
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        kind: str,
        pattern_and_number: tuple[str, ...],
        tax_key: str | None,
        seller: str | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Give accounts of a kind their number: all of them, or those whose owner fits, where * is any characters.

        \b
        Examples:
          csms ledger map set revenue 'session:DE:*' 4400 --tax-key 40 --reason "chart SKR04"
        """
        match pattern_and_number:
            case (number,):
                pattern = ANY
            case (pattern, number):
                pass
            case _:
                raise click.UsageError("give a number, or an owner pattern and a number")
        mapped = Mapped(kind=AccountKind(kind), pattern=pattern, number=number, tax_key=tax_key)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            of = await service.the_seller(connection, seller)
            await settings.map_account(connection, of, mapped, reason=reason, actor=actor(), now=datetime.now(UTC))
        output.one(_map_row(mapped) | ({"dry_run": True} if dry_run else {}))


def _add_map_unset(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("unset")
    @click.argument("kind", type=KIND)
    @click.argument("pattern", default=ANY, metavar="[OWNER-PATTERN]")
    @SELLER
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        kind: str,
        pattern: str,
        seller: str | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Take a line out of the map.

        \b
        Example:
          csms ledger map unset revenue 'session:DE:*' --reason "by tax rate now"
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            of = await service.the_seller(connection, seller)
            await settings.unmap_account(
                connection, of, AccountKind(kind), pattern, reason=reason, actor=actor(), now=datetime.now(UTC)
            )
        output.one({"account": kind, "pattern": pattern, "number": None} | ({"dry_run": True} if dry_run else {}))


def _add_map_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, seller: str | None, output: Output) -> None:
        """List the lines of the map that hold now.

        \b
        Example:
          csms ledger map list
        """
        async with connect(context) as connection:
            of = await service.the_seller(connection, seller)
            found = await settings.mapped_as_of(connection, of, await settings.newest_map(connection, of))
        output.rows([_map_row(each) for each in found], columns=MAP_COLUMNS)


def datev_group(connect: Connect, actor: Actor) -> click.Group:
    """`csms ledger datev`."""
    group = click.Group("datev", help=DATEV_HELP)
    _add_datev_set(group, connect, actor)
    _add_datev_show(group, connect)
    return group


def _datev_row(said: DatevSettings) -> dict[str, object]:
    return {
        "consultant": said.consultant,
        "client": said.client,
        "account_digits": said.account_digits,
        "year_begins": said.year_begins,
    }


def _add_datev_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.option("--consultant", type=click.IntRange(1001, 9_999_999), required=True, help="Beraternummer.")
    @click.option("--client", type=click.IntRange(1, 99_999), required=True, help="Mandantennummer.")
    @click.option(
        "--account-digits", type=click.IntRange(4, 8), default=4, show_default=True, help="Sachkontennummernlaenge."
    )
    @click.option(
        "--year-begins", type=click.IntRange(1, 12), default=1, show_default=True, metavar="MONTH",
        help="With which month financial years begin.",
    )  # fmt: skip
    @SELLER
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        consultant: int,
        client: int,
        account_digits: int,
        year_begins: int,
        seller: str | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Say what DATEV files bear from now on.

        \b
        Example:
          csms ledger datev set --consultant 29098 --client 55003 --year-begins 7 --reason "as the adviser said"
        """
        said = DatevSettings(
            consultant=consultant, client=client, account_digits=account_digits, year_begins=year_begins
        )
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            of = await service.the_seller(connection, seller)
            await settings.set_datev(connection, of, said, reason=reason, actor=actor(), now=datetime.now(UTC))
        output.one(_datev_row(said) | ({"dry_run": True} if dry_run else {}))


def _add_datev_show(group: click.Group, connect: Connect) -> None:
    @group.command("show")
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, seller: str | None, output: Output) -> None:
        """Show what DATEV files bear.

        \b
        Example:
          csms ledger datev show
        """
        async with connect(context) as connection:
            of = await service.the_seller(connection, seller)
            found = await settings.datev_settings(connection, of)
        if found is None:
            raise NotFound(f"what DATEV files of {of} bear is not said yet", "say it: csms ledger datev set")
        output.one(_datev_row(found[1]))
