"""csms tax rule: the rules as operators enter, end and list them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, BinaryIO, TypeAlias

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN, Connect, transaction
from billing.errors import Refused
from billing.taxes import service
from billing.taxes.rules_csv import rules_from_csv
from billing.taxes.store import StoredRule
from billing.taxes.supply_parameter import SUPPLY
from billing.taxes.tax_rule import SUPPLIES, Category, CustomerKind, TaxRule, VatIdAsked

Actor: TypeAlias = Callable[[], str]
"""Who gives a command."""

FILE_BYTES_MAX = 4_000_000
COLUMNS = (
    "id", "country", "customer", "vat_id", "supply", "rate", "category", "valid_from", "valid_to", "withdrawn", "note",
)  # fmt: skip
HELP = """Tax rules: from a day to a day, this rate for such customers and supplies of a country.

Of the rules that fit, the one decides that asks for all that the others ask, and more. Where none fits, or two fit and
neither asks for more, the session is held tax_undecided. A country without any rule keeps the tariffs' own VAT.

\b
Examples:
  csms tax rule add DE-2021 --country DE --rate 19 --category S --from 2021-01-01
  csms tax rule list --country DE
"""


class _Rate(click.ParamType[Decimal]):
    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            return Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is no percentage such as 19", param, ctx)


def rule_group(connect: Connect, actor: Actor) -> click.Group:
    """The command group; `connect` gives its commands a connection, `actor` says who gives them."""
    group = click.Group("rule", help=HELP)
    for add in (_add_add, _add_end, _add_import):
        add(group, connect, actor)
    _add_list(group, connect)
    return group


_ASKS = (
    click.option(
        "--customer", type=click.Choice([each.value for each in CustomerKind]), help="Only such customers; any unless said."
    ),
    click.option(
        "--vat-id", type=click.Choice([each.value for each in VatIdAsked]),
        help="Only customers without or with one, of this country or another; any unless said.",
    ),
    click.option(
        "--supply", type=SUPPLY, help=f"Only this: {SUPPLIES}; all unless said."
    ),
)  # fmt: skip
_SAYS = (
    click.option("--country", required=True, metavar="CC", help="ISO 3166-1, of the site."),
    click.option("--rate", type=_Rate(), required=True, help="Percent, such as 19 or 5.5."),
    click.option(
        "--category", type=click.Choice([each.value for each in Category]), required=True,
        help="VAT category of EN 16931.",
    ),
    click.option("--note", help="The legal text that a document shows."),
    click.option("--from", "valid_from", type=DAY, required=True, help="First day, by each site's own calendar."),
    click.option("--to", "valid_to", type=DAY, help="Last day; for good unless said."),
)  # fmt: skip


def _with_options(command: Any) -> Any:
    for each in reversed((*_SAYS, *_ASKS)):
        command = each(command)
    return command


def _add_add(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("add")
    @click.argument("id_", metavar="ID")
    @_with_options
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, /, id_: str, dry_run: bool, output: Output, **said: Any) -> None:
        """Enter a tax rule. It decides for bills that are made from now on; those that were made keep theirs.

        With its first rule a country needs one for every part of every bill: where none decides, sessions are held.

        \b
        Examples:
          csms tax rule add DE-2021 --country DE --rate 19 --category S --from 2021-01-01
          csms tax rule add IT-ENERGY --country IT --rate 10 --category S --supply energy --from 2024-01-01
          csms tax rule add NL-AE --country NL --rate 0 --category AE --vat-id foreign --note "Reverse charge" --from 2026-01-01
        """
        rule = _rule(id_, said)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            [(stored, is_new)] = await service.add_rules(connection, [rule], now=datetime.now(UTC), actor=actor())
        output.one(rule_row(stored) | ({"dry_run": True} if dry_run else {}))
        if output.format is Format.TABLE and not is_new:
            output.note("it was there already")


def _rule(id_: str, said: dict[str, Any]) -> TaxRule:
    customer, vat_id, supply = said["customer"], said["vat_id"], said["supply"]
    return TaxRule(
        id=id_,
        country=said["country"],
        rate=said["rate"],
        category=Category(said["category"]),
        valid_from=said["valid_from"],
        valid_to=said["valid_to"],
        customer=None if customer is None else CustomerKind(customer),
        vat_id=None if vat_id is None else VatIdAsked(vat_id),
        supply=supply,
        note=said["note"],
    )


def _add_end(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("end")
    @click.argument("id_", metavar="ID")
    @click.option("--on", "last_day", type=DAY, help="Its last day, by each site's own calendar.")
    @click.option("--withdraw", is_flag=True, help="It was a mistake: from now on it never held.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, id_: str, last_day: date | None, withdraw: bool, dry_run: bool, output: Output
    ) -> None:
        """Let a tax rule end with a day, or withdraw it. Bills that were made by it stay.

        \b
        Examples:
          csms tax rule end DE-2021 --on 2027-12-31
          csms tax rule end DE-2012 --withdraw --dry-run
        """
        if (last_day is None) is not withdraw:
            raise click.UsageError("give either --on DAY or --withdraw")
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            ended = await service.end_rule(connection, id_, last_day=last_day, now=datetime.now(UTC), actor=actor())
        output.one(rule_row(ended) | ({"dry_run": True} if dry_run else {}))


def _add_import(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("import")
    @click.argument("file", type=click.File("rb"))
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, file: BinaryIO, dry_run: bool, output: Output) -> None:
        """Enter the tax rules of a CSV file, all or none. Those that are there already stay, so it may be repeated.

        The header names the columns id, country, customer, vat_id, supply, rate, category, note, valid_from, valid_to;
        a cell that does not ask is empty. The German rates of 2020 and since, for example:

        \b
          id,country,rate,category,valid_from,valid_to
          DE-2020,DE,16,S,2020-07-01,2020-12-31
          DE-2021,DE,19,S,2021-01-01,

        \b
        Examples:
          csms tax rule import rules.csv --dry-run
          csms tax rule import rules.csv
        """
        rules = rules_from_csv(_text(file.read(FILE_BYTES_MAX + 1)))
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            made = await service.add_rules(connection, rules, now=datetime.now(UTC), actor=actor())
        more = {"dry_run": True} if dry_run else {}
        output.rows([{**rule_row(each), "new": is_new, **more} for each, is_new in made], columns=(*COLUMNS, "new"))


def _text(body: bytes) -> str:
    if len(body) > FILE_BYTES_MAX:
        raise Refused(f"more than {FILE_BYTES_MAX} bytes", "import it in parts")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise Refused("the file is no UTF-8", "save it as CSV in UTF-8") from wrong


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--country", metavar="CC", help="Only of this country.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, country: str | None, output: Output) -> None:
        """List the tax rules as they hold, withdrawn ones too.

        \b
        Example:
          csms tax rule list --country DE -o json
        """
        async with connect(context) as connection:
            output.rows([rule_row(each) for each in await service.list_rules(connection, country)], columns=COLUMNS)


def rule_row(each: StoredRule) -> dict[str, object]:
    """As commands print it."""
    rule = each.rule
    return {
        "id": rule.id,
        "country": rule.country,
        "customer": rule.customer,
        "vat_id": rule.vat_id,
        "supply": None if rule.supply is None else rule.supply.value,
        "rate": format(rule.rate, "f"),
        "category": rule.category.value,
        "note": rule.note,
        "valid_from": rule.valid_from,
        "valid_to": rule.valid_to,
        "withdrawn": each.withdrawn,
        "actor": each.actor,
        "entered_at": each.entered_at,
    }
