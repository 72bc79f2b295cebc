"""csms seller: the legal entities that sell, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import click

from billing.accounts import sellers
from billing.accounts.options import (
    BANK,
    CLEAR,
    REASON,
    bank_row,
    bank_with,
    party_options,
    party_row,
    party_with,
    said,
)
from billing.accounts.seller import Seller, SellerDetails, TaxRounding, zone_of
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.invoices.document import Party

Actor = Callable[[], str]
COLUMNS = ("id", "name", "country", "vat_id", "iban")
SITE_COLUMNS = ("site", "seller", "brand", "valid_from", "actor", "entered_at")
_BANK: Final = {**BANK, "iban": "IBAN of the account customers pay into."}
_REST: Final = {
    "creditor_id": "SEPA creditor identifier, for direct debits.",
    "footer": "A line at the foot of each page.",
    "reminders_to": "Address of yours that is told of deadlines of contracts.",
    "time_zone": "By whose days its documents are dated, such as Europe/Berlin; that of its country unless said.",
}


def seller_group(connect: Connect, *, actor: Actor) -> click.Group:
    """The command group on connections of whoever mounts it."""

    @click.group("seller")
    def seller() -> None:
        """Sellers: the legal entities whose name stands on documents, with their own number series and bank account.

        \b
        Examples:
          csms seller create north --name "Northern Example Energy GmbH" --street "Kai 1" --postal-code 20457 --city Hamburg --country DE --vat-id DE136695976 --iban DE89370400440532013000 --reason "first seller"
          csms seller site harbour --seller north --reason "sells at the harbour"
        """

    _add_create(seller, connect, actor)
    _add_set(seller, connect, actor)
    _add_reading(seller, connect)
    _add_site(seller, connect, actor)
    _add_sites(seller, connect)
    return seller


def _seller_options(command: Any) -> Any:
    for name, text in reversed({**_BANK, **_REST}.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, help=text)(command)
    rounding = click.option(
        "--tax-rounding", type=click.Choice([each.value for each in TaxRounding]),
        help="Of net prices; per_document unless said.",
    )  # fmt: skip
    return party_options(rounding(command))


def _add_create(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("create")
    @click.argument("id_", metavar="ID")
    @_seller_options
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, id_: str, reason: str, dry_run: bool, output: Output, **values: str | None
    ) -> None:
        """Make a seller known. Its documents need an address, and a VAT id or a tax number.

        \b
        Example:
          csms seller create north --name "Northern Example Energy GmbH" --street "Kai 1" --postal-code 20457 --city Hamburg --country DE --vat-id DE136695976 --iban DE89370400440532013000 --reason "first seller"
        """
        details = _with(SellerDetails(party=Party(name="", address=None)), said(values))
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            made = await sellers.create(
                connection, Seller(id=id_, details=details), now=datetime.now(UTC), actor=actor(), reason=reason
            )
        output.one(_shown(made) | ({"dry_run": True} if dry_run else {}))


def _add_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.argument("id_", metavar="ID")
    @_seller_options
    @CLEAR
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        /,
        id_: str,
        cleared: tuple[str, ...],
        reason: str,
        dry_run: bool,
        output: Output,
        **values: str | None,
    ) -> None:
        """Change what documents show of a seller from now on. What was issued stays as it is.

        \b
        Examples:
          csms seller set north --street "Kai 2" --reason moved
          csms seller set north --clear bic --reason "no longer asked for"
        """
        given = said(values, cleared)
        if not given:
            raise click.UsageError("say what to change")
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            changed = await sellers.change(
                connection, id_, lambda details: _with(details, given), now=datetime.now(UTC), actor=actor(),
                reason=reason,
            )  # fmt: skip
        output.one(_shown(changed) | ({"dry_run": True} if dry_run else {}))


def _with(details: SellerDetails, given: Mapping[str, Any]) -> SellerDetails:
    party = party_with(details.party, given)
    rest = {name: given[name] for name in _REST if name in given}
    if "tax_rounding" in given:
        rest["tax_rounding"] = TaxRounding(given["tax_rounding"] or TaxRounding.PER_DOCUMENT)
    return replace(details, party=party, bank=bank_with(details.bank, party, given), **rest)


def _add_reading(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @output_options
    @click.pass_context
    @async_command
    async def list_(context: click.Context, output: Output) -> None:
        """List sellers.

        \b
        Example:
          csms seller list -o json
        """
        async with connect(context) as connection:
            found = await sellers.list_sellers(connection)
        output.rows([_listed(each) for each in found], columns=COLUMNS)

    @group.command("show")
    @click.argument("id_", metavar="ID")
    @output_options
    @click.pass_context
    @async_command
    async def show(context: click.Context, id_: str, output: Output) -> None:
        """Show a seller, and where it sells since when.

        \b
        Example:
          csms seller show north
        """
        async with connect(context) as connection:
            found = await sellers.get(connection, id_)
            sites = await sellers.sites_of(connection, id_)
        output.one(_shown(found) | {"sites": [{"site": row["site"], "valid_from": row["valid_from"]} for row in sites]})


def _add_site(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("site")
    @click.argument("site", metavar="SITE")
    @click.option("--seller", required=True, help="Who sells there to drivers without a contract.")
    @click.option("--brand", help="Under which brand of the seller its receipts go out.")
    @click.option("--from", "valid_from", type=INSTANT, help="From when on; now unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        site: str,
        seller: str,
        brand: str | None,
        valid_from: datetime | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Say who sells at a site to drivers without a contract. What a contract's customer buys there, its seller sells.

        \b
        Example:
          csms seller site harbour --seller north --from 2026-01-01 --reason "sells at the harbour"
        """
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            row = await sellers.sell_at(
                connection,
                site,
                seller,
                brand=brand,
                valid_from=valid_from or now,
                now=now,
                actor=actor(),
                reason=reason,
            )
        output.one(row | ({"dry_run": True} if dry_run else {}))


def _add_sites(group: click.Group, connect: Connect) -> None:
    @group.command("sites")
    @output_options
    @click.pass_context
    @async_command
    async def sites(context: click.Context, output: Output) -> None:
        """List who sells at which site since when.

        \b
        Example:
          csms seller sites
        """
        async with connect(context) as connection:
            rows = await sellers.sites_of(connection)
        output.rows([{name: row[name] for name in SITE_COLUMNS} for row in rows], columns=SITE_COLUMNS)


def _listed(seller: Seller) -> dict[str, object]:
    party, bank = seller.details.party, seller.details.bank
    return {
        "id": seller.id,
        "name": party.name,
        "country": None if party.address is None else party.address.country,
        "vat_id": party.vat_id,
        "iban": None if bank is None else bank.iban,
    }


def _shown(seller: Seller) -> dict[str, object]:
    return {
        "id": seller.id,
        **party_row(seller.details.party),
        "bank": bank_row(seller.details.bank),
        "creditor_id": seller.details.creditor_id,
        "footer": seller.details.footer,
        "reminders_to": seller.details.reminders_to,
        "tax_rounding": seller.details.tax_rounding.value,
        "time_zone": zone_of(seller),
    }
