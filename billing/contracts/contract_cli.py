"""csms contract: create, list, show, and what has fallen due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, BinaryIO

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN
from billing.contracts import service, templates
from billing.contracts.accruing import accrue, today_in
from billing.contracts.cli_words import (
    FILE_BYTES_MAX,
    LENGTH,
    PAIR,
    PLAN,
    REASON,
    REMINDER,
    VERSIONED,
    Desk,
    arisen,
    marked,
)
from billing.contracts.contract import DeadlineKind, Renewal
from billing.contracts.days import A_MONTH, Days, Length, add_months
from billing.contracts.keeping import require, today_of
from billing.contracts.plan_json import project_from_json
from billing.contracts.project import Project, WantedSubscription, WantedTerms
from billing.contracts.reminding import deadlines_of
from billing.contracts.store import SQL, charge_of
from billing.contracts.told import (
    CONTRACT_COLUMNS,
    ORDER_COLUMNS,
    charge_row,
    contract_row,
    contract_sheet,
    hold_row,
    order_row,
)
from billing.errors import ExitCode, Refused
from billing.sql import Connection
from billing.tariffs.ocpi_json import load_json

_TERMS = (
    click.option("--term", type=LENGTH, help="Its minimum term, such as 24m; none unless said."),
    click.option(
        "--renewal", type=click.Choice([each.value for each in Renewal]),
        help="What comes after the term: it ends, it renews, or it is open. Open unless said.",
    ),
    click.option("--renewal-length", type=LENGTH, help="For how long it renews, such as 12m."),
    click.option("--notice", type=LENGTH, help="How long before an end notice must be given; 1m unless said."),
    click.option("--to-month-end", is_flag=True, help="Once it is open it ends with a calendar month only."),
)  # fmt: skip
_WHAT = (
    click.option("--title", help="What it is about."),
    click.option("--reference", help="The customer's own number of it."),
    click.option("--currency", metavar="CODE", help="Needed without a template."),
    click.option("--country", metavar="CC", help="Where it is supplied, for taxes; the customer's unless said."),
    click.option("--with-tax", "price_with_tax", is_flag=True, help="Prices of its items are meant with tax."),
    click.option("--plan", "plans", type=PLAN, multiple=True, metavar="ID[=N]", help="N pieces of a plan from its begin."),
    click.option("--label", "labels", type=PAIR, multiple=True, metavar="NAME=VALUE", help="To group lines: cost_centre=4711."),
    click.option(
        "--remind", "reminders", type=REMINDER, multiple=True, metavar="KIND=DAYS",
        help="So many days before a deadline: notice=30,7; also start, renewal, end, milestone, payment.",
    ),
)  # fmt: skip
_WHOSE = (
    click.option("--account", required=True, metavar="ACCOUNT", help="The customer."),
    click.option("--start", type=DAY, required=True, help="Its first day, by the customer's calendar."),
    click.option("--template", type=VERSIONED, metavar="NAME[:N]", help="Make the project of a template again."),
    click.option("--file", type=click.File("rb"), help="A project as JSON, as contract template show prints it."),
    click.option("--token", "tokens", multiple=True, metavar="TOKEN", help="Whose charging it is about."),
    click.option("--token-group", "token_groups", multiple=True, metavar="GROUP", help="The same for a group of tokens."),
)  # fmt: skip


def add_contract_commands(group: click.Group, desk: Desk) -> None:
    """create, list, show, run and orders."""
    for add in (_add_create, _add_list, _add_show, _add_run, _add_orders):
        add(group, desk)


def _with_options(command: Any) -> Any:
    for option in reversed((*_WHOSE, *_WHAT, *_TERMS)):
        command = option(command)
    return command


def _add_create(group: click.Group, desk: Desk) -> None:
    @group.command("create")
    @click.argument("id_", metavar="ID")
    @_with_options
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, id_: str, account: str, start: date, template: tuple[str, int | None] | None,
        file: BinaryIO | None, tokens: tuple[str, ...], token_groups: tuple[str, ...], reason: str, dry_run: bool,
        output: Output, **said: Any,
    ) -> None:  # fmt: skip
        """Contract with a customer: plans, items and all that is in a template. What is due at once is charged at once.

        \b
        Examples:
          csms contract create HOME-12 --account A-1 --start 2026-03-17 --currency EUR --plan basic --token 04AB12CD --term 12m --notice 1m --reason "signed 2026-03-02"
          csms contract create DEPOT-7 --account A-2 --start 2026-04-01 --template depot --reason "order 4711" --dry-run
        """
        if template is not None and file is not None:
            raise click.UsageError("give either --template or --file")
        async with desk.acting(context, reason, dry_run=dry_run) as (connection, act):
            project, label = await _begin(connection, template, file, said)
            made = await service.create(
                connection, id_, _said(project, said), act, account=account, start=start, template=label, tokens=tokens,
                token_groups=token_groups,
            )  # fmt: skip
            orders = await arisen(connection, id_, act)
            made = await require(connection, id_, act)
        output.one(contract_sheet(made, []) | orders | marked(dry_run))


async def _begin(
    connection: Connection, template: tuple[str, int | None] | None, file: BinaryIO | None, said: dict[str, Any]
) -> tuple[Project, str | None]:
    """What a contract is made of before anything else is said, and the template's name with its version."""
    if template is not None:
        found = await templates.require_template(connection, *template)
        return found.project, found.label
    if file is not None:
        return project_of_file(file), None
    if said["currency"] is None:
        raise click.UsageError("say in which currency: --currency CODE")
    return Project(currency=said["currency"]), None


def project_of_file(file: BinaryIO) -> Project:
    """A project as JSON.

    Raises:
        Refused: it is too long, no JSON, or no project.
    """
    body = file.read(FILE_BYTES_MAX + 1)
    if len(body) > FILE_BYTES_MAX:
        raise Refused(f"more than {FILE_BYTES_MAX} bytes", "write a shorter project")
    try:
        written = load_json(body.decode("utf-8-sig"))
    except ValueError as wrong:
        raise Refused(f"the file is no JSON: {wrong}", "correct it") from wrong
    return project_from_json(written)


def _said(project: Project, said: dict[str, Any]) -> Project:
    """What was said goes before what is in the project; what was not said stays."""
    own = {name: said[name] for name in ("title", "reference", "currency", "country") if said[name] is not None}
    if said["price_with_tax"]:
        own["price_with_tax"] = True
    if said["plans"]:
        wanted = (WantedSubscription(plan=plan, quantity=quantity) for plan, quantity in said["plans"])
        own["subscriptions"] = (*project.subscriptions, *wanted)
    if said["labels"]:
        own["labels"] = project.labels | dict(said["labels"])
    if said["reminders"]:
        own["remind_before"] = project.remind_before | dict[DeadlineKind, tuple[int, ...]](said["reminders"])
    return replace(project, **own, terms=_terms(project.terms, said))


def _terms(terms: WantedTerms, said: dict[str, Any]) -> WantedTerms:
    length: Length | None = said["renewal_length"]
    renewal = None if said["renewal"] is None else Renewal(said["renewal"])
    if renewal is None and length is not None:
        renewal = Renewal.RENEWS
    changed = replace(
        terms,
        term=said["term"] or terms.term,
        renewal=renewal or terms.renewal,
        renewal_length=length or terms.renewal_length,
        notice=said["notice"] or terms.notice or A_MONTH,
        to_month_end=said["to_month_end"] or terms.to_month_end,
    )
    return changed if changed.renewal is Renewal.RENEWS or length else replace(changed, renewal_length=None)


def _add_list(group: click.Group, desk: Desk) -> None:
    @group.command("list")
    @click.option("--account", metavar="ACCOUNT", help="Only of this customer.")
    @click.option("--seller", metavar="SELLER", help="Only of this seller.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, account: str | None, seller: str | None, output: Output) -> None:
        """List contracts. `held` counts what should have been charged and could not be.

        \b
        Example:
          csms contract list --account A-1 -o json
        """
        async with desk.connect(context) as connection:
            rows = await SQL.list_contracts.fetch(connection, account=account, seller=seller)
        output.rows([contract_row(row) for row in rows], columns=CONTRACT_COLUMNS)


def _add_show(group: click.Group, desk: Desk) -> None:
    @group.command("show")
    @click.argument("id_", metavar="ID")
    @click.option("--months", type=click.IntRange(1, 120), default=12, show_default=True, help="Of deadlines ahead.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: str, months: int, output: Output) -> None:
        """Show a contract: terms, subscriptions, tokens, discounts, deadlines ahead, and what cannot be charged and why.

        \b
        Example:
          csms contract show HOME-12
        """
        act = desk.act()
        async with desk.connect(context) as connection:
            found = await require(connection, id_, act)
        today = today_of(found, act)
        ahead = Days(today, add_months(today, months))
        output.one(contract_sheet(found, deadlines_of(found.standing, ahead)))


def _add_run(group: click.Group, desk: Desk) -> None:
    @group.command("run")
    @click.argument("contracts", metavar="[ID]...", nargs=-1)
    @click.option("--until", type=DAY, help="Up to this day; up to today where each customer is unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        contracts: tuple[str, ...],
        until: date | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Charge what has fallen due, of all contracts or some. A server does it by itself; it may be run at any time.

        Exit status 6 if something could not be charged, such as for want of an index. A day that is yet to come can only
        be tried.

        \b
        Examples:
          csms contract run --until 2027-01-31 --dry-run --reason "what January brings"
          csms contract run HOME-12 --reason "support case 815"
        """
        now = datetime.now(UTC)
        if until is not None and until > today_in("Etc/GMT+12", now) and not dry_run:
            raise Refused(f"{until} has not come for everybody", "try it: --dry-run, or leave --until out")
        async with desk.connect(context) as connection:
            if not dry_run:
                async with connection.transaction():
                    said = {"contracts": list(contracts), "until": None if until is None else until.isoformat()}
                    await desk.act(reason).tell(connection, "run", ", ".join(contracts) or "all", after=said)
            done = await accrue(connection, now=now, until=until, contracts=contracts or None, dry_run=dry_run)
        rows = [{"contract": each.contract, **charge_row(each), **marked(dry_run)} for each in done.charges]
        output.rows(rows, columns=("contract", "source", "name", "amount", "currency", "due_on"))
        if output.format is Format.TABLE:
            for line in _notes(done.holds, done.busy):
                output.note(line)
        if done.holds or done.busy:
            context.exit(ExitCode.FINDINGS)


def _notes(holds: list[Any], busy: list[str]) -> Iterator[str]:
    for contract, hold in holds:
        row = hold_row(contract, hold)
        yield f"{row['contract']}: {row['source']} is held: {row['why']}"
    for contract in busy:
        yield f"{contract} was being changed: run it again"


def _add_orders(group: click.Group, desk: Desk) -> None:
    @group.command("orders")
    @click.argument("id_", metavar="ID")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: str, output: Output) -> None:
        """List what has fallen due under a contract, what was taken back, and on which document each is.

        \b
        Example:
          csms contract orders HOME-12 -o csv
        """
        async with desk.connect(context) as connection:
            await require(connection, id_, desk.act())
            rows = await SQL.charges_of.fetch(connection, contract=id_)
        output.rows([order_row(charge_of(row), row) for row in rows], columns=ORDER_COLUMNS)
