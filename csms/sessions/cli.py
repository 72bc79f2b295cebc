"""csms session and csms review: what was charged, and what waits for a person."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import click

from billing import INSTANT, SESSION_ID, Format, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.cli.context import connect, default_actor, open_pool_of, settings_of
from csms.cli.gathered import Gathered
from csms.sessions import kept, listing
from csms.sessions.dropped import why_dropped
from csms.sessions.limit_cli import limit
from csms.sessions.review import FLAGS, HOLDS

COLUMNS = (
    "id", "charge_point", "evse", "token", "started_at", "ended_at", "state", "energy_wh", "hold_reasons",
    "total_incl_tax", "currency",
)  # fmt: skip
REVIEW_COLUMNS = ("id", "charge_point", "token", "state", "energy_wh", "hold_reasons", "why")
WATCH_S = 1.0


@click.group(cls=Gathered)
def session() -> None:
    """Sessions: one vehicle's stay and energy.

    \b
    Examples:
      csms session list --since 2026-03-01
      csms session explain 42
    """


session.add_command(limit)

_FILTERS = (
    click.option("--cp", "charge_point", metavar="CP", help="Only of this charge point."),
    click.option("--site", help="Only of this site."),
    click.option("--state", type=click.Choice(listing.STATES), help="Only in this state."),
    click.option("--token", help="Only of this token."),
    click.option("--since", type=INSTANT, help="Started at or after."),
    click.option("--until", type=INSTANT, help="Started before."),
)


def _filtered(command: Any) -> Any:
    for each in reversed(_FILTERS):
        command = each(command)
    return command


@session.command("list")
@_filtered
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, /, output: Output, **filters: Any) -> None:
    """List sessions: energy as billed, the newest amount, what holds them.

    \b
    Examples:
      csms session list --state held
      csms session list --cp CP-001 --since 2026-03-01 -o json
    """
    async with connect(context) as connection:
        output.rows(await listing.list_sessions(connection, **filters), columns=COLUMNS)


@session.command()
@click.argument("id_", metavar="ID", type=SESSION_ID)
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: int, output: Output) -> None:
    """Show one session: registers, energy source, flags, reviews.

    \b
    Example:
      csms session show 42 -o json
    """
    async with connect(context) as connection:
        output.one(await listing.show(connection, id_))


@session.command()
@_filtered
@click.option("--every", "every_s", type=click.FloatRange(0.2, 60), default=WATCH_S, show_default=True)
@output_options
@click.pass_context
@async_command
async def watch(context: click.Context, /, every_s: float, output: Output, **filters: Any) -> None:
    """Print a line whenever a session changes, until interrupted.

    \b
    Example:
      csms session watch --site harbour -o jsonl
    """
    seen: dict[int, dict[str, Any]] = {}
    with suppress(asyncio.CancelledError):  # Ctrl-C is how it ends
        async with connect(context) as connection:
            stream = output.stream(COLUMNS, also=("connector", "transaction_id", "total_excl_tax"))
            while True:
                for row in await listing.list_sessions(connection, **filters):
                    if seen.get(row["id"]) != row:
                        seen[row["id"]] = row
                        stream.send(row)
                await asyncio.sleep(every_s)


@session.command()
@click.argument("id_", metavar="ID", type=SESSION_ID)
@output_options
@click.pass_context
@async_command
async def explain(context: click.Context, id_: int, output: Output) -> None:
    """Show how a session's amount came about: quantity x price x tariff version x rule x tax x rounding.

    \b
    Examples:
      csms session explain 42
      csms session explain 42 -o json
    """
    async with connect(context) as connection:
        dropped = await why_dropped(connection, id_)
        if dropped is not None:
            raise dropped
        from billing import explain_session  # noqa: PLC0415 - the rating engine, which lists of sessions do without

        await explain_session(connection, id_, output)


@session.command("orphans")
@output_options
@click.pass_context
@async_command
async def orphans(context: click.Context, output: Output) -> None:
    """List stops and events that fit no session, and the session found for them since.

    \b
    Example:
      csms session orphans
    """
    async with connect(context) as connection:
        output.rows(
            await listing.orphans(connection),
            columns=("id", "charge_point", "kind", "transaction", "token", "at", "register_wh", "paired_with"),
        )


@session.command()
@click.argument("id_", metavar="[ID]", required=False, type=SESSION_ID)
@click.option("--cp", "charge_point", metavar="CP", help="Of this charge point, what belongs to no session.")
@click.option(
    "--last", type=click.IntRange(1, 10_000), default=50, show_default=True, help="With --cp: so many facts back."
)
@output_options
@click.pass_context
@async_command
async def facts(
    context: click.Context, /, id_: int | None, charge_point: str | None, last: int, output: Output
) -> None:
    """Show the single facts that were kept: a session's events and readings, signed data included; or, with --cp,
    statuses, readings, boots and vendor data of a charge point beside its sessions.

    \b
    Examples:
      csms session facts 42
      csms session facts --cp CP-001 --last 10 -o json
    """
    if (id_ is None) is (charge_point is None):
        raise click.UsageError("name a session, or a charge point with --cp")
    async with connect(context) as connection:
        if id_ is not None:
            found = await kept.of_session(connection, id_)
        else:
            known = await charge_points.get(connection, charge_point or "")
            found = await kept.of_charge_point(connection, known.id, most=last)
        if output.format is Format.TABLE:
            found = [{**row, "told": kept.in_a_line(row["told"])} for row in found]
        output.rows(found, columns=kept.COLUMNS)


@click.group()
def review() -> None:
    """Review: sessions that bill nothing until a person has decided.

    \b
    Examples:
      csms review list
      csms review release 42 --reason "driver confirmed 31 kWh"
    """


def _why(row: dict[str, Any]) -> str:
    return "; ".join(HOLDS.get(reason, FLAGS.get(reason, reason)) for reason in row["hold_reasons"])


@review.command("list")
@_filtered
@output_options
@click.pass_context
@async_command
async def review_list(context: click.Context, /, output: Output, **filters: Any) -> None:
    """List held sessions, and running ones on which a rule fires.

    \b
    Example:
      csms review list --site harbour
    """
    async with connect(context) as connection:
        found = await listing.list_sessions(connection, **filters)
    waiting = [row for row in found if row["hold_reasons"] and row["state"] in {"open", "held"}]
    output.rows([{**row, "why": _why(row)} for row in waiting], columns=REVIEW_COLUMNS)


@review.command("show")
@click.argument("id_", metavar="SESSION", type=SESSION_ID)
@output_options
@click.pass_context
@async_command
async def review_show(context: click.Context, id_: int, output: Output) -> None:
    """Show what holds a session, with the figures that were compared.

    \b
    Example:
      csms review show 42
    """
    async with connect(context) as connection:
        row = await listing.show(connection, id_)
        evidence = await listing.evidence(connection, id_)
    output.one({**row, "why": _why(row), "evidence": evidence})


@session.command("rerate")
@click.argument("id_", metavar="ID", type=SESSION_ID)
@click.option("--tariff", metavar="ID", help="By this tariff; by the one that it has unless said.")
@click.option("--tariff-version", type=click.IntRange(min=1), help="Of --tariff; the newest unless said.")
@click.option("--reason", required=True, help="Why; kept for ever.")
@click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
@click.option("--dry-run", is_flag=True, help="Only say what would happen, through the same code.")
@output_options
@click.pass_context
@async_command
async def rerate_(
    context: click.Context,
    id_: int,
    tariff: str | None,
    tariff_version: int | None,
    reason: str,
    actor: str,
    dry_run: bool,
    output: Output,
) -> None:
    """Rate an ended session anew: by facts that came after its bill, or by another tariff.

    Its bill stays as it is; a correction that names it stands in its place from then on. A session that has no bill,
    for want of a tariff, gets its final bill by the one that is named.

    \b
    Examples:
      csms session rerate 42 --reason "offline readings of 3 May arrived" --dry-run
      csms session rerate 42 --tariff fleet --reason "contract in force since 1 May"
    """
    if tariff is None and tariff_version is not None:
        raise click.UsageError("--tariff-version is of a tariff; give --tariff too")
    from csms.sessions.rehearsal import rerate  # noqa: PLC0415 - billing as a whole

    settings = settings_of(context)
    async with open_pool_of(context) as pool:
        done = await rerate(
            pool, settings, id_, choice=None if tariff is None else (tariff, tariff_version), reason=reason,
            actor=actor, dry_run=dry_run,
        )  # fmt: skip
    output.one(done.to_dict() | ({"dry_run": True} if dry_run else {}))


def _decision(action: str) -> Any:
    @click.argument("id_", metavar="SESSION", type=SESSION_ID)
    @click.option("--reason", required=True, help="Why; kept for ever.")
    @click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
    @click.option("--dry-run", is_flag=True, help="Only say what would happen, the bill included.")
    @output_options
    @click.pass_context
    @async_command
    async def decide(context: click.Context, id_: int, reason: str, actor: str, dry_run: bool, output: Output) -> None:
        if dry_run:
            from csms.sessions.rehearsal import rehearse  # noqa: PLC0415 - billing as a whole

            settings = settings_of(context)
            async with open_pool_of(context) as pool:
                would_be = await rehearse(pool, settings, id_, action=action, reason=reason, actor=actor)
            output.one(would_be)
            return
        async with connect(context) as connection:
            decision = await listing.review(connection, id_, action=action, reason=reason, actor=actor)
        output.one(decision)

    return decide


review.command(
    "release",
    help="""Bill a held session as it is.

    \b
    Examples:
      csms review release 42 --reason "photo of the display" --dry-run
      csms review release 42 --reason "driver confirmed 31 kWh by photo of the display"
    """,
)(_decision("release"))
review.command(
    "drop",
    help="""Never bill a held session.

    \b
    Example:
      csms review drop 43 --reason "technician's test run"
    """,
)(_decision("drop"))
