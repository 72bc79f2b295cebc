"""csms tariff show: a stored tariff as data, or its price as the law orders its parts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import Connect
from billing.errors import Refused
from billing.jurisdictions.bound import Sizes
from billing.jurisdictions.cli import POWER
from billing.jurisdictions.display import PriceDisplay, display_json, display_price
from billing.jurisdictions.profile import Profile, display_of_country, profiles
from billing.sql import Connection
from billing.tariffs import service
from billing.tariffs.assignment import TariffVersion
from billing.tariffs.assignment_cli import assignment_row
from billing.tariffs.tariff import to_ocpi

DISPLAY_COLUMNS = ("what", "price")
EXPLAINED_COLUMNS = ("what", "price", "meaning")


def add_show(group: click.Group, connect: Connect) -> None:
    with_display = [name for name, profile in profiles().items() if profile.display]

    @group.command()
    @click.argument("id_", metavar="ID")
    @click.option("--version", type=click.IntRange(min=1), help="The newest unless said.")
    @click.option("--display", "is_display", is_flag=True, help="The price as drivers are shown it, and nothing else.")
    @click.option(
        "--jurisdiction", type=click.Choice(with_display), help="Whose order and signs; as in the EU unless said."
    )
    @click.option("--site", metavar="SITE", help="As the law of the site's country orders it.")
    @click.option("--country", metavar="CC", help="As the law of this country orders it.")
    @click.option("--from-kwh", type=POWER, help="A maximum per kWh for sessions of so much energy or more.")
    @click.option("--up-to-hours", type=POWER, help="A maximum per kWh for sessions of so many hours or less.")
    @output_options
    @click.pass_context
    @async_command
    async def show(
        context: click.Context,
        id_: str,
        version: int | None,
        is_display: bool,
        jurisdiction: str | None,
        site: str | None,
        country: str | None,
        from_kwh: Decimal | None,
        up_to_hours: Decimal | None,
        output: Output,
    ) -> None:
        """Show a tariff and where it is assigned, or its price as the law of a place orders its parts.

        \b
        Examples:
          csms tariff show day
          csms tariff show day --version 1 -o json
          csms tariff show day --display --site harbour
          csms tariff show day --display --jurisdiction uk-pcpr
        """
        _require_display(is_display, (jurisdiction, site, country, from_kwh, up_to_hours))
        async with connect(context) as connection:
            found = await service.show(connection, id_, version=version)
            if not is_display:
                output.one(await _whole(connection, id_, found))
                return
            profile = await _profile(connection, jurisdiction, site, country)
        sizes = Sizes(energy_kwh_min=from_kwh, duration_h_max=up_to_hours)
        _print(output, display_price(found.tariff, profile, sizes=sizes), profile)


def _require_display(is_display: bool, options: tuple[object, ...]) -> None:
    if not is_display and any(each is not None for each in options):
        raise click.UsageError("this option says how a price is displayed; give --display with it")
    if sum(each is not None for each in options[:3]) > 1:
        raise click.UsageError("--jurisdiction, --site and --country each name the law; give one")


async def _whole(connection: Connection, tariff: str, found: TariffVersion) -> dict[str, Any]:
    assignments = await service.assignments_of(connection, tariff)
    return {
        "id": tariff,
        "version": found.number,
        "currency": found.tariff.currency,
        "valid_from": found.valid_from,
        "created_at": found.entered_at,
        "idle_after_stop": found.idle is not None,
        "idle_cap_s": None if found.idle is None else found.idle.cap_s,
        "assignments": [assignment_row(each) for each in assignments],
        "tariff": to_ocpi(found.tariff),
    }


async def _profile(
    connection: Connection, jurisdiction: str | None, site: str | None, country: str | None
) -> Profile | None:
    if jurisdiction is not None:
        return profiles()[jurisdiction]
    if site is not None:
        country = await service.country_of(connection, site)
    if country is None:
        return None
    found = display_of_country(country.upper())
    if found is None:
        raise Refused(
            f"no profile says how prices are shown in {country}", "name one: csms tariff jurisdictions lists them"
        )
    return found


def _print(output: Output, display: PriceDisplay, profile: Profile | None) -> None:
    if output.format in {Format.JSON, Format.JSONL}:
        output.one(display_json(display, None if profile is None else profile.name))
        return
    is_explained = any(line.meaning for line in display.lines)
    rows = [
        {"what": line.label, "price": line.text} | ({"meaning": line.meaning} if is_explained else {})
        for line in display.lines
    ]
    if display.tax:
        rows.append({"what": "tax", "price": display.tax} | ({"meaning": ""} if is_explained else {}))
    output.rows(rows, columns=EXPLAINED_COLUMNS if is_explained else DISPLAY_COLUMNS)
    if output.format is Format.TABLE:
        for note in display.notes:
            output.note(note)
