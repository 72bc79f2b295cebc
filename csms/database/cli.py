"""csms db: the database behind everything."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import click

from billing import ArchiveCopied, CliError, ExitCode, Output, async_command, output_options
from csms.cli.archive import archive_directory
from csms.cli.backups import back_up, copy_beside, put_archive_back, require_free
from csms.cli.context import database, settings_of
from csms.cli.gathered import Gathered
from csms.database import backup as backups
from csms.database.cluster import owner_of
from csms.database.migrate import SQL, migrate, schema_status
from csms.database.migration import Migration
from csms.database.pool import APP_ROLE, connect_once
from csms.database.tools import connection_environment, find_tool
from csms.settings import Settings


@click.group(cls=Gathered)
def db() -> None:
    """The database: the embedded Postgres of the data directory, or the one of CSMS_DATABASE_URL.

    \b
    Examples:
      csms db status
      csms db backup /backup/csms-2026-03-01.dump
    """


@db.command("migrate")
@click.option("--dry-run", is_flag=True, help="Say what would be applied, and apply nothing.")
@output_options
@click.pass_context
@async_command
async def migrate_(context: click.Context, dry_run: bool, output: Output) -> None:
    """Bring the schema to this version of csms. Every command does so by itself; this shows it.

    Makes the installation where the data directory holds none.

    \b
    Examples:
      csms db migrate --dry-run
      csms db migrate

    Servers of the release before go on meanwhile, and afterwards: what they use is still there. A migration waits half
    a second for a table that somebody holds, then lets everybody pass and tries again, for ten minutes. What waits, and
    for whom, is told on stderr.
    """
    async with database(settings_of(context), "attach_or_own", may_create=not dry_run) as dsn:
        async with connect_once(dsn, as_owner=True) as connection:
            schema = await schema_status(connection)
        done = schema.pending if dry_run else await migrate(dsn)
    output.rows([_migration_row(each) for each in done], columns=("version", "name", "purpose"))
    if schema.newer:
        output.note(f"the schema is of a newer csms ({schema.newer[-1].label}), with which this version works")
    elif not done:
        output.note("the schema is up to date")
    else:
        output.note(f"{len(done)} migrations {'would be applied' if dry_run else 'applied'}")


def _migration_row(migration: Migration) -> dict[str, object]:
    return {
        "version": migration.version,
        "name": migration.name,
        "purpose": migration.purpose,
        "in_transaction": migration.in_transaction,
        "code_min": migration.code_min,
    }


@db.command()
@output_options
@click.pass_context
@async_command
async def status(context: click.Context, output: Output) -> None:
    """Version, schema, size, owner, and what keeps append-only tables so. Changes nothing.

    \b
    Example:
      csms db status -o json
    """
    settings = settings_of(context)
    owner = None if settings.database_url else owner_of(settings.data_dir)
    async with database(settings, "attach_or_own") as dsn, connect_once(dsn, as_owner=True) as connection:
        schema = await schema_status(connection)
        facts = await SQL.database_facts.fetchrow(connection)
    assert facts is not None
    output.one(
        {
            "server_version": facts["server_version"],
            "database": facts["database"],
            "location": _location(settings),
            "owner_pid": None if owner is None else owner.pid,
            "size_bytes": facts["size_bytes"],
            "migrations_applied": [each.label for each in schema.applied],
            "migrations_pending": [each.label for each in schema.pending],
            "migrations_newer": [each.label for each in schema.newer],
            "role_protects": schema.role_protects,
            "append_only_tables": list(schema.append_only),
        }
    )
    if schema.applied and not schema.role_protects:
        output.note(
            f"append-only tables are protected by their triggers alone: the role {APP_ROLE} is missing or has too many"
            f" rights. As an administrator: CREATE ROLE {APP_ROLE} NOLOGIN; GRANT {APP_ROLE} TO the owner; then"
            " csms db migrate"
        )


@db.command(context_settings={"ignore_unknown_options": True})
@click.option("--owner", is_flag=True, help="Act as the owner of the database, not as the application.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
@async_command
async def psql(context: click.Context, owner: bool, arguments: tuple[str, ...]) -> int:
    """Open psql on the database. What follows is handed to it.

    \b
    Examples:
      csms db psql
      csms db psql -c "SELECT count(*) FROM session"
    """
    async with database(settings_of(context), "attach_or_own") as dsn:
        program = find_tool("psql")
        if program is None:
            click.echo(dsn)
            raise CliError("there is no psql here", "install postgresql-client and use the DSN above")
        target, environment = connection_environment(dsn)
        async with connect_once(dsn) as connection:
            role = await connection.fetchval("SELECT current_user")
        if not owner:
            environment["PGOPTIONS"] = f"{environment.get('PGOPTIONS', '')} -c role={role}".strip()
        return await _in_foreground([str(program), *arguments, target], environment)


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@output_options
@click.pass_context
@async_command
async def backup(context: click.Context, file: Path, output: Output) -> None:
    """Write the whole database to FILE, while everything goes on. It holds personal data: keep it as such.

    What the archive has (CSMS_ARCHIVE_DIR) is copied to FILE.archive beside it, each content that the database in FILE knows.
    Exit status 6 where some of them are missing or have changed.

    \b
    Example:
      csms db backup /backup/csms-2026-03-01.dump
    """
    _require_new(file)
    async with database(settings_of(context), "attach_or_own") as dsn:
        size_bytes, copied = await back_up(dsn, archive_directory(context), file)
    output.note(
        "keep password.key of the data directory with it (or CSMS_PASSWORD_KEY): without that key no charge point can connect"
    )
    output.one({"file": str(file), "size_bytes": size_bytes, **_told(copied, copy_beside(file))})
    _end_with_losses(context, copied, output)


@db.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@output_options
@click.pass_context
@async_command
async def restore(context: click.Context, file: Path, output: Output) -> None:
    """Fill an empty database from FILE. One that is not empty is refused.

    Contents in FILE.archive come back to the archive (CSMS_ARCHIVE_DIR), which has to be empty as well.

    \b
    Example:
      csms --data-dir /srv/csms-new db restore /backup/csms-2026-03-01.dump
    """
    archive = archive_directory(context)
    require_free(archive, file)
    async with database(settings_of(context), "attach_or_own", may_create=True) as dsn:
        await backups.restore(dsn, file)
        applied = await migrate(dsn)
    copied = await put_archive_back(archive, file)
    output.note(
        "bring the first installation's password.key into the data directory (or set CSMS_PASSWORD_KEY) before csms serve"
    )
    output.one(
        {"file": str(file), "migrations_applied_since": [each.label for each in applied], **_told(copied, archive)}
    )
    _end_with_losses(context, copied, output)


def _told(copied: ArchiveCopied | None, place: Path) -> dict[str, object]:
    if copied is None:
        return {}
    return {"archive": str(place), "contents": copied.contents, "contents_bytes": copied.size_bytes}


def _end_with_losses(context: click.Context, copied: ArchiveCopied | None, output: Output) -> None:
    if copied is not None and copied.lost:
        output.note(f"{len(copied.lost)} contents are missing or have changed, the first: {copied.lost[0]}")
        context.exit(ExitCode.FINDINGS)


def _require_new(file: Path) -> None:
    """Say what stands in the way of a backup before the database is bothered.

    Raises:
        CliError: the file exists, or may not be written there.
    """
    for each in (file, copy_beside(file)):
        if os.path.lexists(each):
            raise CliError(f"{each} exists and is not overwritten", "name another file", ExitCode.CONFLICT)
    if file.parent.is_dir() and not os.access(file.parent, os.W_OK | os.X_OK):
        raise CliError(f"this account may not write to {file.parent}", "name another place", ExitCode.PERMISSION)


def _location(settings: Settings) -> str:
    if settings.database_url is None:
        return str(settings.data_dir)
    return connection_environment(settings.database_url)[0]


async def _in_foreground(command: list[str], environment: dict[str, str]) -> int:
    """Let a program have the terminal, Ctrl-C included; its exit status."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        returncode = await process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return ExitCode.OK if returncode == 0 else ExitCode.FAILED
