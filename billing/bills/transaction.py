"""One transaction of billing, again from its start where Postgres asks for that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import asyncpg

from billing.sql import Connection

T = TypeVar("T")
P = ParamSpec("P")

TRIES_MAX: Final = 5
PAUSE_S_MAX: Final = 0.005
RETRYABLE: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,  # a table has changed since the statement was prepared
)
_within: Final = ContextVar("an act is being done", default=False)


async def in_transaction(pool: asyncpg.Pool[Any], work: Callable[[Connection], Awaitable[T]]) -> T:
    """The result of `work(connection)` after its commit. It must bear being run again from its start."""

    async def attempt() -> T:
        async with pool.acquire() as connection, connection.transaction():
            return await work(connection)

    return await _again(attempt)


async def as_one_act(connection: Connection, work: Callable[[], Awaitable[T]]) -> T:
    """The result of `work()` in a transaction, or in a part of the caller's that is taken back and begun anew.

    What was done of it is undone, and its locks are let go, before it is run again from its start. An act within another
    is begun anew with that one: alone it would meet the same locks again.
    """

    async def attempt() -> T:
        async with connection.transaction():
            return await work()

    if _within.get():
        return await attempt()
    token = _within.set(True)
    try:
        return await _again(attempt)
    finally:
        _within.reset(token)


def one_act(
    act: Callable[Concatenate[Connection, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Connection, P], Coroutine[Any, Any, T]]:
    """What takes a connection and does several things is one act, and begun anew if it and another wait for each other."""

    @wraps(act)
    async def whole(connection: Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await as_one_act(connection, lambda: act(connection, *args, **kwargs))

    return whole


async def _again(attempt: Callable[[], Awaitable[T]]) -> T:
    for tries in range(1, TRIES_MAX + 1):
        try:
            return await attempt()
        except RETRYABLE:
            if tries == TRIES_MAX:
                raise
            await asyncio.sleep(random.uniform(0, PAUSE_S_MAX * 2**tries))  # noqa: S311 - jitter, not cryptography
    raise AssertionError("the last try returns or raises")
