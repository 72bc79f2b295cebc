"""csms cp start ... trigger: commands to charge points, through the server that holds the socket."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from billing import SESSION_ID, CliError, ExitCode, Output, Refused, async_command, output_options
from csms.charge_points import service
from csms.charge_points.asking import carry_out, finish, require_online, said, send, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.cli import cp
from csms.charge_points.device_settings import DeviceSettings, remember
from csms.charge_points.device_settings import settings_of as settings_in
from csms.cli.context import connect, default_actor
from csms.credentials.cli import password
from csms.credentials.profile_cli import security_profile
from csms.customer_information.cli import customer_information
from csms.doctor.cli import doctor
from csms.nodes.disconnect import Disconnect
from csms.protocol.blocks.credentials import own_command_of
from csms.protocol.blocks.firmware import ExtendedTriggerMessage
from csms.protocol.blocks.local_lists import ClearCache
from csms.protocol.redaction import is_secret
from csms.protocol.vocabulary import (
    ChangeAvailability,
    Command,
    GetFullReport,
    GetSettings,
    Outcome,
    Protocol,
    Reset,
    SendVendorData,
    StartCharging,
    StopCharging,
    TriggerMessage,
    UnlockConnector,
)
from csms.quirks.cli import quirks
from csms.sessions import service as sessions
from csms.sessions.limit_cli import limit_started
from csms.tokens.limit_cli import AMOUNT

WAIT_POLL_S = 0.3
DISCONNECT_REASON_MAX = 100
SECRET_LENGTH_READ_MAX = 10_000
REPORT_COLUMNS = ("component", "variable", "value", "mutability")
TRIGGERS = {
    Protocol.V16: (
        "BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat", "MeterValues",
        "StatusNotification",
    ),
    Protocol.V201: (
        "BootNotification", "FirmwareStatusNotification", "Heartbeat", "LogStatusNotification", "MeterValues",
        "PublishFirmwareStatusNotification", "SignChargingStationCertificate", "SignCombinedCertificate",
        "SignV2GCertificate", "StatusNotification", "TransactionEvent",
    ),
}  # fmt: skip
TRIGGERS[Protocol.V21] = TRIGGERS[Protocol.V201]
"""What TriggerMessage may ask for: MessageTrigger of 1.6, MessageTriggerEnumType of 2.0.1."""
EXTENDED_TRIGGERS = ("LogStatusNotification", "SignChargePointCertificate")
"""What only ExtendedTriggerMessage may ask for (1.6 security white paper)."""

__all__ = ["cp"]

cp.add_command(customer_information)
cp.add_command(doctor)
cp.add_command(quirks)
cp.add_command(password)
cp.add_command(security_profile)


@cp.command()
@click.argument("id_", metavar="CP")
@click.option("--token", required=True, help="On whose account.")
@click.option("--evse", type=click.IntRange(1), help="Which one; the charge point chooses where left out.")
@click.option("--wait", is_flag=True, help="Until the session runs.")
@click.option("--limit", type=AMOUNT, help="What the session may cost, tax included; implies --wait.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def start(
    context: click.Context,
    id_: str,
    token: str,
    evse: int | None,
    wait: bool,
    limit: Decimal | None,
    timeout_s: float,
    output: Output,
) -> None:
    """Have a charge point start a session. Its limit holds from the moment at which it has begun.

    \b
    Examples:
      csms cp start CP-001 --token 04AB12CD --evse 1 --wait
      csms cp start CP-001 --token 04AB12CD --limit 20.00
    """
    async with connect(context) as connection:
        known = await service.get(connection, id_)
        since = datetime.now(UTC)
        command = StartCharging(token=token, evse=evse, remote_start=secrets.randbelow(2**31 - 1) + 1)
        outcome = await send(connection, known, command, timeout_s=timeout_s)
        session: int | None = None
        if (wait or limit is not None) and outcome.accepted:
            session = await _await_session(
                lambda: sessions.started_since(
                    connection, known.id, token=token, evse=evse, remote_start=command.remote_start, since=since
                ),
                timeout_s=timeout_s,
                what=f"no session of {token} began on {known.id}",
            )
            if limit is not None:
                await limit_started(connection, session, limit, actor=default_actor())
    output.one({**said(outcome), "session": session})
    finish(context, outcome)


@cp.command()
@click.argument("id_", metavar="CP")
@click.option("--session", "session", type=SESSION_ID, required=True, help="Which session.")
@click.option("--wait", is_flag=True, help="Until the session has ended.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def stop(context: click.Context, id_: str, session: int, wait: bool, timeout_s: float, output: Output) -> None:
    """Have a charge point stop a session.

    \b
    Example:
      csms cp stop CP-001 --session 42 --wait
    """
    async with connect(context) as connection:
        known = await service.get(connection, id_)
        transaction = await sessions.transaction_of(connection, session, charge_point=known.id)
        outcome = await send(connection, known, StopCharging(transaction=transaction), timeout_s=timeout_s)
        if wait and outcome.accepted:
            await _await_session(
                lambda: sessions.ended(connection, session),
                timeout_s=timeout_s,
                what=f"session {session} goes on",
            )
    output.one({**said(outcome), "session": session})
    finish(context, outcome)


async def _await_session(look: Any, *, timeout_s: float, what: str) -> int:
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                found: int | None = await look()
                if found is not None:
                    return found
                await asyncio.sleep(WAIT_POLL_S)
    except TimeoutError:
        raise CliError(f"{what} within {timeout_s:g} s", "look at csms session list", ExitCode.TIMEOUT) from None


@cp.command()
@click.argument("id_", metavar="CP")
@click.option("--hard", is_flag=True, help="At once, sessions or not (1.6 Hard, 2.0.1 Immediate).")
@timeout_option
@output_options
@click.pass_context
@async_command
async def reset(context: click.Context, id_: str, hard: bool, timeout_s: float, output: Output) -> None:
    """Have a charge point restart.

    \b
    Example:
      csms cp reset CP-001
    """
    await carry_out(context, id_, Reset(hard=hard), timeout_s, output)


@cp.command()
@click.argument("id_", metavar="CP")
@click.option("--evse", type=click.IntRange(1), default=1, show_default=True)
@click.option("--connector", type=click.IntRange(1), default=1, show_default=True)
@timeout_option
@output_options
@click.pass_context
@async_command
async def unlock(context: click.Context, id_: str, evse: int, connector: int, timeout_s: float, output: Output) -> None:
    """Have a charge point unlock a cable.

    \b
    Example:
      csms cp unlock CP-001 --evse 2
    """
    await carry_out(context, id_, UnlockConnector(evse=evse, connector=connector), timeout_s, output)


@cp.command("clear-cache")
@click.argument("id_", metavar="CP")
@timeout_option
@output_options
@click.pass_context
@async_command
async def clear_cache(context: click.Context, id_: str, timeout_s: float, output: Output) -> None:
    """Have a charge point forget the tokens that it has learnt; its local list stays (csms local-list).

    \b
    Example:
      csms cp clear-cache CP-001
    """
    await carry_out(context, id_, ClearCache(), timeout_s, output)


@cp.command()
@click.argument("id_", metavar="CP")
@click.option(
    "--reason",
    default="closed by an operator",
    show_default=True,
    help="It is told in the close frame; 100 characters.",
)
@timeout_option
@output_options
@click.pass_context
@async_command
async def disconnect(context: click.Context, id_: str, reason: str, timeout_s: float, output: Output) -> None:
    """Close the socket of a charge point, on whichever node it is. It may come back at once, if its credentials still do.

    \b
    Examples:
      csms cp disconnect CP-001
      csms cp disconnect CP-001 --reason "moved to another site"
    """
    if len(reason) > DISCONNECT_REASON_MAX:
        raise click.UsageError(f"--reason has at most {DISCONNECT_REASON_MAX} characters")
    await carry_out(context, id_, Disconnect(reason=reason), timeout_s, output)


@cp.command()
@click.argument("id_", metavar="CP")
@click.argument("state", type=click.Choice(["operative", "inoperative"]))
@click.option("--evse", type=click.IntRange(1), help="Only this one; the whole charge point where left out.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def availability(
    context: click.Context, id_: str, state: str, evse: int | None, timeout_s: float, output: Output
) -> None:
    """Put a charge point, or one EVSE, in or out of service.

    \b
    Example:
      csms cp availability CP-001 inoperative --evse 2
    """
    await carry_out(context, id_, ChangeAvailability(operative=state == "operative", evse=evse), timeout_s, output)


@cp.command()
@click.argument("id_", metavar="CP")
@click.argument("message")
@click.option("--evse", type=click.IntRange(1))
@click.option("--connector", type=click.IntRange(1))
@timeout_option
@output_options
@click.pass_context
@async_command
async def trigger(
    context: click.Context,
    id_: str,
    message: str,
    evse: int | None,
    connector: int | None,
    timeout_s: float,
    output: Output,
) -> None:
    """Have a charge point send a message: BootNotification, StatusNotification, MeterValues, Heartbeat ...

    \b
    Example:
      csms cp trigger CP-001 StatusNotification --evse 1
    """
    _require_trigger(message, sorted({*TRIGGERS[Protocol.V16], *TRIGGERS[Protocol.V201], *EXTENDED_TRIGGERS}), "OCPP")
    async with connect(context) as connection:
        known = await service.get(connection, id_)
        protocol = await require_online(connection, known)
        extended = EXTENDED_TRIGGERS if protocol is Protocol.V16 else ()
        _require_trigger(message, (*TRIGGERS[protocol], *extended), str(protocol))
        command: Command = TriggerMessage(message=message, evse=evse, connector=connector)
        if message in extended:
            command = ExtendedTriggerMessage(message=message, evse=evse)
        outcome = await send(connection, known, command, timeout_s=timeout_s)
    output.one(said(outcome))
    finish(context, outcome)


def _require_trigger(message: str, words: Sequence[str], of: str) -> None:
    if message not in words:
        raise click.BadParameter(f"{of} cannot trigger {message!r}; known are {', '.join(words)}", param_hint="MESSAGE")


@cp.command("data-transfer")
@click.argument("id_", metavar="CP")
@click.argument("vendor")
@click.option("--message", help="Which of the vendor's messages.")
@click.option("--data", help="Text, or JSON where it can be read as such; OCPP 1.6 carries it as text.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def data_transfer(
    context: click.Context,
    id_: str,
    vendor: str,
    message: str | None,
    data: str | None,
    timeout_s: float,
    output: Output,
) -> None:
    """Send a charge point something that only its vendor knows, and show what it answers.

    \b
    Examples:
      csms cp data-transfer CP-001 com.example --message Ping
      csms cp data-transfer CP-002 com.example --data '{"colour": "green"}' -o json
    """
    command = SendVendorData(vendor=vendor, message=message, data=_json_or_text(data))
    async with connect(context) as connection:
        outcome = await send(connection, await service.get(connection, id_), command, timeout_s=timeout_s)
    output.one(said(outcome) | outcome.data)
    finish(context, outcome)


def _json_or_text(data: str | None) -> object:
    if data is None:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return data


@cp.group()
def config() -> None:
    """Settings in the charge point: 1.6 configuration keys, 2.0.1 variables as Component.Variable.

    \b
    Examples:
      csms cp config get CP-001 MeterValueSampleInterval
      csms cp config set CP-001 MeterValueSampleInterval 60
    """


@config.command("get")
@click.argument("id_", metavar="CP")
@click.argument("names", nargs=-1)
@timeout_option
@output_options
@click.pass_context
@async_command
async def config_get(
    context: click.Context, id_: str, names: tuple[str, ...], timeout_s: float, output: Output
) -> None:
    """Read settings from a charge point, all of them where none is named (2.0.1: its full report).

    \b
    Examples:
      csms cp config get CP-001
      csms cp config get CP-002 SampledDataCtrlr.TxUpdatedInterval
    """
    async with connect(context) as connection:
        known = await service.get(connection, id_)
        protocol = await require_online(connection, known)
        if not names and protocol.has_device_model:
            await _full_report(context, connection, known, timeout_s, output)
            return
        if names:
            outcome = await _device(connection, known, protocol, timeout_s).read(names)
            found = settings_in(outcome)
        else:
            outcome = await send(connection, known, GetSettings(), timeout_s=timeout_s)
            found = settings_in(outcome)
            await remember(connection, known.id, found)
    rows = [
        {"name": name, "value": value, "mutability": mutability} for name, (value, mutability) in sorted(found.items())
    ]
    unknown = outcome.data.get("unknown", [])
    output.rows(rows, columns=("name", "value", "mutability"))
    if unknown:
        output.note(f"not known to {known.id}: {', '.join(str(each) for each in unknown)}")
    elif not outcome.accepted:
        output.note(f"{known.id} says {outcome.detail or outcome.status}")
    finish(context, outcome)


def _device(connection: Any, charge_point: ChargePoint, protocol: Protocol, timeout_s: float) -> DeviceSettings:
    async def ask(command: Command) -> Outcome:
        return await send(connection, charge_point, command, timeout_s=timeout_s)

    return DeviceSettings(
        charge_point=charge_point.id, protocol=protocol, send=ask, books=lambda: nullcontext(connection)
    )


async def _full_report(
    context: click.Context, connection: Any, charge_point: ChargePoint, timeout_s: float, output: Output
) -> None:
    """GetBaseReport, then the NotifyReport parts that follow its answer (OCPP 2.0.1 B07)."""
    from csms.charge_points.report import collect, newest_frame_at  # noqa: PLC0415 - reads schemas: other commands start faster

    deadline = asyncio.get_running_loop().time() + timeout_s
    since = await newest_frame_at(connection, charge_point)
    command = GetFullReport(request=secrets.randbelow(2**31 - 1) + 1)
    outcome = await send(connection, charge_point, command, timeout_s=timeout_s)
    if not outcome.accepted:
        detail = "" if outcome.detail is None else f" ({outcome.detail})"
        output.note(f"{charge_point.id} gives no full report: {outcome.status}{detail}; name the settings instead")
        output.rows([], columns=REPORT_COLUMNS)
        finish(context, outcome)
        return
    left_s = deadline - asyncio.get_running_loop().time()
    report = await collect(connection, charge_point, request=command.request, since=since, timeout_s=left_s)
    rows = report.rows()
    if report.parts:
        output.rows(rows, columns=REPORT_COLUMNS)
    if not report.complete:
        missing = f", without {', '.join(map(str, report.missing))}" if report.missing else ""
        raise CliError(
            f"{len(report.parts)} part(s) of the report of {charge_point.id} arrived within {timeout_s:g} s, "
            f"{len(rows)} settings in all{missing}; the last one {'is not' if report.last is None else 'is'} among them",
            f"try again with a longer --timeout, or look at csms cp trace {charge_point.id}",
            ExitCode.PARTIAL if report.parts else ExitCode.TIMEOUT,
        )


@config.command("set")
@click.argument("id_", metavar="CP")
@click.argument("name")
@click.argument("value")
@timeout_option
@output_options
@click.pass_context
@async_command
async def config_set(context: click.Context, id_: str, name: str, value: str, timeout_s: float, output: Output) -> None:
    """Change a setting in a charge point.

    Of a setting whose name says that it holds a secret, VALUE is `-` and the secret is read from stdin: given as it is, it
    would stand in the list of processes and in the shell's history. The charge point's own password has a command of its
    own: csms cp password rotate.

    \b
    Examples:
      csms cp config set CP-001 MeterValueSampleInterval 60
      csms cp config set CP-002 SampledDataCtrlr.TxUpdatedInterval 60
      csms cp config set CP-001 VendorWiFiPassword - < wifi.txt
    """
    value = _value_of(id_, name, value)
    async with connect(context) as connection:
        known = await service.get(connection, id_)
        protocol = await require_online(connection, known)
        outcome = await _device(connection, known, protocol, timeout_s).change(name, value)
    output.one(said(outcome))
    finish(context, outcome)


def _value_of(charge_point: str, name: str, value: str) -> str:
    """What to set `name` to; a secret comes by stdin alone."""
    own = own_command_of(name)
    if own is not None:
        raise Refused(
            f"{name} is a credential: changed like this, nobody here would know which one counts",
            f"change it with {own} {charge_point}",
        )
    if not is_secret(name):
        return value
    if value != "-":
        raise click.UsageError(f"{name} holds a secret: give - as VALUE, and the secret on stdin")
    return sys.stdin.read(SECRET_LENGTH_READ_MAX).rstrip("\r\n")
