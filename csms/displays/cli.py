"""csms display: messages on the displays of charging stations."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import click

from billing import INSTANT, SESSION_ID, CliError, ExitCode, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import finish, require_online, said, send, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.cli.context import connect, default_actor
from csms.displays import service
from csms.protocol.blocks.display_facts import DisplayMessage
from csms.protocol.blocks.displays import ClearDisplayMessage, GetDisplayMessages, SetDisplayMessage
from csms.protocol.repair import INTEGER_MAX
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.vocabulary import Command, Outcome, Protocol
from csms.sessions import listing

COLUMNS = ("id", "priority", "state", "text", "format", "language", "start", "end", "transaction")
MESSAGE_ID = click.IntRange(1, INTEGER_MAX)
NONE_HELD = "Unknown"
"""GetDisplayMessagesStatusEnumType: nothing that is asked for is there."""


@click.group()
def display() -> None:
    """Messages on the displays of charging stations (OCPP 2.0.1; OCPP 1.6 has none).

    \b
    Examples:
      csms display set CP-001 "Closed from 22:00" --priority InFront --until 2026-03-01T22:00:00Z
      csms display list CP-001
      csms display clear CP-001 3
    """


@display.command("set")
@click.argument("id_", metavar="CP")
@click.argument("text")
@click.option("--id", "number", type=MESSAGE_ID, help="In place of this one; the next free number where left out.")
@click.option(
    "--priority", type=click.Choice(["AlwaysFront", "InFront", "NormalCycle"]), default="NormalCycle", show_default=True,
    help="How it stands to the others.",
)  # fmt: skip
@click.option(
    "--state", type=click.Choice(["Charging", "Faulted", "Idle", "Unavailable"]), help="Only while in this state."
)
@click.option("--from", "start", type=INSTANT, help="Not before.")
@click.option("--until", "end", type=INSTANT, help="Removed then.")
@click.option("--session", type=SESSION_ID, help="Only as long as this session runs.")
@click.option("--language", help="Of the text (RFC 5646, such as en).")
@click.option(
    "--format", "format_", type=click.Choice(["ASCII", "HTML", "URI", "UTF8"]),
    help="What the text is; ASCII where it is all ASCII, else UTF8.",
)  # fmt: skip
@timeout_option
@output_options
@click.pass_context
@async_command
async def set_(
    context: click.Context, /, id_: str, text: str, number: int | None, format_: str | None, session: int | None,
    timeout_s: float, output: Output, **more: Any,
) -> None:  # fmt: skip
    """Have a charging station show a message.

    \b
    Examples:
      csms display set CP-001 "Closed from 22:00" --priority InFront --until 2026-03-01T22:00:00Z
      csms display set CP-001 "Bitte Stecker ziehen" --language de --session 42
      csms display set CP-001 "Out of order" --id 3 --state Faulted
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        message = DisplayMessage(
            id=number or 1, text=text, format=format_ or ("ASCII" if text.isascii() else "UTF8"),
            transaction=None if session is None else await _transaction(connection, known, session), **more,
        )  # fmt: skip
        _require_unspent(message.end)
        protocol = await require_online(connection, known)
        _require_writable(protocol, SetDisplayMessage(message=message))
        async with connection.transaction():
            if number is None:
                message = await service.numbered(connection, known.id, message)
            command = SetDisplayMessage(message=message)
            request = await service.next_request(connection)
            await service.open_request(connection, known.id, request, command, actor=default_actor())
        outcome = await _answered(connection, known, request, command, timeout_s=timeout_s)
    output.one({**said(outcome), "id": message.id, "charge_point": known.id})
    finish(context, outcome)


async def _transaction(connection: Any, charge_point: ChargePoint, session: int) -> str:
    """The transaction of a session that runs here."""
    row = await listing.running(connection, session, charge_point=charge_point.id, what="a message for a session")
    return str(row["transaction_id"])


def _require_unspent(end: datetime | None) -> None:
    if end is not None and end <= datetime.now(end.tzinfo):
        raise click.BadParameter("this instant is past", param_hint="--until")


def _require_writable(protocol: Protocol, command: Command) -> None:
    """What cannot be sent is not asked for."""
    try:
        translator(protocol).command(command)
    except CommandInvalid as invalid:
        raise CliError(str(invalid), "correct it", ExitCode.USAGE) from None


async def _answered(
    connection: Any, charge_point: ChargePoint, request: int, command: Command, *, timeout_s: float
) -> Outcome:
    """Ask, and keep what was answered, or that nothing was."""
    try:
        outcome = await send(connection, charge_point, command, timeout_s=timeout_s)
    except CliError as failed:
        lost = Outcome(accepted=False, status=failed.code, detail=failed.message)
        await service.record_answer(connection, request, lost)
        raise
    await service.record_answer(connection, request, outcome)
    return outcome


@display.command("list")
@click.argument("id_", metavar="CP")
@timeout_option
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, /, id_: str, timeout_s: float, output: Output) -> None:
    """Ask a charging station which messages it holds.

    Exit status 8: not all of them came in time, what came is printed.

    \b
    Example:
      csms display list CP-001 -o json
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        await require_online(connection, known)
        command = GetDisplayMessages(request=await service.next_request(connection))
        await service.open_request(connection, known.id, command.request, command, actor=default_actor())
        outcome = await _answered(connection, known, command.request, command, timeout_s=timeout_s)
        held = service.Held(complete=True)
        if outcome.accepted:
            left_s = deadline - asyncio.get_running_loop().time()
            held = await service.collect(connection, known.id, request=command.request, timeout_s=left_s)
    if not outcome.accepted and outcome.status != NONE_HELD:
        detail = "" if outcome.detail is None else f" ({outcome.detail})"
        output.note(f"{known.id} tells of no messages: {outcome.status}{detail}")
    if held.parts or held.complete:
        output.rows(
            [{name: each[name] for name in COLUMNS} for _, each in sorted(held.messages.items())], columns=COLUMNS
        )
    if not held.complete:
        raise CliError(
            f"{held.parts} part(s) with {len(held.messages)} message(s) of {known.id} arrived within {timeout_s:g} s; "
            "the last part is not among them",
            f"try again with a longer --timeout, or look at csms cp trace {known.id}",
            ExitCode.PARTIAL if held.parts else ExitCode.TIMEOUT,
        )
    if outcome.status != NONE_HELD:
        finish(context, outcome)


@display.command()
@click.argument("id_", metavar="CP")
@click.argument("number", metavar="ID", type=MESSAGE_ID)
@timeout_option
@output_options
@click.pass_context
@async_command
async def clear(context: click.Context, /, id_: str, number: int, timeout_s: float, output: Output) -> None:
    """Have a charging station remove a message; csms display list CP tells their ids.

    \b
    Example:
      csms display clear CP-001 3
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        await require_online(connection, known)
        command = ClearDisplayMessage(message=number)
        request = await service.next_request(connection)
        await service.open_request(connection, known.id, request, command, actor=default_actor())
        outcome = await _answered(connection, known, request, command, timeout_s=timeout_s)
    output.one({**said(outcome), "id": number, "charge_point": known.id})
    finish(context, outcome)
