"""csms cp config report, csms cp config network: some of the device model, and how a station reaches us."""

from __future__ import annotations

import asyncio
from typing import IO, Any

import click

from billing import CliError, ExitCode, Output, Refused, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import finish, require_online, said, send, timeout_option
from csms.charge_points.charge_point import ChargePoint
from csms.charge_points.commands_cli import REPORT_COLUMNS, config, cp
from csms.charge_points.device_settings import settings_of as settings_in
from csms.cli.context import connect
from csms.monitoring.asking import ask
from csms.protocol.blocks.monitoring import AccessPoint, ComponentCriterion, GetReport, SetNetworkProfile
from csms.protocol.vocabulary import GetSettings

__all__ = ["cp"]

SECURITY_PROFILE = "SecurityCtrlr.SecurityProfile"
NOTHING_FITS = "EmptyResultSet"
PASSWORD_LENGTH_MAX = 20  # APNType.apnPassword
INTERFACES = tuple(f"{kind}{number}" for kind in ("Wired", "Wireless") for number in range(4))


@config.command("report")
@click.argument("id_", metavar="CP")
@click.option("--component", "names", multiple=True, help="A Component, or Component.Variable.")
@click.option(
    "--criteria", type=click.Choice([str(each) for each in ComponentCriterion]), multiple=True,
    help="Only components that are so.",
)  # fmt: skip
@timeout_option
@output_options
@click.pass_context
@async_command
async def report(
    context: click.Context, /, id_: str, names: tuple[str, ...], criteria: tuple[str, ...], timeout_s: float,
    output: Output,
) -> None:  # fmt: skip
    """Ask a charging station for some of its device model (OCPP 2.0.1).

    \b
    Examples:
      csms cp config report CP-002 --component SampledDataCtrlr
      csms cp config report CP-002 --criteria Problem -o json
    """
    if not names and not criteria:
        raise click.UsageError("say --component or --criteria; csms cp config get reads everything")
    from csms.charge_points.report import collect, newest_frame_at  # noqa: PLC0415 - reads schemas: other commands start faster

    deadline = asyncio.get_running_loop().time() + timeout_s
    wanted = tuple(ComponentCriterion(each) for each in criteria)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        since = await newest_frame_at(connection, known)
        command, outcome = await ask(
            connection, known, lambda number: GetReport(request=number, criteria=wanted, names=names),
            timeout_s=timeout_s,
        )  # fmt: skip
        if not outcome.accepted:
            output.rows([], columns=REPORT_COLUMNS)
            if outcome.status != NOTHING_FITS:
                detail = "" if outcome.detail is None else f" ({outcome.detail})"
                output.note(f"{known.id} gives no such report: {outcome.status}{detail}")
                finish(context, outcome)
            return
        assert isinstance(command, GetReport)
        left_s = deadline - asyncio.get_running_loop().time()
        told = await collect(connection, known, request=command.request, since=since, timeout_s=left_s)
    if told.parts:
        output.rows(told.rows(), columns=REPORT_COLUMNS)
    if not told.complete:
        raise CliError(
            f"{len(told.parts)} part(s) of the report of {known.id} arrived within {timeout_s:g} s; more were to follow",
            f"try again with a longer --timeout, or look at csms cp trace {known.id}",
            ExitCode.PARTIAL if told.parts else ExitCode.TIMEOUT,
        )


@config.command("network")
@click.argument("id_", metavar="CP")
@click.argument("slot", type=click.IntRange(0, 2**31 - 1))
@click.option("--url", required=True, help="Of the central system, without the charge point's identity.")
@click.option("--security-profile", type=click.IntRange(0, 3), help="As now where left out; never lowered.")
@click.option("--interface", type=click.Choice(INTERFACES), default="Wired0", show_default=True)
@click.option("--message-timeout", "message_timeout_s", type=click.IntRange(1, 3600), default=30, show_default=True)
@click.option("--apn", help="Access point of the mobile network.")
@click.option("--apn-user", help="Who logs in there.")
@click.option("--apn-password-file", type=click.File("r"), help="Where its password stands; - is stdin.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def network(
    context: click.Context, /, id_: str, slot: int, url: str, security_profile: int | None, interface: str,
    message_timeout_s: int, apn: str | None, apn_user: str | None, apn_password_file: IO[str] | None,
    timeout_s: float, output: Output,
) -> None:  # fmt: skip
    """Store in a slot of a charging station how it reaches the central system (OCPP 2.0.1).

    The station uses the slots in the order of OCPPCommCtrlr.NetworkConfigurationPriority, after a restart.

    \b
    Examples:
      csms cp config network CP-002 1 --url wss://csms.example/ocpp --security-profile 2
      csms cp config network CP-002 1 --url ws://csms.example/ocpp --interface Wireless0 --apn internet.example
    """
    point = _access_point(apn, apn_user, apn_password_file)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        profile = await _profile(connection, known, security_profile, timeout_s=timeout_s)
        wish = SetNetworkProfile(
            slot=slot, url=url, security_profile=profile, interface=interface, message_timeout_s=message_timeout_s,
            access_point=point,
        )  # fmt: skip
        _, outcome = await ask(connection, known, lambda _: wish, timeout_s=timeout_s)
    output.one({"charge_point": known.id, "slot": slot, "security_profile": profile, **said(outcome)})
    finish(context, outcome)


def _access_point(name: str | None, user: str | None, password_file: IO[str] | None) -> AccessPoint | None:
    if name is None:
        if user is not None or password_file is not None:
            raise click.UsageError("--apn-user and --apn-password-file need --apn")
        return None
    password = None if password_file is None else password_file.read(10_000).strip()
    if password is not None and not 0 < len(password) <= PASSWORD_LENGTH_MAX:
        raise click.BadParameter(
            f"a password has 1 to {PASSWORD_LENGTH_MAX} characters", param_hint="--apn-password-file"
        )
    return AccessPoint(name=name, user=user, password=password)


async def _profile(connection: Any, charge_point: ChargePoint, wanted: int | None, *, timeout_s: float) -> int:
    """The security profile to store: no lower than what is registered here, nor than what the station says that it has.

    Raises:
        Refused: it would be lowered.
    """
    lowest = charge_point.security_profile
    if (await require_online(connection, charge_point)).has_device_model:
        read = settings_in(
            await send(connection, charge_point, GetSettings(names=(SECURITY_PROFILE,)), timeout_s=timeout_s)
        )
        said_to_have = [int(value) for value, _ in read.values() if value is not None and value.strip().isdecimal()]
        lowest = max([lowest, *said_to_have])
    if wanted is not None and wanted < lowest:
        raise Refused(
            f"{charge_point.id} has security profile {lowest}: a network profile with {wanted} would lower it",
            f"use --security-profile {lowest} or higher",
        )
    return lowest if wanted is None else wanted
