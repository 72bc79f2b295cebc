"""csms tax: what customers are to the tax office, and which rule decides for a part of a bill."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.errors import ExitCode
from billing.rating.rating import ComponentName
from billing.tariffs.assignment_cli import PlaceOf
from billing.taxes import service
from billing.taxes.rule_cli import Actor, rule_group
from billing.taxes.store import Bearer, CustomerSaid
from billing.taxes.supply_parameter import SUPPLY
from billing.taxes.tax_decision import Judged, RuleVerdict
from billing.taxes.tax_rule import SUPPLIES, CustomerKind, Supplied

HELP = """Taxes by rule: which VAT a session bears by country, customer, supply and day.

\b
Examples:
  csms tax rule add DE-2021 --country DE --rate 19 --category S --from 2021-01-01
  csms tax which --cp CP-001 --token 04AB12CD
"""
CUSTOMER_HELP = """Customers as taxes see them: private or business, with or without a VAT id.

\b
Examples:
  csms tax customer set --token-group VANS --kind business --vat-id NL123456789B01
  csms tax customer list
"""
CUSTOMER_COLUMNS = ("token", "token_group", "kind", "vat_id", "valid_from", "entered_at")
WHICH_COLUMNS = ("supply", "applies", "rule", "rate", "category", "why")


def tax_group(connect: Connect, *, place_of: PlaceOf, actor: Actor) -> click.Group:
    """The command group; `place_of` knows where somebody would charge, `actor` who gives the command."""
    customer = click.Group("customer", help=CUSTOMER_HELP)
    _add_set(customer, connect, actor)
    _add_list(customer, connect)
    group = click.Group("tax", help=HELP, commands=[rule_group(connect, actor), customer])
    _add_which(group, connect, place_of)
    return group


def _add_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.option("--token", metavar="TOKEN", help="The holder of this token; goes before its group.")
    @click.option("--token-group", metavar="GROUP", help="Everybody with a token of this group.")
    @click.option("--kind", type=click.Choice([each.value for each in CustomerKind]), required=True)
    @click.option("--vat-id", metavar="ID", help="With its country, such as DE123456789; only the form is checked.")
    @click.option("--from", "valid_from", type=INSTANT, help="From when on; now unless said.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        token: str | None,
        token_group: str | None,
        kind: str,
        vat_id: str | None,
        valid_from: datetime | None,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Say what the holder of a token, or of every token of a group, is. Of whom nothing is said is private.

        It counts for bills that are made from now on, where the tax point is at or after --from.

        \b
        Examples:
          csms tax customer set --token-group VANS --kind business --vat-id NL123456789B01 --from 2026-01-01
          csms tax customer set --token 04AB12CD --kind private --dry-run
        """
        if (token is None) == (token_group is None):
            raise click.UsageError("give either --token or --token-group")
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            said = await service.set_customer(
                connection, _bearer(token, token_group), kind=CustomerKind(kind), vat_id=vat_id,
                valid_from=valid_from or now, now=now, actor=actor(),
            )  # fmt: skip
        output.one(_customer_row(said) | ({"dry_run": True} if dry_run else {}))


def _bearer(token: str | None, token_group: str | None) -> Bearer:
    """Token ids compare case-insensitively (OCPP)."""
    return Bearer(token=None if token is None else token.strip().upper(), token_group=token_group)


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, output: Output) -> None:
        """List everything that was said of customers, as it was entered; the later begin counts, then the later entry.

        \b
        Example:
          csms tax customer list -o json
        """
        async with connect(context) as connection:
            said = await service.customers_said(connection)
        output.rows([_customer_row(each) for each in said], columns=CUSTOMER_COLUMNS)


def _add_which(group: click.Group, connect: Connect, place_of: PlaceOf) -> None:
    @group.command("which")
    @click.option("--cp", "charge_point", metavar="CP", required=True, help="Where somebody would charge.")
    @click.option("--token", metavar="TOKEN", help="Who would charge; a private customer unless said.")
    @click.option("--at", type=INSTANT, help="The tax point: when the session ends; now unless said.")
    @click.option("--supply", type=SUPPLY, help=f"Only this: {SUPPLIES}.")
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        charge_point: str,
        token: str | None,
        at: datetime | None,
        supply: Supplied | None,
        output: Output,
    ) -> None:
        """Say which tax rule decides for each part of a bill, and of every other rule why it does not.

        Exit status 6 if one is not decided: a session that may be billed it is held tax_undecided.

        \b
        Examples:
          csms tax which --cp CP-001 --token 04AB12CD
          csms tax which --cp CP-001 --at 2026-12-31T23:59:59+01:00 --supply energy -o json
        """
        when = at or datetime.now(UTC)
        parts: list[Supplied] = list(ComponentName) if supply is None else [supply]
        async with connect(context) as connection:
            place = await place_of(connection, charge_point, token, when)
            bearer = _bearer(token, place.customer.token_group)
            found = await service.which(connection, site=place.site, bearer=bearer, at=when, parts=parts)
        output.rows([_verdict_row(part, each) for part in found.parts for each in part.verdicts], columns=WHICH_COLUMNS)
        if output.format is Format.TABLE:
            output.note(str(found.supply))
            if not found.parts:
                output.note(f"{found.supply.country} has no tax rules: the tariff's own VAT holds")
            for part in found.parts:
                if part.open is not None:
                    output.note(f"{part.component.value}: {part.open}")
        if any(part.open is not None for part in found.parts):
            context.exit(ExitCode.FINDINGS)


def _verdict_row(part: Judged, each: RuleVerdict) -> dict[str, object]:
    rule = each.rule
    return {
        "supply": part.component.value,
        "applies": each.applies,
        "rule": rule.id,
        "rate": format(rule.rate, "f"),
        "category": rule.category.value,
        "note": rule.note,
        "why": each.why,
    }


def _customer_row(each: CustomerSaid) -> dict[str, object]:
    return {
        "token": each.token,
        "token_group": each.token_group,
        "kind": each.customer.kind,
        "vat_id": each.customer.vat_id,
        "valid_from": each.valid_from,
        "actor": each.actor,
        "entered_at": each.entered_at,
    }
