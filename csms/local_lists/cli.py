"""csms local-list: which tokens charge points authorise by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from billing import ExitCode, Output, async_command, output_options
from csms.charge_points import fleet
from csms.charge_points import service as charge_points
from csms.charge_points.asking import require_online, require_server, timeout_option
from csms.cli.context import connect, default_actor, open_pool_of
from csms.local_lists import service
from csms.local_lists.local_list import entries_to_json, reconciled
from csms.local_lists.service import OFFLINE, SQL, UP_TO_DATE, Job, Sent
from csms.nodes.routing import ask
from csms.protocol.blocks.local_lists import GetLocalListVersion
from csms.protocol.vocabulary import Command, Outcome
from csms.tokens import service as tokens
from csms.tokens.token import Token

LIST_COLUMNS = (
    "id", "site", "online", "version", "up_to_date", "left_out", "acknowledged_at", "outcome", "detail", "attempted_at",
)  # fmt: skip
SEND_COLUMNS = (
    "id", "outcome", "mode", "version", "entries", "messages", "added", "changed", "removed", "left_out", "detail",
)  # fmt: skip


@click.group("local-list")
def local_list() -> None:
    """Local authorization lists: the tokens that charge points know by themselves, for when they are offline.

    \b
    Examples:
      csms local-list send CP-001
      csms local-list send --all --dry-run
      csms local-list list
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """How the lists are sent."""

    tokens: Sequence[Token]
    at: datetime
    full: bool
    force: bool
    dry_run: bool
    timeout_s: float
    actor: str


@local_list.command()
@click.argument("id_", metavar="[CP]", required=False)
@click.option("--site", help="To all charge points of a site.")
@click.option("--all", "everywhere", is_flag=True, help="To all charge points.")
@click.option(
    "--full/--update",
    "full",
    default=False,
    help="The whole list, or (unless said) what has changed since the version that the charge point acknowledged.",
)
@click.option("--force", is_flag=True, help="Also to those that hold the list already: all of it, once more.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, by what is known here, and send nothing.")
@click.option("--parallel", type=click.IntRange(1, 50), default=8, show_default=True, help="So many at a time.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def send(
    context: click.Context,
    /,
    id_: str | None,
    site: str | None,
    everywhere: bool,
    parallel: int,
    output: Output,
    **how: Any,
) -> None:
    """Have charge points hold the list of all tokens: issued, blocked and expired.

    Differences become the whole list where nobody knows what a charge point holds, where it disagrees about the version,
    and where they would be no shorter. It is sent in as many messages as the charge point wants, and what it has
    acknowledged is kept: after an interruption the same command skips those that are up to date.

    Exit status 8: some hold it and some do not. 6: all do, and some have no room for all tokens.

    \b
    Examples:
      csms local-list send CP-001
      csms local-list send --site harbour --full
      csms local-list send --all --dry-run
    """
    if [id_ is not None, site is not None, everywhere].count(True) != 1:
        raise click.UsageError("name one charge point, or --site SITE, or --all")
    async with open_pool_of(context, size=parallel) as pool:
        async with pool.acquire() as connection:
            choice = _Choice(tokens=await tokens.newest(connection), at=datetime.now(UTC), actor=default_actor(), **how)
            chosen = await fleet.chosen(connection, id_, site, purpose="to send a list to")
            if not choice.dry_run:
                await _require_reachable(connection, id_)
        with fleet.progress_bar("local lists", len(chosen)) as advance:
            work = partial(_foreseen if choice.dry_run else _sent, choice)
            results = await fleet.for_each(pool, chosen, work, parallel=min(parallel, len(chosen)), advance=advance)
        if not choice.dry_run:
            async with pool.acquire() as connection:
                await SQL.forget_unused_lists.execute(connection)
    _report(context, output, results, single=id_ is not None, dry_run=choice.dry_run)


async def _require_reachable(connection: Any, id_: str | None) -> None:
    """One charge point must be online; of a fleet, those that are get it, and the others are in the result."""
    if id_ is None:
        await require_server(connection)
    else:
        await require_online(connection, await charge_points.get(connection, id_))


async def _job(connection: Any, choice: _Choice, listed: Mapping[str, Any]) -> Job:
    last = None
    if listed["protocol"] is None:
        last = (await service.kept_of(connection, listed["id"])).protocol
    protocol = service.protocol_of(listed, last)
    return Job(
        charge_point=listed["id"], protocol=protocol, tokens=choice.tokens, at=choice.at, full=choice.full,
        force=choice.force,
    )  # fmt: skip


async def _foreseen(choice: _Choice, connection: Any, listed: Mapping[str, Any]) -> Sent:
    return await service.foresee(connection, await _job(connection, choice, listed))


async def _sent(choice: _Choice, connection: Any, listed: Mapping[str, Any]) -> Sent:
    """Send to one; one that is offline is skipped, and that is well where it holds the list already."""
    (now,) = await charge_points.list_charge_points(connection, identity=listed["id"])
    job = await _job(connection, choice, now)
    if not now["online"]:
        foreseen = await service.foresee(connection, job)
        if foreseen.outcome == UP_TO_DATE:
            return foreseen
        return Sent(charge_point=job.charge_point, outcome=OFFLINE, is_current=False, version=0)

    async def send_(command: Command) -> Outcome:
        return await ask(connection, job.charge_point, command, actor=choice.actor, timeout_s=choice.timeout_s)

    return await service.bring_up_to_date(connection, job, send_)


def _report(context: click.Context, output: Output, results: Sequence[Sent], *, single: bool, dry_run: bool) -> None:
    rows = [_row(each) for each in results]
    if single:
        output.one(rows[0])
    else:
        output.rows(rows, columns=SEND_COLUMNS)
    if dry_run:
        return
    failed = [each for each in results if not each.is_current]
    if failed and single:
        context.exit(int(ExitCode.TIMEOUT if failed[0].outcome == "timeout" else ExitCode.REFUSED))
    if failed:
        output.note(f"{len(failed)} of {len(results)} do not hold the list; run it again once they can")
        context.exit(int(ExitCode.PARTIAL))
    if any(each.left_out for each in results):
        output.note("not all tokens have room everywhere: see left_out")
        context.exit(int(ExitCode.FINDINGS))


def _row(sent: Sent) -> dict[str, object]:
    return {
        "id": sent.charge_point,
        "outcome": sent.outcome,
        "mode": sent.mode,
        "version": sent.version or None,
        "entries": sent.entries,
        "messages": sent.messages,
        "added": sent.difference.added,
        "changed": sent.difference.changed,
        "removed": sent.difference.removed,
        "left_out": sent.left_out,
        "detail": sent.detail,
    }


@local_list.command()
@click.argument("id_", metavar="CP")
@timeout_option
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: str, timeout_s: float, output: Output) -> None:
    """Show which list a charge point was sent, and, if it is online, which version it says that it holds.

    `agrees` tells whether both are the same; `added`, `changed` and `removed` count what the next list changes.

    \b
    Example:
      csms local-list show CP-001 -o json
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        (listed,) = await charge_points.list_charge_points(connection, identity=known.id)
        kept = await service.kept_of(connection, known.id)
        job = Job(
            charge_point=known.id,
            protocol=service.protocol_of(listed, kept.protocol),
            tokens=await tokens.newest(connection),
            at=datetime.now(UTC),
        )
        foreseen = await service.foresee(connection, job)
        said = None
        if listed["online"]:
            said = await ask(connection, known.id, GetLocalListVersion(), actor=default_actor(), timeout_s=timeout_s)
    output.one(_shown(known.id, kept, foreseen, said))


def _shown(id_: str, kept: service.Kept, foreseen: Sent, said: Outcome | None) -> dict[str, object]:
    reported = None if said is None else said.data.get("version")
    held = kept.held if reported is None else reconciled(kept.held, reported=reported)
    entries = kept.held.entries
    agrees = None if reported is None or entries is None else held.entries == entries
    return {
        "id": id_,
        "version": kept.held.version or None,
        "entries": None if entries is None else len(entries),
        "acknowledged_at": kept.acknowledged_at,
        "outcome": kept.outcome,
        "detail": kept.detail,
        "attempted_at": kept.attempted_at,
        "reported": OFFLINE if said is None else said.status,
        "reported_version": reported,
        "agrees": agrees,
        "up_to_date": foreseen.is_current and agrees is not False,
        "added": foreseen.difference.added,
        "changed": foreseen.difference.changed,
        "removed": foreseen.difference.removed,
        "left_out": foreseen.left_out,
        "tokens": [{"token": token, **said_} for token, said_ in sorted(entries_to_json(entries or {}).items())],
    }


@local_list.command("list")
@click.option("--site", help="Only charge points of this site.")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, site: str | None, output: Output) -> None:
    """List all charge points with the list that each was sent, and whether it is the one of today.

    \b
    Examples:
      csms local-list list
      csms local-list list --site harbour -o json
    """
    async with connect(context) as connection:
        found = await charge_points.list_charge_points(connection, site=site)
        rows = await service.overview(connection, found, await tokens.newest(connection))
    output.rows(rows, columns=LIST_COLUMNS)
