"""The archive's contents beside a backup of the database: every one that its rows know, none else, and back again.

A copy has the layout of the archive itself, and SHA256SUMS for `sha256sum -c`. Contents are copied, never linked: a byte that
turns in the original must not turn in the copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import asyncpg

from billing.archive import store
from billing.archive.contents import PREFIXES, ContentChanged, Contents
from billing.archive.store import SQL
from billing.sql import Connection

SUMS: Final = "SHA256SUMS"
AT_ONCE: Final = 64
"""Contents in memory together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """How much was copied. `lost`: contents that rows know and that were not there, or not what was stored."""

    contents: int
    size_bytes: int
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A content that an entry knows and a copy does not have."""

    entry: int
    file: str
    why: str


@asynccontextmanager
async def nothing_deleted(connection: Connection) -> AsyncIterator[None]:
    """Until the block ends, what the archive has stays there. Who deposits goes on; who deletes comes back later."""
    async with connection.transaction():
        await SQL.lock_for_depositing.execute(connection, key=store.CONTENTS_KEY)
        yield


async def list_living(connection: Connection, copy: Path) -> int:
    """Write the sums of all living contents to `copy`, which is made if there are any; how many."""
    count = 0
    for prefix in PREFIXES:
        living = [sha256.hex() for sha256, (_, is_living) in (await _rows(connection, prefix)).items() if is_living]
        if living:
            count += len(living)
            await asyncio.to_thread(_append, copy, sorted(living))
    return count


async def _rows(connection: Connection, prefix: str) -> dict[bytes, tuple[int, bool]]:
    try:
        return await store.contents_of(connection, prefix)
    except (asyncpg.UndefinedTableError, asyncpg.InFailedSQLTransactionError):  # of a csms that had no archive yet
        return {}


def _append(copy: Path, sums: Iterable[str]) -> None:
    copy.mkdir(mode=0o700, exist_ok=True)
    with (copy / SUMS).open("a", encoding="ascii") as file:
        file.writelines(f"{each}  objects/{each[:2]}/{each}\n" for each in sums)


def copy_contents(archive: Path, copy: Path) -> Copied:
    """What list_living() wrote down, out of the archive."""
    with (copy / SUMS).open(encoding="ascii") as file:
        return _carry(Contents(archive), Contents(copy), (bytes.fromhex(line.split(maxsplit=1)[0]) for line in file))


def is_free(archive: Path) -> bool:
    """Whether nothing lies there."""
    return not archive.exists() or (archive.is_dir() and not any(archive.iterdir()))


def put_back(copy: Path, archive: Path) -> Copied:
    """What a copy has, into an archive in which nothing lies."""
    assert is_free(archive), "a copy never mixes with what is there"
    origin = Contents(copy)
    sums = (each for prefix in PREFIXES for each in origin.listed(prefix) if isinstance(each, bytes))
    return _carry(origin, Contents(archive), sums)


def _carry(origin: Contents, target: Contents, sums: Iterator[bytes]) -> Copied:
    count, size, lost = 0, 0, []
    while some := list(islice(sums, AT_ONCE)):
        read = {}
        for sha256 in some:
            try:
                read[sha256] = origin.read(sha256)
            except (FileNotFoundError, ContentChanged) as why:
                lost.append(str(why))
        target.receive(list(read.values()))
        target.settle(list(read))
        count += len(read)
        size += sum(map(len, read.values()))
    return Copied(contents=count, size_bytes=size, lost=tuple(lost))


async def lost_in(connection: Connection, copy: Path) -> AsyncIterator[list[Lost]]:
    """What rows know and a copy does not have as it was stored, some at a time; every byte of the copy is read."""
    contents = Contents(copy)
    for prefix in PREFIXES:
        rows = {sha256: entry for sha256, (entry, is_living) in (await _rows(connection, prefix)).items() if is_living}
        yield await asyncio.to_thread(_lost_of, contents, rows)


def _lost_of(contents: Contents, rows: dict[bytes, int]) -> list[Lost]:
    found = []
    for sha256, entry in rows.items():
        try:
            contents.read(sha256)
        except FileNotFoundError:
            found.append(Lost(entry=entry, file=str(contents.path(sha256)), why="missing"))
        except ContentChanged:
            found.append(Lost(entry=entry, file=str(contents.path(sha256)), why="changed"))
    return found
