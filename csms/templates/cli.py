"""csms template: settings that many charge points shall have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import IO, Any

import asyncpg
import click

from billing import CliError, ExitCode, Output, Refused, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import require_online, require_server, timeout_option
from csms.charge_points.fleet import for_each, progress_bar
from csms.cli.context import connect, default_actor, open_pool_of
from csms.protocol.vocabulary import Protocol
from csms.templates import service
from csms.templates.fleet import Fleet, fleet_options, read_now, sender
from csms.templates.plan import IN_FORCE, REBOOT_REQUIRED, Planned, Result, Step
from csms.templates.service import Drifted, Given
from csms.templates.template import (
    FILE_BYTES_MAX,
    NAME,
    Section,
    Stored,
    Template,
    TemplateInvalid,
    name_in,
    read_template,
    to_document,
)

LIST_COLUMNS = (
    "name", "version", *Section, "applied", "with_findings", "unfinished", "created_at", "description",
)  # fmt: skip
APPLY_COLUMNS = ("id", "outcome", "in_force", "reboot_required", "refused", "unanswered", "detail")
DIFF_COLUMNS = ("id", "name", "value", "wanted", "step")
DRIFT_COLUMNS = ("id", "template", "version", "name", "wanted", "value", "drift", "read_at")
parallel_option = click.option(
    "--parallel", type=click.IntRange(1, 50), default=8, show_default=True, help="So many at a time."
)


@click.group()
def template() -> None:
    """Settings that many charge points shall have: OCPP 1.6 keys and 2.x Component.Variable in one template.

    \b
    Examples:
      csms template create depot.toml
      csms template create --from CP-001 --name depot
      csms template apply depot --site harbour --dry-run
      csms template drift

    \b
    A file:
      name = "depot"
      ["ocpp1.6"]
      HeartbeatInterval = 300
      [ocpp2]
      "OCPPCommCtrlr.HeartbeatInterval" = 300
    """


# --- kept ------------------------------------------------------------------------------------------------------------


@template.command()
@click.argument("file", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--name", help="Where the file does not say it.")
@click.option("--from", "source", metavar="CP", help="What this charge point has set, instead of a file.")
@click.option("--match", "patterns", multiple=True, metavar="PATTERN", help="With --from: only these, as in 'Meter*'.")
@output_options
@click.pass_context
@async_command
async def create(
    context: click.Context,
    /,
    file: IO[str] | None,
    name: str | None,
    source: str | None,
    patterns: tuple[str, ...],
    output: Output,
) -> None:
    """Keep a template, or a new version of one.

    Secrets have no place in it, nor has what must differ: identity, serial number, address, time, wiring, state.
    With --from they are left out, and so is what cannot be written.

    \b
    Examples:
      csms template create depot.toml
      csms template create --from CP-001 --name depot --match 'Meter*' --match '*Interval'
    """
    if (file is None) == (source is None):
        raise click.UsageError("give a FILE, or --from CP")
    if patterns and source is None:
        raise click.UsageError("--match chooses among the settings of --from")
    text = "" if file is None else file.read(FILE_BYTES_MAX + 1)
    if len(text) > FILE_BYTES_MAX:
        raise click.UsageError(f"a template has at most {FILE_BYTES_MAX} characters")
    try:
        called = name or (None if file is None else name_in(text))
        made = None if file is None else read_template(text)
    except TemplateInvalid as wrong:
        raise CliError(
            f"this is no template: {wrong}", "correct the file", ExitCode.USAGE, details={"problems": wrong.problems}
        ) from wrong
    if called is None or not NAME.fullmatch(called):
        raise click.UsageError("a template has a name of letters, digits, . _ and -: --name NAME")
    async with connect(context) as connection:
        if made is None:
            assert source is not None, "without a file it is made from a charge point"
            made = await _taken_from(connection, source, patterns)
        stored = await service.store(connection, called, made, actor=default_actor())
    output.one(_shown(stored))


async def _taken_from(connection: Any, source: str, patterns: Sequence[str]) -> Template:
    known = await charge_points.get(connection, source)
    (listed,) = await charge_points.list_charge_points(connection, identity=known.id)
    if listed["protocol"] is None:
        raise Refused(f"{known.id} was never connected", "connect it, then: csms cp config get " + known.id)
    settings = await service.known_settings(connection, known.id)
    names = None
    if patterns:
        folded = [pattern.casefold() for pattern in patterns]
        names = [name for name in settings if any(fnmatchcase(name, pattern) for pattern in folded)]
    return service.from_settings(Protocol(listed["protocol"]), settings, names)


def _shown(stored: Stored) -> dict[str, object]:
    return {"name": stored.name, "version": stored.version, **to_document(stored.template)}


@template.command("list")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, output: Output) -> None:
    """List templates: how many settings each has for which versions, and in how many charge points it is.

    \b
    Example:
      csms template list
    """
    async with connect(context) as connection:
        output.rows(await service.overview(connection), columns=LIST_COLUMNS)


@template.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="The newest where left out.")
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, name: str, version: int | None, output: Output) -> None:
    """Show a template, and what became of it in each charge point. As json it is a file for create.

    \b
    Example:
      csms template show depot -o json
    """
    async with connect(context) as connection:
        stored = await service.get(connection, name, version=version)
        uses = await service.uses(connection, stored)
    output.one({**_shown(stored), "charge_points": uses})


# --- given -----------------------------------------------------------------------------------------------------------


@template.command()
@click.argument("name")
@click.argument("ids", nargs=-1, metavar="[CP]...")
@fleet_options
@click.option("--read", "reads", is_flag=True, help="Ask those that are online first; else by what is known here.")
@click.option("--with-same", is_flag=True, help="Also what is as it shall be.")
@parallel_option
@timeout_option
@output_options
@click.pass_context
@async_command
async def diff(
    context: click.Context, /, name: str, reads: bool, with_same: bool, parallel: int, timeout_s: float,
    output: Output, **fleet: Any,
) -> None:  # fmt: skip
    """Show how charge points differ from a template, and what applying it would do.

    \b
    Steps: set; read_only, not_supported, refused (nothing is asked); awaits_reboot; same.

    \b
    Examples:
      csms template diff depot CP-001 --read
      csms template diff depot --site harbour -o csv
    """
    chosen = Fleet(**fleet)
    chosen.check()
    async with open_pool_of(context, size=parallel) as pool:
        stored, found = await _stored_and_found(pool, name, chosen)
        await _foresee(pool, stored, found, output, reads=reads, with_same=with_same, timeout_s=timeout_s)


async def _stored_and_found(pool: asyncpg.Pool[Any], name: str, fleet: Fleet) -> tuple[Stored, list[Mapping[str, Any]]]:
    async with pool.acquire() as connection:
        return await service.get(connection, name), await fleet.find(connection)


async def _foresee(
    pool: asyncpg.Pool[Any], stored: Stored, found: Sequence[Mapping[str, Any]], output: Output, *, reads: bool,
    with_same: bool, timeout_s: float,
) -> None:  # fmt: skip
    actor = default_actor()

    async def work(connection: Any, listed: Mapping[str, Any]) -> list[Planned] | None:
        if listed["protocol"] is None:
            return None
        wanted = stored.template.for_protocol(Protocol(listed["protocol"]))
        unknown: list[str] = []
        if reads:
            unknown = await read_now(connection, listed, list(wanted), actor=actor, timeout_s=timeout_s)
        return await service.foresee(connection, listed["id"], wanted, at=stored, unknown=unknown)

    with progress_bar(stored.name, len(found)) as advance:
        plans = await for_each(pool, found, work, parallel=pool.get_max_size(), advance=advance)
    rows = [
        {"id": listed["id"], "name": each.name, "value": each.value, "wanted": each.wanted, "step": str(each.step)}
        for listed, plan in zip(found, plans, strict=True)
        for each in plan or ()
        if with_same or each.step is not Step.SAME
    ]
    output.rows(rows, columns=DIFF_COLUMNS)
    if unheard := [listed["id"] for listed, plan in zip(found, plans, strict=True) if plan is None]:
        output.note(f"never connected, so nobody knows which settings they have: {', '.join(unheard)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """How a template is applied."""

    stored: Stored
    again: bool
    actor: str
    timeout_s: float

    async def give(self, connection: Any, listed: Mapping[str, Any]) -> Given:
        """To one; whatever can be said without it is said first."""
        before = None if self.again else await service.completed(connection, listed["id"], self.stored)
        if before is not None:
            return before
        (now,) = await charge_points.list_charge_points(connection, identity=listed["id"])
        if not now["online"]:
            return Given(charge_point=now["id"], result=Result.OFFLINE)
        send = sender(connection, now["id"], actor=self.actor, timeout_s=self.timeout_s)
        return await service.give(
            connection, now["id"], Protocol(now["protocol"]), self.stored, send, actor=self.actor, again=self.again
        )


@template.command("apply")
@click.argument("name")
@click.option("--cp", "ids", multiple=True, metavar="CP", help="This charge point; may be said again.")
@fleet_options
@click.option("--dry-run", is_flag=True, help="Say what would be set, by what is known here, and ask nothing.")
@click.option("--again", is_flag=True, help="Also where it was answered before, refusals included.")
@parallel_option
@timeout_option
@output_options
@click.pass_context
@async_command
async def apply_(
    context: click.Context, /, name: str, dry_run: bool, again: bool, parallel: int, timeout_s: float,
    output: Output, **fleet: Any,
) -> None:  # fmt: skip
    """Set charge points as a template says, each setting that differs, and keep what they answer.

    After an interruption the same command goes on where it was; charge points that have answered to everything are
    skipped, those that were offline get it then. A setting that is read-only or unknown to a charge point is not asked.

    Exit status 6: some refused a setting or want a reboot. 8: some were offline or did not answer; run it again.

    \b
    Examples:
      csms template apply depot --cp CP-001 --cp CP-002
      csms template apply depot --site harbour --dry-run
      csms template apply depot --model "Pump 22"
      csms template apply depot --all
    """
    chosen = Fleet(**fleet)
    chosen.check()
    async with open_pool_of(context, size=parallel) as pool:
        stored, found = await _stored_and_found(pool, name, chosen)
        if dry_run:
            await _foresee(pool, stored, found, output, reads=False, with_same=False, timeout_s=timeout_s)
            return
        async with pool.acquire() as connection:
            await _require_reachable(connection, chosen)
        how = _How(stored=stored, again=again, actor=default_actor(), timeout_s=timeout_s)
        with progress_bar(stored.name, len(found)) as advance:
            results = await for_each(pool, found, how.give, parallel=parallel, advance=advance)
    _report(context, output, results, single=len(chosen.ids) == 1)


async def _require_reachable(connection: Any, fleet: Fleet) -> None:
    """One charge point must be online; of a fleet, those that are get it, and the others are in the result."""
    if len(fleet.ids) == 1:
        await require_online(connection, await charge_points.get(connection, fleet.ids[0]))
    else:
        await require_server(connection)


def _report(context: click.Context, output: Output, results: Sequence[Given], *, single: bool) -> None:
    rows = [_row(each) for each in results]
    if single:
        output.one(rows[0])
    else:
        output.rows(rows, columns=APPLY_COLUMNS)
    counts = Counter(each.result for each in results)
    undone = sum(counts[each] for each in (Result.UNFINISHED, Result.OFFLINE, Result.BUSY))
    if undone:
        output.note(f"{undone} of {len(results)} have not answered to everything; run it again once they can")
        timed_out = single and (results[0].detail or "").startswith("timeout")
        context.exit(int(ExitCode.TIMEOUT if timed_out else ExitCode.PARTIAL))
    if single and counts[Result.REFUSED]:
        context.exit(int(ExitCode.REFUSED))
    if counts[Result.REFUSED] + counts[Result.REBOOT_REQUIRED] + counts[Result.NOTHING_FOR_IT]:
        context.exit(int(ExitCode.FINDINGS))


def _row(given: Given) -> dict[str, object]:
    said = Counter(_class_of(each["status"]) for each in given.settings)
    return {
        "id": given.charge_point,
        "outcome": str(given.result),
        **{name: said[name] for name in ("in_force", "reboot_required", "refused", "unanswered")},
        "detail": "done before" if given.before else given.detail,
        "settings": [
            {name: each[name] for name in ("name", "wanted", "before", "status", "answered_at")}
            for each in given.settings
        ],
    }


def _class_of(status: str | None) -> str:
    match status:
        case None:
            return "unanswered"
        case _ if status in IN_FORCE:
            return "in_force"
        case _ if status == REBOOT_REQUIRED:
            return "reboot_required"
        case _:
            return "refused"


# --- looked after ----------------------------------------------------------------------------------------------------


@template.command()
@click.argument("name", required=False)
@click.argument("ids", nargs=-1, metavar="[CP]...")
@fleet_options
@click.option("--read", "reads", is_flag=True, help="Ask those that are online first; else by what is known here.")
@parallel_option
@timeout_option
@output_options
@click.pass_context
@async_command
async def drift(
    context: click.Context, /, name: str | None, reads: bool, parallel: int, timeout_s: float, output: Output,
    **fleet: Any,
) -> None:  # fmt: skip
    """Show what no longer is as charge points took it: changed, gone, waiting for a reboot; or outdated as a whole.

    Exit status 6: something has drifted.

    \b
    Examples:
      csms template drift
      csms template drift depot --site harbour --read
    """
    chosen = Fleet(**fleet)
    if chosen.is_named:
        chosen.check()
    async with open_pool_of(context, size=parallel) as pool:
        async with pool.acquire() as connection:
            if name is not None:
                await service.get(connection, name)
            found = {each["id"]: each for each in await (chosen if chosen.is_named else ALL).find(connection)}
            given = await service.given_to(connection, list(found), name)
        look = partial(_look, found, reads=reads, actor=default_actor(), timeout_s=timeout_s)
        with progress_bar("drift", len(given)) as advance:
            drifted = await for_each(pool, given, look, parallel=parallel, advance=advance)
    rows = [_drift_row(each) for several in drifted for each in several]
    output.rows(rows, columns=DRIFT_COLUMNS)
    if rows:
        context.exit(int(ExitCode.FINDINGS))


ALL = Fleet(everywhere=True)


async def _look(
    found: Mapping[str, Mapping[str, Any]], connection: Any, given: Mapping[str, Any], *, reads: bool, actor: str,
    timeout_s: float,
) -> list[Drifted]:  # fmt: skip
    listed = found[given["charge_point"]]
    if reads and listed["protocol"] is not None:
        stored = await service.get(connection, given["template"], version=given["version"])
        names = list(stored.template.for_protocol(Protocol(listed["protocol"])))
        await read_now(connection, listed, names, actor=actor, timeout_s=timeout_s)
    return await service.drifted(connection, given)


def _drift_row(each: Drifted) -> dict[str, object]:
    return {
        "id": each.charge_point,
        "template": each.template,
        "version": each.version,
        "name": each.name or None,
        "wanted": each.wanted,
        "value": each.value,
        "drift": str(each.drift),
        "read_at": each.read_at,
    }
