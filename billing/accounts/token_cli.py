"""csms account token: whose a token is, from when on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import click

from billing.accounts import service
from billing.accounts.account import Holding
from billing.accounts.options import REASON
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, INSTANT, Connect, transaction
from billing.invoices.document import GroupBy

Actor = Callable[[], str]


def token_group(connect: Connect, *, actor: Actor) -> click.Group:
    """The command group on connections of whoever mounts it."""

    @click.group("token")
    def token() -> None:
        """Whose tokens an account pays for.

        \b
        Example:
          csms account token give F-7 04AB12CD --driver "D. Example" --cost-centre 4711
        """

    _add_give(token, connect, actor)
    _add_take(token, connect, actor)
    return token


def _add_give(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("give")
    @click.argument("id_", metavar="ACCOUNT")
    @click.argument("uid", metavar="TOKEN")
    @click.option("--driver", help="Who drives with it.")
    @click.option("--vehicle", help="What is charged with it.")
    @click.option("--cost-centre", help="Who bears it.")
    @click.option("--from", "valid_from", type=INSTANT, help="For sessions that begin from then on; now unless said.")
    @click.option("--reason", default="new token", show_default=True, help="Why; kept in the audit log.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        id_: str,
        uid: str,
        driver: str | None,
        vehicle: str | None,
        cost_centre: str | None,
        valid_from: datetime | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Let an account pay for what a token charges. Whoever paid before, pays for what began before.

        \b
        Examples:
          csms account token give C-1001 04AB12CD
          csms account token give F-7 04AB12CE --driver "D. Example" --vehicle VAN-3 --cost-centre 4711 --from 2026-03-01
        """
        labels = {GroupBy.DRIVER: driver, GroupBy.VEHICLE: vehicle, GroupBy.COST_CENTRE: cost_centre}
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            held = await service.give_token(
                connection, id_, uid.strip().upper(),
                labels={name: text for name, text in labels.items() if text is not None},
                valid_from=valid_from or now, now=now, actor=actor(), reason=reason,
            )  # fmt: skip
        output.one(_row(held) | ({"dry_run": True} if dry_run else {}))


def _add_take(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("take")
    @click.argument("id_", metavar="ACCOUNT")
    @click.argument("uid", metavar="TOKEN")
    @click.option("--from", "valid_from", type=INSTANT, help="For sessions that begin from then on; now unless said.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        id_: str,
        uid: str,
        valid_from: datetime | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Let the account no longer pay for what a token charges. To stop it from charging: csms token block.

        \b
        Example:
          csms account token take C-1001 04AB12CD --reason "card given back"
        """
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            held = await service.take_token(
                connection,
                id_,
                uid.strip().upper(),
                valid_from=valid_from or now,
                now=now,
                actor=actor(),
                reason=reason,
            )
        output.one(_row(held) | ({"dry_run": True} if dry_run else {}))


def _row(held: Holding) -> dict[str, object]:
    return {
        "token": held.token,
        "account": held.account,
        "valid_from": held.valid_from,
        **{name.value: held.labels.get(name) for name in (GroupBy.DRIVER, GroupBy.VEHICLE, GroupBy.COST_CENTRE)},
    }
