"""Copies of files on this node's disk: two hundred charge points fetch the same firmware, Postgres is read once.

A copy is named after its content's sum, so it is right or not there; the originals are in Postgres.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import asyncpg
import structlog

from csms.files import service

BLOCK_BYTES = 256 * 1024
READERS = 8
UNUSED_DAYS_MAX = 7

log = structlog.get_logger()
T = TypeVar("T")


class CopyDamaged(Exception):
    """What came out of the database is not what was put in."""


class Copies:
    """`directory` is made when the first copy is."""

    def __init__(self, directory: Path, pool: asyncpg.Pool[Any]) -> None:
        self._directory = directory
        self._pool = pool
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="csms-files")
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, file: int, sha256: bytes, *, size: int, first: int, end: int) -> AsyncGenerator[bytes]:
        """Bytes of a file; where the disk has no room for a copy, straight from Postgres."""
        try:
            copy = await self._copy(file, sha256, size)
        except OSError as trouble:
            log.warning(
                "file_not_copied", file=file, error=str(trouble),
                next_step=f"make room in {self._directory}: without copies every transfer reads the database",
            )  # fmt: skip
            async with aclosing(self._from_database(file, first, end)) as blocks:
                async for block in blocks:
                    yield block
            return
        descriptor = os.open(copy, os.O_RDONLY)
        try:
            at = first
            while at < end:
                block = await self._off_loop(os.pread, descriptor, min(BLOCK_BYTES, end - at), at)
                if not block:
                    raise CopyDamaged(f"{copy} is shorter than it was")
                yield block
                at += len(block)
        finally:
            os.close(descriptor)

    async def _from_database(self, file: int, first: int, end: int) -> AsyncGenerator[bytes]:
        """A connection for each part: a slow reader must not hold one."""
        at = first
        while at < end:
            async with self._pool.acquire() as connection:
                part = await service.part(connection, file, first=at, end=end)
            yield part
            at += len(part)

    async def _copy(self, file: int, sha256: bytes, size: int) -> Path:
        path = self._directory / sha256.hex()
        lock = self._making.setdefault(path.name, asyncio.Lock())
        async with lock:
            if await self._off_loop(_is_there, path, size):
                return path
            await self._make(file, sha256, size, path)
        return path

    async def _make(self, file: int, sha256: bytes, size: int, path: Path) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        sum_ = hashlib.sha256()
        try:
            with fresh.open("wb") as copy:
                async for part in self._from_database(file, 0, size):
                    sum_.update(part)
                    await self._off_loop(copy.write, part)
                copy.flush()
                await self._off_loop(os.fsync, copy.fileno())
            if sum_.digest() != sha256:
                raise CopyDamaged(f"file {file} does not have the sum that it had")
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)

    async def _off_loop(self, work: Callable[..., T], *given: Any) -> T:
        """In threads of our own: a slow disk delays files, and nothing else."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *given)

    def close(self) -> None:
        self._readers.shutdown(wait=False)

    def forget_unused(self) -> int:
        """Delete copies that nobody has fetched for days; how many."""
        before = time.time() - UNUSED_DAYS_MAX * 86_400
        unused = [each for each in self._directory.glob("*") if each.is_file() and each.stat().st_mtime < before]
        for each in unused:
            each.unlink(missing_ok=True)
        return len(unused)


def _is_there(path: Path, size: int) -> bool:
    """Whether there is a copy; if so it counts as used now."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
