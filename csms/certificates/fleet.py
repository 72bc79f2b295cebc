"""What the command lines of certificates share: which charge points are meant, and asking each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from billing import ExitCode, Output
from csms.charge_points import fleet
from csms.charge_points import service as charge_points
from csms.charge_points.asking import require_online, require_server
from csms.cli.context import default_actor, open_pool_of
from csms.nodes.routing import ask
from csms.protocol.vocabulary import Command, Outcome, Protocol

Row = dict[str, object]
Listed = Mapping[str, Any]
Send = Callable[[Command], Awaitable[Outcome]]
Work = Callable[[Any, str, Protocol, Send], Awaitable[Row]]
"""Takes a connection, the charge point, what it speaks, and how to ask it; a row with `outcome` comes of it."""
GOOD = frozenset({"Accepted", "would_be_asked"})
T = TypeVar("T")


def fleet_options(command: Callable[..., T]) -> Callable[..., T]:
    """`[CP]`, `--site`, `--all`, `--parallel`, `--dry-run`."""
    options = (
        click.argument("id_", metavar="[CP]", required=False),
        click.option("--site", help="All charge points of a site."),
        click.option("--all", "everywhere", is_flag=True, help="All charge points."),
        click.option("--parallel", type=click.IntRange(1, 50), default=8, show_default=True, help="So many at a time."),
        click.option("--dry-run", is_flag=True, help="Say which would be asked, and ask nobody."),
    )
    for option in reversed(options):
        command = option(command)
    return command


async def ask_each(
    context: click.Context,
    output: Output,
    work: Work,
    *,
    what: str,
    columns: Sequence[str],
    id_: str | None,
    site: str | None,
    everywhere: bool,
    parallel: int,
    dry_run: bool,
    timeout_s: float,
    keep: Callable[[Listed], bool] = lambda _: True,
) -> None:
    """Do `work` for those that are meant and that `keep` keeps, and print what came of it.

    Raises:
        CliError: none is meant, or the only one is offline.
    """
    if [id_ is not None, site is not None, everywhere].count(True) != 1:
        raise click.UsageError("name one charge point, or --site SITE, or --all")
    actor = default_actor()

    async def one(connection: Any, listed: Listed) -> Row:
        (now,) = await charge_points.list_charge_points(connection, identity=listed["id"])
        if not now["online"]:
            return {"id": now["id"], "outcome": "offline"}
        if dry_run:
            return {"id": now["id"], "outcome": "would_be_asked"}

        async def send(command: Command) -> Outcome:
            return await ask(connection, now["id"], command, actor=actor, timeout_s=timeout_s)

        return {"id": now["id"], **await work(connection, now["id"], Protocol(now["protocol"]), send)}

    async with open_pool_of(context, size=parallel) as pool:
        async with pool.acquire() as connection:
            chosen = [each for each in await fleet.chosen(connection, id_, site, purpose="to ask") if keep(each)]
            if id_ is None:
                await require_server(connection)
            elif not dry_run:
                await require_online(connection, await charge_points.get(connection, id_))
        with fleet.progress_bar(what, len(chosen)) as advance:
            rows = await fleet.for_each(pool, chosen, one, parallel=max(1, min(parallel, len(chosen))), advance=advance)
    _report(context, output, rows, columns=columns, single=id_ is not None)


def _report(
    context: click.Context, output: Output, rows: Sequence[Row], *, columns: Sequence[str], single: bool
) -> None:
    if single and rows:
        output.one(rows[0])
    else:
        output.rows(rows, columns=columns)
    failed = [row for row in rows if row["outcome"] not in GOOD]
    if failed and single:
        context.exit(int(ExitCode.TIMEOUT if failed[0]["outcome"] == "timeout" else ExitCode.REFUSED))
    if failed:
        output.note(f"{len(failed)} of {len(rows)} have not done it; run it again once they can")
        context.exit(int(ExitCode.PARTIAL))
