"""csms invoice: documents made, looked at, and proved to be as they were issued."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import asyncpg
import click

from billing.accounts.options import REASON
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN, Connect, transaction
from billing.errors import ExitCode
from billing.invoices import service
from billing.invoices.cli_words import WHOSE
from billing.invoices.document import DocumentForm, DocumentKind
from billing.invoices.draft_cli import draft_group
from billing.invoices.e_invoice_cli import add_e_invoices
from billing.invoices.numbering import DEFAULTS
from billing.invoices.render_cli import Directory, add_render
from billing.invoices.rows import COLUMNS, document_row, listed_row
from billing.invoices.run_cli import add_run
from billing.invoices.self_bill_cli import add_self_bill
from billing.invoices.store import SQL

Actor = Callable[[], str]
OpenPool: TypeAlias = "Callable[[click.Context], AbstractAsyncContextManager[asyncpg.Pool[Any]]]"
SERIES_COLUMNS = ("seller", "kind", "form", "year", "pattern", "last", "issued_on")
FINDING_COLUMNS = ("number", "problem")
LIMIT_MAX = 1_000_000


def invoice_group(connect: Connect, *, open_pool: OpenPool, archive: Directory, actor: Actor) -> click.Group:
    """The command group on connections of whoever mounts it; `archive` is where documents are kept."""

    @click.group("invoice")
    def invoice() -> None:
        """Invoices: made from what was charged, numbered without a gap, never changed. To take one back: csms credit.

        \b
        Examples:
          csms invoice run --seller north --period 2026-03 --reason "March" --dry-run --sample 5
          csms invoice list --account C-1001
          csms invoice show R2026-000001
        """

    add_run(invoice, open_pool, actor)
    add_self_bill(invoice, connect, actor)
    _add_list(invoice, connect)
    _add_show(invoice, connect)
    _add_verify(invoice, connect)
    _add_series(invoice, connect, actor)
    add_render(invoice, connect, archive, actor)
    add_e_invoices(invoice, connect, archive)
    invoice.add_command(draft_group(connect, actor=actor))
    return invoice


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--seller", help="Only of this seller.")
    @click.option("--account", help="Only to this customer.")
    @click.option("--kind", type=click.Choice([each.value for each in DocumentKind]), help="Only these.")
    @click.option("--since", type=DAY, help="Only issued on this day or later.")
    @click.option("--until", type=DAY, help="Only issued on this day or before.")
    @click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=1000, show_default=True)
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        seller: str | None,
        account: str | None,
        kind: str | None,
        since: date | None,
        until: date | None,
        limit: int,
        output: Output,
    ) -> None:
        """List the newest documents, the latest at the end.

        \b
        Examples:
          csms invoice list --since 2026-04-01
          csms invoice list --account C-1001 -o json
        """
        async with connect(context) as connection:
            rows = await service.list_documents(
                connection, seller=seller, account=account, kind=kind, since=since, until=until, limit=limit
            )
        output.rows([listed_row(row) for row in rows], columns=COLUMNS)
        if len(rows) == limit:
            output.note(f"the newest {limit}; --limit shows more")


def _add_show(group: click.Group, connect: Connect) -> None:
    @group.command("show")
    @click.argument("number", metavar="NUMBER")
    @WHOSE
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, number: str, seller: str | None, output: Output) -> None:
        """Show a document as it was issued, what of it can still be credited, and when it was sent to whom.

        \b
        Example:
          csms invoice show R2026-000001 -o json
        """
        async with connect(context) as connection:
            found = await service.get(connection, number, seller=seller)
            left = await service.remaining_of(connection, found) if found.document.kind is DocumentKind.INVOICE else {}
            sent = [dict(row) for row in await SQL.sendings_of.fetch(connection, invoice=found.id)]
        output.one(document_row(found, left) | {"sent": sent})


def _add_verify(group: click.Group, connect: Connect) -> None:
    @group.command("verify")
    @click.option("--seller", help="Only documents of this seller.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, seller: str | None, output: Output) -> None:
        """Follow every series from its first document to its last. Silent where nothing is missing or changed; else exit status 6.

        \b
        Example:
          csms invoice verify
        """
        looked_at, findings = 0, []
        async with connect(context) as connection:
            async for each in service.verify(connection, seller):
                if isinstance(each, int):
                    looked_at += each
                else:
                    findings.append({"number": each.number, "problem": each.problem})
        if findings:
            output.rows(findings, columns=FINDING_COLUMNS)
            context.exit(ExitCode.FINDINGS)
        output.note(f"{looked_at} documents")


def _add_series(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.group("series")
    def series() -> None:
        """Series of numbers, and what they look like.

        \b
        Example:
          csms invoice series list
        """

    @series.command("list")
    @click.option("--seller", help="Only of this seller.")
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, seller: str | None, output: Output) -> None:
        """List the series that have begun, with how many documents each has.

        \b
        Example:
          csms invoice series list
        """
        async with connect(context) as connection:
            found = await service.series_of(connection, seller)
        output.rows(
            [
                {"seller": each.seller, "kind": each.kind, "form": each.form, "year": each.year or None,
                 "pattern": each.pattern, "last": each.last, "issued_on": each.issued_on}
                for each in found
            ],
            columns=SERIES_COLUMNS,
        )  # fmt: skip

    _add_series_set(series, connect, actor)


def _add_series_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.argument("seller", metavar="SELLER")
    @click.option(
        "--kind", type=click.Choice([each.value for each in DocumentKind]), default="invoice", show_default=True
    )
    @click.option("--form", type=click.Choice([each.value for each in DocumentForm]), default="full", show_default=True)
    @click.option("--pattern", required=True, help="Such as R{year}-{n:6}; without {year} the series never ends.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        seller: str,
        kind: str,
        form: str,
        pattern: str,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Say what the numbers of a seller's documents look like. A series that has begun keeps its look to its end.

        \b
        Examples:
          csms invoice series set north --pattern NORTH-{year}-{n:5} --reason "as in our books"
          csms invoice series set north --kind credit_note --pattern NC{n} --reason "as in our books"
        """
        which = (DocumentKind(kind), DocumentForm(form))
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            await service.set_pattern(
                connection, seller, *which, pattern, now=datetime.now(UTC), actor=actor(), reason=reason
            )
        row = {"seller": seller, "kind": kind, "form": form, "pattern": pattern, "default": DEFAULTS[which]}
        output.one(row | ({"dry_run": True} if dry_run else {}))
