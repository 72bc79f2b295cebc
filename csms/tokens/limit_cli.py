"""csms token limit: what sessions of a token or of a token group may cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from billing import (
    DRY_RUN,
    INSTANT,
    LimitScope,
    LimitWanted,
    Output,
    async_command,
    list_cost_limits,
    output_options,
    set_cost_limit,
    transaction,
)
from csms.cli.context import connect, default_actor
from csms.tokens.token import canonical

COLUMNS = (
    "id", "scope", "target", "amount", "currency", "total", "left", "state", "valid_from", "actor", "reason",
)  # fmt: skip


class Amount(click.ParamType[Decimal]):
    """An amount in major units, written plainly: 20, 20.00."""

    name = "amount"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is no amount; write it as 20.00", param, ctx)
        if not amount.is_finite():
            self.fail(f"{value!r} is no amount; write it as 20.00", param, ctx)
        return amount


AMOUNT = Amount()
REASON = click.option("--reason", required=True, help="Why; kept for ever.")
ACTOR = click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
FROM = click.option("--from", "valid_from", type=INSTANT, help="From then on; from now unless said.")


@click.group()
def limit() -> None:
    """Limits in money: a session that comes to one is stopped. Prepaid balances, amounts that were authorised.

    \b
    Examples:
      csms token limit set 04AB12CD --amount 20.00 --reason "authorised by card"
      csms token limit set 04AB12CD --amount 50.00 --total --reason "prepaid"
      csms token limit list
    """


def _for_whom(command: Any) -> Any:
    command = click.option("--group", help="Instead of a token: every token of this group.")(command)
    return click.argument("token", metavar="[TOKEN]", required=False)(command)


def _target(token: str | None, group: str | None) -> tuple[LimitScope, str]:
    if (token is None) is (group is None):
        raise click.UsageError("name a token, or a group with --group")
    return (LimitScope.TOKEN, canonical(token)) if token is not None else (LimitScope.TOKEN_GROUP, group or "")


async def _enter(context: click.Context, wanted: LimitWanted, output: Output, *, dry_run: bool) -> None:
    async with connect(context) as connection, transaction(connection, dry_run=dry_run):
        made = await set_cost_limit(connection, wanted, now=datetime.now(UTC))
    output.one(made.to_dict() | ({"dry_run": True} if dry_run else {}))


@limit.command("set")
@_for_whom
@click.option("--amount", type=AMOUNT, required=True, help="Major units, tax included.")
@click.option("--currency", help="Needed where sites charge in more than one.")
@click.option(
    "--total", "is_total", is_flag=True, help="For all sessions from then on together; else for each of them."
)
@FROM
@REASON
@ACTOR
@DRY_RUN
@output_options
@click.pass_context
@async_command
async def set_(
    context: click.Context,
    /,
    token: str | None,
    group: str | None,
    amount: Decimal,
    currency: str | None,
    output: Output,
    dry_run: bool,
    **more: Any,
) -> None:
    """Say what sessions of a token may cost. It replaces the limit that the token has; running sessions heed it at once.

    With --total it is a balance: what is left is the amount less what sessions have cost that had not ended when it
    began. Setting it again begins anew. At places that charge in another currency a limit leaves nothing.

    \b
    Examples:
      csms token limit set 04AB12CD --amount 20.00 --reason "authorised by card"
      csms token limit set --group FLEET-7 --amount 900.00 --total --from 2026-12-01 --reason "budget of December"
    """
    scope, target = _target(token, group)
    wanted = LimitWanted(scope=scope, target=target, amount=amount, currency=currency, **more)
    await _enter(context, wanted, output, dry_run=dry_run)


@limit.command()
@_for_whom
@FROM
@REASON
@ACTOR
@DRY_RUN
@output_options
@click.pass_context
@async_command
async def clear(
    context: click.Context, /, token: str | None, group: str | None, output: Output, dry_run: bool, **more: Any
) -> None:
    """End the limit of a token. What it was stays on record.

    \b
    Example:
      csms token limit clear 04AB12CD --reason "now pays by invoice"
    """
    scope, target = _target(token, group)
    await _enter(context, LimitWanted(scope=scope, target=target, amount=None, **more), output, dry_run=dry_run)


@limit.command("list")
@click.option("--token", help="Only of this token.")
@click.option("--group", help="Only of this group.")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, token: str | None, group: str | None, output: Output) -> None:
    """List limits, past ones and those to come included, with what is left of balances.

    \b
    Example:
      csms token limit list --token 04AB12CD -o json
    """
    if token is not None and group is not None:
        raise click.UsageError("name a token or a group")
    async with connect(context) as connection:
        found = await list_cost_limits(
            connection, token=None if token is None else canonical(token), group=group, now=datetime.now(UTC)
        )
    output.rows(found, columns=COLUMNS)
