"""D16: a transaction that loses against another one is run again, unnoticed, at most five times in all."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from csms.database.group_commit import GroupCommit
from csms.database.pool import connect_once, in_transaction, is_unavailable, open_pool

ACCOUNTS = """
    CREATE TABLE meter (id int PRIMARY KEY, register_wh int NOT NULL);
    INSERT INTO meter VALUES (1, 0), (2, 0);
    CREATE SEQUENCE failures_so_far;
    CREATE FUNCTION fail_first(times int, state text) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE
        tries int := nextval('failures_so_far');  -- a sequence counts on after a rollback
    BEGIN
        IF tries <= times THEN
            RAISE EXCEPTION 'injected' USING ERRCODE = state;
        END IF;
        RETURN tries;
    END
    $$;
    SELECT csms_grant_app();
"""


@pytest.fixture
async def meters(pool: asyncpg.Pool, database: str) -> asyncpg.Pool:
    async with connect_once(database, as_owner=True) as owner:
        await owner.execute(ACCOUNTS)
    return pool


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_an_injected_failure_is_retried_until_the_fifth_try(meters: asyncpg.Pool, sqlstate: str) -> None:
    async def work(connection: Any) -> int:
        return int(await connection.fetchval("SELECT fail_first(4, $1)", sqlstate))

    assert await in_transaction(meters, work) == 5


async def test_a_transaction_that_finds_a_table_changed_by_a_migration_is_run_again(
    meters: asyncpg.Pool, database: str
) -> None:
    async def columns(connection: Any) -> int:
        return len(await connection.fetchrow("SELECT * FROM meter WHERE id = 1"))

    assert await in_transaction(meters, columns) == 2
    async with connect_once(database, as_owner=True) as owner:
        await owner.execute("ALTER TABLE meter ADD COLUMN place text")

    assert await in_transaction(meters, columns) == 3


async def test_after_five_tries_the_failure_is_shown(meters: asyncpg.Pool) -> None:
    tries = 0

    async def work(connection: Any) -> None:
        nonlocal tries
        tries += 1
        await connection.fetchval("SELECT fail_first(100, '40001')")

    with pytest.raises(asyncpg.SerializationError):
        await in_transaction(meters, work)
    assert tries == 5


async def test_two_transactions_that_lock_each_other_out_both_succeed(meters: asyncpg.Pool) -> None:
    both_have_one = asyncio.Barrier(2)
    first_try = {1: True, 2: True}

    async def add(connection: Any, first: int, second: int) -> str:
        await connection.execute("UPDATE meter SET register_wh = register_wh + 1 WHERE id = $1", first)
        if first_try.pop(first, False):
            await both_have_one.wait()
        await connection.execute("UPDATE meter SET register_wh = register_wh + 1 WHERE id = $1", second)
        return f"{first} before {second}"

    answers = await asyncio.gather(
        in_transaction(meters, lambda connection: add(connection, 1, 2)),
        in_transaction(meters, lambda connection: add(connection, 2, 1)),
    )

    assert answers == ["1 before 2", "2 before 1"]
    assert [row["register_wh"] for row in await meters.fetch("SELECT * FROM meter ORDER BY id")] == [2, 2]


async def test_serializable_transactions_that_conflict_end_as_if_one_after_the_other(meters: asyncpg.Pool) -> None:
    both_have_read = asyncio.Barrier(2)
    first_try = {1: True, 2: True}

    async def count_up(connection: Any, who: int) -> None:
        value = await connection.fetchval("SELECT register_wh FROM meter WHERE id = 1")
        if first_try.pop(who, False):
            await both_have_read.wait()
        await connection.execute("UPDATE meter SET register_wh = $1 WHERE id = 1", value + 1)

    await asyncio.gather(
        in_transaction(meters, lambda connection: count_up(connection, 1), isolation="serializable"),
        in_transaction(meters, lambda connection: count_up(connection, 2), isolation="serializable"),
    )

    assert await meters.fetchval("SELECT register_wh FROM meter WHERE id = 1") == 2


async def test_group_commit_gives_the_answer_of_the_try_that_succeeded(meters: asyncpg.Pool) -> None:
    async def flush(items: list[int]) -> list[int | Exception]:
        async def work(connection: Any) -> list[int | Exception]:
            await connection.fetchval("SELECT fail_first(3, '40001')")
            await connection.execute("UPDATE meter SET register_wh = register_wh + $1 WHERE id = 1", sum(items))
            return [item * 2 for item in items]

        return await in_transaction(meters, work)

    commits = GroupCommit[int, int](flush)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commits.run())
        assert await asyncio.gather(*(commits.submit(item) for item in (1, 2, 3))) == [2, 4, 6]
        await commits.close()
    assert await meters.fetchval("SELECT register_wh FROM meter WHERE id = 1") == 6


async def test_a_transaction_that_takes_too_long_is_cut_off_as_an_outage(meters: asyncpg.Pool) -> None:
    async def work(connection: Any) -> None:
        await connection.execute("SELECT pg_sleep(30)")

    with pytest.raises(TimeoutError) as failure:
        await in_transaction(meters, work, timeout_s=0.1)
    assert is_unavailable(failure.value)
    assert await meters.fetchval("SELECT 1") == 1


@pytest.mark.parametrize(
    ("statement", "argument"),
    [("SELECT $1::int", "seven"), ("SELECT $1::text", "a\x00b"), ("INSERT INTO meter VALUES ($1, 1)", 1)],
)
async def test_bad_data_is_not_taken_for_an_outage(meters: asyncpg.Pool, statement: str, argument: object) -> None:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as failure:
        await meters.execute(statement, argument)

    assert not is_unavailable(failure.value)


async def test_every_connection_of_a_pool_works_as_the_application_and_stays_so(database: str) -> None:
    pool = await open_pool(database, size=1)
    try:
        for _ in range(3):
            assert await pool.fetchval("SELECT current_user") == "csms_app"
    finally:
        await pool.close()


async def test_json_comes_back_as_it_was_stored(pool: asyncpg.Pool) -> None:
    document = {"action": "StartTransaction", "samples": [1, 2.5, None, "\u20ac"]}

    assert await pool.fetchval("SELECT $1::jsonb", document) == document
    assert await pool.fetchval("SELECT $1::jsonb[]", [document, 7]) == [document, 7]
