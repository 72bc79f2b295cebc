"""csms log: have charge points send their logs somewhere, and see how far they are."""

from __future__ import annotations

from datetime import datetime

import click

from billing import INSTANT, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import require_online, timeout_option
from csms.cli.context import connect
from csms.firmware import service
from csms.firmware.asking import (
    COLUMNS,
    ask,
    finish,
    interval_option,
    listed,
    most_option,
    patience_option,
    retries_option,
    url_option,
    wait_option,
)
from csms.firmware.service import Attempt
from csms.firmware.transfer import TransferKind
from csms.protocol.blocks.firmware import GetDiagnostics, GetLog, LogKind
from csms.protocol.vocabulary import Command
from csms.rollouts.collection_cli import collection_commands


@click.group()
def log() -> None:
    """Logs: have charge points upload diagnostics and security logs, and see how far they are.

    \b
    Examples:
      csms log collect --site harbour --out logs/
      csms log get CP-001 --kind diagnostics --url https://files.example/inbox/ --wait
      csms log status CP-001
    """


for _command in collection_commands:
    log.add_command(_command)


@log.command()
@click.argument("id_", metavar="CP")
@click.option("--kind", type=click.Choice([str(each) for each in LogKind]), default="diagnostics", show_default=True)
@url_option("The directory that the charge point uploads to")
@click.option("--since", type=INSTANT, help="The oldest entry wanted.")
@click.option("--until", type=INSTANT, help="The newest entry wanted.")
@retries_option
@interval_option
@wait_option
@patience_option
@timeout_option
@output_options
@click.pass_context
@async_command
async def get(
    context: click.Context,
    id_: str,
    kind: str,
    url: str,
    since: datetime | None,
    until: datetime | None,
    retries: int | None,
    retry_interval_s: int | None,
    wait: bool,
    patience_s: float,
    timeout_s: float,
    output: Output,
) -> None:
    """Have a charge point upload a log: by GetLog, or by GetDiagnostics where OCPP 1.6 knows no better.

    \b
    Examples:
      csms log get CP-001 --url ftp://depot:PASSWORD@files.example/inbox/ --since 2026-03-01 --wait
      csms log get CP-002 --kind security --url https://files.example/inbox/
    """
    if since is not None and until is not None and until < since:
        raise click.BadParameter("it lies before --since", param_hint="--until")

    def get_log(request: int) -> Command:
        return GetLog(
            request=request, kind=LogKind(kind), url=url, since=since, until=until, retries=retries,
            retry_interval_s=retry_interval_s,
        )  # fmt: skip

    def get_diagnostics(_request: int) -> Command:
        return GetDiagnostics(url=url, since=since, until=until, retries=retries, retry_interval_s=retry_interval_s)

    commands = {"GetLog": get_log, "GetDiagnostics": get_diagnostics}
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        protocol = await require_online(connection, known)
        ways = await service.ways_to_log(connection, known, protocol, LogKind(kind))
        await service.require_announced(connection, known, protocol, "GetLog", url)
        attempts = [Attempt(message=way, command=commands[way]) for way in ways]
        request, outcome = await ask(connection, known, TransferKind.LOG, attempts, timeout_s)
        wait_s = patience_s if wait else None
        await finish(context, connection, output, TransferKind.LOG, known, request, outcome, wait_s=wait_s)


@log.command()
@click.argument("id_", metavar="[CP]", required=False)
@most_option
@output_options
@click.pass_context
@async_command
async def status(context: click.Context, id_: str | None, most: int, output: Output) -> None:
    """Show how far uploads are: the newest request of each charge point, or all of one with what it told besides.

    \b
    Examples:
      csms log status
      csms log status CP-001 -o json
    """
    async with connect(context) as connection:
        found = await listed(connection, [TransferKind.LOG], id_, most)
    output.rows(found, columns=COLUMNS)
