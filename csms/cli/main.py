"""The entry point of `csms`. A command's module is imported when the command is called, so that each starts fast."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from billing import CliError, CommandGroup, ExitCode, NotDone, print_error
from csms import logs
from csms.database.errors import DatabaseError
from csms.settings import Settings, SettingsInvalid, load_settings

COMMANDS = {
    "bill": "csms.cli.bills:bill",
    "certificate": "csms.certificates.cli:certificate",
    "completion": "csms.cli.completion:completion",
    "cp": "csms.evidence.key_cli:cp",
    "db": "csms.database.cli:db",
    "demo": "csms.cli.demo:demo",
    "discount": "csms.cli.discounts:discount",
    "display": "csms.displays.cli:display",
    "file": "csms.files.cli:file",
    "firmware": "csms.firmware.cli:firmware",
    "incentive": "csms.cli.discounts:incentive",
    "local-list": "csms.local_lists.cli:local_list",
    "log": "csms.firmware.log_cli:log",
    "monitor": "csms.monitoring.cli:monitor",
    "node": "csms.nodes.cli:node",
    "policy": "csms.cli.policy:policy",
    "price-series": "csms.cli.price_series:price_series",
    "profile": "csms.smart_charging.cli:profile",
    "quirk": "csms.quirks.cli:quirk",
    "reservation": "csms.reservations.cli:reservation",
    "review": "csms.sessions.cli:review",
    "security": "csms.security.cli:security",
    "serve": "csms.cli.serve:serve",
    "session": "csms.evidence.cli:session",
    "sim": "csms.cli.sim:sim",
    "site": "csms.evidence.profile_cli:site",
    "surcharge": "csms.cli.discounts:surcharge",
    "tariff": "csms.cli.tariffs:tariff",
    "tax": "csms.cli.taxes:tax",
    "template": "csms.templates.cli:template",
    "token": "csms.tokens.cli:token",
}
"""Name -> where it is defined."""


class Root(CommandGroup):
    """The outermost group; trouble with the database or the settings is an error like any other."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        known = super().get_command(ctx, cmd_name)
        if known is None:
            module, name = COMMANDS[cmd_name].split(":")
            known = getattr(importlib.import_module(module), name)
            assert isinstance(known, click.Command)
            _take_data_dir(known)
            self.add_command(known, cmd_name)
        return known

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DatabaseError as trouble:
            status = ExitCode(trouble.exit_code)
            next_step = trouble.next_step or "see csms db status"
            raise CliError(trouble.message, next_step, status, code=trouble.code) from trouble
        except SettingsInvalid as wrong:
            raise CliError(
                str(wrong), "correct or unset them", ExitCode.USAGE, details={"problems": wrong.problems}
            ) from wrong
        except (click.ClickException, click.exceptions.Exit, click.Abort, NotDone, BrokenPipeError):
            raise
        except OSError as trouble:
            status = ExitCode.PERMISSION if isinstance(trouble, PermissionError) else ExitCode.FAILED
            what = f"{trouble.filename}: {trouble.strerror}" if trouble.filename else str(trouble)
            raise CliError(what, "check the path, its permissions and the room on its disk", status) from trouble
        except Exception as defect:
            if isinstance(ctx.obj, Settings) and ctx.obj.log_level == "debug":
                raise
            raise CliError(
                f"{type(defect).__name__}: {defect}",
                "this is a defect of csms: run it again with CSMS_LOG_LEVEL=debug and report what it prints",
            ) from defect


def _use_data_dir(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.obj = load_settings(data_dir=value)


def _data_dir_option() -> click.Option:
    return click.Option(
        ["--data-dir"], type=click.Path(readable=False, path_type=Path), expose_value=False, callback=_use_data_dir,
        help="Data of the embedded Postgres (CSMS_DATA_DIR).",
    )  # fmt: skip


def _take_data_dir(command: click.Command) -> None:
    """Give every command below `--data-dir`, so that it may stand behind the verb as well."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _take_data_dir(each)
        return
    if all(parameter.name != "data_dir" for parameter in command.params):
        command.params.append(_data_dir_option())


@click.group(cls=Root)
@click.option(
    "--data-dir", type=click.Path(readable=False, path_type=Path), help="Data of the embedded Postgres (CSMS_DATA_DIR)."
)
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

    \b
    Exit status:
      0  done                     5  refused by a rule, or by the charge point
      1  failed                   6  done, with findings
      2  wrong usage or settings  7  done before, or something stands in its place
      3  not found                8  done in part
      4  not permitted          124  no answer in time
    """
    logs.configure("warning")
    context.obj = load_settings(data_dir=data_dir)


def main() -> None:
    """Console script."""
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 fit into no column, name no file of ours
        print_error({"code": "usage", "message": "an argument is no UTF-8", "next": "type it again"})
        sys.exit(ExitCode.USAGE)
    sys.exit(csms(prog_name="csms"))
