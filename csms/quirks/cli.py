"""csms quirk, csms cp quirks: the catalogue of deviations, and what is repaired for which charge point."""

from __future__ import annotations

import click

from billing import Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.cli.context import connect, default_actor
from csms.protocol.quirks.catalogue import Choice, Kind, Severity
from csms.quirks import service

COLUMNS = ("name", "kind", "severity", "switchable", "charge_points", "messages", "says")
OF_CHARGE_POINT = ("name", "kind", "choice", "active", "count", "last_at", "says")


@click.group()
def quirk() -> None:
    """Quirks: how charge points deviate from OCPP, and what is done about it. Data, not code: by name, with sources.

    \b
    Examples:
      csms quirk list --seen
      csms quirk show time_without_zone
    """


@quirk.command("list")
@click.option("--seen", is_flag=True, help="Only what charge points showed here.")
@click.option("--switchable", is_flag=True, help="Only what can be switched for a charge point.")
@click.option("--kind", type=click.Choice([str(each) for each in Kind]), help="Only what is treated so.")
@click.option("--severity", type=click.Choice([str(each) for each in Severity]), help="Only what is so grave.")
@output_options
@click.pass_context
@async_command
async def list_(
    context: click.Context, /, seen: bool, switchable: bool, kind: str | None, severity: str | None, output: Output
) -> None:
    """List the catalogue, with how many charge points showed each, in how many messages.

    \b
    Examples:
      csms quirk list --seen
      csms quirk list --kind work_around -o json
    """
    async with connect(context) as connection:
        rows = await service.listed(connection)
    chosen = [
        row
        for row in rows
        if (not seen or row["messages"])
        and (not switchable or row["switchable"])
        and kind in (None, row["kind"])
        and severity in (None, row["severity"])
    ]
    output.rows(chosen, columns=COLUMNS)


@quirk.command()
@click.argument("name")
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, name: str, output: Output) -> None:
    """Show one quirk: what it means for billing, whose move it is, which makes showed it here, the newest proof.

    \b
    Example:
      csms quirk show time_without_zone -o json
    """
    async with connect(context) as connection:
        output.one(await service.show(connection, name))


@click.group()
def quirks() -> None:
    """What is repaired and worked around for one charge point.

    \b
    Examples:
      csms cp quirks list CP-001
      csms cp quirks set CP-001 time_without_zone off
      csms cp quirks set CP-001 calls_wait_for_boot on
    """


@quirks.command("list")
@click.argument("id_", metavar="CP")
@click.option("--all", "everything", is_flag=True, help="The whole catalogue, seen or not.")
@output_options
@click.pass_context
@async_command
async def list_of_charge_point(context: click.Context, /, id_: str, everything: bool, output: Output) -> None:
    """List what a charge point showed, what its make is known for, and what was switched.

    \b
    Examples:
      csms cp quirks list CP-001
      csms cp quirks list CP-001 -o json
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        rows = await service.of_charge_point(connection, known, everything=everything)
    output.rows(rows, columns=OF_CHARGE_POINT)


@quirks.command("set")
@click.argument("id_", metavar="CP")
@click.argument("name")
@click.argument("choice", type=click.Choice([str(each) for each in Choice]))
@click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
@output_options
@click.pass_context
@async_command
async def set_(context: click.Context, /, id_: str, name: str, choice: str, actor: str, output: Output) -> None:
    """Switch a repair or work-around of a charge point; its open socket goes on with it within seconds.

    With a repair off a message that needs it is answered with the CALLERROR of the standard. Transaction messages are
    kept in quarantine then, in no session. auto: repairs are on, work-arounds by the make.

    \b
    Examples:
      csms cp quirks set CP-001 time_without_zone off
      csms cp quirks set CP-001 one_setting_per_call on
      csms cp quirks set CP-001 time_without_zone auto
    """
    async with connect(context) as connection:
        known = await service.choose(connection, id_, name, Choice(choice), actor=actor)
    entry = service.find_entry(name)
    output.one({"charge_point": known.id, "name": name, "choice": choice, "active": service.is_active(known, entry)})
