"""csms monitor: what charging stations watch, and what they saw."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from billing import INSTANT, CliError, ExitCode, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import finish, said, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.cli.context import connect
from csms.monitoring import service
from csms.monitoring.asking import ask
from csms.protocol.blocks.monitoring import (
    SEVERITY_MAX,
    ClearMonitors,
    GetMonitoringReport,
    MonitoringBase,
    MonitoringCriterion,
    MonitorType,
    SetMonitor,
    SetMonitoringBase,
    SetMonitoringLevel,
)
from csms.protocol.blocks.monitoring_facts import Monitor
from csms.protocol.vocabulary import Command, Outcome

COLUMNS = ("id", "name", "type", "value", "severity", "during_transaction")
EVENT_COLUMNS = ("at", "charge_point", "name", "value", "trigger", "monitor", "severity", "is_cleared", "tech_info")
MONITOR_ID = click.IntRange(0, 2**31 - 1)
SEVERITY = click.IntRange(0, SEVERITY_MAX)
NO_MONITORS = "EmptyResultSet"


class Number(click.ParamType[Decimal]):
    """A decimal number, kept digit by digit."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            self.fail(f"{value!r} is no number", param, ctx)
        return number


@click.group()
def monitor() -> None:
    """Monitors: variables that a charging station watches by itself (OCPP 2.0.1; OCPP 1.6 has none).

    \b
    Examples:
      csms monitor set CP-002 EVSE@1.Temperature --type UpperThreshold --value 80 --severity 4
      csms monitor list CP-002
      csms monitor events --cp CP-002 --since 2026-03-01T00:00:00Z
      csms monitor clear CP-002 7
    """


@monitor.command("set")
@click.argument("id_", metavar="CP")
@click.argument("name")
@click.option("--type", "kind", type=click.Choice([str(each) for each in MonitorType]), required=True, help="What for.")
@click.option("--value", type=Number(), required=True, help="The limit, the difference, or every so many seconds.")
@click.option("--severity", type=SEVERITY, required=True, help="0 (danger) to 9 (debug).")
@click.option("--id", "number", type=MONITOR_ID, help="Replace this one; a new one where left out.")
@click.option("--during-transaction", is_flag=True, help="Only while a transaction runs.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def set_(
    context: click.Context, /, id_: str, name: str, kind: str, value: Decimal, severity: int, number: int | None,
    during_transaction: bool, timeout_s: float, output: Output,
) -> None:  # fmt: skip
    """Have a variable watched.

    \b
    Examples:
      csms monitor set CP-002 EVSE@1.Temperature --type UpperThreshold --value 80 --severity 4
      csms monitor set CP-002 EVSE@1.Power --type Periodic --value 60 --severity 8
    """
    wish = SetMonitor(
        name=name, type=MonitorType(kind), value=value, severity=severity, monitor=number,
        during_transaction=during_transaction,
    )  # fmt: skip
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        _, outcome = await ask(connection, known, lambda _: wish, timeout_s=timeout_s)
        made = outcome.data.get("monitor", number) if outcome.accepted else None
        if made is not None:
            told = Monitor(
                id=made, name=name, type=kind, value=f"{value:f}", severity=severity,
                during_transaction=during_transaction,
            )  # fmt: skip
            await service.remember(connection, known.id, [told])
    output.one({"charge_point": known.id, **said(outcome), "id": made})
    finish(context, outcome)


@monitor.command()
@click.argument("id_", metavar="CP")
@click.argument("numbers", metavar="ID...", type=MONITOR_ID, nargs=-1, required=True)
@timeout_option
@output_options
@click.pass_context
@async_command
async def clear(
    context: click.Context, /, id_: str, numbers: tuple[int, ...], timeout_s: float, output: Output
) -> None:
    """Have variables watched no longer, by the ids of the monitors (csms monitor list).

    \b
    Example:
      csms monitor clear CP-002 7 9
    """
    wish = ClearMonitors(monitors=numbers)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        _, outcome = await ask(connection, known, lambda _: wish, timeout_s=timeout_s)
        statuses = outcome.data.get("statuses", {})
        gone = [number for number in numbers if statuses.get(str(number)) in {"Accepted", "NotFound"}]
        await service.forget(connection, known.id, gone)
    if statuses:
        output.rows([{"id": number, "outcome": statuses[str(number)]} for number in numbers], columns=("id", "outcome"))
    else:
        output.one(said(outcome))
    if not outcome.accepted and "Accepted" in statuses.values():
        context.exit(int(ExitCode.PARTIAL))
    finish(context, outcome)


@monitor.command()
@click.argument("id_", metavar="CP")
@click.argument("base_", metavar="BASE", type=click.Choice([str(each) for each in MonitoringBase]))
@timeout_option
@output_options
@click.pass_context
@async_command
async def base(context: click.Context, /, id_: str, base_: str, timeout_s: float, output: Output) -> None:
    """Say which monitors are there to begin with; FactoryDefault and HardWiredOnly drop those set by hand.

    \b
    Example:
      csms monitor base CP-002 FactoryDefault
    """
    await _carry_out(context, id_, SetMonitoringBase(base=MonitoringBase(base_)), timeout_s, output)


@monitor.command()
@click.argument("id_", metavar="CP")
@click.argument("severity", type=SEVERITY)
@timeout_option
@output_options
@click.pass_context
@async_command
async def level(context: click.Context, /, id_: str, severity: int, timeout_s: float, output: Output) -> None:
    """Have events told up to this severity: 0 only danger, 9 everything.

    \b
    Example:
      csms monitor level CP-002 5
    """
    await _carry_out(context, id_, SetMonitoringLevel(severity=severity), timeout_s, output)


async def _carry_out(context: click.Context, id_: str, wish: Command, timeout_s: float, output: Output) -> None:
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        _, outcome = await ask(connection, known, lambda _: wish, timeout_s=timeout_s)
    output.one(said(outcome))
    finish(context, outcome)


@monitor.command("list")
@click.argument("id_", metavar="CP")
@click.option(
    "--criteria",
    type=click.Choice([str(each) for each in MonitoringCriterion]),
    multiple=True,
    help="Only of this kind.",
)
@click.option("--component", "names", multiple=True, help="Only of this Component, or Component.Variable.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def list_(
    context: click.Context, /, id_: str, criteria: tuple[str, ...], names: tuple[str, ...], timeout_s: float,
    output: Output,
) -> None:  # fmt: skip
    """Ask a charging station for its monitors.

    \b
    Examples:
      csms monitor list CP-002
      csms monitor list CP-002 --criteria ThresholdMonitoring --component EVSE@1 -o json
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    wanted = tuple(MonitoringCriterion(each) for each in criteria)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        command, outcome = await ask(
            connection, known, lambda number: GetMonitoringReport(request=number, criteria=wanted, names=names),
            timeout_s=timeout_s,
        )  # fmt: skip
        is_whole = not criteria and not names
        if not outcome.accepted:
            await _nothing_to_list(context, connection, known, outcome, is_whole=is_whole, output=output)
            return
        assert isinstance(command, GetMonitoringReport)
        left_s = deadline - asyncio.get_running_loop().time()
        report = await service.collect(connection, command.request, timeout_s=left_s)
        rows = report.rows()
        if report.complete and is_whole:
            await service.forget_others(connection, known.id, [row["id"] for row in rows])
    if report.parts:
        output.rows(rows, columns=COLUMNS)
    if not report.complete:
        raise CliError(
            f"{len(report.parts)} part(s) of the monitoring report of {known.id} arrived within {timeout_s:g} s, "
            f"{len(rows)} monitors in all; more were to follow",
            f"try again with a longer --timeout, or look at csms cp trace {known.id}",
            ExitCode.PARTIAL if report.parts else ExitCode.TIMEOUT,
        )


async def _nothing_to_list(
    context: click.Context, connection: Any, charge_point: ChargePoint, outcome: Outcome, *, is_whole: bool,
    output: Output,
) -> None:  # fmt: skip
    """That there are none is an answer; anything else is a refusal."""
    output.rows([], columns=COLUMNS)
    if outcome.status == NO_MONITORS:
        if is_whole:
            await service.forget_others(connection, charge_point.id, [])
        return
    detail = "" if outcome.detail is None else f" ({outcome.detail})"
    output.note(f"{charge_point.id} gives no monitoring report: {outcome.status}{detail}")
    finish(context, outcome)


@monitor.command()
@click.option("--cp", "charge_point", help="Only of this charge point.")
@click.option("--since", type=INSTANT, help="Only what came from then on.")
@click.option("--limit", "most", type=click.IntRange(1, 10_000), default=100, show_default=True)
@output_options
@click.pass_context
@async_command
async def events(
    context: click.Context, /, charge_point: str | None, since: datetime | None, most: int, output: Output
) -> None:
    """List what charging stations saw, the newest first; the last 10000 of each are kept.

    \b
    Examples:
      csms monitor events --cp CP-002
      csms monitor events --since 2026-03-01T00:00:00Z -o json
    """
    async with connect(context) as connection:
        where = None if charge_point is None else (await charge_points.get(connection, charge_point)).id
        found = await service.newest_events(connection, charge_point=where, since=since, most=most)
    output.rows(found, columns=EVENT_COLUMNS)
