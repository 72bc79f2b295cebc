"""What every test of the archive starts from: an empty one, on real files and a real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from billing.archive.entry import Deposit, Entry, Head
from billing.archive.service import Archive, Expired, Order
from billing.archive.verification import Report, verify

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = date(2026, 11, 2)
LATER = NOW + timedelta(days=1)


def deposit(content: str = "one", **more: object) -> Deposit:
    plain = Deposit(
        content=content.encode(), media_type="application/pdf", kind="invoice_pdf", subject=f"RE-{content}", day=DAY,
        account="K-1", country="DE",
    )  # fmt: skip
    return replace(plain, **more)


@dataclass
class Room:
    """An archive with its operator."""

    archive: Archive
    pool: asyncpg.Pool

    async def store(self, *deposits: Deposit, settle: bool = True, now: datetime = NOW) -> list[Entry]:
        async with self.pool.acquire() as connection:
            async with connection.transaction():
                stored = await self.archive.deposit(connection, deposits, actor="ada", now=now)
            if settle:
                await self.archive.settle(connection)
        return stored

    async def fetch(self, id_: int) -> bytes:
        async with self.pool.acquire() as connection:
            return (await self.archive.fetch(connection, id_))[1]

    async def verify(self, noted: Head | None = None) -> Report:
        report = Report()
        async with self.pool.acquire() as connection:
            await verify(connection, self.archive, report, lambda _count: None, noted=noted)
        return report

    async def findings(self, noted: Head | None = None) -> list[tuple[str, int | None]]:
        return [(str(each.what), each.entry) for each in (await self.verify(noted)).findings]

    async def expire(self, today: date, *, now: datetime = NOW, dry_run: bool = False) -> Expired:
        order = Order(today=today, now=now, actor="ada", reason="clearance")
        async with self.pool.acquire() as connection:
            return await self.archive.expire(connection, order, dry_run=dry_run)

    async def in_transaction(self, work: Callable[[asyncpg.Connection], Awaitable[Entry]]) -> Entry:
        async with self.pool.acquire() as connection, connection.transaction():
            return await work(connection)

    def file(self, entry: Entry) -> Path:
        assert entry.sha256 is not None
        return self.archive.contents.path(entry.sha256)

    def files(self) -> list[str]:
        """Everything in the directory, by its last part."""
        place = self.archive.contents.directory
        return sorted(str(each.relative_to(place)) for each in place.rglob("*") if each.is_file())


@pytest.fixture
def room(pool: asyncpg.Pool, tmp_path: Path) -> Room:
    return Room(Archive(tmp_path / "archive"), pool)
