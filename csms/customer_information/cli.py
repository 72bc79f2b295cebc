"""csms cp customer-information: what a charging station knows of the holder of a token."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from billing import CliError, ExitCode, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import finish, require_online, said, send, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.cli.context import connect, default_actor
from csms.customer_information import service
from csms.customer_information.service import Told
from csms.protocol.blocks.customer_information import CustomerInformation
from csms.protocol.repair import INTEGER_MAX
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.vocabulary import Outcome


@click.command("customer-information")
@click.argument("id_", metavar="CP")
@click.option("--token", required=True, help="Of whom.")
@click.option("--report", is_flag=True, help="Print what it knows.")
@click.option("--clear", is_flag=True, help="Have it forget that, after the report where both are asked for.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def customer_information(
    context: click.Context, /, id_: str, token: str, report: bool, clear: bool, timeout_s: float, output: Output
) -> None:
    """Ask what a charging station knows of the holder of a token, or have it forget that (OCPP 2.0.1).

    What it tells is personal data. It is printed and kept nowhere: it waits in the database for this command, an hour
    at most (and five minutes until the next sweep), and is hidden in the traffic that csms cp trace shows. Who has
    asked, the answer and the number of parts stay. The station's local list is another matter: csms local-list send.

    Exit status 8: not all of it came in time, what came is printed.

    \b
    Examples:
      csms cp customer-information CP-001 --token 04AB12CD --report
      csms cp customer-information CP-001 --token 04AB12CD --report --clear
    """
    if not report and not clear:
        raise click.UsageError("say --report, --clear or both")
    deadline = asyncio.get_running_loop().time() + timeout_s
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        protocol = await require_online(connection, known)
        wish = CustomerInformation(request=INTEGER_MAX, token=token, report=report, clear=clear)
        try:
            translator(protocol).command(wish)
        except CommandInvalid as invalid:
            raise CliError(str(invalid), "correct it", ExitCode.USAGE) from None
        number = await service.open_request(
            connection, known.id, token=token, report=report, clear=clear, actor=default_actor()
        )
        command = CustomerInformation(request=number, token=token, report=report, clear=clear)
        outcome = await _answered(connection, known, command, timeout_s=timeout_s)
        told = None
        if report and outcome.accepted:
            left_s = deadline - asyncio.get_running_loop().time()
            told = await service.collect(connection, request=number, timeout_s=left_s)
        row = {**said(outcome), "charge_point": known.id, "token": token, "request": number}
        _print(output, row, told)
        if told is not None:
            await service.hand_over(connection, number, told)
    _finish(context, outcome, told, known, timeout_s=timeout_s)


async def _answered(
    connection: Any, charge_point: ChargePoint, command: CustomerInformation, *, timeout_s: float
) -> Outcome:
    """Ask, and keep what was answered, or that nothing was."""
    try:
        outcome = await send(connection, charge_point, command, timeout_s=timeout_s)
    except CliError as failed:
        lost = Outcome(accepted=False, status=failed.code, detail=failed.message)
        await service.record_answer(connection, command.request, lost)
        raise
    await service.record_answer(connection, command.request, outcome)
    return outcome


def _print(output: Output, row: dict[str, object], told: Told | None) -> None:
    """Where nothing at all was told in time, the error says it."""
    if told is None:
        output.one(row)
    elif told.parts:
        output.one({**row, "complete": told.complete, "information": told.text})


def _finish(
    context: click.Context, outcome: Outcome, told: Told | None, charge_point: ChargePoint, *, timeout_s: float
) -> None:
    if told is not None and not told.complete:
        raise CliError(
            f"{len(told.parts)} part(s) of what {charge_point.id} knows arrived within {timeout_s:g} s, not all",
            f"ask again with a longer --timeout, or look at csms cp trace {charge_point.id}",
            ExitCode.PARTIAL if told.parts else ExitCode.TIMEOUT,
        )
    finish(context, outcome)
