"""Storing, fetching, holding and deleting, on real files and a real database."""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import date, timedelta
from pathlib import Path

import asyncpg
import pytest

from billing.archive.contents import Contents
from billing.archive.entry import Head
from billing.archive.retention import RetentionClass, RetentionRule
from billing.archive.service import HoldOn, lift_hold, set_hold, set_retention
from billing.archive.store import CONTENTS_KEY, SQL
from billing.errors import AlreadyDone, NotFound, Unavailable
from tests.billing.archive.conftest import DAY, LATER, NOW, Room, deposit

AFTER = date(2035, 1, 1)
"""Past the retention of what was made in 2026 in Germany."""


async def test_what_was_stored_is_fetched_byte_by_byte(room: Room) -> None:
    contents = ["one", "two", "", "x" * 3_000_000]
    stored = await room.store(*(deposit(each, subject=f"RE-{n}") for n, each in enumerate(contents)))

    assert [await room.fetch(each.id) for each in stored] == [each.encode() for each in contents]
    assert [each.retain_until for each in stored] == [date(2034, 12, 31)] * 4
    assert await room.findings() == []


async def test_files_lie_below_their_sum_and_nobody_may_write_them(room: Room) -> None:
    [entry] = await room.store(deposit())
    path = room.file(entry)

    assert room.files() == [
        "objects/76/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"  # sha256 of one
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_same_content_is_one_file_and_the_same_deposit_one_entry(room: Room) -> None:
    first = await room.store(deposit(), deposit(), deposit(subject="RE-other"))
    again = await room.store(deposit(), deposit(kind="mail"))

    assert [each.id for each in first] == [1, 1, 2]
    assert [each.id for each in again] == [1, 3]
    assert len(room.files()) == 1
    assert await room.findings() == []


async def test_before_its_row_is_committed_a_content_waits_and_after_it_can_be_read_at_once(room: Room) -> None:
    [entry] = await room.store(deposit(), settle=False)
    waiting = room.files()

    assert waiting == [f"incoming/{room.file(entry).name}"]
    assert await room.fetch(entry.id) == b"one"
    assert await room.findings() == []
    assert room.files() == [str(room.file(entry).relative_to(room.archive.contents.directory))]


async def test_a_deposit_that_is_rolled_back_leaves_nothing_that_counts(room: Room) -> None:
    async with room.pool.acquire() as connection:
        begun = connection.transaction()
        await begun.start()
        await room.archive.deposit(connection, [deposit()], actor="ada", now=NOW)
        await begun.rollback()
        await room.archive.settle(connection)

    report = await room.verify()
    assert (report.entries, report.contents, report.findings) == (0, 0, [])
    soon = await room.expire(DAY, now=NOW)
    assert (soon.unfinished, len(room.files())) == (0, 1)
    later = await room.expire(DAY, now=NOW + timedelta(days=3650))
    assert (later.unfinished, room.files()) == (1, [])


async def test_writers_side_by_side_make_one_chain(room: Room) -> None:
    async def write(writer: int) -> None:
        for n in range(10):
            await room.store(deposit(f"{writer}-{n}"), deposit(f"shared-{n}"))

    await asyncio.gather(*(write(writer) for writer in range(4)))

    report = await room.verify()
    assert (report.entries, report.contents, report.findings) == (50, 50, [])
    assert all(name.startswith("objects/") for name in room.files())


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_one_changed_byte_is_found_and_named(room: Room, at: int) -> None:
    stored = await room.store(deposit("one"), deposit("two"), deposit("six"))
    path = room.file(stored[1])
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)

    report = await room.verify()

    assert [(each.what, each.entry, each.file) for each in report.findings] == [("changed", 2, str(path))]
    with pytest.raises(Unavailable, match="is not what was stored"):
        await room.fetch(2)
    assert await room.fetch(1) == b"one"


async def test_files_that_are_missing_surplus_or_out_of_place_are_each_named(room: Room, tmp_path: Path) -> None:
    stored = await room.store(deposit("one"), deposit("two"), deposit("six"), deposit("ten"))
    room.file(stored[0]).unlink()
    longer = room.file(stored[1])
    longer.chmod(0o600)
    longer.write_bytes(b"two and more")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"six")
    room.file(stored[2]).unlink()
    room.file(stored[2]).symlink_to(elsewhere)
    place = room.archive.contents.directory
    stray = Contents(place)
    stray.receive([b"unknown"])
    stray.settle(stray.incoming())
    (place / "objects" / "note.txt").write_text("hello")
    (place / "readme").write_text("hello")
    os.link(room.file(stored[3]), room.file(stored[3]).with_name("copy"))

    found = sorted((str(each.what), each.entry or 0) for each in (await room.verify()).findings)

    assert found == [
        ("changed", 2), ("changed", 3), ("missing", 1), ("surplus", 0), ("surplus", 0), ("surplus", 0), ("surplus", 0),
        ("surplus", 0),
    ]  # fmt: skip


async def test_storing_a_content_again_heals_a_file_that_has_changed(room: Room) -> None:
    [entry] = await room.store(deposit())
    room.file(entry).chmod(0o600)
    room.file(entry).write_bytes(b"bad")

    await room.store(deposit())

    assert await room.findings() == []


async def test_rows_that_somebody_changed_past_the_application_are_found(room: Room, database: str) -> None:
    await room.store(*(deposit(str(n)) for n in range(5)))
    head = (await room.verify()).head
    owner = await asyncpg.connect(database)
    try:
        await owner.execute("ALTER TABLE archive_entry DISABLE TRIGGER ALL")
        await owner.execute("UPDATE archive_entry SET retain_until = '2026-12-31' WHERE id = 3")
        changed = await room.findings()
        await owner.execute("DELETE FROM archive_entry WHERE id = 5")
        cut = await room.findings(head)
        await owner.execute("DELETE FROM archive_entry WHERE id = 2")
        taken = await room.findings()
    finally:
        await owner.close()

    assert changed == [("chain", 3)]
    assert [each[0] for each in cut] == ["chain", "cut", "surplus"]
    assert taken == [("chain", 3), ("chain", 3), ("surplus", None), ("surplus", None)]


async def test_a_head_that_was_noted_is_found_again_when_more_has_come(room: Room) -> None:
    await room.store(deposit("one"))
    head = (await room.verify()).head
    await room.store(deposit("two"))

    assert await room.findings(head) == []
    assert await room.findings(Head(0, bytes(32))) == []
    assert await room.findings(Head(1, b"x" * 32)) == [("cut", 1)]


async def test_the_database_refuses_to_change_or_to_fork_the_chain(room: Room) -> None:
    [entry] = await room.store(deposit())
    async with room.pool.acquire() as connection:
        for statement in (
            "UPDATE archive_entry SET actor = 'eve'",
            "DELETE FROM archive_entry",
            "TRUNCATE archive_entry",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(
                "INSERT INTO archive_entry (id, at, action, actor, reason, subject, hash_prev, hash)"
                " VALUES (2, now(), 'hold_set', 'eve', 'x', 'y', $1, $2)",
                entry.hash_prev,
                entry.hash,
            )


async def test_what_is_past_its_retention_is_deleted_and_its_entry_stays(room: Room) -> None:
    stored = await room.store(deposit("one"), deposit("two", country="XX"))
    dry = await room.expire(AFTER, dry_run=True)
    kept = room.files()
    too_early = await room.expire(date(2034, 12, 31))
    done = await room.expire(AFTER, now=LATER)

    assert [each.id for each in dry.entries] == [each.id for each in done.entries] == [1]
    assert (len(kept), too_early.entries) == (2, [])
    assert (done.removed, len(room.files())) == (1, 1)
    with pytest.raises(NotFound, match="was deleted on 2026-11-03, after its retention"):
        await room.fetch(1)
    assert await room.fetch(stored[1].id) == b"two"
    report = await room.verify()
    assert (report.entries, report.contents, report.findings) == (3, 1, [])
    assert (await room.expire(AFTER)).entries == []


async def test_a_content_stays_as_long_as_any_entry_of_it_has_to(room: Room) -> None:
    await room.store(deposit("one"), deposit("one", subject="RE-2", country="XX"))

    done = await room.expire(AFTER)

    assert ([each.id for each in done.entries], done.removed) == ([1], 0)
    assert await room.fetch(2) == b"one"
    assert await room.findings() == []
    assert (await room.expire(date(2037, 1, 1))).removed == 1


async def test_a_deleted_content_may_be_stored_anew(room: Room) -> None:
    await room.store(deposit())
    await room.expire(AFTER)
    [again] = await room.store(deposit())

    assert await room.fetch(again.id) == b"one"
    assert await room.findings() == []


@pytest.mark.parametrize("on", [HoldOn(entry=1), HoldOn(subject="RE-one"), HoldOn(account="K-1")])
async def test_what_is_held_is_not_deleted_until_the_hold_is_lifted(room: Room, on: HoldOn) -> None:
    await room.store(deposit("one"), deposit("two", account="K-2"))
    hold = await room.in_transaction(lambda c: set_hold(c, on, actor="ada", reason="lawsuit", now=NOW))
    second = await room.in_transaction(lambda c: set_hold(c, on, actor="bob", reason="audit", now=NOW))

    assert [each.id for each in (await room.expire(AFTER)).entries] == [2]
    await room.in_transaction(lambda c: lift_hold(c, hold.id, actor="ada", reason="settled", now=NOW))
    assert (await room.expire(AFTER)).entries == []
    await room.in_transaction(lambda c: lift_hold(c, second.id, actor="ada", reason="done", now=NOW))
    assert [each.id for each in (await room.expire(AFTER)).entries] == [1]
    assert await room.findings() == []


async def test_a_hold_on_an_account_covers_what_comes_later(room: Room) -> None:
    await room.store(deposit("one"))
    await room.in_transaction(lambda c: set_hold(c, HoldOn(account="K-1"), actor="ada", reason="x", now=NOW))
    await room.store(deposit("two"))

    assert (await room.expire(AFTER)).entries == []


async def test_holds_on_nothing_and_lifting_twice_are_refused(room: Room) -> None:
    await room.store(deposit())
    hold = await room.in_transaction(lambda c: set_hold(c, HoldOn(entry=1), actor="ada", reason="x", now=NOW))

    for on in (HoldOn(entry=9), HoldOn(entry=hold.id), HoldOn(subject="RE-9"), HoldOn(account="K-9")):
        with pytest.raises(NotFound):
            await room.in_transaction(lambda c, on=on: set_hold(c, on, actor="ada", reason="x", now=NOW))
    with pytest.raises(NotFound, match="no hold 1"):
        await room.in_transaction(lambda c: lift_hold(c, 1, actor="ada", reason="x", now=NOW))
    await room.in_transaction(lambda c: lift_hold(c, hold.id, actor="ada", reason="x", now=NOW))
    with pytest.raises(AlreadyDone):
        await room.in_transaction(lambda c: lift_hold(c, hold.id, actor="ada", reason="x", now=NOW))


async def test_the_operators_years_hold_for_what_is_stored_from_then_on(room: Room) -> None:
    [before] = await room.store(deposit("one"))
    async with room.pool.acquire() as connection:
        for years in (20, 12):
            rule = RetentionRule(retention_class=RetentionClass.VOUCHER, country="DE", years=years)
            await set_retention(connection, rule, actor="ada", reason="x", now=NOW)
    after = await room.store(deposit("two"), deposit("three", country="NL"))

    assert [each.retain_until for each in (before, *after)] == [
        date(2034, 12, 31), date(2038, 12, 31), date(2033, 12, 31),
    ]  # fmt: skip


async def test_what_a_crash_left_of_a_deletion_is_finished_by_the_next(room: Room) -> None:
    [entry] = await room.store(deposit())
    content = room.file(entry).read_bytes()
    await room.expire(AFTER)
    room.archive.contents.receive([content])
    room.archive.contents.settle(room.archive.contents.incoming())

    assert await room.findings() == [("not_deleted", 1)]
    assert (await room.expire(AFTER)).removed == 1
    assert await room.findings() == []


async def test_while_somebody_deposits_no_file_is_deleted_however_old_it_looks(room: Room) -> None:
    """As it may be between the file of a deposit and its row."""
    await room.store(deposit("one"))
    async with room.pool.acquire() as connection:
        begun = connection.transaction()
        await begun.start()
        await SQL.lock_for_depositing.execute(connection, key=CONTENTS_KEY)
        room.archive.contents.receive([b"one", b"two"])
        meanwhile = await room.expire(AFTER, now=NOW + timedelta(days=3650))
        files = room.files()
        [again, fresh] = await room.archive.deposit(connection, [deposit("one"), deposit("two")], actor="ada", now=NOW)
        await begun.commit()

    assert ([each.id for each in meanwhile.entries], meanwhile.removed, len(meanwhile.waiting)) == ([1], 0, 1)
    assert (meanwhile.unfinished, len(files)) == (0, 2)
    assert [await room.fetch(each.id) for each in (again, fresh)] == [b"one", b"two"]
    assert (await room.expire(DAY)).removed == 0
    assert await room.findings() == []


async def test_what_is_deleted_before_it_has_settled_is_gone_all_the_same(room: Room) -> None:
    await room.store(deposit(), settle=False)

    assert (await room.expire(AFTER)).removed == 1
    assert room.files() == []


async def test_a_directory_that_cannot_be_written_is_said(room: Room) -> None:
    room.archive.contents.directory.write_text("no directory")

    with pytest.raises(Unavailable, match="the archive cannot be written"):
        await room.store(deposit())
    async with room.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM archive_entry") == 0
