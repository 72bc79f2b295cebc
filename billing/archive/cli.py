"""csms archive: what was stored for good, whether it is still what it was, and what may go."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click

from billing.archive import service, store
from billing.archive.entry import Action, Head
from billing.archive.retention import RetentionClass, RetentionRule, default_rules
from billing.archive.service import Archive, HoldOn, Order
from billing.archive.store import SQL
from billing.archive.verification import Advance, Report, size_of, verify
from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN, Connect, transaction
from billing.errors import AlreadyDone, ExitCode, NotFound

HELP: Final = """The archive: documents as they were sent, kept for as long as the law wants, each found if a byte of it changes.

\b
Examples:
  csms archive list --account K-10042
  csms archive verify
  csms archive hold set --account K-10042 --reason 'lawsuit 7 O 12/26'
"""
HOLD_HELP: Final = """Legal holds: what they are about is not deleted, whatever its retention says, until they are lifted.

\b
Example:
  csms archive hold list --open
"""
RETENTION_HELP: Final = """For how many years documents are kept, by class and country of the seller.

\b
Example:
  csms archive retention list
"""
LIST_COLUMNS: Final = (
    "id", "at", "subject", "account", "kind", "media_type", "size_bytes", "retention_class", "retain_until", "held",
    "deleted_at",
)  # fmt: skip
HOLD_COLUMNS: Final = (
    "id",
    "entry",
    "subject",
    "account",
    "reason",
    "actor",
    "at",
    "lifted_at",
    "lifted_by",
    "lifted_why",
)
FINDING_COLUMNS: Final = ("what", "entry", "file", "detail", "next")
RETENTION_COLUMNS: Final = ("retention_class", "country", "years", "own", "reason", "actor", "at")
EXPIRED_COLUMNS: Final = ("id", "subject", "account", "kind", "retain_until", "size_bytes")

ENTRY_ID: Final = click.IntRange(1, 2**63 - 1)
REASON: Final = click.option("--reason", required=True, help="Why; kept for ever.")
Actor = Callable[[], str]
Directory = Callable[[click.Context], Path]


def archive_group(connect: Connect, *, directory: Directory, actor: Actor) -> click.Group:
    """The command group; `directory` knows where the contents lie, `actor` who gives the command."""

    def archive_of(context: click.Context) -> Archive:
        return Archive(directory(context))

    hold = click.Group("hold", help=HOLD_HELP)
    _add_hold_set(hold, connect, actor)
    _add_hold_lift(hold, connect, actor)
    _add_hold_list(hold, connect)
    retention = click.Group("retention", help=RETENTION_HELP)
    _add_retention_list(retention, connect)
    _add_retention_set(retention, connect, actor)
    group = click.Group("archive", help=HELP, commands=[hold, retention])
    _add_list(group, connect)
    _add_show(group, connect)
    _add_export(group, connect, archive_of)
    _add_verify(group, connect, archive_of)
    _add_expire(group, connect, archive_of, actor)
    return group


def _add_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--subject", metavar="NUMBER", help="Of this document.")
    @click.option("--account", metavar="ID", help="Of this customer.")
    @click.option("--kind", help="Only these, such as invoice_pdf.")
    @click.option("--limit", "count", type=click.IntRange(1, 100_000), default=1000, show_default=True)
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, subject: str | None, account: str | None, kind: str | None, count: int, output: Output
    ) -> None:
        """List what was stored, newest first.

        \b
        Examples:
          csms archive list --account K-10042
          csms archive list --subject RE-2026-000123 -o json
        """
        async with connect(context) as connection:
            rows = await SQL.list_entries.fetch(
                connection, id=None, subject=subject, account=account, kind=kind, count=count
            )
        output.rows([dict(row) for row in rows], columns=LIST_COLUMNS)


def _add_show(group: click.Group, connect: Connect) -> None:
    @group.command()
    @click.argument("id_", metavar="ID", type=ENTRY_ID)
    @output_options
    @click.pass_context
    @async_command
    async def show(context: click.Context, id_: int, output: Output) -> None:
        """Show an entry of the chain.

        \b
        Example:
          csms archive show 17
        """
        async with connect(context) as connection:
            entry = (await store.by_id(connection, [id_])).get(id_)
            if entry is None:
                raise NotFound(f"no entry {id_}", service.SEE_LIST)
            shown = {name: getattr(entry, name) for name in entry.__slots__}
            if entry.action is Action.STORED:
                [row] = await SQL.list_entries.fetch(connection, id=id_, subject=None, account=None, kind=None, count=1)
                shown |= {"held": row["held"], "deleted_at": row["deleted_at"]}
        output.one(shown)


def _add_export(group: click.Group, connect: Connect, archive_of: Callable[[click.Context], Archive]) -> None:
    @group.command()
    @click.argument("id_", metavar="ID", type=ENTRY_ID)
    @click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File; - is stdout.")
    @click.option("--force", is_flag=True, help="Over a file that is there.")
    @click.pass_context
    @async_command
    async def export(context: click.Context, id_: int, out: Path, force: bool) -> None:
        """Write a content to a file, if it is what was stored.

        \b
        Example:
          csms archive export 17 --out RE-2026-000123.pdf
        """
        to_stdout = str(out) == "-"
        if not to_stdout:
            _require_place(out, force=force)
        async with connect(context) as connection:
            entry, content = await archive_of(context).fetch(connection, id_)
        if to_stdout:
            sys.stdout.buffer.write(content)
            return
        _write(out, content)
        assert entry.sha256 is not None, "what is stored has a sum"
        Output().note(f"{out}: {len(content)} bytes, sha256 {entry.sha256.hex()}")


def _require_place(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise AlreadyDone(f"{path} is there already", "name another one, or --force")


def _write(path: Path, content: bytes) -> None:
    """The file appears when it is complete."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


class _Noted(click.ParamType[Head]):
    """An entry with its hash, as `verify` prints the last one."""

    name = "id:hash"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        id_, _, hash_ = str(value).partition(":")
        try:
            return Head(int(id_), bytes.fromhex(hash_))
        except ValueError:
            self.fail(f"{value!r} is no ID:HASH as csms archive verify prints it", param, ctx)


def _add_verify(group: click.Group, connect: Connect, archive_of: Callable[[click.Context], Archive]) -> None:
    @group.command("verify")
    @click.option("--noted", type=_Noted(), help="The head of an earlier run, kept elsewhere: finds a chain cut off.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, noted: Head | None, output: Output) -> None:
        """Prove that the archive is what it was: the chain of entries, and every file by its sum. The server may run.

        Found are rows that were changed, taken out or put in, and files that changed by a byte, are missing or are not ours.
        Keep the head that is printed outside of this machine: with --noted it proves later that the end is still there.

        Exit status 6 with findings, a row each. With -o json everything is one object.

        \b
        Examples:
          csms archive verify
          csms archive verify --noted 4711:9f86d0... -o json
        """
        report = Report()
        async with connect(context) as connection:
            size = await size_of(connection)
            with _progress("entries and files", size.entries + size.contents) as advance:
                await verify(connection, archive_of(context), report, advance, noted=noted)
        _print_report(report, output)
        if report.found:
            output.note(f"{report.found} finding(s): see next in each row")
            context.exit(ExitCode.FINDINGS)


def _print_report(report: Report, output: Output) -> None:
    figures = {
        "entries": report.entries,
        "contents": report.contents,
        "bytes": report.bytes_read,
        "head": str(report.head),
        "found": report.found,
    }
    findings = [each.to_dict() for each in report.findings]
    if output.format is Format.JSON:
        output.one({**figures, "findings": findings})
        return
    if output.format is Format.TABLE and not output.fields:
        output.one(figures)
    if findings or output.format is not Format.TABLE:
        output.rows(findings, columns=FINDING_COLUMNS)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Advance]:
    """A bar on stderr; nothing where nobody watches."""
    from rich.console import Console  # noqa: PLC0415 - takes longer to import than most commands to run
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def _add_expire(
    group: click.Group, connect: Connect, archive_of: Callable[[click.Context], Archive], actor: Actor
) -> None:
    @group.command()
    @click.option("--on", "today", type=DAY, help="As if it were this day; only with --dry-run.")
    @click.option("--reason", help="Why; kept for ever. Needed without --dry-run.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def expire(
        context: click.Context, today: date | None, reason: str | None, dry_run: bool, output: Output
    ) -> None:
        """Delete contents that nobody has to keep any longer and no hold keeps. Their entries stay, and say so.

        Exit status 8 if contents stay until nobody is storing any: run it again.

        \b
        Examples:
          csms archive expire --dry-run --on 2035-01-01
          csms archive expire --reason 'yearly clearance'
        """
        if not dry_run and (reason is None or today is not None):
            raise click.UsageError("give --reason, or --dry-run where --on may stand as well")
        now = datetime.now(UTC)
        order = Order(today=today or now.date(), now=now, actor=actor(), reason=reason or "-")
        async with connect(context) as connection:
            done = await archive_of(context).expire(connection, order, dry_run=dry_run)
        output.rows(
            [{name: getattr(each, name) for name in EXPIRED_COLUMNS} for each in done.entries], columns=EXPIRED_COLUMNS
        )
        if dry_run:
            output.note(f"{len(done.entries)} entries would be deleted")
            return
        output.note(
            f"{len(done.entries)} entries deleted, {done.removed} files removed, {done.unfinished} unfinished ones"
        )
        if done.waiting:
            output.note(f"{len(done.waiting)} files wait until nobody is storing any: run it again")
            context.exit(ExitCode.PARTIAL)


def _add_hold_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.option("--entry", type=ENTRY_ID, help="This entry alone.")
    @click.option("--subject", metavar="NUMBER", help="Everything of this document.")
    @click.option("--account", metavar="ID", help="Everything of this customer, what comes later as well.")
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, /, reason: str, dry_run: bool, output: Output, **on: Any) -> None:
        """Keep something until the hold is lifted, whatever its retention says.

        \b
        Example:
          csms archive hold set --account K-10042 --reason 'lawsuit 7 O 12/26'
        """
        if sum(value is not None for value in on.values()) != 1:
            raise click.UsageError("give one of --entry, --subject and --account")
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            hold = await service.set_hold(connection, HoldOn(**on), actor=actor(), reason=reason, now=now)
        output.one({"hold": hold.id, **on, "reason": reason} | ({"dry_run": True} if dry_run else {}))


def _add_hold_lift(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command()
    @click.argument("hold", type=ENTRY_ID)
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def lift(context: click.Context, hold: int, reason: str, dry_run: bool, output: Output) -> None:
        """End a hold. What is past its retention is deleted at the next csms archive expire.

        \b
        Example:
          csms archive hold lift 4712 --reason 'settled out of court'
        """
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            await service.lift_hold(connection, hold, actor=actor(), reason=reason, now=now)
        output.one({"hold": hold, "lifted_why": reason} | ({"dry_run": True} if dry_run else {}))


def _add_hold_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @click.option("--open", "open_", is_flag=True, help="Only those that are not lifted.")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, open_: bool, output: Output) -> None:
        """List holds, newest first.

        \b
        Example:
          csms archive hold list --open
        """
        async with connect(context) as connection:
            rows = await SQL.list_holds.fetch(connection, open=open_)
        output.rows([dict(row) for row in rows], columns=HOLD_COLUMNS)


def _add_retention_list(group: click.Group, connect: Connect) -> None:
    @group.command("list")
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, output: Output) -> None:
        """List the years that hold: your own, and the defaults where you have said nothing.

        \b
        Example:
          csms archive retention list
        """
        async with connect(context) as connection:
            own = await store.retention_rules(connection)
        said = {(rule.retention_class, rule.country) for rule, _ in own}
        rows = [_retention_row(rule, own=True) | dict(more) for rule, more in own]
        rows += [
            _retention_row(rule, own=False)
            for rule in default_rules()
            if (rule.retention_class, rule.country) not in said
        ]
        output.rows(
            sorted(rows, key=lambda row: (row["retention_class"], row["country"] or "")), columns=RETENTION_COLUMNS
        )


def _retention_row(rule: RetentionRule, *, own: bool) -> dict[str, Any]:
    return {
        "retention_class": rule.retention_class.value, "country": rule.country, "years": rule.years, "own": own,
        "reason": None, "actor": None, "at": None,
    }  # fmt: skip


def _add_retention_set(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("set")
    @click.argument("retention_class", metavar="CLASS", type=click.Choice([each.value for each in RetentionClass]))
    @click.option("--country", metavar="CC", help="Of the seller; everywhere unless said.")
    @click.option("--years", type=click.IntRange(1, 100), required=True)
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        retention_class: str,
        country: str | None,
        years: int,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Say for how many years documents are kept that are stored from now on. What is stored keeps its day.

        \b
        Example:
          csms archive retention set voucher --country DE --years 10 --reason 'fiscal year ends in June'
        """
        rule = RetentionRule(
            retention_class=RetentionClass(retention_class), country=service.country_of(country), years=years
        )
        now = datetime.now(UTC)
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            await service.set_retention(connection, rule, actor=actor(), reason=reason, now=now)
        output.one(_retention_row(rule, own=True) | {"reason": reason} | ({"dry_run": True} if dry_run else {}))
