"""How command lines ask something of a charge point: through the server that holds its socket."""

from __future__ import annotations

from typing import Any

import click

from billing import CliError, ExitCode, Output
from csms.charge_points import service
from csms.charge_points.charge_point import ChargePoint
from csms.cli.context import connect, default_actor
from csms.nodes.routing import ask
from csms.nodes.service import live_nodes
from csms.protocol.vocabulary import Command, Outcome, Protocol

timeout_option = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(1, 3600), default=30, show_default=True, metavar="SECONDS"
)


async def send(connection: Any, charge_point: ChargePoint, command: Command, *, timeout_s: float) -> Outcome:
    """Ask, and let what nobody could deliver be an error that says whose move it is."""
    await require_online(connection, charge_point)
    outcome = await ask(connection, charge_point.id, command, actor=default_actor(), timeout_s=timeout_s)
    match outcome.status:
        case "offline":
            raise _offline(charge_point)
        case "timeout":
            raise CliError(
                f"{charge_point.id} did not answer within {timeout_s:g} s"
                + (f": {outcome.detail}" if outcome.detail else ""),
                "try again, or look at csms cp trace " + charge_point.id,
                ExitCode.TIMEOUT,
            )
        case "invalid":
            raise CliError(outcome.detail or "this command cannot be sent", "correct it", ExitCode.USAGE)
        case _:
            return outcome


async def require_online(connection: Any, charge_point: ChargePoint) -> Protocol:
    """What the charge point speaks; an error where no server holds a socket of it."""
    await require_server(connection)
    (listed,) = await service.list_charge_points(connection, identity=charge_point.id)
    if not listed["online"]:
        raise _offline(charge_point)
    return Protocol(listed["protocol"])


async def require_server(connection: Any) -> None:
    """An error where no server runs that could hold a socket."""
    if not await live_nodes(connection):
        raise CliError("no csms server runs on this database", "start it with csms serve", ExitCode.FAILED)


def _offline(charge_point: ChargePoint) -> CliError:
    return CliError(f"{charge_point.id} is offline", f"wait for it: csms cp show {charge_point.id}", code="offline")


def finish(context: click.Context, outcome: Outcome) -> None:
    """A charge point that refuses is an outcome for stdout and an exit status for scripts."""
    if not outcome.accepted:
        context.exit(int(ExitCode.REFUSED))


def said(outcome: Outcome) -> dict[str, object]:
    """The outcome as a row to print."""
    row: dict[str, object] = {"outcome": outcome.status}
    if outcome.detail:
        row["detail"] = outcome.detail
    return row


async def carry_out(context: click.Context, id_: str, command: Command, timeout_s: float, output: Output) -> None:
    """Ask for something whose outcome is all that there is to say."""
    async with connect(context) as connection:
        known = await service.get(connection, id_)
        outcome = await send(connection, known, command, timeout_s=timeout_s)
    output.one(said(outcome))
    finish(context, outcome)
