"""csms tariff export: a stored tariff as an OCPI document."""

from __future__ import annotations

import sys

import click

from billing.cli_output import CliError, async_command
from billing.cli_parameters import Connect
from billing.errors import ExitCode
from billing.tariffs import service
from billing.tariffs.export import NotExportable, export_ocpi
from billing.tariffs.ocpi_json import dump_json
from billing.tariffs.tariff import OcpiVersion


def add_export(group: click.Group, connect: Connect) -> None:
    @group.command()
    @click.argument("id_", metavar="ID")
    @click.option("--version", type=click.IntRange(min=1), help="The newest unless said.")
    @click.option(
        "--ocpi",
        type=click.Choice([each.value for each in OcpiVersion]),
        default=OcpiVersion.V2_3_0.value,
        show_default=True,
        help="The OCPI version of the document.",
    )
    @click.pass_context
    @async_command
    async def export(context: click.Context, id_: str, version: int | None, ocpi: str) -> None:
        """Write a tariff as one OCPI JSON document. What OCPI cannot say is refused, never left out.

        \b
        Example:
          csms tariff export day --ocpi 2.2.1 > day.json
        """
        async with connect(context) as connection:
            found = await service.show(connection, id_, version=version)
        try:
            document = export_ocpi(found.tariff, OcpiVersion(ocpi))
        except NotExportable as refused:
            rows = [{"path": each.path, "message": each.message, "next": each.next_step} for each in refused.problems]
            raise CliError(
                f"tariff {id_} cannot be said in OCPI {ocpi}",
                "see what is listed",
                ExitCode.REFUSED,
                details={"problems": rows},
            ) from refused
        sys.stdout.write(dump_json(document) + "\n")
