"""Brings a database to the schema of this code: forward only, each file once, all or nothing. Knows no table of others.

The files are `migrations/NNNN_name.sql`, run in the order of their numbers by the owner of the database, each in a
transaction of its own together with its record in `schema_migration`. Several processes may call this at once: an
advisory lock lets one work while the others wait and then find nothing to do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import asyncpg
import structlog

from csms.database.errors import MigrationRefused
from csms.database.pool import APP_ROLE, connect_once
from csms.database.sql import Queries

log = structlog.get_logger(__name__)

SQL: Final = Queries.load("csms.database", "queries.sql")
LOCK_KEY: Final = 0x63736D73  # "csms"
_FILE_NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A file as it is in this code."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A file as the database remembers it."""

    version: int
    name: str
    sha256: str
    applied_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaStatus:
    """What is applied, what is still to come, and what keeps append-only tables so."""

    applied: tuple[Applied, ...]
    pending: tuple[Migration, ...]
    role_protects: bool
    """csms_app exists, this connection may become it, and it may not change any append-only table."""
    append_only: tuple[str, ...]


def own_migrations() -> list[Migration]:
    """The files that come with this code, in order."""
    return read_migrations(files("csms.database") / "migrations")


def read_migrations(directory: Traversable) -> list[Migration]:
    """Every `.sql` file of a directory, in order.

    Raises:
        MigrationRefused: a name that is no NNNN_name.sql, or a number used twice.
    """
    found: dict[int, Migration] = {}
    for file in sorted(directory.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise MigrationRefused(f"migration {file.name} is not named NNNN_name.sql", next_step="rename it")
        migration = Migration(version=int(match[1]), name=match[2], sql=file.read_text(encoding="utf-8"))
        if migration.version in found:
            raise MigrationRefused(
                f"migrations {found[migration.version].label} and {migration.label} have the same number",
                next_step="give the newer one the next free number",
            )
        found[migration.version] = migration
    return [found[version] for version in sorted(found)]


def pending_after(applied: list[Applied], migrations: list[Migration]) -> list[Migration]:
    """Which files are still to run.

    Raises:
        MigrationRefused: the database knows a file that this code does not, or knows it otherwise, or a new file
            would have to run before one that has run already.
    """
    known = {migration.version: migration for migration in migrations}
    for each in applied:
        migration = known.get(each.version)
        if migration is None:
            raise MigrationRefused(
                f"the database has migration {each.version:04}_{each.name}, which this version of csms does not know",
                next_step="run the newer csms that made it, or restore a backup from before",
            )
        if migration.sha256 != each.sha256:
            raise MigrationRefused(
                f"migration {migration.label} was changed after it was applied at {each.applied_at:%Y-%m-%d %H:%M} UTC",
                next_step="put the file back as it was and write the change as a new migration",
            )
    newest = max((each.version for each in applied), default=-1)
    done = {each.version for each in applied}
    pending = [migration for migration in migrations if migration.version not in done]
    for migration in pending:
        if migration.version < newest:
            raise MigrationRefused(
                f"migration {migration.label} is new but {newest:04} has been applied already",
                next_step="give it the next free number",
            )
    return pending


async def migrate(dsn: str, *, migrations: list[Migration] | None = None) -> list[Migration]:
    """Apply what is pending and bring the rights of the role in line; returns what was applied.

    Raises:
        MigrationRefused: see pending_after(); nothing is changed then.
    """
    wanted = own_migrations() if migrations is None else migrations
    async with connect_once(dsn, as_owner=True) as connection, _alone(connection):
        await SQL.create_schema_migration.execute(connection)
        pending = pending_after(await _applied(connection), wanted)
        role = await ensure_role(connection)
        for migration in pending:
            await _apply(connection, migration, role=role)
        if await SQL.has_grant_function.fetchval(connection) and (
            pending or await SQL.app_lacks_rights.fetchval(connection)
        ):
            await SQL.grant_app.execute(connection)
    return pending


async def schema_status(connection: asyncpg.Connection, *, migrations: list[Migration] | None = None) -> SchemaStatus:
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
    await SQL.lock_migrations.execute(connection, key=LOCK_KEY)
    try:
        yield
    finally:
        if not connection.is_closed():
            await SQL.unlock_migrations.execute(connection, key=LOCK_KEY)


async def _applied(connection: asyncpg.Connection) -> list[Applied]:
    return [Applied(**row) for row in await SQL.applied_migrations.fetch(connection)]


async def _apply(connection: asyncpg.Connection, migration: Migration, *, role: bool) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await SQL.record_migration.execute(
            connection,
            version=migration.version,
            name=migration.name,
            sha256=migration.sha256,
            role_protects=role,
        )
    log.info("migration_applied", migration=migration.label)
