"""csms account list, show and export: a customer's file in one place."""

from __future__ import annotations

from decimal import Decimal

import click

from billing.accounts import service, store
from billing.accounts.account import Account, AccountKind, AccountState
from billing.accounts.options import party_row
from billing.accounts.store import HeldFor
from billing.audit import service as audit
from billing.bills.bill import whole_wh
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import Connect
from billing.money import Money
from billing.sql import Connection

COLUMNS = ("id", "name", "kind", "seller", "state", "rhythm", "payer", "groups")
SHOWN_MAX = 20
EXPORTED_MAX = 1_000_000


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
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: str, output: Output) -> None:
        """Show a customer's file: terms, tokens, the newest sessions with their bills, the newest changes.

        \b
        Example:
          csms account show C-1001
        """
        async with connect(context) as connection:
            output.one(await _file(connection, id_, limit=SHOWN_MAX, personal=False))


def _add_export(group: click.Group, connect: Connect) -> None:
    @group.command("export")
    @click.argument("id_", metavar="ID")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, id_: str, output: Output) -> None:
        """Hand over all that is known of a customer, as its right of access asks for (GDPR Art. 15).

        \b
        Example:
          csms account export C-1001 -o json > C-1001.json
        """
        async with connect(context) as connection:
            output.one(await _file(connection, id_, limit=EXPORTED_MAX, personal=True))


async def _file(connection: Connection, id_: str, *, limit: int, personal: bool) -> dict[str, object]:
    account = await service.get(connection, id_)
    held = await service.tokens_of(connection, id_)
    sessions = await service.sessions_of(connection, id_, limit=limit)
    changes = await audit.newest(connection, noun="account", subject=id_, since=None, limit=limit)
    for token in sorted({each.holding.token for each in held}):
        changes += await audit.newest(connection, noun="token", subject=token, since=None, limit=limit)
    changes = sorted(changes, key=lambda each: each.id)[-limit:]
    kept = await audit.personal_of(connection, [each.id for each in changes]) if personal else {}
    return shown(account) | {
        "tokens": [_held_row(each) for each in held],
        "sessions": [_session_row(row, full=personal) for row in sessions],
        "changes": [
            {
                "id": each.id,
                "at": each.at,
                "actor": each.actor,
                "action": f"{each.noun} {each.action}",
                "reason": each.reason,
            }
            | ({values.side: values.body for values in kept.get(each.id, ())} if personal else {})
            for each in changes
        ],
    }


def _held_row(held: HeldFor) -> dict[str, object]:
    return {
        "token": held.holding.token,
        "valid_from": held.holding.valid_from,
        "valid_to": held.valid_to,
        **{name.value: text for name, text in held.holding.labels.items()},
    }


def _session_row(row: dict[str, object], *, full: bool) -> dict[str, object]:
    minor, currency = row["total_incl_minor"], row["currency"]
    billed = Money(minor, currency).text if isinstance(minor, int) and isinstance(currency, str) else None
    energy = row["energy_wh"]
    shown = {
        "session": row["session"],
        "charge_point": row["charge_point"],
        "ended_at": row["ended_at"],
        "energy_wh": whole_wh(energy) if isinstance(energy, Decimal) else None,
        "total_incl_tax": billed,
        "currency": currency,
    }
    return shown | ({name: row[name] for name in ("token", "started_at", "kind")} if full else {})


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
        **store.terms_values(account),
    }
