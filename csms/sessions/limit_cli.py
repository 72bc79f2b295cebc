"""csms session limit: what one running session may cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from billing import (
    DRY_RUN,
    SESSION_ID,
    LimitScope,
    LimitWanted,
    Output,
    async_command,
    cost_limits_of_session,
    output_options,
    set_cost_limit,
    transaction,
)
from csms.cli.context import connect, default_actor
from csms.sessions import listing
from csms.tokens.limit_cli import AMOUNT

COLUMNS = ("id", "amount", "currency", "valid_from", "actor", "reason")
UNSAID = "chosen for this session"


@click.command()
@click.argument("id_", metavar="ID", type=SESSION_ID)
@click.option("--amount", type=AMOUNT, help="What it may cost: major units of its currency, tax included.")
@click.option("--currency", help="Refused where it is not the session's.")
@click.option("--clear", is_flag=True, help="End the session's own limit.")
@click.option("--reason", default=UNSAID, show_default=True, help="Why; kept for ever.")
@click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
@DRY_RUN
@output_options
@click.pass_context
@async_command
async def limit(
    context: click.Context,
    id_: int,
    amount: Decimal | None,
    currency: str | None,
    clear: bool,
    reason: str,
    actor: str,
    dry_run: bool,
    output: Output,
) -> None:
    """Say what a running session may cost, or list what was said. It is stopped when it has come to that.

    The limits of its token and of its token group hold beside it: the one that leaves it least decides.

    \b
    Examples:
      csms session limit 42 --amount 20.00
      csms session limit 42 --clear --reason "the driver paid more"
      csms session limit 42
    """
    if amount is not None and clear:
        raise click.UsageError("--clear ends a limit, --amount sets one")
    async with connect(context) as connection:
        if amount is None and not clear:
            await listing.get(connection, id_)
            found = [each.to_dict() for each in await cost_limits_of_session(connection, id_)]
            output.rows(found, columns=COLUMNS)
            return
        wanted = LimitWanted(
            scope=LimitScope.SESSION, target=str(id_), amount=amount, currency=currency, reason=reason, actor=actor
        )
        async with transaction(connection, dry_run=dry_run):
            made = await set_cost_limit(connection, wanted, now=datetime.now(UTC))
    output.one(made.to_dict() | ({"dry_run": True} if dry_run else {}))


async def limit_started(connection: Any, session: int, amount: Decimal, *, actor: str) -> None:
    """What a session that was started from afar may cost."""
    wanted = LimitWanted(
        scope=LimitScope.SESSION, target=str(session), amount=amount, reason="chosen at the remote start", actor=actor
    )
    await set_cost_limit(connection, wanted, now=datetime.now(UTC))
