"""csms firmware rollout: the same firmware to many, in waves."""

from __future__ import annotations

from typing import Any

import click

from billing import Output, async_command, output_options
from csms.charge_points.asking import require_server
from csms.cli.context import connect, default_actor
from csms.files.service import require_endpoint
from csms.rollouts import service
from csms.rollouts.choosing import SHARE, WAVES, WINDOW, asking_options, choice_of, plan_of, who_options
from csms.rollouts.rollout import Kind
from csms.rollouts.watching import finish, watch

LIST_COLUMNS = (
    "id",
    "version",
    "state",
    "wave",
    "waves",
    "charge_points",
    "done",
    "failed",
    "open",
    "reason",
    "created_at",
)
MEMBER_COLUMNS = ("charge_point", "wave", "state", "reason", "asked", "failures", "firmware", "online", "changed_at")
ROLLOUT_ID = click.IntRange(1, 2**31 - 1)
WEEK_S = 7 * 86_400

_id_argument = click.argument("id_", metavar="ROLLOUT", type=ROLLOUT_ID)
_reason_option = click.option("--reason", help="Why; it stands among the steps.")
_patience_option = click.option(
    "--patience", "patience_s", type=click.FloatRange(1, 4 * WEEK_S), default=WEEK_S, show_default=True,
    metavar="SECONDS", help="How long to watch.",
)  # fmt: skip


@click.group()
def rollout() -> None:
    """Roll-outs: the same firmware to many charge points, in waves, by the server.

    \b
    Examples:
      csms firmware rollout create --image 1 --all --wave 5,20,100% --stop-at-failures 10%
      csms firmware rollout watch 1
      csms firmware rollout show 1 CP-001
    """


@rollout.command()
@click.option(
    "--image", type=click.IntRange(1, 2**31 - 1), required=True, metavar="ID", help="csms firmware list names it."
)
@who_options
@click.option(
    "--wave", "waves", type=WAVES, default="5%,25%,100%", show_default=True, metavar="N,N%,100%",
    help="How many have been asked, all in all, when each wave is through.",
)  # fmt: skip
@click.option(
    "--stop-at-failures", "stop_at", type=SHARE, default="10%", show_default=True, metavar="N|P%",
    help="So many failures in a wave stop it.",
)  # fmt: skip
@click.option("--window", type=WINDOW, metavar="22:00-05:00", help="Ask only then, by the clock of each site.")
@asking_options(parallel=50, silence_s=3600, proof_s=300)
@click.option("--offline", "offline_s", type=click.IntRange(0, WEEK_S), default=3600, show_default=True, metavar="SECONDS", help="So long do offline ones hold up the next wave; they are done once they are back.")  # fmt: skip
@click.option(
    "--even-charging", is_flag=True, help="Do not wait for sessions to end; charge points then do as they like."
)
@click.option("--even-current", is_flag=True, help="Also those that run this version.")
@click.option("--dry-run", is_flag=True, help="Only say who would be asked in which wave.")
@click.option("--wait", is_flag=True, help="Watch until it is over.")
@_patience_option
@output_options
@click.pass_context
@async_command
async def create(context: click.Context, /, output: Output, **given: Any) -> None:
    """Have charge points fetch and install firmware, wave by wave.

    A charge point has it when it boots with the version of the image, or says Installed. Those that are offline get it
    when they are back, those that charge when they are through. Too many failures in a wave stop the roll-out.

    \b
    Examples:
      csms firmware rollout create --image 1 --site harbour --wave 2,10,100% --window 22:00-05:00
      csms firmware rollout create --image 1 --cp CP-001 --cp CP-002 --wait
    """
    choice = choice_of(given["named"], given["site"], given["model"], everywhere=given["everywhere"])
    plan = plan_of(
        given, waves=given["waves"], stop_at=given["stop_at"], window=given["window"], offline_s=given["offline_s"],
        wait_for_sessions=not given["even_charging"], even_if_current=given["even_current"],
    )  # fmt: skip
    async with connect(context) as connection:
        chosen = await service.choose(connection, choice, plan, image=given["image"])
        if given["dry_run"]:
            output.rows([{"charge_point": name, "wave": wave} for name, wave in chosen.members])
            return
        await require_server(connection)
        await require_endpoint(connection)
        made = await service.create(connection, chosen, plan, image=given["image"], actor=default_actor())
        known = await service.get(connection, Kind.FIRMWARE, made)
        if given["wait"]:
            output.note(f"roll-out {made}; interrupting this does not stop it")
            known = await watch(
                connection, Kind.FIRMWARE, made, patience_s=given["patience_s"], noun="firmware rollout watch"
            )
    output.one({**known, "left_out": [{"charge_point": name, "why": why} for name, why in chosen.left_out]})
    if given["wait"]:
        finish(context, output, known, next_step=f"see csms firmware rollout show {made}")


@rollout.command("list")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, output: Output) -> None:
    """List roll-outs, newest first.

    \b
    Example:
      csms firmware rollout list
    """
    async with connect(context) as connection:
        found = await service.overview(connection, Kind.FIRMWARE)
    output.rows(found, columns=LIST_COLUMNS)


@rollout.command()
@_id_argument
@click.argument("charge_point", metavar="[CP]", required=False)
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: int, charge_point: str | None, output: Output) -> None:
    """Show how far a roll-out is and where each charge point stands, or every step of one of them.

    \b
    Examples:
      csms firmware rollout show 1
      csms firmware rollout show 1 CP-001 -o json
    """
    async with connect(context) as connection:
        known = await service.get(connection, Kind.FIRMWARE, id_)
        if charge_point is not None:
            output.one(await service.story_of(connection, Kind.FIRMWARE, id_, charge_point))
            return
        members = await service.members_of(connection, id_)
        steps = await service.steps_of(connection, id_)
    output.one({**known, "steps": steps, "members": members})


@rollout.command("watch")
@_id_argument
@_patience_option
@output_options
@click.pass_context
@async_command
async def watch_(context: click.Context, id_: int, patience_s: float, output: Output) -> None:
    """Watch a roll-out until it is over or has stopped. Interrupting this does not stop it.

    Exit status 0: all have it. 8: some have failed. 5: it has stopped itself. 124: it goes on after --patience.

    \b
    Example:
      csms firmware rollout watch 1
    """
    async with connect(context) as connection:
        known = await watch(connection, Kind.FIRMWARE, id_, patience_s=patience_s, noun="firmware rollout watch")
    output.one(known)
    finish(context, output, known, next_step=f"see csms firmware rollout show {id_}")


@rollout.command()
@_id_argument
@_reason_option
@output_options
@click.pass_context
@async_command
async def pause(context: click.Context, id_: int, reason: str | None, output: Output) -> None:
    """Ask nobody else. Those that were asked go on.

    \b
    Example:
      csms firmware rollout pause 1 --reason "fair in town"
    """
    async with connect(context) as connection:
        output.one(await service.pause(connection, Kind.FIRMWARE, id_, actor=default_actor(), reason=reason))


@rollout.command()
@_id_argument
@_reason_option
@output_options
@click.pass_context
@async_command
async def resume(context: click.Context, id_: int, reason: str | None, output: Output) -> None:
    """Go on after a pause, or after it has stopped itself: the failures up to now then stop it no more.

    \b
    Example:
      csms firmware rollout resume 1
    """
    async with connect(context) as connection:
        output.one(await service.resume(connection, Kind.FIRMWARE, id_, actor=default_actor(), reason=reason))


@rollout.command()
@_id_argument
@_reason_option
@output_options
@click.pass_context
@async_command
async def abort(context: click.Context, id_: int, reason: str | None, output: Output) -> None:
    """End a roll-out for good. Those whose turn has not come keep what they run; those that were asked go on.

    \b
    Example:
      csms firmware rollout abort 1 --reason "2.1 loses its network"
    """
    async with connect(context) as connection:
        output.one(await service.abort(connection, Kind.FIRMWARE, id_, actor=default_actor(), reason=reason))


@rollout.command()
@_id_argument
@click.option("--cp", "named", multiple=True, metavar="CP", help="Only this one; may be given several times.")
@_reason_option
@output_options
@click.pass_context
@async_command
async def retry(context: click.Context, id_: int, named: tuple[str, ...], reason: str | None, output: Output) -> None:
    """Ask those that have failed again, from the beginning.

    \b
    Examples:
      csms firmware rollout retry 1
      csms firmware rollout retry 1 --cp CP-001
    """
    async with connect(context) as connection:
        again = await service.retry(connection, Kind.FIRMWARE, id_, named, actor=default_actor(), reason=reason)
    output.rows([{"charge_point": each, "state": "waiting"} for each in again], columns=("charge_point", "state"))
