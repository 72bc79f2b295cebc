"""csms site limit: what may flow on a site's grid connection, and how its charge points share it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from billing import CliError, ExitCode, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.cli.context import connect, default_actor, settings_of
from csms.nodes.service import live_nodes
from csms.site_limits import service
from csms.site_limits.grid import AMPS_MAX, MIN_A, Reserve, SiteLimit
from csms.site_limits.planner import timing_of
from csms.site_limits.wiring import ROTATION_LINES, Via
from csms.sites.cli import site

__all__ = ["site"]

COLUMNS = (
    "charge_point", "evse", "wanted", "allowed", "accepted", "measured", "waiting_since", "why",
)  # fmt: skip
LIST_COLUMNS = ("site", "amps", "phases", "reserved", "budget", "counted", "over", "waiting")
HISTORY_COLUMNS = ("at", "what", "charge_point", "evse", "amps", "outcome", "detail", "actor")
VOLTAGE_MAX = 480
ROTATE_MIN_MAX = 24 * 60
AMPS = click.IntRange(1, AMPS_MAX)


@site.group()
def limit() -> None:
    """The limit of a site's grid connection, which the server shares out and keeps, whatever becomes of a charge point.

    \b
    Examples:
      csms site limit set harbour --amps 100
      csms site limit show harbour
    """


def _reserves(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> tuple[Reserve, ...]:
    try:
        return tuple(Reserve.read(each) for each in given)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None


@limit.command("set")
@click.argument("id_", metavar="SITE")
@click.option("--amps", type=AMPS, required=True, help="What may flow on each phase of the connection.")
@click.option("--phases", type=click.Choice(["1", "3"]), default="3", show_default=True)
@click.option(
    "--min", "min_a", type=click.IntRange(MIN_A, 1000), default=MIN_A, show_default=True, metavar="AMPS",
    help="A vehicle gets this or nothing.",
)  # fmt: skip
@click.option(
    "--reserve", "reserves", multiple=True, callback=_reserves, metavar="[HH:MM-HH:MM=]AMPS",
    help="Other load of the building, by the site's clock; the highest that holds counts. May be repeated.",
)  # fmt: skip
@click.option(
    "--rotate-min", type=click.FloatRange(0.01, ROTATE_MIN_MAX), default=15, show_default=True, metavar="MINUTES",
    help="How long a turn takes where there is not the minimum for all.",
)  # fmt: skip
@click.option(
    "--offline", "offline_a", type=click.IntRange(0, 1000), default=0, show_default=True, metavar="AMPS",
    help="What each EVSE may draw for a vehicle that the server has not heard of.",
)  # fmt: skip
@click.option("--voltage", "voltage_v", type=click.IntRange(100, VOLTAGE_MAX), default=230, show_default=True)
@click.option("--dry-run", is_flag=True, help="Show how it would be shared; change nothing.")
@output_options
@click.pass_context
@async_command
async def set_(
    context: click.Context, /, id_: str, amps: int, phases: str, min_a: int, reserves: tuple[Reserve, ...],
    rotate_min: float, offline_a: int, voltage_v: int, dry_run: bool, output: Output,
) -> None:  # fmt: skip
    """Keep a limit from now on, in place of the one before. Shows how it is shared.

    \b
    Examples:
      csms site limit set harbour --amps 100 --reserve 10 --reserve 07:00-19:00=40
      csms site limit set depot --amps 63 --rotate-min 30 --offline 6 --dry-run
    """
    wanted = SiteLimit(
        amps=amps, phases=int(phases), min_a=min_a, offline_a=offline_a, rotate=timedelta(minutes=rotate_min),
        voltage_v=voltage_v, reserves=reserves,
    )  # fmt: skip
    timing = timing_of(settings_of(context))
    async with connect(context) as connection:
        if dry_run:
            output.rows(await service.preview(connection, id_, wanted, timing), columns=COLUMNS)
            output.note("nothing was changed")
            return
        rows = await service.set_limit(connection, id_, wanted, timing, actor=default_actor())
        output.rows(rows, columns=COLUMNS)
        await _say_if_alone(connection, output)


async def _say_if_alone(connection: Any, output: Output) -> None:
    if not await live_nodes(connection):
        output.note("no csms server runs on this database: the limit is kept from when one does (csms serve)")


@limit.command()
@click.argument("id_", metavar="SITE")
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: str, output: Output) -> None:
    """Show each EVSE: what it wants, may draw and has accepted, what was measured, and why it is so. Amperes of a phase.

    \b
    Examples:
      csms site limit show harbour
      csms site limit show harbour -o json
    """
    async with connect(context) as connection:
        rows, whole = await service.show(connection, id_, timing_of(settings_of(context)))
    output.rows(rows, columns=COLUMNS)
    output.note(
        f"{whole['amps']} A on {whole['phases']} phase(s), {whole['reserved']} A of it for the building; "
        f"{whole['budget']} A to share, {whole['counted']} A may flow at most, {whole['waiting']} vehicle(s) wait"
    )
    if whole["over"]:
        output.note(f"{whole['over']} A more than there are may flow: see which EVSEs do not follow, and why")


@limit.command("list")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, output: Output) -> None:
    """List the sites that have a limit, by their fullest phase.

    \b
    Example:
      csms site limit list -o json
    """
    async with connect(context) as connection:
        output.rows(await service.summaries(connection, timing_of(settings_of(context))), columns=LIST_COLUMNS)


@limit.command()
@click.argument("id_", metavar="SITE")
@output_options
@click.pass_context
@async_command
async def clear(context: click.Context, id_: str, output: Output) -> None:
    """Keep no limit any more. Charge points are freed of it as the server reaches them.

    \b
    Example:
      csms site limit clear harbour
    """
    async with connect(context) as connection:
        held = await service.clear(connection, id_, actor=default_actor())
        output.one({"site": id_, "outcome": "cleared", "profiles_to_take_off": held})
        await _say_if_alone(connection, output)


@limit.command()
@click.argument("id_", metavar="SITE")
@click.option("--cp", "charge_point", metavar="CP", help="What one charge point was told.")
@click.option("--most", type=click.IntRange(1, 10_000), default=50, show_default=True)
@output_options
@click.pass_context
@async_command
async def history(context: click.Context, /, id_: str, charge_point: str | None, most: int, output: Output) -> None:
    """Show what was wanted and what charge points were told and answered, newest first.

    \b
    Examples:
      csms site limit history harbour
      csms site limit history harbour --cp CP-001 -o csv
    """
    async with connect(context) as connection:
        known = None if charge_point is None else (await charge_points.get(connection, charge_point)).id
        rows = await service.history(connection, id_, charge_point=known, most=most)
    output.rows(rows, columns=HISTORY_COLUMNS)


@limit.command()
@click.argument("id_", metavar="CP")
@click.argument("number", type=click.IntRange(1, service.EVSES_MAX), metavar="EVSE")
@click.option("--amps", type=AMPS, help="The most that it can draw on a phase.")
@click.option("--phases", type=click.Choice(["1", "3"]))
@click.option(
    "--rotation", type=click.Choice(sorted(ROTATION_LINES)),
    help="How its phases hang on the connection's; not known, an EVSE of one phase counts on all.",
)  # fmt: skip
@click.option(
    "--via", type=click.Choice([str(each) for each in Via]),
    help="Which profiles it is told by; tx_default and charge_point_max for those that know none of a transaction.",
)  # fmt: skip
@click.option("--absent/--present", default=None, help="Absent: it does not hang on this connection.")
@output_options
@click.pass_context
@async_command
async def evse(
    context: click.Context, /, id_: str, number: int, amps: int | None, phases: str | None, rotation: str | None,
    via: str | None, absent: bool | None, output: Output,
) -> None:  # fmt: skip
    """Say how an EVSE hangs on its site's connection. What is left out stays as it was said before.

    \b
    Examples:
      csms site limit evse CP-001 1 --amps 16 --phases 1 --rotation STR
      csms site limit evse CP-009 1 --absent
    """
    said: dict[str, Any] = {
        "amps": amps,
        "phases": None if phases is None else int(phases),
        "rotation": rotation,
        "via": None if via is None else Via(via),
        "absent": absent,
    }
    if all(each is None for each in said.values()):
        raise CliError("nothing is said of this EVSE", "see csms site limit evse --help", ExitCode.USAGE)
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        wiring = await service.wire(connection, known.id, number, said, actor=default_actor())
    output.one(
        {
            "charge_point": known.id,
            "evse": number,
            "amps": wiring.amps,
            "phases": wiring.phases,
            "rotation": wiring.rotation,
            "via": str(wiring.via),
            "absent": wiring.absent,
        }
    )
