"""csms site: where charge points stand."""

from __future__ import annotations

import click

from billing import Output, async_command, output_options
from csms.cli.context import connect, default_actor
from csms.cli.gathered import Gathered
from csms.sites import service

GROUP_COLUMNS = ("location_group", "site", "since")
COLUMNS = ("id", "name", "country", "time_zone", "currency", "charge_points")


@click.group(cls=Gathered)
def site() -> None:
    """Sites: time zone and currency of the charge points that stand there.

    \b
    Example:
      csms site list
    """


@site.command()
@click.argument("id_", metavar="ID")
@click.option("--name", required=True, help="What people call it.")
@click.option("--country", required=True, metavar="CC", help="ISO 3166-1, two capital letters.")
@click.option("--time-zone", required=True, metavar="ZONE", help="IANA name; tariffs' times mean its wall clock.")
@click.option("--currency", required=True, metavar="CUR", help="ISO 4217; tariffs in another one are refused.")
@output_options
@click.pass_context
@async_command
async def create(
    context: click.Context, id_: str, name: str, country: str, time_zone: str, currency: str, output: Output
) -> None:
    """Make a site known.

    \b
    Example:
      csms site create harbour --name "Harbour Car Park" --country DE --time-zone Europe/Berlin --currency EUR
    """
    async with connect(context) as connection:
        output.one(
            await service.create(connection, id_, name=name, country=country, time_zone=time_zone, currency=currency)
        )


@site.command("list")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, output: Output) -> None:
    """List sites.

    \b
    Example:
      csms site list -o json
    """
    async with connect(context) as connection:
        output.rows(await service.list_sites(connection), columns=COLUMNS)


@site.command()
@click.argument("id_", metavar="ID")
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: str, output: Output) -> None:
    """Show one site.

    \b
    Example:
      csms site show harbour
    """
    async with connect(context) as connection:
        output.one(await service.get(connection, id_))


@site.command()
@click.argument("location_group", metavar="GROUP")
@click.argument("id_", metavar="SITE")
@output_options
@click.pass_context
@async_command
async def join(context: click.Context, location_group: str, id_: str, output: Output) -> None:
    """Put a site into a location group: tariffs can be assigned to all sites of a group at once.

    Sessions that began before keep what they had.

    \b
    Example:
      csms site join motorway harbour
    """
    async with connect(context) as connection:
        output.one(await service.join(connection, location_group, id_, actor=default_actor()))


@site.command()
@click.argument("location_group", metavar="GROUP")
@click.argument("id_", metavar="SITE")
@output_options
@click.pass_context
@async_command
async def leave(context: click.Context, location_group: str, id_: str, output: Output) -> None:
    """Take a site out of a location group.

    \b
    Example:
      csms site leave motorway harbour
    """
    async with connect(context) as connection:
        output.one(await service.leave(connection, location_group, id_, actor=default_actor()))


@site.command()
@output_options
@click.pass_context
@async_command
async def groups(context: click.Context, output: Output) -> None:
    """List location groups with their sites.

    \b
    Example:
      csms site groups -o json
    """
    async with connect(context) as connection:
        output.rows(await service.location_groups(connection), columns=GROUP_COLUMNS)
