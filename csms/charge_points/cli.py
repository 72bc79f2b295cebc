"""csms cp: the registry of charge points."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import click

from billing import CliError, ExitCode, Format, Output, async_command, output_options
from csms.charge_points import service
from csms.charge_points.charge_point import ChargePoint, Current
from csms.charge_points.password_option import takes_password
from csms.charge_points.service import SQL, Choices
from csms.cli.context import connect, settings_of
from csms.cli.gathered import Gathered
from csms.protocol.vocabulary import Protocol, Registration

COLUMNS = ("id", "site", "online", "protocol", "vendor", "model", "firmware", "current", "max_kw", "status")
TRACE_COLUMNS = ("at", "direction", "action", "frame")
TRACE_POLL_S = 0.5
POWER_KW_MAX = 100_000
SERIAL_LENGTH_MAX = 25


@click.group(cls=Gathered)
def cp() -> None:
    """Charge points: register them, watch them, command them.

    \b
    Examples:
      csms cp create CP-001 --site harbour --max-kw 22
      csms cp list
      csms cp start CP-001 --token 04AB12CD --wait
    """


def _choices(
    *,
    site: str | None,
    password: str | None,
    security_profile: int | None,
    protocol: str | None,
    max_kw: Decimal | None,
    current: str | None,
    time_zone: str | None,
    registration: str | None,
    serial: str | None,
    strict: bool | None,
    template: bool | None,
    idle_after_stop: bool | None,
    idle_cap_min: int | None,
    product: str | None,
) -> Choices:
    return Choices(
        site=site,
        registration=None if registration is None else Registration(registration),
        security_profile=security_profile,
        password=password,
        serial=serial,
        protocol=None if protocol is None else Protocol(protocol),
        strict=strict,
        template=template,
        current=None if current is None else Current(current),
        max_power_w=None if max_kw is None else max_kw * 1000,
        time_zone=time_zone,
        idle_after_stop=idle_after_stop,
        idle_cap_s=None if idle_cap_min is None else idle_cap_min * 60,
        product=product,
    )


class _Kilowatts(click.ParamType[Decimal]):
    name = "kW"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            power = Decimal(str(value))
        except ArithmeticError:
            power = Decimal(0)
        if not power.is_finite() or not 0 < power <= POWER_KW_MAX:
            self.fail(f"{value!r} is no power in kW, such as 22 or 7.4", param, ctx)
        return power


class _Serial(click.ParamType[str]):
    """As a boot tells it: at most 25 characters in 1.6 and 2.0.1 (chargePointSerialNumber, serialNumber)."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if not 0 < len(text) <= SERIAL_LENGTH_MAX or not text.isprintable():
            self.fail(f"{value!r} is no serial number: 1 to {SERIAL_LENGTH_MAX} printable characters", param, ctx)
        return text


class _Product(click.ParamType[str]):
    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", str(value)):
            self.fail(
                f"{value!r} is no name of a product: letters, digits, dot, dash, underscore; at most 64", param, ctx
            )
        return str(value)


_SERIAL = _Serial()
_PRODUCT = _Product()
_OPTIONS = (
    click.option(
        "--security-profile",
        type=click.IntRange(0, 3),
        help="OCPP security profile: 0 no password, 1 password, 2 password over TLS, 3 certificate.",
    ),
    click.option(
        "--serial", type=_SERIAL, help="Its serial number, which a certificate may name; else what it tells at boot."
    ),
    click.option(
        "--protocol", type=click.Choice([each.value for each in Protocol]), help="Spoken where it offers none."
    ),
    click.option("--max-kw", type=_Kilowatts(), help="The most it can deliver; the review rules measure by it."),
    click.option("--current", type=click.Choice([each.value for each in Current]), help="AC unless said."),
    click.option("--time-zone", metavar="ZONE", help="What its times without zone mean (UTC unless said)."),
    click.option(
        "--registration",
        type=click.Choice([each.value for each in Registration]),
        help="What its BootNotification is answered; Accepted unless said.",
    ),
    click.option("--strict/--lenient", "strict", default=None, help="Refuse what breaks the schema, for conformance."),
    click.option("--template/--no-template", "template", default=None, help="Set metering up after each boot."),
    click.option(
        "--idle-after-stop/--no-idle-after-stop",
        "idle_after_stop",
        default=None,
        help="Rate the stay after the stop as parking, as far as it is proven, where the tariff says nothing of it.",
    ),
    click.option("--idle-cap-min", type=click.IntRange(1, 10_080), help="At most so many minutes of it."),
    click.option(
        "--product", type=_PRODUCT, help="What it sells, as tariffs are assigned by it; AC or DC unless said."
    ),
)


def _with_options(command: Any) -> Any:
    command = takes_password()(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _created(known: ChargePoint, password: str | None) -> dict[str, object]:
    return {"id": known.id, "password": password, **_where(known)}


def _where(known: ChargePoint) -> dict[str, object]:
    return {
        "site": known.site,
        "security_profile": known.security_profile,
        "registration": str(known.registration),
    }


@cp.command()
@click.argument("id_", metavar="ID")
@click.option("--site", required=True, help="Where it stands.")
@_with_options
@output_options
@click.pass_context
@async_command
async def create(context: click.Context, /, id_: str, output: Output, **said: Any) -> None:
    """Make a charge point known. Its password is shown once, here; with security profile 3 it has none.

    \b
    Examples:
      csms cp create CP-001 --site harbour --max-kw 22
      csms cp create CP-002 --site harbour --max-kw 150 --current DC -o json
      csms cp create CP-003 --site harbour --security-profile 3 --serial SN-0003
    """
    settings = settings_of(context)
    async with connect(context) as connection:
        key = service.load_password_key(settings.data_dir, settings.password_key)
        known, password = await service.create(connection, id_, _choices(**said), key=key)
    _warn_of_no_password(known, output)
    output.one(_created(known, password))


def _warn_of_no_password(known: ChargePoint, output: Output) -> None:
    if known.security_profile == 0:
        output.note(f"warning: {known.id} connects without a password; anybody who knows its id can be it")


@cp.command("set")
@click.argument("id_", metavar="ID")
@click.option("--site", help="Where it stands now.")
@click.option("--new-password", is_flag=True, help="Make a new random password and show it.")
@_with_options
@output_options
@click.pass_context
@async_command
async def set_(context: click.Context, /, id_: str, new_password: bool, output: Output, **said: Any) -> None:
    """Change what is known of a charge point; what is not named stays. Sockets that are open stay open.

    \b
    Examples:
      csms cp set CP-001 --max-kw 11
      csms cp set CP-001 --new-password
    """
    if not new_password and all(value is None for value in said.values()):
        options = (each for each in context.command.params if each.name in {*said, "new_password"})
        names = ", ".join("/".join([*each.opts, *each.secondary_opts]) for each in options)
        raise click.UsageError(f"nothing to change; give at least one of {names}")
    settings = settings_of(context)
    async with connect(context) as connection:
        key = service.load_password_key(settings.data_dir, settings.password_key)
        known, password = await service.change(connection, id_, _choices(**said), key=key, new_password=new_password)
    if said["security_profile"] == 0:
        _warn_of_no_password(known, output)
    output.one({"id": known.id, **_where(known)} if password is None else _created(known, password))


@cp.command("list")
@click.option("--site", help="Only those of this site.")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, site: str | None, output: Output) -> None:
    """List charge points, who is online and what their connectors say.

    \b
    Examples:
      csms cp list
      csms cp list --site harbour -o json
    """
    async with connect(context) as connection:
        found = await service.list_charge_points(connection, site=site)
    rows = [{**each, "status": _statuses(each["evses"])} for each in found]
    output.rows(rows, columns=COLUMNS)


def _statuses(evses: list[dict[str, Any]]) -> str:
    return " ".join(f"{each['evse']}:{each['status']}" for each in evses if each["evse"])


@cp.command()
@click.argument("id_", metavar="ID")
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: str, output: Output) -> None:
    """Show everything about one charge point.

    \b
    Example:
      csms cp show CP-001 -o json
    """
    async with connect(context) as connection:
        output.one(await service.show(connection, id_))


@cp.command()
@click.argument("id_", metavar="ID")
@click.option("--last", type=click.IntRange(1, 10_000), default=50, show_default=True, help="So many frames back.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@output_options
@click.pass_context
@async_command
async def trace(context: click.Context, id_: str, last: int, follow: bool, output: Output) -> None:
    """Show the frames between a charge point and us, secrets hidden.

    \b
    Examples:
      csms cp trace CP-001
      csms cp trace CP-001 --follow -o jsonl
    """
    async with connect(context) as connection:
        known = await service.get(connection, id_)
        newest = await SQL.latest_frames.fetch(connection, charge_point=known.id, most=last)
        if not newest and not follow:
            raise CliError(f"no traffic of {known.id} is kept", "wait for it to connect: --follow", ExitCode.NOT_FOUND)
        stream = output.stream(TRACE_COLUMNS)
        since = datetime.now(UTC) - timedelta(days=1)
        for row in reversed(newest):
            stream.send(_framed(row, output))
            since = row["received_at"]
        if follow:
            with suppress(asyncio.CancelledError):  # Ctrl-C is how it ends
                await _follow(connection, known.id, since, lambda row: stream.send(_framed(row, output)))


async def _follow(connection: Any, charge_point: str, since: datetime, send: Callable[[Any], None]) -> None:
    while True:
        await asyncio.sleep(TRACE_POLL_S)
        for row in await SQL.frames_since.fetch(connection, charge_point=charge_point, since=since, most=1000):
            send(row)
            since = row["received_at"]


def _framed(row: Any, output: Output) -> dict[str, object]:
    at = row["received_at"]
    for_people = output.format is Format.TABLE
    return {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if for_people else at,
        "direction": row["direction"],
        "action": row["action"],
        "frame": row["body"],
    }
