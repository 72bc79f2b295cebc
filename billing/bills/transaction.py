"""One transaction of billing, again from its start where Postgres asks for that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncpg

from billing.sql import Connection

T = TypeVar("T")

TRIES_MAX: Final = 5
PAUSE_S_MAX: Final = 0.005
RETRYABLE: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,  # a table has changed since the statement was prepared
)


async def in_transaction(pool: asyncpg.Pool[Any], work: Callable[[Connection], Awaitable[T]]) -> T:
    """The result of `work(connection)` after its commit. It must bear being run again from its start."""
    for tries in range(1, TRIES_MAX + 1):
        try:
            async with pool.acquire() as connection, connection.transaction():
                return await work(connection)
        except RETRYABLE:
            if tries == TRIES_MAX:
                raise
            await asyncio.sleep(random.uniform(0, PAUSE_S_MAX * 2**tries))  # noqa: S311 - jitter, not cryptography
    raise AssertionError("the last try returns or raises")
