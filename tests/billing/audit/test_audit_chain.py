"""The audit log: nobody changes, adds or takes away an entry unseen, and what is personal can be forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.audit import service
from billing.audit.entry import GENESIS, ChainCheck, Change, Entry
from billing.errors import Refused
from tests.examples import tried

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)

values = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    max_size=3,
)


def chain(bodies: list[dict[str, object]]) -> list[Entry]:
    entries: list[Entry] = []
    for n, body in enumerate(bodies, start=1):
        bare = Entry(
            id=n, at=NOON, actor="tester", reason="because", noun="account", subject=f"C-{n}", action="set", before=None,
            after=body, hash_prev=entries[-1].hash if entries else GENESIS,
        )  # fmt: skip
        entries.append(replace(bare, hash=bare.hash_now()))
    return entries


def findings(entries: list[Entry]) -> list[int]:
    check = ChainCheck()
    for entry in entries:
        check.see(entry)
    return [finding.entry for finding in check.findings]


@tried(100)
@given(bodies=st.lists(values, min_size=1, max_size=6), data=st.data())
def test_a_chain_holds_until_anything_in_it_is_changed_or_taken_away(
    bodies: list[dict[str, object]], data: st.DataObject
) -> None:
    entries = chain(bodies)
    assert findings(entries) == []

    place = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from(["actor", "reason", "subject", "after", "at", "hash"]))
    other = {
        "after": {**(entries[place].after or {}), "other": 1},
        "at": NOON.replace(microsecond=1),
        "hash": bytes(32),
    }.get(field, "somebody else")
    changed = [*entries]
    changed[place] = replace(entries[place], **{field: other})
    assert entries[place].id in findings(changed)

    if place < len(entries) - 1:
        assert findings(entries[:place] + entries[place + 1 :]) == [entries[place + 1].id]


@tried(100)
@given(bodies=st.lists(values, min_size=2, max_size=5), data=st.data())
def test_a_change_that_is_hashed_anew_still_shows_at_the_next_entry(
    bodies: list[dict[str, object]], data: st.DataObject
) -> None:
    entries = chain(bodies)
    place = data.draw(st.integers(0, len(entries) - 2))
    forged = replace(entries[place], actor="somebody else")
    entries[place] = replace(forged, hash=forged.hash_now())

    assert findings(entries) == [entries[place + 1].id]


def change(n: int, **personal: str) -> Change:
    return Change(
        noun="account", subject=f"C-{n}", action="set", before={"n": n}, after={"n": n + 1, "ümlaut": "é\u2028"},
        personal=f"C-{n}" if personal else None, personal_after=personal or None,
    )  # fmt: skip


async def write(pool: asyncpg.Pool, *changes: Change, reason: str = "because") -> list[Entry]:
    async with pool.acquire() as connection, connection.transaction():
        return await service.record(connection, changes, now=NOON, actor="tester", reason=reason)


async def problems(pool: asyncpg.Pool) -> list[str]:
    async with pool.acquire() as connection:
        return [f"{each.entry}: {each.problem}" for each in (await service.verify(connection)).findings]


async def test_what_was_recorded_by_many_at_once_is_one_chain_without_a_gap(pool: asyncpg.Pool) -> None:
    await asyncio.gather(*(write(pool, change(n), change(n + 100, name="Erika Example")) for n in range(20)))

    async with pool.acquire() as connection:
        seen = [entry async for entry, _ in service.entries(connection)]
        check = await service.verify(connection)
    assert [entry.id for entry in seen] == list(range(1, 41))
    assert (check.last, check.findings) == (40, [])


async def test_a_transaction_that_fails_leaves_no_entry_and_no_gap(pool: asyncpg.Pool) -> None:
    await write(pool, change(1))

    async def fail() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await service.record(connection, [change(2)], now=NOON, actor="tester", reason="because")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await write(pool, change(3))

    assert await problems(pool) == []
    async with pool.acquire() as connection:
        assert [entry.subject async for entry, _ in service.entries(connection)] == ["C-1", "C-3"]


async def test_the_application_cannot_touch_the_log_and_the_owner_is_found_out(
    pool: asyncpg.Pool, database: str
) -> None:
    await write(pool, change(1), change(2, name="Erika Example"), change(3))
    for statement in ("UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry CASCADE"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
    assert await problems(pool) == []

    owner = await asyncpg.connect(database)
    try:
        await owner.execute("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
        await owner.execute("UPDATE audit_entry SET reason = 'another' WHERE id = 2")
        await owner.execute('UPDATE audit_personal SET body = \'{"name": "Somebody Else"}\'')
    finally:
        await owner.close()
    assert await problems(pool) == [
        "2: was changed: its hash is of something else",
        "2: personal data after were changed: they are not what the entry commits to",
    ]


async def test_what_is_personal_is_forgotten_and_the_chain_still_holds(pool: asyncpg.Pool) -> None:
    await write(pool, change(1, name="Erika Example"), change(2, name="Max Example"))

    async with pool.acquire() as connection, connection.transaction():
        assert await service.forget(connection, "C-1") == 1
    async with pool.acquire() as connection:
        kept = await service.personal_of(connection, [1, 2])
        text = await connection.fetchval("SELECT string_agg(e::text, '') FROM audit_entry e")
    assert {entry: [each.body for each in found] for entry, found in kept.items()} == {2: [{"name": "Max Example"}]}
    assert "Example" not in text
    assert await problems(pool) == []


async def test_what_changed_nothing_is_no_entry(pool: asyncpg.Pool) -> None:
    same = Change(noun="account", subject="C-1", action="set", before={"a": 1}, after={"a": 1})

    assert await write(pool, same) == []


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501])
async def test_a_reason_that_says_nothing_is_refused(pool: asyncpg.Pool, reason: str) -> None:
    with pytest.raises(Refused, match=r"one line of at most 500"):
        await write(pool, change(1), reason=reason)
