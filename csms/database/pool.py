"""Connections to Postgres as the application uses them: as the role csms_app, JSON by orjson, every wait bounded.
Knows no table.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import asyncpg
import orjson
import structlog

from csms.database.binaries import VERSION_MIN
from csms.database.errors import DatabaseUnavailable, PostgresTooOld

log = structlog.get_logger(__name__)

if TYPE_CHECKING:
    _Pool = asyncpg.Pool[Any]
else:
    _Pool = asyncpg.Pool  # generic in its stubs only

T = TypeVar("T")
Isolation = Literal["read_committed", "repeatable_read", "serializable"]

APP_ROLE: Final = "csms_app"
TRIES_MAX: Final = 5

RETRYABLE: Final = (
    asyncpg.SerializationError,  # 40001
    asyncpg.DeadlockDetectedError,  # 40P01
    asyncpg.InvalidCachedStatementError,  # 0A000: a table has changed since the statement was prepared
)
"""The transaction did nothing, as another one was in its way or a migration has passed; the same again is right."""

UNAVAILABLE: Final = (
    OSError,  # includes ConnectionError and TimeoutError
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.InterfaceError,  # the connection or the pool is closed
    asyncpg.InternalClientError,  # the connection went away between two steps of the driver
    asyncpg.InsufficientResourcesError,  # class 53: disk full, out of memory, too many connections
    asyncpg.OperatorInterventionError,  # class 57: shutdown, crash of another backend, starting up
    asyncpg.PostgresSystemError,  # class 58: input/output error
    asyncpg.ReadOnlySQLTransactionError,  # connected to a standby
    asyncpg.LockNotAvailableError,  # somebody holds a lock for longer than lock_timeout
    *RETRYABLE,  # and lost each time that it was tried
)
"""Trouble of the database, not of the data: the same data may well be stored later."""

_SET_ROLE = """
SELECT set_config('role', rolname, false)
  FROM pg_roles
 WHERE rolname = $1 AND pg_has_role(session_user, oid, 'MEMBER')
"""


def is_unavailable(error: BaseException) -> bool:
    """Does the error say that the database is in trouble, rather than what it was given?"""
    # DataError and the like are InterfaceErrors of the driver as well: a value that it cannot encode.
    return isinstance(error, UNAVAILABLE) and not isinstance(error, (asyncpg.DataError, ValueError, TypeError))


async def open_pool(dsn: str, *, size: int, name: str = "csms", command_timeout_s: float = 10) -> asyncpg.Pool[Any]:
    """A pool of at most `size` connections that act as csms_app. Close it when done.

    Every wait on it is bounded: also of those who call acquire() without a timeout.

    Raises:
        DatabaseUnavailable: no connection could be made.
    """
    pool = _BoundedPool(
        dsn,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        min_size=min(2, size),
        max_size=size,
        max_queries=50_000,
        loop=None,
        max_inactive_connection_lifetime=300.0,
        init=_become_app,
        reset=_leave_as_is,
        timeout=command_timeout_s,
        command_timeout=command_timeout_s,
        server_settings=_server_settings(name, command_timeout_s),
    )
    try:
        await pool
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        raise _cannot_connect(error) from error
    return pool


@asynccontextmanager
async def connect_once(
    dsn: str, *, as_owner: bool = False, name: str = "csms cli"
) -> AsyncIterator[asyncpg.Connection[Any]]:
    """One connection for one command; `as_owner` for what changes the schema, which also waits without limit.

    Raises:
        DatabaseUnavailable: no connection could be made.
        PostgresTooOld: the server is older than our SQL.
    """
    limit_s = None if as_owner else 60.0
    try:
        connection = await asyncpg.connect(
            dsn, timeout=10, command_timeout=limit_s, server_settings=_server_settings(name, limit_s)
        )
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        raise _cannot_connect(error) from error
    try:
        require_version(connection)
        await (_speak_json(connection) if as_owner else _become_app(connection))
        yield connection
    finally:
        await connection.close(timeout=5)


def require_version(connection: asyncpg.Connection[Any]) -> None:
    """Refuse a server that is older than our SQL."""
    version = connection.get_server_version()
    if version.major < VERSION_MIN:
        raise PostgresTooOld(
            f"the database is Postgres {version.major}, csms needs {VERSION_MIN} or newer",
            next_step="upgrade it, or unset CSMS_DATABASE_URL to use the embedded one",
        )


async def in_transaction(
    pool: asyncpg.Pool[Any],
    work: Callable[[Any], Awaitable[T]],
    *,
    timeout_s: float = 5,
    isolation: Isolation = "read_committed",
) -> T:
    """`work(connection)` in one transaction, again from its start if Postgres says so; its result after the commit.

    When `timeout_s` is over the connection is cut, not asked, and TimeoutError raised: a frozen server answers no
    request to cancel either.
    A commit whose answer was lost may have happened, so whoever repeats work relies on keys of content.
    """

    async def attempt() -> T:
        connection = await pool.acquire(timeout=timeout_s)
        late = False

        def cut() -> None:
            nonlocal late
            late = True
            connection.terminate()

        deadline = asyncio.get_running_loop().call_later(timeout_s, cut)
        try:
            async with connection.transaction(isolation=isolation):
                return await work(connection)
        except UNAVAILABLE as error:
            if late:
                raise TimeoutError(f"the database did not finish a transaction within {timeout_s} s") from error
            raise
        finally:
            deadline.cancel()
            # A commit that went through stays one, even if the connection breaks on its way back.
            with suppress(*UNAVAILABLE):
                await pool.release(connection, timeout=1)

    return await retrying(attempt)


async def retrying(attempt: Callable[[], Awaitable[T]], *, tries_max: int = TRIES_MAX) -> T:
    """`attempt()` again after a serialization failure, a deadlock or a migration, at most `tries_max` times in all, with jitter."""
    for tries in range(1, tries_max):
        try:
            return await attempt()
        except RETRYABLE as error:
            pause_s = random.uniform(0, 0.005 * 2**tries)  # noqa: S311 - jitter, not cryptography
            log.info("transaction_retried", sqlstate=error.sqlstate, tries=tries)
            await asyncio.sleep(pause_s)
    return await attempt()


class _BoundedPool(_Pool):
    """A pool whose acquire() waits, and whose release() waits, no longer than a command may."""

    def __init__(self, *arguments: Any, timeout: float, **options: Any) -> None:
        super().__init__(*arguments, timeout=timeout, **options)
        self._wait_s = timeout

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(timeout=self._wait_s if timeout is None else timeout)


def _server_settings(name: str, command_timeout_s: float | None) -> dict[str, str]:
    settings = {"application_name": name, "timezone": "UTC", "synchronous_commit": "on"}
    if command_timeout_s is not None:
        limit_ms = str(int(command_timeout_s * 1000))
        settings |= {"statement_timeout": limit_ms, "lock_timeout": limit_ms}
        settings["idle_in_transaction_session_timeout"] = str(int(command_timeout_s * 6000))
    return settings


async def _leave_as_is(connection: asyncpg.Connection[Any]) -> None:
    """Nothing here outlives its transaction, so a connection goes back without the round trip that would undo it.

    A transaction that was left open, and listeners, are gone by then: the driver looks after them itself.
    """
    del connection


async def _become_app(connection: asyncpg.Connection[Any]) -> None:
    # Without the role (its creation may have been refused) the owner itself works; triggers still protect.
    await connection.fetchval(_SET_ROLE, APP_ROLE)
    await _speak_json(connection)


async def _speak_json(connection: asyncpg.Connection[Any]) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=_encode_json, decoder=orjson.loads, format="text"
        )


def _encode_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _cannot_connect(error: BaseException) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"no connection to the database: {error or type(error).__name__}",
        next_step="check that it runs and that CSMS_DATABASE_URL is right (`csms db status`)",
    )
