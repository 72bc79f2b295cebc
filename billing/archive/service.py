"""Storing, fetching, holding and deleting what must be kept. Callers hold the connection.

Files are written before rows, and moved or deleted after rows are committed: whatever a crash cuts off, what a row speaks of
is there, and `settle` and `expire` finish what was begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from billing.archive import store
from billing.archive.contents import PREFIXES, ContentChanged, Contents
from billing.archive.entry import Action, Deposit, Entry
from billing.archive.retention import RetentionRule, retain_until, years_of
from billing.archive.store import SQL
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.errors import AlreadyDone, NotFound, Refused, Unavailable
from billing.sql import Connection

UNFINISHED_AFTER: Final = timedelta(hours=1)
"""No transaction lasts so long: what still waits for its row then never gets one."""
_CODE_LENGTH: Final = 2
SEE_LIST: Final = "see csms archive list"
SEE_VERIFY: Final = "see csms archive verify; bring the file back from a backup of the archive's directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOn:
    """What a hold is about: one entry, or everything of a subject or an account, now and later."""

    entry: int | None = None
    subject: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """To delete what is past its retention on a day: by whom, and why."""

    today: date
    now: datetime
    actor: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Expired:
    """What became of what nobody has to keep. `waiting`: contents that stay until nobody is depositing."""

    entries: list[Entry] = field(default_factory=list)
    removed: int = 0
    waiting: set[bytes] = field(default_factory=set)
    unfinished: int = 0


class Archive:
    """Of one directory and the database beside it. Nodes that share the database share the directory."""

    def __init__(self, directory: Path) -> None:
        self.contents = Contents(directory)

    async def deposit(
        self, connection: Connection, deposits: Sequence[Deposit], *, actor: str, now: datetime
    ) -> list[Entry]:
        """Store contents, within the caller's transaction and as the last thing in it: until it ends nobody else can append.

        What is there already, with the same subject and kind, is not stored twice: its entry is given back. Call
        `settle` when the transaction is committed.

        Raises:
            Unavailable: the directory cannot be written.
        """
        assert connection.is_in_transaction(), "rows of an archive belong to the transaction of what they are about"
        await SQL.lock_for_depositing.execute(connection, key=store.CONTENTS_KEY)
        await self._receive([each.content for each in deposits])
        rules = [rule for rule, _ in await store.retention_rules(connection)]
        await SQL.lock_chain.execute(connection, key=store.CHAIN_KEY)
        known = await store.living_twins(connection, deposits)
        fresh = {
            (each.subject, each.kind, each.sha256): _stored(each, rules, actor=actor, now=now)
            for n, each in enumerate(deposits)
            if n not in known
        }
        made = dict(zip(fresh, await store.append(connection, list(fresh.values())), strict=True))
        return [
            known[n] if n in known else made[each.subject, each.kind, each.sha256] for n, each in enumerate(deposits)
        ]

    async def _receive(self, contents: Sequence[bytes]) -> None:
        try:
            await asyncio.to_thread(self.contents.receive, contents)
        except OSError as trouble:
            raise Unavailable(
                f"the archive cannot be written: {trouble.filename}: {trouble.strerror}",
                f"see that {self.contents.directory} is this account's and has room",
            ) from trouble

    async def settle(self, connection: Connection) -> int:
        """Move contents whose rows are committed to where they stay; how many. Reading needs it not, tidiness does."""
        assert not connection.is_in_transaction(), "rows that may be rolled back settle nothing"
        waiting = await asyncio.to_thread(self.contents.incoming)
        arrived = sorted(await store.living(connection, waiting)) if waiting else []
        if arrived:
            await asyncio.to_thread(self.contents.settle, arrived)
        return len(arrived)

    async def fetch(self, connection: Connection, id_: int) -> tuple[Entry, bytes]:
        """An entry and its content, which is what was stored.

        Raises:
            NotFound: there is no such entry, or its content was deleted.
            Unavailable: the content is missing or has changed.
        """
        entry = await _require(connection, id_)
        assert entry.sha256 is not None, "what is stored has a sum"
        rows = await SQL.list_entries.fetch(connection, id=id_, subject=None, account=None, kind=None, count=1)
        if rows[0]["deleted_at"] is not None:
            raise NotFound(
                f"the content of entry {id_} was deleted on {rows[0]['deleted_at']:%Y-%m-%d}, after its retention",
                SEE_LIST,
            )
        try:
            return entry, await asyncio.to_thread(self.contents.read, entry.sha256)
        except ContentChanged as changed:
            raise Unavailable(f"the content of entry {id_} is not what was stored: {changed}", SEE_VERIFY) from changed
        except FileNotFoundError as missing:
            raise Unavailable(f"the content of entry {id_} is missing: {missing}", SEE_VERIFY) from missing

    async def expire(self, connection: Connection, order: Order, *, dry_run: bool = False) -> Expired:
        """Delete what is past its retention and not held. That it was there, and was deleted, stays known for ever."""
        done = Expired()
        while page := await self._expire_page(connection, order, done, dry_run=dry_run):
            done.entries += page
        if not dry_run:
            await self._remove(connection, [each.sha256 for each in done.entries if each.sha256 is not None], done)
            await self._remove_left(connection, done)
            await self._forget_unfinished(connection, done, now=order.now)
        return done

    async def _expire_page(self, connection: Connection, order: Order, done: Expired, *, dry_run: bool) -> list[Entry]:
        after = done.entries[-1].id if done.entries else 0
        if dry_run:
            return await store.expired(connection, today=order.today, after=after)
        async with connection.transaction():
            await SQL.lock_chain.execute(connection, key=store.CHAIN_KEY)  # so that no hold is set meanwhile
            page = await store.expired(connection, today=order.today, after=after)
            gone = [
                Entry(id=0, at=order.now, action=Action.DELETED, actor=order.actor, reason=order.reason, about=each.id)
                for each in page
            ]
            await store.append(connection, gone)
            if page and not done.entries:  # the chain of the archive tells what went
                change = Change(
                    noun="archive", subject="contents", action="expire", after={"on": order.today.isoformat()}
                )
                await audit.record(connection, [change], now=order.now, actor=order.actor, reason=order.reason)
        return page

    async def _remove_left(self, connection: Connection, done: Expired) -> None:
        """The same of what an earlier run recorded as deleted and did not come to."""
        for prefix in PREFIXES:
            listed = await asyncio.to_thread(self._sums_below, prefix)
            rows = await store.contents_of(connection, prefix) if listed else {}
            left = [sha256 for sha256 in listed if sha256 in rows and not rows[sha256][1]]
            if left:
                await self._remove(connection, left, done)

    def _sums_below(self, prefix: str) -> list[bytes]:
        return [each for each in self.contents.listed(prefix) if isinstance(each, bytes)]

    async def _remove(self, connection: Connection, sums: Sequence[bytes], done: Expired) -> None:
        """Delete contents that no living entry has any longer, while nobody deposits."""
        for start in range(0, len(sums), store.PAGE):
            page = sums[start : start + store.PAGE]
            async with connection.transaction():
                if not await SQL.try_lock_for_deleting.fetchval(connection, key=store.CONTENTS_KEY):
                    done.waiting.update(page)
                    continue
                dead = set(page) - await store.living(connection, page)
                done.removed += await asyncio.to_thread(self.contents.remove, dead)

    async def _forget_unfinished(self, connection: Connection, done: Expired, *, now: datetime) -> None:
        """Delete what came in and never got its row: a crash or a rollback left it behind."""
        await self.settle(connection)
        async with connection.transaction():
            if not await SQL.try_lock_for_deleting.fetchval(connection, key=store.CONTENTS_KEY):
                return
            waiting = await asyncio.to_thread(self.contents.incoming)
            dead = sorted(set(waiting) - await store.living(connection, waiting))
            before_s = (now - UNFINISHED_AFTER).timestamp()
            done.unfinished = await asyncio.to_thread(self.contents.forget_unfinished, dead, before_s=before_s)


def _stored(deposit: Deposit, rules: Sequence[RetentionRule], *, actor: str, now: datetime) -> Entry:
    return Entry(
        id=0,
        at=now,
        action=Action.STORED,
        actor=actor,
        subject=deposit.subject,
        account=deposit.account,
        sha256=deposit.sha256,
        size_bytes=len(deposit.content),
        media_type=deposit.media_type,
        kind=deposit.kind,
        retention_class=deposit.retention_class.value,
        retain_until=retain_until(deposit.day, years_of(deposit.retention_class, deposit.country, rules)),
    )


async def _require(connection: Connection, id_: int) -> Entry:
    entry = (await store.by_id(connection, [id_])).get(id_)
    if entry is None or entry.action is not Action.STORED:
        raise NotFound(f"entry {id_} of the archive is no content", SEE_LIST)
    return entry


async def set_hold(connection: Connection, on: HoldOn, *, actor: str, reason: str, now: datetime) -> Entry:
    """From now on nothing of it is deleted.

    Raises:
        NotFound: there is nothing of it.
    """
    if on.entry is not None:
        await _require(connection, on.entry)
    elif not await SQL.is_known.fetchval(connection, subject=on.subject, account=on.account):
        raise NotFound(f"nothing was stored of {on.subject or on.account}, and there is no such account", SEE_LIST)
    entry = Entry(
        id=0, at=now, action=Action.HOLD_SET, actor=actor, reason=reason,
        about=on.entry, subject=on.subject, account=on.account,
    )  # fmt: skip
    [hold] = await store.append(connection, [entry])
    said = {"entry": on.entry, "subject": on.subject, "account": on.account}
    change = Change(noun="hold", subject=str(hold.id), action="set", after=said)
    await audit.record(connection, [change], now=now, actor=actor, reason=reason)
    return hold


async def lift_hold(connection: Connection, id_: int, *, actor: str, reason: str, now: datetime) -> Entry:
    """Raises:
    NotFound: there is no such hold.
    AlreadyDone: it was lifted.
    """
    await SQL.lock_chain.execute(connection, key=store.CHAIN_KEY)
    hold = (await store.by_id(connection, [id_])).get(id_)
    if hold is None or hold.action is not Action.HOLD_SET:
        raise NotFound(f"no hold {id_}", "see csms archive hold list")
    if all(row["id"] != id_ for row in await SQL.list_holds.fetch(connection, open=True)):
        raise AlreadyDone(f"hold {id_} was lifted before", "see csms archive hold list")
    lifted = Entry(id=0, at=now, action=Action.HOLD_LIFTED, actor=actor, reason=reason, about=id_)
    [entry] = await store.append(connection, [lifted])
    said = {"entry": hold.about, "subject": hold.subject, "account": hold.account}
    change = Change(noun="hold", subject=str(id_), action="lift", before=said)
    await audit.record(connection, [change], now=now, actor=actor, reason=reason)
    return entry


async def set_retention(connection: Connection, rule: RetentionRule, *, actor: str, reason: str, now: datetime) -> None:
    """For what is stored from now on. What is there keeps the day that it has: a hold keeps it longer."""
    which = (rule.retention_class, rule.country)
    async with connection.transaction():
        before = [
            each.years
            for each, _ in await store.retention_rules(connection)
            if which == (each.retention_class, each.country)
        ]
        await SQL.insert_retention_rule.execute(
            connection, retention_class=rule.retention_class.value, country=rule.country, years=rule.years,
            reason=reason, actor=actor, at=now,
        )  # fmt: skip
        change = Change(
            noun="retention", subject=" ".join(filter(None, (rule.retention_class.value, rule.country))), action="set",
            before={"years": before[0]} if before else None, after={"years": rule.years, "at": now.isoformat()},
        )  # fmt: skip
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)


def country_of(code: str | None) -> str | None:
    """Raises: Refused: it is no code of a country."""
    if code is None or (len(code) == _CODE_LENGTH and code.isascii() and code.isalpha()):
        return None if code is None else code.upper()
    raise Refused(f"{code!r} is no country", "write two letters, such as DE")
