"""A whole database into one file and back, by Postgres' own pg_dump and pg_restore. Knows no table.

The file is pg_dump's custom format: consistent as of its begin, compressed, readable by any pg_restore that is not
older. Roles belong to the server and are not in it; the restore makes csms_app anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from csms.database.embedded import EmbeddedPostgres
from csms.database.errors import BackupFailed, RestoreRefused
from csms.database.migrate import SQL, ensure_role
from csms.database.pool import connect_once
from csms.database.tools import find_tool, run_tool


async def back_up(dsn: str, file: Path, *, snapshot: str | None = None) -> int:
    """Write `file`, which appears only when it is complete; returns its size in bytes. `snapshot`: as of this one.

    Raises:
        BackupFailed: the file exists, or no pg_dump is new enough, or it failed.
    """
    if os.path.lexists(file):  # noqa: ASYNC240 - one look, nothing else runs in a command
        raise BackupFailed(f"{file} exists and is not overwritten", next_step="name another file")
    program = await _tool("pg_dump", dsn)
    unfinished = file.with_name(file.name + ".part")
    try:
        unfinished.touch(mode=0o600)
        options = ["--format=custom", "--no-owner", f"--file={unfinished}"]
        options += [f"--snapshot={snapshot}"] if snapshot else []
        await run_tool(program, dsn, options, failure=BackupFailed)
        unfinished.rename(file)
    except OSError as error:
        raise BackupFailed(f"{file} cannot be written: {error.strerror}", next_step="name another place") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return file.stat().st_size  # noqa: ASYNC240 - as above


async def restore(dsn: str, file: Path) -> None:
    """Fill an empty database from a backup: everything, or after a failure nothing.

    Raises:
        RestoreRefused: the database has tables already.
        BackupFailed: no pg_restore is new enough, or it failed.
    """
    async with connect_once(dsn, as_owner=True) as connection:
        if await SQL.has_tables.fetchval(connection):
            raise RestoreRefused(
                "the database is not empty, and a restore never mixes with what is there",
                next_step="restore into a new data directory (--data-dir) or an empty database",
            )
        role = await ensure_role(connection)
    program = await _tool("pg_restore", dsn)
    rights = [] if role else ["--no-acl"]
    options = ["--single-transaction", "--exit-on-error", "--no-owner", *rights, str(file)]
    await run_tool(program, dsn, options, failure=BackupFailed)
    async with connect_once(dsn, as_owner=True) as connection:
        await SQL.grant_app.execute(connection)


@contextlib.asynccontextmanager
async def restored(file: Path) -> AsyncIterator[str]:
    """The DSN of an embedded Postgres that holds the backup and nothing else, below TMPDIR; it goes with the block.

    Raises:
        PostgresNotStarted: it did not come up.
        BackupFailed: as restore().
    """
    place = Path(tempfile.gettempdir()) / f"csms-restored-{secrets.token_hex(8)}"
    cluster = EmbeddedPostgres(place, fast=True)
    try:
        await cluster.start()
        await restore(cluster.dsn, file)
        yield cluster.dsn
    finally:
        await cluster.stop()
        for each in (cluster.home, place):
            shutil.rmtree(each, ignore_errors=True)


async def _tool(name: str, dsn: str) -> Path:
    async with connect_once(dsn, as_owner=True) as connection:
        major = connection.get_server_version().major
    program = find_tool(name, server_major=major)
    if program is None:
        raise BackupFailed(
            f"the server is Postgres {major} and there is no {name} of that version or newer",
            next_step=f"install postgresql-client-{major}",
        )
    return program
