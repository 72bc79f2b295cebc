"""M9: what is append-only stays as it was written, whoever asks."""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator

import asyncpg
import pytest

from csms.database.embedded import EmbeddedPostgres
from csms.database.migrate import migrate, schema_status
from csms.database.pool import connect_once, open_pool

CHANGES = ("UPDATE receipt SET amount_minor = 0", "DELETE FROM receipt", "TRUNCATE receipt")

RECEIPTS = """
    CREATE TABLE receipt (id int PRIMARY KEY, amount_minor bigint NOT NULL);
    SELECT csms_append_only('receipt');
    INSERT INTO receipt VALUES (1, 902);
    SELECT csms_grant_app();
"""


@pytest.fixture
async def receipts(database: str) -> str:
    async with connect_once(database, as_owner=True) as owner:
        await owner.execute(RECEIPTS)
    return database


async def _receipts(dsn: str) -> list[tuple[int, int]]:
    async with connect_once(dsn) as connection:
        return [tuple(row) for row in await connection.fetch("SELECT * FROM receipt ORDER BY id")]


@pytest.mark.parametrize("change", CHANGES)
async def test_the_application_may_not_change_an_append_only_row(receipts: str, change: str) -> None:
    async with connect_once(receipts) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await app.execute(change)

    assert await _receipts(receipts) == [(1, 902)]


@pytest.mark.parametrize("change", CHANGES)
async def test_even_the_owner_is_stopped_by_the_trigger(receipts: str, change: str) -> None:
    async with connect_once(receipts, as_owner=True) as owner:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="receipt is append-only"):
            await owner.execute(change)

    assert await _receipts(receipts) == [(1, 902)]


async def test_the_application_may_add_and_read(receipts: str) -> None:
    async with connect_once(receipts) as app:
        await app.execute("INSERT INTO receipt VALUES (2, 100)")

    assert await _receipts(receipts) == [(1, 902), (2, 100)]


async def test_every_append_only_table_of_the_schema_denies_changes_to_the_application(database: str) -> None:
    async with connect_once(database) as app:
        tables = (await schema_status(app)).append_only
        assert "charging_event" in tables
        for table in tables:
            for change in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await app.execute(change)


async def test_partitions_of_an_append_only_table_are_closed_as_well(database: str) -> None:
    async with connect_once(database, as_owner=True) as owner:
        await owner.execute("""
            CREATE TABLE trace (at date NOT NULL) PARTITION BY RANGE (at);
            CREATE TABLE trace_2026 PARTITION OF trace FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
            SELECT csms_append_only('trace');
            CREATE TABLE trace_2027 PARTITION OF trace FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
            SELECT csms_grant_app();
            INSERT INTO trace VALUES ('2026-05-01'), ('2027-05-01');
        """)
        for partition in ("trace_2026", "trace_2027"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await owner.execute(f"UPDATE {partition} SET at = at + 1")
    async with connect_once(database) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await app.execute("DELETE FROM trace_2026")


@pytest.fixture
async def modest_owner(postgres: EmbeddedPostgres, empty_database: str) -> AsyncIterator[str]:
    """A database whose owner may neither create roles nor become csms_app."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    with (postgres.home / "pg_ident.conf").open("a") as peers:
        peers.write(f'csms "{me}" modest_owner\n')
    async with connect_once(empty_database, as_owner=True) as admin:
        name = await admin.fetchval("SELECT current_database()")
        await admin.execute(f"""
            CREATE ROLE modest_owner LOGIN;
            ALTER DATABASE {name} OWNER TO modest_owner;
            ALTER SCHEMA public OWNER TO modest_owner;
            SELECT pg_reload_conf();
        """)
    yield empty_database.replace("csms@", "modest_owner@")
    async with connect_once(postgres.dsn_of("postgres"), as_owner=True) as admin:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.execute("DROP ROLE modest_owner")


async def test_without_the_role_the_trigger_alone_protects_and_the_status_says_so(modest_owner: str) -> None:
    await migrate(modest_owner)

    async with connect_once(modest_owner) as connection:
        status = await schema_status(connection)
        assert not status.role_protects
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute("DELETE FROM charging_event")
    pool = await open_pool(modest_owner, size=2)
    assert await pool.fetchval("SELECT current_user") == "modest_owner"
    await pool.close()
