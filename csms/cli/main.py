"""The entry point of `csms`. A command's module is imported when the command is called, so that each starts fast."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from billing import CliError, CommandGroup, ExitCode, NotDone, print_error
from csms.cli.gathered import Gathered
from csms.cli.summaries import SUMMARIES
from csms.database.errors import DatabaseError, DatabaseUnavailable

COMMANDS = {
    "account": "csms.cli.accounts:account",
    "archive": "csms.cli.archive:archive",
    "audit": "csms.cli.accounts:audit",
    "bill": "csms.cli.bills:bill",
    "brand": "csms.cli.accounts:brand",
    "certificate": "csms.certificates.cli:certificate",
    "close": "csms.cli.books:close",
    "completion": "csms.cli.completion:completion",
    "contract": "csms.cli.contracts:contract",
    "cp": "csms.charge_points.cli:cp",
    "credit": "csms.cli.invoices:credit",
    "db": "csms.database.cli:db",
    "demo": "csms.cli.demo:demo",
    "discount": "csms.cli.discounts:discount",
    "display": "csms.displays.cli:display",
    "document": "csms.cli.documents:document",
    "file": "csms.files.cli:file",
    "firmware": "csms.firmware.cli:firmware",
    "incentive": "csms.cli.discounts:incentive",
    "invoice": "csms.cli.invoices:invoice",
    "item": "csms.cli.contracts:item",
    "ledger": "csms.cli.books:ledger",
    "local-list": "csms.local_lists.cli:local_list",
    "log": "csms.firmware.log_cli:log",
    "mail": "csms.cli.mail:mail",
    "monitor": "csms.monitoring.cli:monitor",
    "node": "csms.nodes.cli:node",
    "plan": "csms.cli.contracts:plan",
    "policy": "csms.cli.policy:policy",
    "price-series": "csms.cli.price_series:price_series",
    "profile": "csms.smart_charging.cli:profile",
    "quirk": "csms.quirks.cli:quirk",
    "report": "csms.cli.books:report",
    "reservation": "csms.reservations.cli:reservation",
    "review": "csms.sessions.cli:review",
    "security": "csms.security.cli:security",
    "seller": "csms.cli.accounts:seller",
    "serve": "csms.cli.serve:serve",
    "session": "csms.sessions.cli:session",
    "sim": "csms.cli.sim:sim",
    "site": "csms.sites.cli:site",
    "surcharge": "csms.cli.discounts:surcharge",
    "tariff": "csms.cli.tariffs:tariff",
    "tax": "csms.cli.taxes:tax",
    "template": "csms.templates.cli:template",
    "token": "csms.tokens.cli:token",
}
"""Name -> where it is defined."""
FURTHER = {
    "cp": "csms.evidence.key_cli",
    "db": "csms.verification.cli",
    "session": "csms.evidence.cli",
    "site": "csms.evidence.profile_cli",
}
"""Name -> what imports, one through the other, all rooms that add commands to it."""


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
            if isinstance(known, Gathered):
                known.gather = partial(_gather, known, FURTHER[cmd_name])
            self.add_command(known, cmd_name)
        return known

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does it, without asking each command, which would import every room."""
        del ctx
        room = formatter.width - 6 - max(map(len, SUMMARIES))  # its two margins and the gap
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, click.Command(name, help=text).get_short_help_str(room)) for name, text in SUMMARIES.items()]
            )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The same for what a shell offers."""
        names = [CompletionItem(name, help=text) for name, text in SUMMARIES.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DatabaseError as trouble:
            status = ExitCode(trouble.exit_code)
            next_step = trouble.next_step or "see csms db status"
            raise CliError(trouble.message, next_step, status, code=trouble.code) from trouble
        except (click.ClickException, click.exceptions.Exit, click.Abort, NotDone, BrokenPipeError):
            raise
        except OSError as trouble:
            status = ExitCode.PERMISSION if isinstance(trouble, PermissionError) else ExitCode.FAILED
            what = f"{trouble.filename}: {trouble.strerror}" if trouble.filename else str(trouble)
            raise CliError(what, "check the path, its permissions and the room on its disk", status) from trouble
        except Exception as defect:
            from csms.database.pool import is_unavailable  # noqa: PLC0415 - most commands end without it
            from csms.settings import Settings, SettingsInvalid  # noqa: PLC0415

            if isinstance(defect, SettingsInvalid):
                raise CliError(
                    str(defect), "correct or unset them", ExitCode.USAGE, details={"problems": defect.problems}
                ) from defect
            leaves = list(_leaves(defect))
            if all(map(is_unavailable, leaves)):
                raise CliError(
                    f"the database went away: {type(leaves[0]).__name__}: {leaves[0]}",
                    "see csms db status, then run it again",
                    code=DatabaseUnavailable.code,
                ) from defect
            if isinstance(ctx.obj, Settings) and ctx.obj.log_level == "debug":
                raise
            raise CliError(
                f"{type(defect).__name__}: {defect}",
                "this is a defect of csms: run it again with CSMS_LOG_LEVEL=debug and report what it prints",
            ) from defect


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What went wrong in tasks, one by one."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _load_settings(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    """When a command is called with what it takes: to say what it is for needs no settings."""
    if context.resilient_parsing:
        return
    from csms import logs  # noqa: PLC0415 - as long to import as all else that --help needs
    from csms.settings import load_settings  # noqa: PLC0415

    logs.configure("warning")
    root = context.find_root()
    root.obj = context.obj = load_settings(data_dir=value or root.params.get("data_dir"))


def _data_dir_option() -> click.Option:
    return click.Option(
        ["--data-dir"], type=click.Path(readable=False, path_type=Path), expose_value=False, callback=_load_settings,
        is_eager=True,  # defaults of others are settings
        help="Data of the embedded Postgres (CSMS_DATA_DIR).",
    )  # fmt: skip


def _gather(group: click.Group, module: str) -> None:
    importlib.import_module(module)
    _take_data_dir(group)


def _take_data_dir(command: click.Command) -> None:
    """Give every command below `--data-dir`, so that it may stand behind the verb as well, and with it its settings."""
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
def csms(data_dir: Path | None) -> None:
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
    del data_dir  # each command reads it where it loads its settings


def main() -> None:
    """Console script."""
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 fit into no column, name no file of ours
        print_error({"code": "usage", "message": "an argument is no UTF-8", "next": "type it again"})
        sys.exit(ExitCode.USAGE)
    sys.exit(csms(prog_name="csms"))
