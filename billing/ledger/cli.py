"""csms ledger: what is in the books, whether it is right, by which rules it came there, and what leaves them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN, Connect, transaction
from billing.errors import ExitCode
from billing.ledger import check, service
from billing.ledger.balance import balances
from billing.ledger.cli_options import AS_OF, KIND, REASON, SELLER, Actor, whose
from billing.ledger.entry import AccountKind
from billing.ledger.export_cli import add_export, add_exports
from billing.ledger.posting_rules import rule_rows
from billing.ledger.settings_cli import datev_group, map_group
from billing.ledger.store import SQL
from billing.money import Money

HELP = """The ledger: every business fact as an entry that sums to zero, entered once and never changed.

\b
Examples:
  csms ledger balance --account receivable
  csms ledger postings --document R2026-000017
  csms ledger check
"""
BALANCE_COLUMNS: Final = ("account", "owner", "debit", "credit", "balance", "currency")
POSTING_COLUMNS: Final = (
    "entry", "booked_on", "fact_on", "fact", "account", "owner", "document", "debit", "credit", "currency", "text",
)  # fmt: skip
RULE_COLUMNS: Final = ("fact", "side", "account", "amount", "what")


def ledger_group(connect: Connect, *, actor: Actor) -> click.Group:
    """The command group; `connect` gives its commands a connection, `actor` says who gives them."""
    group = click.Group("ledger", help=HELP, commands=[map_group(connect, actor), datev_group(connect, actor)])
    for add in (_add_balance, _add_accounts, _add_postings, _add_check, add_exports):
        add(group, connect)
    _add_rules(group)
    _add_reverse(group, connect, actor)
    add_export(group, connect, actor)
    return group


def _add_balance(group: click.Group, connect: Connect) -> None:
    @group.command("balance")
    @click.option("--account", "kind", type=KIND, help="Only accounts of this kind.")
    @click.option("--owner", metavar="OWNER", help="Only what is this customer's, partner's, tax's.")
    @AS_OF
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        kind: str | None,
        owner: str | None,
        as_of: date | None,
        seller: str | None,
        output: Output,
    ) -> None:
        """Show what accounts come to. Above zero: more was debited than credited.

        \b
        Examples:
          csms ledger balance --account receivable --owner C-1001
          csms ledger balance --as-of 2026-03-31 -o json
        """
        wanted = None if kind is None else AccountKind(kind)
        async with connect(context) as connection:
            of, day = await whose(connection, seller, as_of)
            found = await balances(connection, of, as_of=day, kind=wanted, owner=owner)
        output.rows([each.to_dict() for each in found], columns=BALANCE_COLUMNS)


def _add_accounts(group: click.Group, connect: Connect) -> None:
    @group.command("accounts")
    @click.option("--account", "kind", type=KIND, help="Only of this kind.")
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, kind: str | None, seller: str | None, output: Output) -> None:
        """List the accounts on which anything was ever posted.

        \b
        Example:
          csms ledger accounts --account tax_payable
        """
        async with connect(context) as connection:
            of = await service.the_seller(connection, seller)
            rows = await SQL.accounts_of.fetch(connection, seller=of, kind=kind)
        output.rows(
            [{"account": row["kind"], "owner": row["owner"], "currency": row["currency"]} for row in rows],
            columns=("account", "owner", "currency"),
        )


def _add_postings(group: click.Group, connect: Connect) -> None:
    @group.command("postings")
    @click.option("--account", "kind", type=KIND, help="Only on accounts of this kind.")
    @click.option("--owner", metavar="OWNER", help="Only on accounts of this customer, partner, tax.")
    @click.option("--document", metavar="NUMBER", help="Only of this document, or for it.")
    @click.option("--entry", type=click.IntRange(min=1), metavar="ENTRY", help="Only of this entry.")
    @click.option("--from", "first", type=DAY, help="Only what is booked on this day or later.")
    @click.option("--to", "last", type=DAY, help="Only what is booked on this day or before.")
    @click.option(
        "--limit", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="The newest so many."
    )
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, /, seller: str | None, output: Output, **wanted: Any) -> None:
        """List postings, in the order of their entries. A late fact is booked later than it happened.

        \b
        Examples:
          csms ledger postings --account receivable --owner C-1001
          csms ledger postings --entry 4711 -o json
        """
        async with connect(context) as connection:
            of = await service.the_seller(connection, seller)
            rows = await SQL.postings_on.fetch(connection, seller=of, **wanted)
        output.rows([_posting_row(row) for row in rows], columns=POSTING_COLUMNS)
        if output.format is Format.TABLE and len(rows) == wanted["limit"]:
            output.note("there may be more: raise --limit, or say which")


def _posting_row(row: Any) -> dict[str, object]:
    minor, currency = row["amount_minor"], row["currency"]
    return {
        "entry": row["entry"],
        "posting": row["n"],
        "booked_on": row["booked_on"],
        "fact_on": row["fact_on"],
        "fact": row["fact"],
        "account": row["kind"],
        "owner": row["owner"],
        "document": row["document"],
        "due_on": row["due_on"],
        "debit": Money(minor, currency).text if minor > 0 else None,
        "credit": Money(-minor, currency).text if minor < 0 else None,
        "currency": currency,
        "text": row["text"],
        "reverses": row["reverses"],
    }


def _add_check(group: click.Group, connect: Connect) -> None:
    @group.command("check")
    @click.option("--seller", metavar="ID", help="Only these books; all unless said.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, seller: str | None, output: Output) -> None:
        """Recompute what the books promise. Silent where all is right; else exit status 6 and what is wrong.

        \b
        Examples:
          csms ledger check
          csms ledger check --seller acme -o json
        """
        async with connect(context) as connection:
            of = None if seller is None else await service.the_seller(connection, seller)
            found = await check.check(connection, of)
        if found:
            output.rows([each.to_dict() for each in found], columns=("check", "seller", "subject", "message"))
            context.exit(ExitCode.FINDINGS)


def _add_rules(group: click.Group) -> None:
    @group.command("rules")
    @output_options
    def command(output: Output) -> None:
        """Print on which accounts each business fact is posted.

        \b
        Example:
          csms ledger rules
        """
        output.rows(rule_rows(), columns=RULE_COLUMNS)


def _add_reverse(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("reverse")
    @click.argument("entry", type=click.IntRange(min=1))
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, entry: int, reason: str, dry_run: bool, output: Output) -> None:
        """Take an entry back by its exact negative. What a document says is taken back by a credit note instead.

        \b
        Examples:
          csms ledger reverse 4711 --reason "paid to another account" --dry-run
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            posted = await service.reverse_by_hand(
                connection, entry, reason=reason, now=datetime.now(UTC), actor=actor()
            )
            booked, _ = await service.find_entry(connection, posted.id)
            rows = await SQL.postings_on.fetch(
                connection, seller=booked.entry.seller, kind=None, owner=None, document=None, entry=posted.id, first=None,
                last=None, limit=len(booked.entry.postings) + 1,
            )  # fmt: skip
        more = {"dry_run": True} if dry_run else {}
        output.rows([_posting_row(row) | more for row in rows], columns=POSTING_COLUMNS)
