"""csms invoice draft: documents to look at before they are issued."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import click

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.options import REASON
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN, Connect, transaction
from billing.invoices import drafts
from billing.invoices.cli_words import ISSUED_ON, day_of_issue
from billing.invoices.drafts import Draft
from billing.invoices.rows import short_row

Actor = Callable[[], str]
COLUMNS = ("id", "account", "currency", "sources", "until", "state", "number", "actor", "created_at")


def draft_group(connect: Connect, *, actor: Actor) -> click.Group:
    """The command group on connections of whoever mounts it."""

    @click.group("draft")
    def draft() -> None:
        """Drafts: what an invoice would be, to look at before it is issued or given up. Runs leave its customer alone.

        \b
        Example:
          csms invoice draft create C-1001 --until 2026-03-31 --reason "to look at"
        """

    _add_create(draft, connect, actor)
    _add_reading(draft, connect)
    _add_ends(draft, connect, actor)
    return draft


def _add_create(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("create")
    @click.argument("account", metavar="ACCOUNT")
    @click.option("--until", type=DAY, help="The last day that counts; today where the seller is unless said.")
    @click.option("--currency", help="Only what is to pay in this currency.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        account: str,
        until: date | None,
        currency: str | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Make a draft of what a customer has to pay; one for each currency.

        \b
        Example:
          csms invoice draft create C-1001 --until 2026-03-31 --reason "to look at"
        """
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            seller = (await accounts.get(connection, account)).seller
            today = await sellers.today_at(connection, seller, now=now)
            made = await drafts.create(
                connection, account, currency=currency, until=until or today, issued_on=today, now=now, actor=actor(),
                reason=reason,
            )  # fmt: skip
        output.rows([_row(each) | ({"dry_run": True} if dry_run else {}) for each in made])


def _add_reading(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--all", "every", is_flag=True, help="Those that were issued or given up too.")
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, every: bool, output: Output) -> None:
        """List drafts.

        \b
        Example:
          csms invoice draft list
        """
        async with connect(context) as connection:
            rows = await drafts.list_drafts(connection, every=every)
        output.rows(rows, columns=COLUMNS)

    @group.command("show")
    @click.argument("id_", metavar="DRAFT", type=click.IntRange(1))
    @output_options
    @click.pass_context
    @async_command
    async def show(context: click.Context, id_: int, output: Output) -> None:
        """Show an open draft, worked out anew; refused if it would no longer be what it was.

        \b
        Example:
          csms invoice draft show 12
        """
        async with connect(context) as connection:
            today = day_of_issue(await drafts.seller_of(connection, id_), None, now=datetime.now(UTC))
            found = await drafts.look_at(connection, id_, issued_on=today)
        lines = [
            {"name": line.name, "net": found.document.money(line.net_minor).text,
             "gross": found.document.money(line.gross_minor).text, "source": line.source}
            for line in found.document.lines
        ]  # fmt: skip
        output.one(_row(found) | {"lines": lines})


def _add_ends(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("issue")
    @click.argument("id_", metavar="DRAFT", type=click.IntRange(1))
    @ISSUED_ON
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def issue(
        context: click.Context, id_: int, issued_on: date | None, reason: str, dry_run: bool, output: Output
    ) -> None:
        """Issue a draft as it was looked at: from then on it is an invoice that nobody changes.

        \b
        Example:
          csms invoice draft issue 12 --reason "looked at"
        """
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            day = day_of_issue(await drafts.seller_of(connection, id_), issued_on, now=now)
            issued = await drafts.issue_draft(connection, id_, issued_on=day, now=now, actor=actor(), reason=reason)
        output.one(short_row(issued.document) | ({"dry_run": True} if dry_run else {}))

    @group.command("void")
    @click.argument("id_", metavar="DRAFT", type=click.IntRange(1))
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def void(context: click.Context, id_: int, reason: str, dry_run: bool, output: Output) -> None:
        """Give a draft up. What it was for is taken by the next run.

        \b
        Example:
          csms invoice draft void 12 --reason "the tariff was wrong"
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            await drafts.void(connection, id_, now=datetime.now(UTC), actor=actor(), reason=reason)
        output.one({"draft": id_, "state": "void"} | ({"dry_run": True} if dry_run else {}))


def _row(draft: Draft) -> dict[str, object]:
    short = short_row(draft.document)
    return {
        "draft": draft.id,
        "account": draft.account,
        "until": draft.until,
        **{name: short[name] for name in ("net", "tax", "gross", "currency", "due_on")},
        "sources": len({line.source for line in draft.document.lines}),
    }
