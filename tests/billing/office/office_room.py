"""An office on the books of a small business."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg

from billing.office.service import Office, OfficeSettings
from tests.billing.sending.dispatch import Dispatch


@dataclass
class OfficeRoom:
    """`turns`: what this node was asked to do for all, and `mine`: whether it may."""

    dispatch: Dispatch
    dsn: str
    sends: bool = True
    mine: bool = True
    turns: list[tuple[str, timedelta]] = field(default_factory=list)
    queued: int = 0

    def __post_init__(self) -> None:
        self.office = self.new()

    def new(self, **given: Any) -> Office:
        settings = OfficeSettings(archive=self.dispatch.directory, sends=self.sends, **given)
        return Office(
            self.dispatch.pool, settings, connect=self.connect, my_turn=self.my_turn, on_queued=self.on_queued,
            clock=self.dispatch.books.clock,
        )  # fmt: skip

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    async def my_turn(self, work: str, every: timedelta) -> bool:
        self.turns.append((work, every))
        return self.mine

    def on_queued(self) -> None:
        self.queued += 1

    async def tampered(self, table: str, statement: str) -> None:
        """By somebody who is above all triggers."""
        async with self.connect() as connection:
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            assert await connection.execute(statement) != "UPDATE 0"

    async def due(self) -> list[tuple[int, str | None]]:
        return [
            tuple(row) for row in await self.dispatch.pool.fetch("SELECT session, problem FROM invoice_due ORDER BY 1")
        ]
