"""Keeping the audit log and reading it. Callers hold the connection; an entry is made in the transaction of its change."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from billing.audit.entry import GENESIS, PERSONAL, ChainCheck, Change, Entry, PersonalValues
from billing.bills.bill import canonical_json
from billing.errors import Refused
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.audit")
LOCK_KEY: Final = 0x6175646974
"""Of the advisory lock of those who write ("audit" in ASCII)."""
REASON_LENGTH_MAX: Final = 500
_SALT_LENGTH: Final = 16
_PAGE: Final = 1000


async def record(
    connection: Connection, changes: Sequence[Change], *, now: datetime, actor: str, reason: str
) -> list[Entry]:
    """Enter what was done, as the last act of the transaction that did it. What changed nothing is left out.

    Raises:
        Refused: the reason says nothing, or is no line of text.
    """
    said = require_reason(reason)
    real = [change for change in changes if change.is_one]
    if not real:
        return []
    await SQL.lock_log.execute(connection, key=LOCK_KEY)
    last = await SQL.last_entry.fetchrow(connection)
    id_, hash_ = (0, GENESIS) if last is None else (last["id"], last["hash"])
    entries: list[Entry] = []
    personal: list[tuple[int, str, PersonalValues]] = []
    for change in real:
        id_ += 1
        values = _personal_values(change)
        entry = _entry(id_, change, values, at=now, actor=actor, reason=said, hash_prev=hash_)
        hash_ = entry.hash
        entries.append(entry)
        assert change.personal is not None or not values, "personal data are somebody's"
        personal += [(id_, change.personal or "", each) for each in values]
    await _insert(connection, entries, personal)
    return entries


def require_reason(reason: str) -> str:
    """The reason as it is kept.

    Raises:
        Refused: it says nothing, or is no line of text.
    """
    said = reason.strip()
    if not said or not said.isprintable() or len(said) > REASON_LENGTH_MAX:
        raise Refused(
            f"a reason is one line of at most {REASON_LENGTH_MAX} characters, and not empty", "say why with --reason"
        )
    return said


def _personal_values(change: Change) -> list[PersonalValues]:
    sides = (("before", change.personal_before), ("after", change.personal_after))
    return [
        PersonalValues(side=side, salt=secrets.token_bytes(_SALT_LENGTH), body=body) for side, body in sides if body
    ]


def _entry(
    id_: int,
    change: Change,
    values: Sequence[PersonalValues],
    *,
    at: datetime,
    actor: str,
    reason: str,
    hash_prev: bytes,
) -> Entry:
    committed = {each.side: each.commitment for each in values}
    entry = Entry(
        id=id_,
        at=at,
        actor=actor,
        reason=reason,
        noun=change.noun,
        subject=change.subject,
        action=change.action,
        before=_with(change.before, committed.get("before")),
        after=_with(change.after, committed.get("after")),
        hash_prev=hash_prev,
    )
    return replace(entry, hash=entry.hash_now())


def _with(values: Mapping[str, Any] | None, commitment: str | None) -> dict[str, Any] | None:
    if commitment is None:
        return None if values is None else dict(values)
    return {**(values or {}), PERSONAL: commitment}


async def _insert(
    connection: Connection, entries: Sequence[Entry], personal: Sequence[tuple[int, str, PersonalValues]]
) -> None:
    first = entries[0]
    await SQL.insert_entries.execute(
        connection,
        at=first.at,
        actor=first.actor,
        reason=first.reason,
        ids=[each.id for each in entries],
        nouns=[each.noun for each in entries],
        subjects=[each.subject for each in entries],
        actions=[each.action for each in entries],
        befores=[_json(each.before) for each in entries],
        afters=[_json(each.after) for each in entries],
        hashes_prev=[each.hash_prev for each in entries],
        hashes=[each.hash for each in entries],
    )
    if personal:
        await SQL.insert_personal.execute(
            connection,
            entries=[entry for entry, _, _ in personal],
            accounts=[account for _, account, _ in personal],
            sides=[values.side for _, _, values in personal],
            salts=[values.salt for _, _, values in personal],
            bodies=[canonical_json(values.body) for _, _, values in personal],
        )


def _json(values: Mapping[str, Any] | None) -> str | None:
    return None if values is None else canonical_json(values)


async def newest(
    connection: Connection, *, noun: str | None, subject: str | None, since: datetime | None, limit: int
) -> list[Entry]:
    """The newest entries, the oldest of them first."""
    rows = await SQL.newest_entries.fetch(connection, noun=noun, subject=subject, since=since, limit=limit)
    return [_read(row) for row in reversed(rows)]


async def newest_about(connection: Connection, things: Sequence[tuple[str, str]], *, limit: int) -> list[Entry]:
    """The newest entries about things, each a noun and a subject; the oldest of them first."""
    nouns, subjects = [noun for noun, _ in things], [subject for _, subject in things]
    rows = await SQL.entries_about.fetch(connection, nouns=nouns, subjects=subjects, limit=limit)
    return [_read(row) for row in rows]


async def personal_of(
    connection: Connection, entries: Sequence[int], *, account: str | None = None
) -> dict[int, list[PersonalValues]]:
    """The values that are still kept behind the commitments of entries, by entry; only an account's, if one is named."""
    found: dict[int, list[PersonalValues]] = {}
    for row in await SQL.personal_of.fetch(connection, entries=list(entries), account=account):
        values = PersonalValues(side=row["side"], salt=row["salt"], body=json.loads(row["body"]))
        found.setdefault(row["entry"], []).append(values)
    return found


async def entries(connection: Connection) -> AsyncIterator[tuple[Entry, list[PersonalValues]]]:
    """The whole log, in its order, a page at a time."""
    after = 0
    while rows := await SQL.entries_after.fetch(connection, after=after, limit=_PAGE):
        page = [_read(row) for row in rows]
        personal = await personal_of(connection, [each.id for each in page])
        for each in page:
            yield each, personal.get(each.id, [])
        after = page[-1].id


async def verify(connection: Connection) -> ChainCheck:
    """Follow the chain from its first entry to its end."""
    check = ChainCheck()
    async for entry, personal in entries(connection):
        check.see(entry, personal)
    return check


async def forget(connection: Connection, account: str) -> int:
    """Forget an account's personal data in every entry; returns how many values went."""
    gone: int = await SQL.forget_personal.fetchval(connection, account=account)
    return gone


def _read(row: Any) -> Entry:
    return Entry(
        id=row["id"],
        at=row["at"],
        actor=row["actor"],
        reason=row["reason"],
        noun=row["noun"],
        subject=row["subject"],
        action=row["action"],
        before=None if row["before"] is None else json.loads(row["before"]),
        after=None if row["after"] is None else json.loads(row["after"]),
        hash_prev=row["hash_prev"],
        hash=row["hash"],
    )
