"""csms log collect, list: logs of many charge points, to our own file endpoint."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from billing import INSTANT, Output, async_command, output_options
from csms.charge_points.asking import require_server
from csms.cli.context import connect, default_actor
from csms.files import service as files
from csms.files.address import clean_name
from csms.files.service import require_endpoint
from csms.protocol.blocks.firmware import LogKind
from csms.rollouts import service
from csms.rollouts.choosing import asking_options, choice_of, plan_of, who_options
from csms.rollouts.rollout import Kind
from csms.rollouts.store import LogWish
from csms.rollouts.watching import finish, watch

LIST_COLUMNS = ("id", "state", "charge_points", "done", "failed", "open", "created_at", "actor")
FILE_COLUMNS = ("charge_point", "state", "reason", "file", "name", "size_bytes", "sha256", "saved")


@click.command()
@who_options
@click.option("--resume", "known", type=click.IntRange(1, 2**31 - 1), metavar="ID", help="Go on with a collection that was begun: wait for it, take its files.")  # fmt: skip
@click.option("--kind", type=click.Choice([str(each) for each in LogKind]), default="diagnostics", show_default=True)
@click.option("--since", type=INSTANT, help="The oldest entry wanted.")
@click.option("--until", type=INSTANT, help="The newest entry wanted.")
@asking_options(parallel=20, silence_s=1800, proof_s=60)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Directory for the files; they are in csms file list anyway.")  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Only begin; take the files later with --resume.")
@click.option("--patience", "patience_s", type=click.FloatRange(1, 7 * 86_400), default=3600, show_default=True, metavar="SECONDS", help="How long to wait; the collection goes on all the same.")  # fmt: skip
@output_options
@click.pass_context
@async_command
async def collect(context: click.Context, /, known: int | None, out: Path | None, output: Output, **given: Any) -> None:
    """Have charge points send their logs to us, wait for them, and show which files have come.

    The server does it: interrupting this stops nothing. Those that are offline are asked when they are back.

    \b
    Examples:
      csms log collect --site harbour --out logs/
      csms log collect --cp CP-001 --kind security --since 2026-03-01
      csms log collect --resume 3 --out logs/
    """
    chosen = given["named"] or given["site"] or given["model"] or given["everywhere"]
    if known is not None and chosen:
        raise click.UsageError("--resume goes on with those that were chosen then")
    async with connect(context) as connection:
        if known is None:
            known = await _begin(connection, given)
        state = await service.get(connection, Kind.LOG, known)
        if not given["no_wait"]:
            output.note(f"collection {known}; interrupting this does not stop it: csms log collect --resume {known}")
            state = await watch(
                connection, Kind.LOG, known, patience_s=given["patience_s"], noun="log collect --resume"
            )
        output.rows(await _taken(connection, known, out), columns=FILE_COLUMNS, title=f"collection {known}")
    if not given["no_wait"]:
        finish(context, output, state, next_step="ask them again with csms log collect --cp CP")


async def _begin(connection: Any, given: dict[str, Any]) -> int:
    since: datetime | None = given["since"]
    until: datetime | None = given["until"]
    if since is not None and until is not None and until < since:
        raise click.BadParameter("it lies before --since", param_hint="--until")
    choice = choice_of(given["named"], given["site"], given["model"], everywhere=given["everywhere"])
    plan = plan_of(given, wait_for_sessions=False)
    chosen = await service.choose(connection, choice, plan, image=None)
    await require_server(connection)
    await require_endpoint(connection)
    log = LogWish(kind=LogKind(given["kind"]), since=since, until=until)
    return await service.create(connection, chosen, plan, log=log, actor=default_actor())


async def _taken(connection: Any, collection: int, out: Path | None) -> list[dict[str, object]]:
    """Where each charge point stands, with its file; written to `out` where it is not there yet."""
    found = {each["charge_point"]: each for each in await service.received_files(connection, collection)}
    rows: list[dict[str, object]] = []
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - one command, nobody else waits
    for member in await service.members_of(connection, collection):
        file = found.get(member["charge_point"])
        rows.append(
            {
                "charge_point": member["charge_point"],
                "state": member["state"],
                "reason": member["reason"],
                "file": None if file is None else file["id"],
                "name": None if file is None else file["name"],
                "size_bytes": None if file is None else file["size_bytes"],
                "sha256": None if file is None else file["sha256"],
                "saved": None if file is None or out is None else str(await _save(connection, file, out)),
            }
        )
    return rows


async def _save(connection: Any, file: dict[str, Any], out: Path) -> Path:
    path = out / f"{clean_name(file['charge_point'])}-{file['id']}-{file['name']}"
    if not path.exists() or path.stat().st_size != file["size_bytes"]:
        fresh = path.with_name(f".{path.name}")
        with fresh.open("wb") as target:
            await files.write_to(connection, file["id"], target)
        fresh.replace(path)
    return path


@click.command("list")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, output: Output) -> None:
    """List collections of logs, newest first.

    \b
    Example:
      csms log list
    """
    async with connect(context) as connection:
        found = await service.overview(connection, Kind.LOG)
    output.rows(found, columns=LIST_COLUMNS)


collection_commands = (collect, list_)
