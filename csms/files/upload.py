"""A file on its way in: parts are committed as they come, so that what is here is never sent again."""

from __future__ import annotations

import hashlib
from typing import Any

import asyncpg

from csms.files import service
from csms.files.service import PART_BYTES, SQL, Grant


class TooLarge(Exception):
    """More than the address takes."""


class Overtaken(Exception):
    """A newer attempt to send has begun, the time is over, or the file is here already."""


class Incoming:
    """One attempt to send. Older attempts to the same address write no more from `begin` on."""

    def __init__(self, pool: asyncpg.Pool[Any], grant: Grant, *, run: int, file: int) -> None:
        assert grant.bytes_max is not None, "uploads are bounded"
        self._pool = pool
        self._grant = grant
        self._run = run
        self._bytes_max = grant.bytes_max
        self._waiting = bytearray()
        self._sum = hashlib.sha256()
        self._stored = 0
        self.file = file

    @classmethod
    async def begin(cls, pool: asyncpg.Pool[Any], grant: Grant, *, name: str, go_on: bool) -> Incoming:
        """From the beginning, or with `go_on` behind what is here.

        Raises:
            Overtaken: nothing may be sent there any more.
        """
        async with pool.acquire() as connection, connection.transaction():
            file = grant.file
            if file is None:
                file = await SQL.insert_file.fetchval(
                    connection, kind="log", name=name, charge_point=grant.charge_point, actor=None
                )
            row = await SQL.begin_run.fetchrow(connection, id=grant.id, file=file)
            if row is None:
                raise Overtaken
            incoming = cls(pool, grant, run=row["run"], file=row["file"])
            await SQL.rename_file.execute(connection, id=incoming.file, name=name)
            if go_on:
                await incoming._count_in(connection)
            else:
                await SQL.delete_parts.execute(connection, file=incoming.file)
        return incoming

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self._stored + len(self._waiting)

    async def write(self, data: bytes) -> None:
        """Raises:
        TooLarge: the address takes no more.
        Overtaken: a newer attempt has begun.
        """
        if self.received + len(data) > self._bytes_max:
            raise TooLarge
        self._waiting += data
        while len(self._waiting) >= PART_BYTES:
            await self._store(bytes(self._waiting[:PART_BYTES]))

    async def keep(self) -> None:
        """Commit what has come so far: the next attempt may go on behind it."""
        if self._waiting:
            await self._store(bytes(self._waiting))

    async def rename(self, name: str) -> None:
        async with self._pool.acquire() as connection:
            await SQL.rename_file.execute(connection, id=self.file, name=name)

    async def finish(self) -> None:
        """The file is whole. From here on the address takes nothing more."""
        await self.keep()
        async with self._pool.acquire() as connection, connection.transaction():
            if await SQL.use_up.fetchval(connection, grant=self._grant.id, run=self._run) is None:
                raise Overtaken
            await SQL.complete_file.execute(
                connection, id=self.file, size_bytes=self._stored, sha256=self._sum.digest()
            )

    async def discard(self) -> None:
        """What has come is of no use; what a newer attempt has brought stays."""
        self._waiting.clear()
        async with self._pool.acquire() as connection:
            await SQL.delete_parts_of_run.execute(connection, grant=self._grant.id, run=self._run)

    async def _store(self, part: bytes) -> None:
        async with self._pool.acquire() as connection:
            at = await SQL.add_part.fetchval(
                connection, grant=self._grant.id, run=self._run, at_byte=self._stored, content=part
            )
        if at is None:
            raise Overtaken
        del self._waiting[: len(part)]
        self._sum.update(part)
        self._stored += len(part)

    async def _count_in(self, connection: Any) -> None:
        """What is here already belongs to the sum."""
        here = await SQL.received_bytes.fetchval(connection, file=self.file)
        while self._stored < here:
            part = await service.part(connection, self.file, first=self._stored, end=here)
            self._sum.update(part)
            self._stored += len(part)
