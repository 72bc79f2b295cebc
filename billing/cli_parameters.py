"""Parameter types, and the way to a database, that commands of every room share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import asyncpg
import click

Connect: TypeAlias = "Callable[[click.Context], AbstractAsyncContextManager[asyncpg.Connection[Any]]]"
"""How commands get their connection: whoever mounts them knows which database is meant."""


class Instant(click.ParamType[datetime]):
    """An RFC 3339 instant. A date is its first moment; without an offset it is UTC, as in everything we print."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write it as 2026-03-01T20:00:00Z", param, ctx)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


class Day(click.ParamType[date]):
    """A day of some calendar; which one, the command says."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day such as 2026-03-01", param, ctx)


INSTANT = Instant()
DAY = Day()

SESSION_ID = click.IntRange(1, 2**31 - 1)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would happen.")


@asynccontextmanager
async def transaction(connection: asyncpg.Connection[Any], *, dry_run: bool) -> AsyncIterator[None]:
    """What happens inside stays, or with `dry_run` has been tried for real and is rolled back."""
    begun = connection.transaction()
    await begun.start()
    try:
        yield
    except BaseException:
        await begun.rollback()
        raise
    await (begun.rollback() if dry_run else begun.commit())
