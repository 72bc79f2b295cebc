"""Brings a database to the schema of this code: forward only, each file once, beside a server that goes on.

The files are `migrations/NNNN_name.sql`, run in the order of their numbers by the owner of the database, each in a
transaction of its own together with its record in `schema_migration` (what cannot run in one says so itself, see
migration.py). Several processes may call this at once: an advisory lock lets one work while the others wait and then
find nothing to do.

Whoever waits for a lock on a table has everybody else waiting behind him. So a migration waits for half a second at
most, gives up, lets them pass and tries again, for ten minutes; then it says who was in its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import structlog

from csms.database.errors import MigrationBlocked
from csms.database.migration import Applied, Migration, newer_than, own_migrations, pending_after
from csms.database.pool import APP_ROLE, connect_once
from csms.database.sql import Queries

log = structlog.get_logger(__name__)

SQL: Final = Queries.load("csms.database", "queries.sql")
LOCK_KEY: Final = 0x63736D73  # "csms"
TURN_PAUSE_S: Final = 0.1
LOCK_WAIT_S: Final = 0.5
"""Less than a charge point notices, and much less than the patience with commits."""
RETRY_PAUSE_S: Final = 0.5
RETRY_PAUSE_S_MAX: Final = 5.0
PATIENCE_S: Final = 600.0
IN_THE_WAY: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaStatus:
    """What is applied, what is still to come, and what keeps append-only tables so."""

    applied: tuple[Applied, ...]
    newer: tuple[Applied, ...]
    """Those of the applied that a newer csms brought, and with which this one works."""
    pending: tuple[Migration, ...]
    role_protects: bool
    """csms_app exists, this connection may become it, and it may not change any append-only table."""
    append_only: tuple[str, ...]
    """Tables whose triggers are there and on."""


async def migrate(
    dsn: str, *, migrations: Sequence[Migration] | None = None, patience_s: float = PATIENCE_S
) -> list[Migration]:
    """Apply what is pending and bring the rights of the role in line; returns what was applied.

    `patience_s`: how long each file is tried again while others hold locks that it needs.

    Raises:
        MigrationRefused: see pending_after(); nothing is changed then.
        MigrationBlocked: patience has ended; what was applied before stays, nothing of this one does.
    """
    wanted = own_migrations() if migrations is None else migrations
    async with connect_once(dsn, as_owner=True, name="csms migrate") as connection, _alone(connection):
        await _keep_books(connection)
        pending = pending_after(await _applied(connection), wanted)
        role = await ensure_role(connection)
        for migration in pending:
            await _apply(connection, migration, role=role, patience_s=patience_s)
        if await SQL.has_grant_function.fetchval(connection) and (
            pending or await SQL.app_lacks_rights.fetchval(connection)
        ):
            await SQL.grant_app.execute(connection)
    return pending


async def schema_status(
    connection: asyncpg.Connection, *, migrations: Sequence[Migration] | None = None
) -> SchemaStatus:
    """Reads only; works on an empty database too.

    Raises:
        MigrationRefused: see pending_after().
    """
    wanted = own_migrations() if migrations is None else migrations
    exists = await SQL.has_schema_migration.fetchval(connection)
    applied = await _applied(connection) if exists else []
    tables = await SQL.append_only_tables.fetch(connection)
    return SchemaStatus(
        applied=tuple(applied),
        newer=tuple(newer_than(applied, wanted)),
        pending=tuple(pending_after(applied, wanted)),
        role_protects=bool(await SQL.can_become_app.fetchval(connection, role=APP_ROLE))
        and not any(row["changeable"] for row in tables),
        append_only=tuple(row["name"] for row in tables),
    )


async def ensure_role(connection: asyncpg.Connection) -> bool:
    """Create csms_app, or use the one an administrator has made; False where neither is allowed.

    Then the triggers alone protect append-only tables, which `csms db status` says.
    """
    if await SQL.can_become_app.fetchval(connection, role=APP_ROLE):
        return True
    try:
        async with connection.transaction():
            await SQL.create_app_role.execute(connection)
            await SQL.grant_app_role.execute(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        log.warning("role_not_created", role=APP_ROLE, why=str(error))
        return False
    return True


@asynccontextmanager
async def _alone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    # Asked again and again: whoever waits inside a statement is an old transaction, for which a concurrent index waits.
    while not await SQL.try_lock_migrations.fetchval(connection, key=LOCK_KEY):  # noqa: ASYNC110 - it lies in Postgres
        await asyncio.sleep(TURN_PAUSE_S)
    try:
        yield
    finally:
        if not connection.is_closed():
            await SQL.unlock_migrations.execute(connection, key=LOCK_KEY)


async def _keep_books(connection: asyncpg.Connection) -> None:
    if not await SQL.has_schema_migration.fetchval(connection):
        await SQL.create_schema_migration.execute(connection)
    elif not await SQL.has_code_min.fetchval(connection):
        await SQL.add_code_min.execute(connection)


async def _applied(connection: asyncpg.Connection) -> list[Applied]:
    return [Applied(**row) for row in await SQL.applied_migrations.fetch(connection)]


async def _apply(connection: asyncpg.Connection, migration: Migration, *, role: bool, patience_s: float) -> None:
    """Once it meets nobody who holds a lock that it needs.

    Raises:
        MigrationBlocked: somebody did until patience ended.
    """
    loop = asyncio.get_running_loop()
    begin = loop.time()
    pause_s, tries = RETRY_PAUSE_S, 0
    while True:
        tries += 1
        try:
            await (_run if migration.in_transaction else _run_outside)(connection, migration, role=role)
        except IN_THE_WAY as error:
            others = [dict(row) for row in await SQL.oldest_transactions.fetch(connection)]
            if loop.time() + pause_s - begin >= patience_s:
                raise _blocked(migration, others) from error
            log.warning("migration_waits", migration=migration.label, tries=tries, oldest_transactions=others)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_PAUSE_S_MAX)
        else:
            took_s = round(loop.time() - begin, 3)
            log.info("migration_applied", migration=migration.label, tries=tries, took_s=took_s)
            return


async def _run(connection: asyncpg.Connection, migration: Migration, *, role: bool) -> None:
    async with connection.transaction():
        await SQL.bound_lock_waits.execute(connection, limit=f"{int(LOCK_WAIT_S * 1000)}ms")
        await connection.execute(migration.sql)
        await _record(connection, migration, role=role)


async def _run_outside(connection: asyncpg.Connection, migration: Migration, *, role: bool) -> None:
    """Statement by statement. A concurrent index waits for old transactions with nobody waiting behind it: no limit.

    What was cut off before is done again; a half-made index would count as there.
    """
    for row in await SQL.invalid_indexes.fetch(connection, names=migration.concurrent_indexes):
        await connection.execute(f"DROP INDEX CONCURRENTLY {row['name']}")
    for statement in migration.statements:
        await connection.execute(statement)
    await _record(connection, migration, role=role)


async def _record(connection: asyncpg.Connection, migration: Migration, *, role: bool) -> None:
    await SQL.record_migration.execute(
        connection,
        version=migration.version,
        name=migration.name,
        sha256=migration.sha256,
        role_protects=role,
        code_min=migration.code_min,
    )


def _blocked(migration: Migration, others: Sequence[dict[str, Any]]) -> MigrationBlocked:
    named = "; ".join(
        f"pid {each['pid']} ({each['application'] or 'no name'}, {each['state']}, for {each['open_s']} s)"
        for each in others
    )
    return MigrationBlocked(
        f"migration {migration.label} got no lock on its tables; the oldest transactions are {named or 'over by now'}",
        next_step="let them end, or end one with SELECT pg_terminate_backend(PID), then csms db migrate",
    )
