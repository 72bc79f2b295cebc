"""csms site profile: the law of measuring that a site sells kWh under."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from billing import INSTANT, Output, async_command, output_options
from csms.cli.context import connect, default_actor
from csms.evidence import service
from csms.evidence.law import PROFILES
from csms.site_limits.cli import site

__all__ = ["site"]


@site.command()
@click.argument("id_", metavar="SITE")
@click.argument("wanted", metavar="[PROFILE]", required=False, type=click.Choice((*PROFILES, service.NONE)))
@click.option("--from", "valid_from", type=INSTANT, help="For sessions that begin then or later; from now unless said.")
@click.option("--reason", default="", help="Why; kept for ever. Needed with a PROFILE.")
@click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
@output_options
@click.pass_context
@async_command
async def profile(
    context: click.Context,
    id_: str,
    wanted: str | None,
    valid_from: datetime | None,
    reason: str,
    actor: str,
    output: Output,
) -> None:
    """Show or choose the law of measuring at a site: de-eichrecht, or none.

    Under de-eichrecht kWh are billed only between readings that the meter has signed with a registered key; a session
    whose evidence is not whole is held, and no release makes its kWh billable.

    \b
    Examples:
      csms site profile harbour
      csms site profile harbour de-eichrecht --reason "sold to the public since 1 May"
    """
    now = datetime.now(UTC)
    async with connect(context) as connection:
        if wanted is None:
            output.one(await service.profile_of(connection, id_, at=now))
            return
        output.one(
            await service.set_profile(
                connection, id_, wanted, reason=reason, actor=actor, now=now, valid_from=valid_from
            )
        )
