"""csms account: customers, their terms and their tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final

import click

from billing.accounts import sellers, service
from billing.accounts.account import Account, AccountDetails, AccountKind, AccountState, Rhythm, SelfBilling
from billing.accounts.options import BANK, CLEAR, REASON, bank_with, party_options, party_with, said
from billing.accounts.party import LANGUAGES
from billing.accounts.reading_cli import add_reading, shown
from billing.accounts.seller import zone_of
from billing.accounts.token_cli import token_group
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN, Connect, transaction
from billing.e_invoices.profiles import Profile
from billing.invoices.document import GroupBy, Party
from billing.sql import Connection
from billing.time_zones import zone_of_country

Actor = Callable[[], str]
_DETAILS: Final = {
    "invoice_email": "Where its documents go, if not to its own e-mail address.",
    "buyer_reference": "What it asks to see on each invoice; for German authorities the Leitweg-ID.",
    "order_reference": "Number of its order.",
    "note": "A line for yourselves.",
    "small_business": "Of a partner: why documents in its name charge no tax, such as: exempt as a small business.",
}
_BANK: Final = {**BANK, "iban": "Of a partner: IBAN of the account it is paid to."}
_TERMS: Final = ("seller", "brand", "payer", "language", "time_zone", "payment_days")


def account_group(connect: Connect, *, actor: Actor) -> click.Group:
    """The command group on connections of whoever mounts it."""

    @click.group("account")
    def account() -> None:
        """Customers: who they are, when they are invoiced, and whose tokens they pay for.

        \b
        Examples:
          csms account create C-1001 --seller north --kind private --name "Erika Example" --language de
          csms account token give C-1001 04AB12CD
          csms account show C-1001
        """

    _add_create(account, connect, actor)
    _add_set(account, connect, actor)
    _add_states(account, connect, actor)
    add_reading(account, connect)
    account.add_command(token_group(connect, actor=actor))
    return account


def _text_options(command: Any) -> Any:
    for name, text in reversed((_DETAILS | _BANK).items()):
        command = click.option(f"--{name.replace('_', '-')}", name, help=text)(command)
    return party_options(command)


def _term_options(command: Any) -> Any:
    for decorate in reversed(
        (
            click.option("--brand", help="Under which brand the seller writes to it."),
            click.option("--payer", metavar="ACCOUNT", help="Who receives its documents in its place."),
            click.option("--language", type=click.Choice(LANGUAGES), help="Of its documents; en unless said."),
            click.option("--time-zone", metavar="ZONE", help="Whose calendar its periods follow; its country's, else its seller's, unless said."),
            click.option(
                "--rhythm", type=click.Choice([each.value for each in Rhythm]), help="When it is invoiced; each month unless said."
            ),
            click.option("--payment-days", type=click.IntRange(0, 365), help="Days to pay in; 14 unless said."),
            click.option("--group", "groups", multiple=True, metavar="GROUP", help="Groups that it is in; may come more than once."),
            click.option(
                "--group-by", "grouped_by", multiple=True, type=click.Choice([each.value for each in GroupBy]),
                help="How lines of its documents are arranged; may come more than once.",
            ),
            click.option(
                "--e-invoice", type=click.Choice([each.value for each in Profile]),
                help="In which form it wants its invoices; what its rules ask for is asked of each.",
            ),
            click.option("--self-billing-from", type=DAY, help="From this day on we may write documents in the partner's name, as agreed."),
            click.option("--self-billing-until", type=DAY, help="The last day on which we may."),
            click.option(
                "--party", "parties", multiple=True, metavar="NAME",
                help="As whom incentives know it that it bears, beside its own id; may come more than once.",
            ),
        )
    ):  # fmt: skip
        command = decorate(command)
    return command


def _add_create(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("create")
    @click.argument("id_", metavar="ID")
    @click.option("--seller", required=True, help="Who sells to it.")
    @click.option(
        "--kind", required=True, type=click.Choice([each.value for each in AccountKind]), help="What it is to you."
    )
    @_text_options
    @_term_options
    @click.option("--reason", default="new customer", show_default=True, help="Why; kept in the audit log.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, /, id_: str, kind: str, reason: str, dry_run: bool, output: Output, **values: Any
    ) -> None:
        """Open a customer's file under a number of yours.

        \b
        Examples:
          csms account create C-1001 --seller north --kind private --name "Erika Example" --language de
          csms account create F-7 --seller north --kind fleet --name "Example Vans BV" --street "Dok 2" --city Utrecht --country NL --vat-id NL004495445B01 --group-by cost_centre --payment-days 30
        """
        empty = Account(
            id=id_, seller="", kind=AccountKind(kind), details=AccountDetails(party=Party(name="", address=None))
        )
        wanted = _with(empty, values, said(_texts(values) | {"parties": values["parties"] or None}))
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            if values["time_zone"] is None:
                wanted = replace(wanted, time_zone=await _usual_zone(connection, wanted))
            made = await service.create(connection, wanted, now=datetime.now(UTC), actor=actor(), reason=reason)
        output.one(shown(made) | ({"dry_run": True} if dry_run else {}))


async def _usual_zone(connection: Connection, account: Account) -> str:
    """Of the customer's country, else its seller's; UTC where neither has one zone."""
    address = account.details.party.address
    zone = None if address is None else zone_of_country(address.country)
    return zone or zone_of(await sellers.get(connection, account.seller))


def _add_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.argument("id_", metavar="ID")
    @click.option("--seller", help="Who sells to it from now on.")
    @click.option("--kind", type=click.Choice([each.value for each in AccountKind]), help="What it is to you.")
    @_text_options
    @_term_options
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
        **values: Any,
    ) -> None:
        """Change an account from now on. What was issued to it stays as it is.

        \b
        Examples:
          csms account set C-1001 --email erika@example.org --reason "wrote to us"
          csms account set F-7 --group-by driver --group-by vehicle --reason "asked for it"
          csms account set C-1001 --clear payer --reason "pays herself"
        """
        names = ("payer", "brand", "e_invoice")
        given = said(
            _texts(values) | {name: values[name] for name in names} | {"parties": values["parties"] or None}, cleared
        )
        if not given and not any(values.values()):
            raise click.UsageError("say what to change")
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            changed = await service.change(
                connection, id_, lambda account: _with(account, values, given), now=datetime.now(UTC), actor=actor(),
                reason=reason,
            )  # fmt: skip
        output.one(shown(changed) | ({"dry_run": True} if dry_run else {}))


def _texts(values: Mapping[str, Any]) -> dict[str, Any]:
    lists = {"groups", "grouped_by", "parties"}
    others = {*_TERMS, *lists, "kind", "rhythm", "e_invoice", "self_billing_from", "self_billing_until"}
    return {name: text for name, text in values.items() if name not in others}


def _with(account: Account, values: Mapping[str, Any], given: Mapping[str, Any]) -> Account:
    party = party_with(account.details.party, given)
    details = replace(
        account.details,
        party=party,
        bank=bank_with(account.details.bank, party, given),
        parties=tuple(dict.fromkeys(given.get("parties", account.details.parties) or ())),
        **{name: given[name] for name in _DETAILS if name in given},
    )
    terms: dict[str, Any] = {name: values[name] for name in _TERMS if values.get(name) is not None}
    terms |= {name: None for name in ("payer", "brand", "e_invoice") if given.get(name, "") is None}
    if values.get("kind") is not None:
        terms["kind"] = AccountKind(values["kind"])
    if values.get("rhythm") is not None:
        terms["rhythm"] = Rhythm(values["rhythm"])
    if values.get("e_invoice") is not None:
        terms["e_invoice"] = Profile(values["e_invoice"])
    if values.get("groups"):
        terms["groups"] = tuple(dict.fromkeys(values["groups"]))
    if values.get("grouped_by"):
        terms["grouped_by"] = tuple(GroupBy(each) for each in values["grouped_by"])
    agreed = _agreed(account.self_billing, values.get("self_billing_from"), values.get("self_billing_until"))
    return replace(account, details=details, self_billing=agreed, **terms)


def _agreed(before: SelfBilling | None, since: date | None, until: date | None) -> SelfBilling | None:
    if since is None and until is None:
        return before
    begin = since or (None if before is None else before.agreed_on)
    if begin is None:
        raise click.UsageError("an agreement that ends has begun: give --self-billing-from too")
    return SelfBilling(agreed_on=begin, until=until or (None if before is None else before.until))


def _add_states(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("close")
    @click.argument("id_", metavar="ID")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def close(context: click.Context, id_: str, reason: str, dry_run: bool, output: Output) -> None:
        """Close an account: it gets no further token. What was charged before is still invoiced.

        \b
        Example:
          csms account close C-1001 --reason "gave notice"
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            closed = await service.change(
                connection, id_, lambda account: replace(account, state=AccountState.CLOSED), now=datetime.now(UTC),
                actor=actor(), reason=reason, action="close",
            )  # fmt: skip
        output.one(shown(closed) | ({"dry_run": True} if dry_run else {}))

    @group.command("pseudonymise")
    @click.argument("id_", metavar="ID")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def pseudonymise(context: click.Context, id_: str, reason: str, dry_run: bool, output: Output) -> None:
        """Forget who a customer is: in its file, on its tokens and in the audit log, for good.

        Issued documents keep what the law has them keep. Export what is known first: csms account export.

        \b
        Example:
          csms account pseudonymise C-1001 --reason "asked to be forgotten"
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            gone = await service.pseudonymise(connection, id_, now=datetime.now(UTC), actor=actor(), reason=reason)
        output.one(shown(gone) | ({"dry_run": True} if dry_run else {}))
