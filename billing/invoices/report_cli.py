"""csms report revenue and csms report tax: what documents say, added up by the days on which the ledger has them."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, Connect
from billing.invoices.store import SQL
from billing.ledger import service as ledger
from billing.money import Money

BY: Final = ("site", "charge_point", "tariff", "channel", "kind", "month")
REVENUE_COLUMNS: Final = ("of", "lines", "kwh", "net", "tax", "gross", "currency")
TAX_COLUMNS: Final = ("country", "category", "rate", "documents", "net", "tax", "currency")
_SELLER = click.option("--seller", help="Whose documents; may be left out where there is one seller.")
_SINCE = click.option("--since", type=DAY, help="Only documents booked on this day or later.")
_UNTIL = click.option("--until", type=DAY, help="Only documents booked on this day or before.")


def add_document_reports(group: click.Group, connect: Connect) -> None:
    """Give the reports of documents to the group."""
    _add_revenue(group, connect)
    _add_tax(group, connect)


def _add_revenue(group: click.Group, connect: Connect) -> None:
    @group.command("revenue")
    @click.option("--by", type=click.Choice(BY), default="site", show_default=True, help="What is added up together.")
    @_SINCE
    @_UNTIL
    @_SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, by: str, since: date | None, until: date | None, seller: str | None, output: Output
    ) -> None:
        """Add up what documents charge, less what credit notes take back. Lines that are no session have no site.

        The sums are those of the ledger, of any days: net is revenue and rounding, tax is tax payable. A document is booked
        on its day of issue, or where that month is locked on the first day of the next open one: what was reported of a
        locked month stays so.

        \b
        Examples:
          csms report revenue --by charge_point --since 2026-03-01 --until 2026-03-31
          csms report revenue --by channel -o csv
        """
        async with connect(context) as connection:
            of = await ledger.the_seller(connection, seller)
            rows = await SQL.revenue.fetch(connection, seller=of, by=by, since=since, until=until)
        output.rows([_revenue_row(row) for row in rows], columns=REVENUE_COLUMNS)


def _add_tax(group: click.Group, connect: Connect) -> None:
    @group.command("tax")
    @_SINCE
    @_UNTIL
    @_SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, since: date | None, until: date | None, seller: str | None, output: Output
    ) -> None:
        """Add up taxes by country, category and rate: what documents charge, less what credit notes take back.

        By the days on which the ledger has them, as `csms report revenue`: what was reported of a locked month stays so.

        \b
        Example:
          csms report tax --since 2026-01-01 --until 2026-03-31
        """
        async with connect(context) as connection:
            of = await ledger.the_seller(connection, seller)
            rows = await SQL.taxes_charged.fetch(connection, seller=of, since=since, until=until)
        output.rows([_tax_row(row) for row in rows], columns=TAX_COLUMNS)


def _revenue_row(row: Any) -> dict[str, object]:
    currency = row["currency"]
    return {
        "of": row["of"],
        "lines": row["lines"],
        "kwh": format(row["kwh"], ".3f"),
        **{name: Money(row[f"{name}_minor"], currency).text for name in ("net", "tax", "gross")},
        "currency": currency,
    }


def _tax_row(row: Any) -> dict[str, object]:
    currency = row["currency"]
    return {
        "country": row["country"],
        "category": row["tax_category"],
        "rate": format(row["tax_rate"], "f"),
        "documents": row["documents"],
        "net": Money(row["net_minor"], currency).text,
        "tax": Money(row["tax_minor"], currency).text,
        "currency": currency,
    }
