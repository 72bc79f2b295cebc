"""Entries of the archive in the database: rows to values and back. Decides nothing, touches no file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from billing.archive.entry import NO_ENTRY, Action, Deposit, Entry, Head, chained
from billing.archive.retention import RetentionClass, RetentionRule
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.archive")

CHAIN_KEY: Final = 0x61726368_00
"""Of the advisory lock of those who append ("arch" in ASCII, and a number)."""
CONTENTS_KEY: Final = 0x61726368_01
"""Of the one between those who deposit contents and those who delete them."""
PAGE: Final = 1000

_COLUMNS: Final = tuple(field.name for field in fields(Entry))


def _entry(row: Any) -> Entry:
    values = {name: row[name] for name in _COLUMNS}
    return Entry(**{**values, "action": Action(row["action"])})


async def append(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Behind the last entry. Until the transaction ends nobody else can: do it last."""
    assert connection.is_in_transaction(), "the chain is locked until the end of a transaction"
    if not entries:
        return []
    await SQL.lock_chain.execute(connection, key=CHAIN_KEY)
    done = chained(entries, await head(connection))
    await SQL.append.execute(
        connection,
        ids=[each.id for each in done],
        ats=[each.at for each in done],
        actions=[each.action for each in done],
        actors=[each.actor for each in done],
        reasons=[each.reason for each in done],
        abouts=[each.about for each in done],
        subjects=[each.subject for each in done],
        accounts=[each.account for each in done],
        sums=[each.sha256 for each in done],
        sizes=[each.size_bytes for each in done],
        media_types=[each.media_type for each in done],
        kinds=[each.kind for each in done],
        classes=[each.retention_class for each in done],
        untils=[each.retain_until for each in done],
        hash_prevs=[each.hash_prev for each in done],
        hashes=[each.hash for each in done],
    )
    return done


async def head(connection: Connection) -> Head:
    row = await SQL.head.fetchrow(connection)
    return NO_ENTRY if row is None else Head(row["id"], row["hash"])


async def by_id(connection: Connection, ids: Collection[int]) -> dict[int, Entry]:
    rows = await SQL.entries_by_id.fetch(connection, ids=sorted(ids))
    return {row["id"]: _entry(row) for row in rows}


async def living_twins(connection: Connection, deposits: Sequence[Deposit]) -> dict[int, Entry]:
    """Of those deposits that are there already, by their place, the entry."""
    rows = await SQL.living_twins.fetch(
        connection,
        ns=list(range(len(deposits))),
        sums=[each.sha256 for each in deposits],
        subjects=[each.subject for each in deposits],
        kinds=[each.kind for each in deposits],
    )
    found = await by_id(connection, {row["id"] for row in rows})
    return {row["n"]: found[row["id"]] for row in rows}


async def chain(connection: Connection, last: int) -> AsyncIterator[list[Entry]]:
    """The whole chain up to an entry, a page at a time."""
    after = 0
    while True:
        rows = await SQL.entries_after.fetch(connection, after=after, last=last, count=PAGE)
        if not rows:
            return
        yield [_entry(row) for row in rows]
        after = rows[-1]["id"]


async def expired(connection: Connection, *, today: Any, after: int = 0, count: int = PAGE) -> list[Entry]:
    return [_entry(row) for row in await SQL.expired.fetch(connection, today=today, after=after, count=count)]


async def living(connection: Connection, sums: Collection[bytes]) -> set[bytes]:
    """Those of these contents that somebody still has an entry of."""
    return {row["sha256"] for row in await SQL.living_sums.fetch(connection, sums=sorted(sums))}


async def contents_of(connection: Connection, prefix: str) -> dict[bytes, tuple[int, bool]]:
    """Every content whose sum begins so: its first entry, and whether it is living."""
    first = bytes([int(prefix, 16)])
    following = None if prefix == "ff" else bytes([int(prefix, 16) + 1])
    rows = await SQL.contents_between.fetch(connection, first=first, next=following)
    return {row["sha256"]: (row["id"], row["living"]) for row in rows}


async def retention_rules(connection: Connection) -> list[tuple[RetentionRule, Mapping[str, Any]]]:
    """The operator's own, each with who said it, when and why."""
    return [
        (
            RetentionRule(
                retention_class=RetentionClass(row["retention_class"]), country=row["country"], years=row["years"]
            ),
            {"reason": row["reason"], "actor": row["actor"], "at": row["at"]},
        )
        for row in await SQL.retention_rules.fetch(connection)
    ]
