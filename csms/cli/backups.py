"""A backup of everything: the database in one file, and the archive's contents in a directory beside it.

Both are as of one instant of the database: each content that its rows know is there, and none that came after.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from billing import ArchiveCopied, copy_contents, is_free, list_living, nothing_deleted, put_back
from csms.database import backup
from csms.database.errors import BackupFailed, RestoreRefused
from csms.database.pool import connect_once


def copy_beside(file: Path) -> Path:
    """Where the contents of the archive lie that belong to a backup."""
    return file.with_name(f"{file.name}.archive")


async def back_up(dsn: str, archive: Path, file: Path) -> tuple[int, ArchiveCopied | None]:
    """Write `file`, and the archive beside it if it has contents; the size of the file, and what was copied.

    Raises:
        BackupFailed: something cannot be written; then nothing is left.
    """
    copy = copy_beside(file)
    unfinished = copy.with_name(f"{copy.name}.part")
    await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)  # of a backup that was killed
    async with connect_once(dsn, as_owner=True) as holder, nothing_deleted(holder):
        size_bytes = await _dump(dsn, file, unfinished)
        try:
            copied = await asyncio.to_thread(_copy, archive, unfinished, copy)
        except BaseException as error:
            _take_away(file, unfinished)
            if isinstance(error, OSError):
                raise BackupFailed(f"{copy} cannot be written: {error}", next_step="name another place") from error
            raise
    return size_bytes, copied


async def _dump(dsn: str, file: Path, unfinished: Path) -> int:
    """The database, and a list of what its rows know of the archive."""
    async with (
        connect_once(dsn, as_owner=True) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        size_bytes = await backup.back_up(dsn, file, snapshot=snapshot)
        try:
            await list_living(connection, unfinished)
        except BaseException as error:
            _take_away(file, unfinished)
            if isinstance(error, OSError):
                raise BackupFailed(
                    f"{unfinished} cannot be written: {error}", next_step="name another place"
                ) from error
            raise
    return size_bytes


def _take_away(file: Path, unfinished: Path) -> None:
    """A backup without its contents is none."""
    shutil.rmtree(unfinished, ignore_errors=True)
    file.unlink(missing_ok=True)


def _copy(archive: Path, unfinished: Path, copy: Path) -> ArchiveCopied | None:
    if not unfinished.exists():
        return None
    copied = copy_contents(archive, unfinished)
    unfinished.rename(copy)
    return copied


def require_free(archive: Path, file: Path) -> None:
    """Before anything is restored.

    Raises:
        RestoreRefused: contents are to come where some are.
    """
    if copy_beside(file).exists() and not is_free(archive):
        raise RestoreRefused(
            f"{archive} is not empty, and a restore never mixes with what is there",
            next_step="restore into a new data directory (--data-dir), or set CSMS_ARCHIVE_DIR to an empty one",
        )


async def put_archive_back(archive: Path, file: Path) -> ArchiveCopied | None:
    """The contents beside a backup, each proven by its sum; None: there are none.

    Raises:
        BackupFailed: they cannot be written.
    """
    copy = copy_beside(file)
    if not copy.exists():
        return None
    try:
        return await asyncio.to_thread(put_back, copy, archive)
    except OSError as error:
        raise BackupFailed(
            f"{archive} cannot be written: {error.strerror}", next_step=f"bring {copy}/objects there by other means"
        ) from error
