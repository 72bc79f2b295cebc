"""The entry point of `csms`: mounts the rooms' commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from billing import CliError, CommandGroup, ExitCode, bill_group, tariff_group
from csms.charge_points import commands_cli
from csms.charge_points.cli import cp
from csms.cli.completion import completion
from csms.cli.context import connect
from csms.cli.demo import demo
from csms.cli.serve import serve
from csms.cli.sim import sim
from csms.database.cli import db
from csms.database.errors import DatabaseError
from csms.sessions.cli import review, session
from csms.settings import SettingsInvalid, load_settings
from csms.sites.cli import site
from csms.tokens.cli import token

assert commands_cli.start  # importing it adds the commands to `cp`


class Root(CommandGroup):
    """The outermost group; trouble with the database is an error like any other."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DatabaseError as trouble:
            raise CliError(trouble.message, trouble.next_step or "see csms db status", _code(trouble)) from trouble
        except SettingsInvalid as wrong:
            raise CliError(str(wrong), "correct or unset them", ExitCode.USAGE) from wrong


def _code(trouble: DatabaseError) -> ExitCode:
    return ExitCode(trouble.exit_code)


@click.group(cls=Root)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Data of the embedded Postgres (CSMS_DATA_DIR).")
@click.version_option(package_name="csms")
@click.pass_context
def csms(context: click.Context, data_dir: Path | None) -> None:
    """OCPP central system with billing inside: one process, one Postgres.

    \b
    Examples:
      csms demo                                  watch it work, on simulated charge points
      csms serve                                 run the central system
      csms site create harbour --name Harbour --country DE --time-zone Europe/Berlin --currency EUR
      csms cp create CP-001 --site harbour       make a charge point known
      csms session list --state held             what waits for a person

    Every command takes --data-dir, or CSMS_DATABASE_URL for any Postgres 15 or newer.
    """
    context.obj = load_settings(data_dir=data_dir)


def _use_data_dir(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.obj = load_settings(data_dir=value)


def _take_data_dir(command: click.Command) -> None:
    """Give every command below `--data-dir`, so that it may stand behind the verb as well."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _take_data_dir(each)
        return
    command.params.append(
        click.Option(
            ["--data-dir"], type=click.Path(path_type=Path), expose_value=False, callback=_use_data_dir,
            help="Data of the embedded Postgres (CSMS_DATA_DIR).",
        )
    )  # fmt: skip


for command in (serve, demo, db, site, cp, token, session, review, sim, completion):
    csms.add_command(command)
csms.add_command(tariff_group(connect))
csms.add_command(bill_group(connect))
_take_data_dir(csms)


def main() -> None:
    """Console script."""
    sys.exit(csms(prog_name="csms"))
