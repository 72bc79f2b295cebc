"""Group commit: one answer for each item, its own, in order, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.database.errors import DatabaseUnavailable
from csms.database.group_commit import CROWD, GroupCommit, first_of
from csms.database.pool import in_transaction

Flush = Callable[[list[int]], Awaitable[list[int | Exception]]]


@asynccontextmanager
async def running(flush: Flush, **options: float) -> AsyncIterator[GroupCommit[int, int]]:
    commits = GroupCommit[int, int](flush, **options)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commits.run())
        try:
            yield commits
        finally:
            await commits.close()


class Notebook:
    """Commits in memory, and remembers what it was asked; items named poisonous break their whole batch."""

    def __init__(self, *, poisonous: set[int] | None = None, refused: set[int] | None = None) -> None:
        self.batches: list[list[int]] = []
        self.first_flush = asyncio.Event()
        self.committed: list[int] = []
        self._poisonous = poisonous or set()
        self._refused = refused or set()

    async def flush(self, items: list[int]) -> list[int | Exception]:
        self.batches.append(items)
        self.first_flush.set()
        await asyncio.sleep(0)
        if self._poisonous & set(items):
            raise ValueError("a value that no column takes")
        self.committed += items
        return [LookupError(item) if item in self._refused else item * 10 for item in items]


async def test_who_comes_alone_waits_for_nobody_and_those_who_come_soon_after_share_a_flush() -> None:
    notebook = Notebook()
    async with running(notebook.flush, gap_s=0.5) as commits:
        assert await commits.submit(1) == 10
        assert await asyncio.gather(commits.submit(2), _later(commits, 3), _later(commits, 4)) == [20, 30, 40]

    assert notebook.batches == [[1], [2, 3, 4]]


async def test_a_crowd_does_not_rest_between_its_flushes() -> None:
    notebook = Notebook()
    async with asyncio.timeout(60), running(notebook.flush, gap_s=3600) as commits:
        first = asyncio.create_task(commits.submit(0))
        await notebook.first_flush.wait()
        crowd = await asyncio.gather(*(commits.submit(item) for item in range(1, CROWD + 1)))
        await first
        # And whoever drains it waits for nobody either.

    assert crowd == [item * 10 for item in range(1, CROWD + 1)]


async def _later(commits: GroupCommit[int, int], item: int) -> int:
    await asyncio.sleep(0.05)
    return await commits.submit(item)


@settings(max_examples=100, deadline=None)
@given(
    submitters=st.lists(st.lists(st.integers(0, 50), max_size=8), min_size=1, max_size=8),
    poisonous=st.sets(st.integers(0, 50), max_size=5),
    refused=st.sets(st.integers(0, 50), max_size=5),
    batch_max=st.integers(1, 9),
    pending_max=st.integers(1, 9),
)
def test_every_item_gets_exactly_its_own_answer_and_each_submitter_its_order(
    submitters: list[list[int]], poisonous: set[int], refused: set[int], batch_max: int, pending_max: int
) -> None:
    # Items of different submitters differ, so that an answer given to the wrong one shows.
    items = [[number * 1000 + item for item in submitter] for number, submitter in enumerate(submitters)]
    poisonous = {number * 1000 + item for number in range(len(submitters)) for item in poisonous}
    refused = {number * 1000 + item for number in range(len(submitters)) for item in refused} - poisonous
    notebook = Notebook(poisonous=poisonous, refused=refused)

    async def submit_all() -> list[list[int | BaseException]]:
        async with running(notebook.flush, batch_max=batch_max, pending_max=pending_max) as commits:
            one_by_one = [asyncio.gather(*map(commits.submit, mine), return_exceptions=True) for mine in items]
            return await asyncio.gather(*one_by_one)

    answers = asyncio.run(submit_all())

    for number, (mine, got) in enumerate(zip(items, answers, strict=True)):
        for item, answer in zip(mine, got, strict=True):
            if item in poisonous:
                assert isinstance(answer, ValueError)
            elif item in refused:
                assert isinstance(answer, LookupError)
                assert answer.args == (item,)
            else:
                assert answer == item * 10
        committed = [item for item in notebook.committed if item // 1000 == number]
        assert committed == [item for item in mine if item not in poisonous]


async def test_what_arrives_during_a_flush_is_committed_together_by_the_next() -> None:
    notebook = Notebook()
    async with running(notebook.flush) as commits, asyncio.TaskGroup() as tasks:
        tasks.create_task(commits.submit(1))
        await notebook.first_flush.wait()
        for item in range(2, 6):
            tasks.create_task(commits.submit(item))

    assert notebook.batches == [[1], [2, 3, 4, 5]]


async def test_a_full_queue_makes_submitters_wait_instead_of_growing() -> None:
    release = asyncio.Event()

    async def slow(items: list[int]) -> list[int | Exception]:
        await release.wait()
        return list(items)

    async with running(slow, pending_max=3) as commits, asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(commits.submit(item)) for item in range(10)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert commits.pending <= 3
        release.set()

    assert [answer.result() for answer in answers] == list(range(10))


async def test_a_caller_that_gives_up_leaves_its_item_to_be_committed() -> None:
    notebook = Notebook()
    async with running(notebook.flush) as commits:
        impatient = asyncio.create_task(commits.submit(7))
        await asyncio.sleep(0)
        impatient.cancel()
        assert await commits.submit(8) == 80

    assert notebook.committed == [7, 8]


async def test_closing_answers_what_was_taken_and_refuses_what_comes_after() -> None:
    notebook = Notebook()
    async with running(notebook.flush, batch_max=2) as commits:
        taken = [asyncio.create_task(commits.submit(item)) for item in range(5)]
        await asyncio.sleep(0)

    assert [await answer for answer in taken] == [0, 10, 20, 30, 40]
    with pytest.raises(DatabaseUnavailable, match="stopping"):
        await commits.submit(9)


async def test_an_outage_tells_everybody_who_waits_and_the_next_submission_tries_again() -> None:
    down = True

    async def flush(items: list[int]) -> list[int | Exception]:
        if down:
            raise ConnectionRefusedError("nobody listens")
        return list(items)

    async with running(flush, batch_max=2, patience_s=0.05) as commits:
        waiting = [asyncio.create_task(commits.submit(item)) for item in range(6)]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 6
        down = False
        assert await commits.submit(42) == 42


async def test_a_short_outage_is_waited_out_and_nobody_notices() -> None:
    failures = iter([ConnectionResetError("restarting"), asyncpg.CannotConnectNowError("starting up")])

    async def flush(items: list[int]) -> list[int | Exception]:
        for failure in failures:
            raise failure
        return list(items)

    async with running(flush, patience_s=30) as commits:
        assert await commits.submit(1) == 1


async def test_a_flush_that_answers_too_few_is_reported_and_not_misattributed() -> None:
    async def flush(items: list[int]) -> list[int | Exception]:
        return items[1:]

    async with running(flush) as commits:
        with pytest.raises(AssertionError, match="answered 0 of 1"):
            await commits.submit(1)


async def test_items_are_durable_when_their_answer_arrives(pool: asyncpg.Pool, database: str) -> None:
    owner = await asyncpg.connect(database)
    await owner.execute("CREATE TABLE note (id int PRIMARY KEY); SELECT csms_grant_app()")

    async def flush(items: list[int]) -> list[int | Exception]:
        async def insert(connection: asyncpg.Connection) -> list[int | Exception]:
            await connection.execute("INSERT INTO note SELECT * FROM unnest($1::int[]) ON CONFLICT DO NOTHING", items)
            return list(items)

        return await in_transaction(pool, insert)

    async with running(flush) as commits:
        for item in range(20):
            await commits.submit(item)
            assert await owner.fetchval("SELECT count(*) FROM note WHERE id = $1", item) == 1
    await owner.close()


# --- beyond capacity -------------------------------------------------------------------------------------------------


@given(waiting=st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcdef")), max_size=40), most=st.integers(1, 20))
def test_a_batch_is_full_keeps_each_owners_order_and_has_what_has_waited_longest(
    waiting: list[tuple[int, str]], most: int
) -> None:
    chosen = first_of(waiting, most)

    assert len(chosen) == min(most, len(waiting))
    assert chosen == sorted(set(chosen))
    for place in chosen:
        earlier = [each for each in range(place) if waiting[each][1] == waiting[place][1]]
        assert set(earlier) <= set(chosen), "an item went past an earlier one of its owner"
    if len(waiting) > most >= 5:
        assert 0 in chosen


def test_beyond_capacity_the_first_rank_goes_first_and_takes_along_what_its_owner_said_before() -> None:
    crowd = [(2, f"crowd-{number}") for number in range(100)]
    waiting = [*crowd, (2, "driver"), *crowd, (0, "driver")]

    chosen = first_of(waiting, 10)

    assert chosen == [*range(8), 100, 201]


async def test_a_start_is_not_behind_a_crowd_of_readings() -> None:
    """Ten batches of readings wait already, and more outside than may."""
    notebook = Notebook()
    commits = GroupCommit[int, int](
        notebook.flush, batch_max=10, pending_max=100, rank=lambda item: int(item < 1000), owner=lambda item: item
    )
    async with asyncio.TaskGroup() as tasks:
        for reading in range(200):
            tasks.create_task(commits.submit(reading))
        await asyncio.sleep(0)
        tasks.create_task(commits.submit(1000))
        await asyncio.sleep(0)
        run = asyncio.create_task(commits.run())
    await commits.close()
    await run

    assert 1000 in notebook.batches[0]
    assert sorted(notebook.committed) == [*range(200), 1000]
    assert [each for each in notebook.committed if each < 1000] == list(range(200))
