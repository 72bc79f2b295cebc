"""A file on its way in: parts are committed as they come, so that what is here is never sent again."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import asyncpg

from csms.files import service
from csms.files.service import PART_BYTES, SQL, Grant

PART_BYTES_MIN = 16 * 1024
"""Less than that is a part only at the end of a file: each costs a row, and a request."""
_summing = asyncio.Semaphore(1)
"""Sums over what came in several attempts are made one after the other: they read all of it."""


class TooLarge(Exception):
    """More than the address takes."""


class Overtaken(Exception):
    """A newer attempt to send has begun, the time is over, or the file is here already."""


class Conflict(Exception):
    """An attempt that cannot begin as things are: as `outcome` has it, `received` bytes are here."""

    outcome = "conflict"
    received = 0


class Busy(Conflict):
    """Another attempt is beginning or storing at this very moment."""

    outcome = "busy"

    def __init__(self) -> None:
        super().__init__("another attempt to send is at work; come back in a moment")


class OtherPart(Conflict):
    """What is offered does not begin where what is here ends."""

    outcome = "other part"

    def __init__(self, received: int) -> None:
        super().__init__(f"{received} bytes are here; go on behind them")
        self.received = received


class Incoming:
    """One attempt to send. Older attempts to the same address write no more from `begin` on."""

    def __init__(self, pool: asyncpg.Pool[Any], grant: Grant, *, run: int, file: int, here: int) -> None:
        assert grant.bytes_max is not None, "uploads are bounded"
        self._pool = pool
        self._grant = grant
        self._run = run
        self._bytes_max = grant.bytes_max
        self._waiting = bytearray()
        self._sum = None if here else hashlib.sha256()
        self._stored = here
        self._is_overtaken = False
        self.file = file

    @classmethod
    async def begin(cls, pool: asyncpg.Pool[Any], grant: Grant, *, name: str, first: int) -> Incoming:
        """From byte `first` on, which must be where what is here ends; 0: from the beginning, whatever is here.

        Nobody waits here for another attempt, least of all with a connection in hand.

        Raises:
            Overtaken: nothing may be sent there any more.
            Busy: another attempt has the address right now.
            OtherPart: it does not fit behind what is here.
        """
        async with pool.acquire() as connection, connection.transaction():
            try:
                held = await SQL.hold_grant.fetchrow(connection, id=grant.id)
            except asyncpg.LockNotAvailableError:
                raise Busy from None
            if held is None:
                raise Overtaken
            file = held["file"]
            here = 0 if file is None else await SQL.received_bytes.fetchval(connection, file=file)
            if first and first != here:
                raise OtherPart(here)
            if file is None:
                file = await SQL.insert_file.fetchval(
                    connection, kind="log", name=name, charge_point=grant.charge_point, actor=None
                )
            else:
                await SQL.rename_file.execute(connection, id=file, name=name)
            run = await SQL.begin_run.fetchval(connection, id=grant.id, file=file)
            if not first:
                await SQL.delete_parts.execute(connection, file=file)
        return cls(pool, grant, run=run, file=file, here=first)

    def overtake(self) -> None:
        """A newer attempt has begun: this one is not worth any more work."""
        self._is_overtaken = True

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
        """Commit what has come so far, if it is worth a row: the next attempt may go on behind it."""
        if len(self._waiting) >= PART_BYTES_MIN:
            await self._store(bytes(self._waiting))
        self._waiting.clear()

    async def rename(self, name: str) -> None:
        async with self._pool.acquire() as connection:
            await SQL.rename_file.execute(connection, id=self.file, name=name)

    async def finish(self) -> None:
        """The file is whole. From here on the address takes nothing more."""
        if self._waiting:
            await self._store(bytes(self._waiting))
        sha256 = await self._whole_sum()
        async with self._pool.acquire() as connection, connection.transaction():
            if await SQL.use_up.fetchval(connection, grant=self._grant.id, run=self._run) is None:
                raise Overtaken
            await SQL.complete_file.execute(connection, id=self.file, size_bytes=self._stored, sha256=sha256)

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
        if self._sum is not None:
            self._sum.update(part)
        self._stored += len(part)

    async def _whole_sum(self) -> bytes:
        """Made as it came; where an earlier attempt has brought some of it, once, now that all of it is here."""
        if self._sum is not None:
            return self._sum.digest()
        sum_ = hashlib.sha256()
        at = 0
        async with _summing:
            while at < self._stored:
                if self._is_overtaken:
                    raise Overtaken
                async with self._pool.acquire() as connection:
                    part = await service.part(connection, self.file, first=at, end=self._stored)
                sum_.update(part)
                at += len(part)
        return sum_.digest()
