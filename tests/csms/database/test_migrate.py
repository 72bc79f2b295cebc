"""Forward-only migrations, and what they leave behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from csms.database.errors import MigrationBlocked, MigrationRefused
from csms.database.migrate import migrate, schema_status
from csms.database.migration import ONLINE_SINCE, Migration, own_migrations, pending_after, read_migrations
from csms.database.partitions import drop_frame_partitions, ensure_frame_partitions
from csms.database.pool import connect_once

FIRST = Migration(version=0, name="first", sql="CREATE TABLE first (id int)")
SECOND = Migration(version=1, name="second", sql="CREATE TABLE second (id int)")
ADDING = Migration(version=ONLINE_SINCE + 1, name="adding", sql="ALTER TABLE first ADD COLUMN note text")
INDEXING = Migration(
    version=ONLINE_SINCE + 2,
    name="indexing",
    sql="-- Finding firsts by their id.\n-- outside a transaction\n"
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS first_id ON first (id);\n"
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS first_note ON first (note);",
)
TAKING = Migration(
    version=ONLINE_SINCE + 3,
    name="taking",
    sql=f"-- needs code {ONLINE_SINCE + 1:04}: nobody reads it since\nALTER TABLE first DROP COLUMN note",
)


async def test_every_migration_of_this_code_applies_to_an_empty_database(empty_database: str) -> None:
    applied = await migrate(empty_database)

    assert [each.version for each in applied] == [each.version for each in own_migrations()]
    async with connect_once(empty_database) as connection:
        status = await schema_status(connection)
    assert status.pending == ()
    assert status.role_protects


async def test_a_second_run_finds_nothing_to_do(database: str) -> None:
    assert await migrate(database) == []


async def test_of_several_processes_exactly_one_applies_each_migration(empty_database: str) -> None:
    runs = await asyncio.gather(*(migrate(empty_database) for _ in range(4)))

    assert sorted(len(applied) for applied in runs) == [0, 0, 0, len(own_migrations())]


async def test_a_changed_file_is_refused_and_named(empty_database: str) -> None:
    await migrate(empty_database, migrations=[FIRST])
    edited = Migration(version=0, name="first", sql="CREATE TABLE first (id bigint)")

    with pytest.raises(MigrationRefused, match="0000_first was changed after it was applied"):
        await migrate(empty_database, migrations=[edited])


async def test_a_schema_newer_than_the_code_is_refused(empty_database: str) -> None:
    await migrate(empty_database, migrations=[FIRST, SECOND])

    with pytest.raises(MigrationRefused, match="0001_second, which this version of csms does not know"):
        await migrate(empty_database, migrations=[FIRST])


async def test_a_migration_that_fails_leaves_nothing_of_itself(empty_database: str) -> None:
    broken = Migration(version=1, name="broken", sql="CREATE TABLE half (id int); SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database, migrations=[FIRST, broken])

    async with connect_once(empty_database, as_owner=True) as connection:
        assert await connection.fetchval("SELECT to_regclass('half')") is None
        assert [each.name for each in (await schema_status(connection, migrations=[FIRST, broken])).applied] == [
            "first"
        ]


async def test_a_new_file_below_an_applied_number_is_refused(empty_database: str) -> None:
    await migrate(empty_database, migrations=[SECOND])

    with pytest.raises(MigrationRefused, match="0000_first is new but 0001 has been applied"):
        await migrate(empty_database, migrations=[FIRST, SECOND])


def test_an_empty_database_needs_all_files_in_order() -> None:
    assert pending_after([], [FIRST, SECOND]) == [FIRST, SECOND]


def test_two_files_with_one_number_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_bills.sql").write_text("SELECT 1")
    (tmp_path / "0001_tariffs.sql").write_text("SELECT 1")

    with pytest.raises(MigrationRefused, match="have the same number"):
        read_migrations(tmp_path)


def test_a_file_with_another_kind_of_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bills.sql").write_text("SELECT 1")

    with pytest.raises(MigrationRefused, match=r"bills\.sql is not named"):
        read_migrations(tmp_path)


async def test_the_application_cannot_rewrite_the_record_of_migrations(pool: asyncpg.Pool) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("UPDATE schema_migration SET sha256 = ''")


async def test_nodes_that_start_at_the_same_time_do_not_get_into_each_others_way(database: str) -> None:
    """One brings the schema up to date while another makes the partitions of the next days."""

    async def start() -> None:
        await migrate(database)
        async with connect_once(database, as_owner=True) as connection:
            await ensure_frame_partitions(connection, days_ahead=40)
            await drop_frame_partitions(connection, older_than_days=400)

    await asyncio.gather(*(start() for _ in range(8)))


async def test_rights_that_were_lost_are_given_again(database: str, pool: asyncpg.Pool) -> None:
    async with connect_once(database, as_owner=True) as owner:
        await owner.execute("REVOKE ALL ON session FROM csms_app")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.fetch("SELECT FROM session")

        await migrate(database)

    assert await pool.fetch("SELECT FROM session") == []


# --- beside a server that goes on ------------------------------------------------------------------------------------


async def test_code_of_the_release_before_works_on_a_schema_to_which_a_newer_one_has_only_added(
    empty_database: str,
) -> None:
    await migrate(empty_database, migrations=[FIRST, ADDING])

    assert await migrate(empty_database, migrations=[FIRST]) == []
    async with connect_once(empty_database, as_owner=True) as connection:
        status = await schema_status(connection, migrations=[FIRST])
    assert [each.label for each in status.newer] == [ADDING.label]


async def test_code_that_still_needs_what_a_newer_release_has_taken_away_is_refused(empty_database: str) -> None:
    await migrate(empty_database, migrations=[FIRST, ADDING, TAKING])

    assert await migrate(empty_database, migrations=[FIRST, ADDING]) == []
    with pytest.raises(MigrationRefused, match=f"{TAKING.label}, which this version of csms does not know"):
        await migrate(empty_database, migrations=[FIRST])


async def test_a_newer_file_that_says_nothing_of_older_code_is_refused_by_it(empty_database: str) -> None:
    await migrate(empty_database, migrations=[FIRST, ADDING])
    async with connect_once(empty_database, as_owner=True) as connection:
        await connection.execute("ALTER TABLE schema_migration DROP COLUMN code_min")  # as an older csms made it

    with pytest.raises(MigrationRefused, match=ADDING.label):
        await migrate(empty_database, migrations=[FIRST])
    assert await migrate(empty_database, migrations=[FIRST, ADDING]) == []


async def test_whoever_reads_a_table_is_waited_for_and_nobody_waits_behind_the_migration(empty_database: str) -> None:
    await migrate(empty_database, migrations=[FIRST])
    async with (
        connect_once(empty_database, as_owner=True) as reader,
        connect_once(empty_database, as_owner=True) as writer,
    ):
        reading = reader.transaction()
        await reading.start()
        await reader.fetch("SELECT FROM first")
        migrating = asyncio.create_task(migrate(empty_database, migrations=[FIRST, ADDING]))
        for number in range(20):
            await writer.execute("INSERT INTO first VALUES ($1)", number, timeout=5)
            await asyncio.sleep(0.1)
        assert not migrating.done()
        await reading.rollback()

        assert await migrating == [ADDING]


async def test_a_migration_that_gets_no_lock_says_who_was_in_its_way_and_leaves_nothing(empty_database: str) -> None:
    await migrate(empty_database, migrations=[FIRST])
    async with connect_once(empty_database, as_owner=True, name="a long report") as reader, reader.transaction():
        await reader.fetch("SELECT FROM first")
        with pytest.raises(MigrationBlocked, match=r"pid \d+ \(a long report, idle in transaction") as blocked:
            await migrate(empty_database, migrations=[FIRST, ADDING], patience_s=1)

    assert "pg_terminate_backend" in blocked.value.next_step
    assert await migrate(empty_database, migrations=[FIRST, ADDING]) == [ADDING]


async def test_indexes_are_made_beside_writers_by_one_of_several_processes(empty_database: str) -> None:
    await migrate(empty_database, migrations=[FIRST, ADDING])
    wanted = [FIRST, ADDING, INDEXING]

    runs = await asyncio.gather(*(migrate(empty_database, migrations=wanted) for _ in range(3)))

    assert sorted(len(applied) for applied in runs) == [0, 0, 1]
    assert INDEXING.purpose == "Finding firsts by their id."


async def test_an_index_whose_making_was_cut_off_is_made_again(empty_database: str) -> None:
    await migrate(empty_database, migrations=[FIRST, ADDING])
    async with connect_once(empty_database, as_owner=True) as connection:
        await connection.execute("INSERT INTO first VALUES (1, 'same'), (2, 'same')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await migrate(empty_database, migrations=[FIRST, ADDING, INDEXING])
        invalid = "SELECT array_agg(indexrelid::regclass::text) FROM pg_index WHERE NOT indisvalid"
        assert await connection.fetchval(invalid) == ["first_note"]
        await connection.execute("DELETE FROM first WHERE id = 2")

        assert await migrate(empty_database, migrations=[FIRST, ADDING, INDEXING]) == [INDEXING]
        assert await connection.fetchval(invalid) is None
