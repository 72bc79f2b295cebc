"""csms credit: what was invoiced is taken back, in whole, in part, or for something better."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import click

from billing.accounts import sellers
from billing.accounts.options import REASON
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN, SESSION_ID, Connect, transaction
from billing.invoices import service
from billing.invoices.cli_words import ISSUED_ON, WHOSE, day_of_issue
from billing.invoices.document import DocumentKind
from billing.invoices.reissuing import reissue
from billing.invoices.rows import COLUMNS, listed_row, short_row
from billing.money import minor_digits

Actor = Callable[[], str]
_LINE = re.compile(r"([1-9][0-9]{0,6})(?:=([0-9]{1,12}(?:\.[0-9]{1,4})?))?")


def credit_group(connect: Connect, *, actor: Actor) -> click.Group:
    """The command group on connections of whoever mounts it."""

    @click.group("credit")
    def credit() -> None:
        """Credit notes: the only way to take an invoice back.

        \b
        Examples:
          csms credit create R2026-000001 --reason "charged twice"
          csms credit correct 4711 --reason "late readings"
          csms credit reissue R2026-000001 --reason "their order number was missing"
        """

    _add_create(credit, connect, actor)
    _add_correct(credit, connect, actor)
    _add_reissue(credit, connect, actor)
    _add_list(credit, connect)
    return credit


def _add_create(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("create")
    @click.argument("number", metavar="NUMBER")
    @WHOSE
    @click.option(
        "--line",
        "lines",
        multiple=True,
        metavar="N[=AMOUNT]",
        help="Only this line, or so much of it; may come more than once. The amount is with tax where the document's lines are.",
    )
    @ISSUED_ON
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        number: str,
        seller: str | None,
        lines: tuple[str, ...],
        issued_on: date | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Take back an invoice: all that remains of it, or of single lines. Never more than was charged.

        \b
        Examples:
          csms credit create R2026-000001 --reason "charged twice" --dry-run
          csms credit create R2026-000001 --line 3 --line 4=2.50 --reason "display was broken"
        """
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            found = await service.get(connection, number, seller=seller)
            left = await service.remaining_of(connection, found)
            wanted = _wanted(lines, left, found.document.currency) if lines else None
            day = day_of_issue(await sellers.get(connection, found.seller), issued_on, now=now)
            issued = await service.credit_invoice(
                connection, number, seller=found.seller, wanted=wanted, issued_on=day, now=now,
                actor=actor(), reason=reason,
            )  # fmt: skip
        output.one(short_row(issued.document) | ({"dry_run": True} if dry_run else {}))
        if not lines:
            output.note(f"what {number} charged stays taken back; csms credit reissue {number} charges it anew")


def _wanted(lines: Sequence[str], left: dict[int, int], currency: str) -> dict[int, int]:
    wanted: dict[int, int] = {}
    digits = minor_digits(currency)
    for text in lines:
        found = _LINE.fullmatch(text)
        if found is None:
            raise click.UsageError(f"{text!r} is no line: write its number, or number=amount such as 3=2.50")
        position = int(found[1])
        if position in wanted:
            raise click.UsageError(f"line {position} is named twice")
        if found[2] is None:
            wanted[position] = left.get(position, 0)
            continue
        minor = Decimal(found[2]).scaleb(digits)
        if minor != minor.to_integral_value():
            raise click.UsageError(f"{found[2]} has more decimals than {currency}")
        wanted[position] = int(minor)
    return wanted


def _add_correct(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("correct")
    @click.argument("session", type=SESSION_ID)
    @ISSUED_ON
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, session: int, issued_on: date | None, reason: str, dry_run: bool, output: Output
    ) -> None:
        """Credit what a session was invoiced for, and invoice the bill that counts now, in one act.

        The bill that counts is made by csms session rerate.

        \b
        Example:
          csms credit correct 4711 --reason "late readings"
        """
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            day = day_of_issue(await service.seller_of_session(connection, session), issued_on, now=now)
            done = await service.correct_session(
                connection, session, issued_on=day, now=now, actor=actor(), reason=reason
            )
        made = [each.document for each in (done.credit_note, done.invoice) if each is not None]
        output.rows([short_row(each) | ({"dry_run": True} if dry_run else {}) for each in made])
        if done.credit_note and done.invoice and done.given_before_minor:
            given, new = done.invoice.document.money(done.given_before_minor), done.invoice.document.number
            output.note(
                f"{given} had been credited of it before and is charged again: csms credit create {new} if it stays given"
            )


def _add_reissue(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("reissue")
    @click.argument("number", metavar="NUMBER")
    @WHOSE
    @ISSUED_ON
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        number: str,
        seller: str | None,
        issued_on: date | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Take an invoice back and issue it anew, with what is known of seller and customer by now, in one act.

        For a wrong address, a missing reference, another bank account. Lines, amounts and taxes stay as they were: another
        price is csms session rerate and csms credit correct. An invoice that is credited as a whole is only issued anew. What
        was taken back of a fee that ended is taken back of the new invoice too, by a credit note of its own.

        \b
        Examples:
          csms credit reissue R2026-000001 --reason "their order number was missing" --dry-run
          csms credit reissue R2026-000001 --reason "their order number was missing"
        """
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            found = await service.get(connection, number, seller=seller)
            day = day_of_issue(await sellers.get(connection, found.seller), issued_on, now=now)
            done = await reissue(
                connection, number, seller=found.seller, issued_on=day, now=now, actor=actor(), reason=reason
            )
        three = (done.credit_note, done.invoice, done.no_longer_owed)
        made = [each.document for each in three if each is not None]
        output.rows([short_row(each) | ({"dry_run": True} if dry_run else {}) for each in made])


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--account", help="Only to this customer.")
    @click.option("--since", type=DAY, help="Only issued on this day or later.")
    @click.option("--limit", type=click.IntRange(1, 1_000_000), default=1000, show_default=True)
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, account: str | None, since: date | None, limit: int, output: Output
    ) -> None:
        """List the newest credit notes, the latest at the end.

        \b
        Example:
          csms credit list --since 2026-04-01
        """
        async with connect(context) as connection:
            rows = await service.list_documents(
                connection,
                seller=None,
                account=account,
                kind=DocumentKind.CREDIT_NOTE,
                since=since,
                until=None,
                limit=limit,
            )
        output.rows([listed_row(row) for row in rows], columns=COLUMNS)
