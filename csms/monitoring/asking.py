"""How command lines ask what the books of this room keep: every question, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billing import CliError, ExitCode
from csms.charge_points.asking import require_online, send
from csms.charge_points.charge_point import ChargePoint
from csms.cli.context import default_actor
from csms.monitoring import service
from csms.nodes.routing import command_to_keep
from csms.protocol.translator import CommandInvalid, translator
from csms.protocol.vocabulary import Command, Outcome


async def ask(
    connection: Any, charge_point: ChargePoint, make: Callable[[int], Command], *, timeout_s: float
) -> tuple[Command, Outcome]:
    """Ask with the number of the question (the requestId of a report), with both in the books, whatever the answer is."""
    protocol = await require_online(connection, charge_point)
    try:
        translator(protocol).command(make(1))
    except CommandInvalid as invalid:
        raise CliError(str(invalid), "correct it", ExitCode.USAGE) from None
    kept = command_to_keep(make(1))
    wish = {name: value for name, value in kept.items() if name not in {"command", "request"}}
    number = await service.open_request(
        connection, charge_point=charge_point.id, message=kept["command"], wish=wish, actor=default_actor()
    )
    command = make(number)
    try:
        outcome = await send(connection, charge_point, command, timeout_s=timeout_s)
    except CliError as failed:
        lost = Outcome(accepted=False, status=failed.code, detail=failed.message)
        await service.record_answer(connection, number, lost)
        raise
    await service.record_answer(connection, number, outcome)
    return command, outcome
