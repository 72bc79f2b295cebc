"""csms account list, show and export: a customer's file in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

import click

from billing.accounts import service, store
from billing.accounts.account import Account, AccountKind, AccountState
from billing.accounts.options import bank_row, party_row
from billing.cli_output import Format, Output, async_command, json_text, output_options
from billing.cli_parameters import Connect

COLUMNS = ("id", "name", "kind", "seller", "state", "rhythm", "payer", "groups")
SHOWN_MAX = 10


def add_reading(group: click.Group, connect: Connect) -> None:
    _add_list(group, connect)
    _add_show(group, connect)
    _add_export(group, connect)


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--seller", help="Only customers of this seller.")
    @click.option("--kind", type=click.Choice([each.value for each in AccountKind]), help="Only such customers.")
    @click.option("--group", "in_group", help="Only those in this group.")
    @click.option("--state", type=click.Choice([each.value for each in AccountState]), help="Only those in this state.")
    @click.option("--find", "word", metavar="TEXT", help="Only those whose number, name, address ... has this in it.")
    @click.option("--limit", type=click.IntRange(1, service.LIST_MAX), default=1000, show_default=True)
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        seller: str | None,
        kind: str | None,
        in_group: str | None,
        state: str | None,
        word: str | None,
        limit: int,
        output: Output,
    ) -> None:
        """List customers.

        \b
        Examples:
          csms account list --kind fleet
          csms account list --find example.org -o json
        """
        async with connect(context) as connection:
            found = await service.find(
                connection, seller=seller, kind=kind, group=in_group, state=state, word=word, limit=limit
            )
        output.rows([_listed(each) for each in found], columns=COLUMNS)
        if len(found) == limit:
            output.note(f"the first {limit}; --limit shows more")


def _add_show(group: click.Group, connect: Connect) -> None:
    @group.command("show")
    @click.argument("id_", metavar="ID")
    @click.option("--limit", type=click.IntRange(1, 10_000), default=SHOWN_MAX, show_default=True, help="Of each part.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: str, limit: int, output: Output) -> None:
        """Show a customer's file: terms, tokens, contracts, and the newest of its sessions, documents, postings, changes,
        archived files and mails; what it owes by currency and document. `more` names the commands that show the rest.

        \b
        Examples:
          csms account show C-1001
          csms account show C-1001 --limit 100 -o json
          csms account show C-1001 --fields balance,open_items
        """
        from billing.accounts.customer_file import parts_of  # noqa: PLC0415 - it knows every room

        async with connect(context) as connection:
            account = await service.get(connection, id_)
            pays_for = await service.paid_by(connection, id_)
            parts = await parts_of(connection, account, limit=limit, now=datetime.now(UTC))
        more = {name: part.rest for name, part in parts.items() if part.rest is not None}
        file = {name: [dict(row) for row in part.rows] for name, part in parts.items()}
        output.one(shown(account) | {"pays_for": pays_for} | file | {"more": more})


def _add_export(group: click.Group, connect: Connect) -> None:
    @group.command("export")
    @click.argument("id_", metavar="ID")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: str, output: Output) -> None:
        """Hand over all that is known of a customer, as its right of access asks for (GDPR Art. 15): JSON, as it comes.

        One object with a list for each part; with -o jsonl a line for each row, which says of which part it is.

        \b
        Examples:
          csms account export C-1001 > C-1001.json
          csms account export C-1001 -o jsonl | wc -l
        """
        from billing.accounts.customer_export import PARTS, exported  # noqa: PLC0415 - it knows every room

        if output.format is Format.CSV or output.fields:
            raise click.UsageError("all of it is handed over, as JSON: -o json or -o jsonl")
        async with connect(context) as connection:
            account = await service.get(connection, id_)
            rows = exported(connection, account)
            if output.format is Format.JSONL:
                click.echo(json_text({"part": "account", **shown(account)}))
                async for part, row in rows:
                    click.echo(json_text({"part": part, **row}))
            else:
                await _one_object(shown(account), PARTS, rows)


async def _one_object(
    head: Mapping[str, object], parts: Sequence[str], rows: AsyncIterator[tuple[str, Mapping[str, object]]]
) -> None:
    """Rows come part after part: each part is closed when the next begins, and nothing is kept in memory."""
    click.echo(json_text(head)[:-1], nl=False)
    waiting, current, count = list(parts), "", 0
    async for part, row in rows:
        while current != part:
            current, count = _begun(waiting.pop(0), after=current), 0
        click.echo((",\n" if count else "\n") + json_text(row), nl=False)
        count += 1
    while waiting:
        current = _begun(waiting.pop(0), after=current)
    click.echo("]}")


def _begun(part: str, *, after: str) -> str:
    click.echo(("]" if after else "") + f',\n"{part}": [', nl=False)
    return part


def _listed(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "name": account.name,
        "kind": account.kind,
        "seller": account.seller,
        "state": account.state,
        "rhythm": account.rhythm,
        "payer": account.payer,
        "groups": account.groups,
    }


def shown(account: Account) -> dict[str, object]:
    """What commands print of an account."""
    details = account.details
    return {
        "id": account.id,
        **party_row(details.party),
        "invoice_email": details.invoice_email,
        "buyer_reference": details.buyer_reference,
        "order_reference": details.order_reference,
        "note": details.note,
        "bank": bank_row(details.bank),
        "small_business": details.small_business,
        "parties": details.parties,
        **store.terms_values(account),
    }
