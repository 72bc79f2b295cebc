"""csms db verify and csms db rebuild: whether what is stored follows from the facts, and making it so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click

from billing import CliError, ExitCode, Format, Output, async_command, output_options
from csms.charge_points.fleet import progress_bar
from csms.cli.backups import copy_beside
from csms.cli.context import database, settings_of
from csms.database import backup
from csms.database.cli import db
from csms.database.migrate import migrate, schema_status
from csms.database.pool import APP_ROLE, connect_once
from csms.verification.rebuilding import rebuild
from csms.verification.service import Advance, Report, look_at_contents, look_at_schema, verify

__all__ = ["db"]

COLUMNS = ("session", "bill", "what", "stored", "recomputed", "next")


@db.command("verify")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@output_options
@click.pass_context
@async_command
async def verify_(context: click.Context, file: Path | None, output: Output) -> None:
    """Prove that the database, or the backup in FILE, holds what it must. Changes nothing.

    A backup is really restored, into a throw-away Postgres below TMPDIR: that needs as much room as the database takes.
    The contents of the archive beside it are read and compared with their sums; csms archive verify does so with the archive.

    Looked at are the schema and what keeps append-only tables so; every session, which is folded from its facts anew;
    every bill, which is rated anew from the inputs it stored. Rows of each table are counted.

    A session is right if its facts give it now, or gave it when it was folded, by the limits that were in force then: what
    only time has made of it since is no difference. Sessions with facts that wait to be folded count as waiting, those whose
    readings have gone (CSMS_READING_RETENTION_MONTHS) as no_longer_kept. Waits and patience are settings: run it with those
    of the server.

    Exit status 6 where anything differs, a row each; 1 where FILE cannot be restored. With -o json everything is one object.

    \b
    Examples:
      csms db verify
      csms db verify /backup/csms-2026-03-01.dump -o json
    """
    settings, report = settings_of(context), Report()
    async with _restored(file) if file else database(settings, "attach_or_own") as dsn:
        await _require_schema(dsn)
        await look_at_schema(dsn, report)
        with _progress(report) as advance:
            await verify(dsn, settings, report, advance)
        if file:
            await look_at_contents(dsn, copy_beside(file), report)
    _print(output, report, _figures(report))
    if report.differing:
        output.note(f"{report.differing} difference(s): see next in each row")
        context.exit(ExitCode.FINDINGS)


@db.command("rebuild")
@click.option("--dry-run", is_flag=True, help="Only say what differs, through the same code.")
@output_options
@click.pass_context
@async_command
async def rebuild_(context: click.Context, dry_run: bool, output: Output) -> None:
    """Fold every session from its facts anew, as csms db verify does, and store those that differ; the server may run.

    Billing then looks at them again. Bills are never rewritten: one that does not follow from its inputs, or that the
    facts no longer give, is a row with what corrects it.

    Exit status 6 where something is left for a person: any difference with --dry-run, else bills, and sessions that cannot
    be folded.

    \b
    Examples:
      csms db rebuild --dry-run
      csms db rebuild -o json
    """
    settings, report = settings_of(context), Report()
    async with database(settings, "attach_or_own") as dsn:
        await _require_schema(dsn)
        await look_at_schema(dsn, report)
        with _progress(report) as advance:
            await rebuild(dsn, settings, report, advance, dry_run=dry_run)
    _print(output, report, {**_figures(report), "rebuilt": report.rebuilt, "left": report.left, "dry_run": dry_run})
    if report.left or (dry_run and report.differing):
        context.exit(ExitCode.FINDINGS)


@asynccontextmanager
async def _restored(file: Path) -> AsyncIterator[str]:
    """The backup, brought to this version's schema as csms db restore does."""
    async with backup.restored(file) as dsn:
        await migrate(dsn)
        yield dsn


async def _require_schema(dsn: str) -> None:
    async with connect_once(dsn, as_owner=True) as owner:
        pending = (await schema_status(owner)).pending
    if pending:
        raise CliError(
            f"the schema lacks {', '.join(each.label for each in pending)}", "csms db migrate", ExitCode.REFUSED
        )


@contextmanager
def _progress(report: Report) -> Iterator[Advance]:
    total = report.tables.get("session", 0) + report.tables.get("bill", 0)
    with progress_bar("sessions and bills", total) as step:

        def advance(count: int) -> None:
            for _ in range(count):
                step()

        yield advance


def _figures(report: Report) -> dict[str, object]:
    return {
        "schema": report.schema,
        "role_protects": report.role_protects,
        "append_only_tables": report.append_only_tables,
        "sessions": report.sessions,
        "waiting": report.waiting,
        "no_longer_kept": report.gone,
        "bills": report.bills,
        "differing": report.differing,
    }


def _print(output: Output, report: Report, figures: dict[str, object]) -> None:
    """One object; for people the figures, then what differs; lists for scripts are of what differs."""
    differences = [each.to_dict() for each in report.differences]
    if output.format is Format.JSON:
        output.one({**figures, "tables": report.tables, "differences": differences})
        return
    if output.format is Format.TABLE and not output.fields:
        output.one({**figures, "rows": " ".join(f"{name}={count}" for name, count in report.tables.items() if count)})
        if differences:
            output.rows(differences, columns=COLUMNS)
    else:
        output.rows(differences, columns=COLUMNS)
    if len(differences) < report.differing:
        output.note(f"only {len(differences)} of {report.differing} differences are shown")
    if not report.role_protects:
        output.note(
            f"append-only tables are protected by their triggers alone: csms db status says what {APP_ROLE} lacks"
        )
