"""csms token: who may charge."""

from __future__ import annotations

from datetime import datetime

import click

from billing import INSTANT, Output, UserClass, async_command, output_options
from csms.cli.context import connect, default_actor
from csms.protocol.vocabulary import TokenVerdict
from csms.tokens import service
from csms.tokens.limit_cli import limit
from csms.tokens.token import Token, verdict

COLUMNS = ("id", "status", "group", "class", "expires_at", "since", "reason")


@click.group()
def token() -> None:
    """Tokens: RFID cards, app contracts. Ids compare case-insensitively.

    \b
    Examples:
      csms token issue 04AB12CD
      csms token list
    """


token.add_command(limit)


def _shown(known: Token, at: datetime) -> dict[str, object]:
    now: TokenVerdict = verdict(known, at=at)
    return {
        "id": known.uid,
        "status": str(now.status),
        "group": known.group,
        "class": known.user_class,
        "expires_at": known.expires_at,
    }


@token.command()
@click.argument("uid")
@click.option("--group", help="Tokens of one group may stop each other's sessions (OCPP parentIdTag).")
@click.option(
    "--class",
    "user_class",
    type=click.Choice([each.value for each in UserClass]),
    help="What the driver is to you; tariffs may be assigned to a class.",
)
@click.option("--expires", "expires_at", type=INSTANT, help="From then on the token is Expired.")
@output_options
@click.pass_context
@async_command
async def issue(
    context: click.Context,
    uid: str,
    group: str | None,
    user_class: str | None,
    expires_at: datetime | None,
    output: Output,
) -> None:
    """Let a token charge. Issuing it again changes what is said of it, for sessions that begin from then on.

    \b
    Examples:
      csms token issue 04AB12CD
      csms token issue 04AB12CD --group FLEET-7 --class fleet --expires 2027-12-31T23:00:00Z
    """
    async with connect(context) as connection:
        known = await service.issue(
            connection,
            uid,
            group=group,
            user_class=None if user_class is None else UserClass(user_class),
            expires_at=expires_at,
            actor=default_actor(),
        )
    output.one(_shown(known, known.at))


@token.command()
@click.argument("uid")
@click.option("--reason", help="Why; kept with the token.")
@output_options
@click.pass_context
@async_command
async def block(context: click.Context, uid: str, reason: str | None, output: Output) -> None:
    """Block a token; sessions that it starts offline from now on are held.

    \b
    Example:
      csms token block 04AB12CD --reason "reported lost"
    """
    async with connect(context) as connection:
        known = await service.block(connection, uid, reason=reason, actor=default_actor())
    output.one(_shown(known, known.at))


@token.command()
@click.argument("uid")
@click.option("--reason", help="Why; kept with the token.")
@output_options
@click.pass_context
@async_command
async def unblock(context: click.Context, uid: str, reason: str | None, output: Output) -> None:
    """Let a blocked token charge again.

    \b
    Example:
      csms token unblock 04AB12CD
    """
    async with connect(context) as connection:
        known = await service.unblock(connection, uid, reason=reason, actor=default_actor())
    output.one(_shown(known, known.at))


@token.command("list")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, output: Output) -> None:
    """List tokens as they stand now.

    \b
    Example:
      csms token list -o json
    """
    async with connect(context) as connection:
        output.rows(await service.list_tokens(connection), columns=COLUMNS)
