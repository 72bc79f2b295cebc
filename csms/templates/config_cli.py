"""csms cp config diff: how the settings of two charge points differ, or of one and a template."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import click

from billing import CliError, ExitCode, Output, Refused, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import require_online, send, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.commands_cli import config
from csms.charge_points.device_model import stored_model
from csms.charge_points.device_settings import remember, settings_of
from csms.cli.context import connect
from csms.monitoring.config_cli import cp
from csms.protocol.vocabulary import GetFullReport, GetSettings, Protocol
from csms.templates import service
from csms.templates.difference import Difference, Kind, Known, by_name, differences
from csms.templates.template import section_of

__all__ = ["cp"]

SHOW_COLUMNS = ("name", "value", "mutability", "data_type", "unit", "read_at")
COLUMNS = ("name", "difference", "first", "second", "mutability", "settable")


@config.command("show")
@click.argument("id_", metavar="CP")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: str, patterns: tuple[str, ...], output: Output) -> None:
    """Show what a charge point last told of its settings, without asking it; csms cp config get asks.

    A full report of OCPP 2.x also tells types, units, limits, allowed values and other attributes: see -o json.

    \b
    Examples:
      csms cp config show CP-001
      csms cp config show CP-002 'SampledDataCtrlr.*' -o json
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        rows = await stored_model(connection, known.id)
    wanted = [pattern.casefold() for pattern in patterns]
    chosen = [row for row in rows if not wanted or any(fnmatchcase(row["name"].casefold(), each) for each in wanted)]
    output.rows(chosen, columns=SHOW_COLUMNS)


@config.command("diff")
@click.argument("id_", metavar="CP")
@click.argument("other", metavar="[CP2]", required=False)
@click.option("--template", "template", metavar="NAME", help="Instead of a second charge point.")
@click.option("--read", "reads", is_flag=True, help="Have them tell all their settings first; else as last told.")
@click.option("--settable", "only_settable", is_flag=True, help="Only what could be set to be the same.")
@click.option("--all", "everything", is_flag=True, help="Also what is the same, and what is left out and why.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def diff(
    context: click.Context,
    /,
    id_: str,
    other: str | None,
    template: str | None,
    reads: bool,
    only_settable: bool,
    everything: bool,
    timeout_s: float,
    output: Output,
) -> None:
    """Show the settings in which a charge point differs from another one, or from a template.

    Left out is what must differ: secrets, identity, serial numbers, addresses, times, state, wiring; they are named.
    A setting is settable where neither charge point says that it is read-only.

    \b
    Examples:
      csms cp config diff CP-001 CP-002 --read
      csms cp config diff CP-001 --template depot --settable
    """
    if (other is None) == (template is None):
        raise click.UsageError("name a second charge point, or --template NAME")
    async with connect(context) as connection:
        one, protocol = await _settings(connection, id_, reads=reads, timeout_s=timeout_s)
        if template is None:
            assert other is not None, "one of both is named"
            second, its = await _settings(connection, other, reads=reads, timeout_s=timeout_s)
            if protocol.has_device_model is not its.has_device_model:
                raise Refused(
                    f"{id_} speaks {protocol} and {other} {its}: their settings have other names",
                    "compare charge points of one family of versions, or each with a template",
                )
        else:
            stored = await service.get(connection, template)
            wanted = stored.template.for_protocol(protocol)
            if not wanted:
                raise Refused(
                    f"template {stored.name} sets nothing in {protocol}", f"see csms template show {stored.name}"
                )
            second = by_name(Known(name=name, value=value) for name, value in wanted.items())
            one = {name: known for name, known in one.items() if name in second}
    _report(output, differences(one, second), only_settable=only_settable, everything=everything)


async def _settings(
    connection: Any, id_: str, *, reads: bool, timeout_s: float
) -> tuple[Mapping[str, Known], Protocol]:
    """What a charge point has set, and what it speaks.

    Raises:
        Refused: nobody has asked it yet.
    """
    known = await charge_points.get(connection, id_)
    if reads:
        await _read_all(connection, known, await require_online(connection, known), timeout_s=timeout_s)
    (listed,) = await charge_points.list_charge_points(connection, identity=known.id)
    found = await service.known_settings(connection, known.id)
    if not found or listed["protocol"] is None:
        raise Refused(f"no settings of {known.id} are known here", "have them told: --read")
    protocol = Protocol(listed["protocol"])
    names_of_now = {name: each for name, each in found.items() if _is_of(each.name, protocol)}
    return names_of_now, protocol


def _is_of(name: str, protocol: Protocol) -> bool:
    """Whether a setting is one of this version: a charge point may have spoken another one before."""
    return section_of(protocol).has_name(name)


async def _read_all(connection: Any, known: ChargePoint, protocol: Protocol, *, timeout_s: float) -> None:
    """GetConfiguration of everything, or a full report (OCPP 2.0.1 B07), kept as it comes."""
    from csms.charge_points.report import collect, newest_frame_at  # noqa: PLC0415 - reads schemas: other commands start faster

    if not protocol.has_device_model:
        outcome = await send(connection, known, GetSettings(), timeout_s=timeout_s)
        await remember(connection, known.id, settings_of(outcome))
        return
    deadline = asyncio.get_running_loop().time() + timeout_s
    since = await newest_frame_at(connection, known)
    command = GetFullReport(request=secrets.randbelow(2**31 - 1) + 1)
    outcome = await send(connection, known, command, timeout_s=timeout_s)
    if not outcome.accepted:
        raise Refused(f"{known.id} gives no full report: {outcome.status}", "compare without --read")
    left_s = deadline - asyncio.get_running_loop().time()
    report = await collect(connection, known, request=command.request, since=since, timeout_s=left_s)
    if not report.complete:
        raise CliError(
            f"the report of {known.id} was not complete within {timeout_s:g} s", "try again with a longer --timeout",
            ExitCode.TIMEOUT,
        )  # fmt: skip
    told = {name: (value, mutability) for part in report.parts.values() for name, value, mutability in part.settings}
    await remember(connection, known.id, told)  # the server keeps it too, perhaps a moment later


def _report(output: Output, found: Iterable[Difference], *, only_settable: bool, everything: bool) -> None:
    left_out: list[Difference] = []
    rows = []
    for each in found:
        if each.kind is Kind.LEFT_OUT and not everything:
            left_out.append(each)
        elif (everything or each.kind is not Kind.SAME) and (each.settable or not only_settable):
            rows.append(_row(each))
    output.rows(rows, columns=(*COLUMNS, "why") if everything else COLUMNS)
    if left_out:
        output.note("left out, because it must differ: " + ", ".join(f"{each.name} ({each.why})" for each in left_out))


def _row(each: Difference) -> dict[str, object]:
    return {
        "name": each.name,
        "difference": str(each.kind),
        "first": each.one,
        "second": each.other,
        "mutability": each.mutability,
        "settable": each.settable,
        "why": each.why,
    }
