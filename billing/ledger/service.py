"""Entering facts into the books, once each, and taking entries back. Callers hold the connection and its transaction.

Whoever posts holds the seller's lock together with others who post; whoever locks a month holds it alone. So a month is
either open until the transaction that posts ends, or was locked before it began to post. The tables see to it as well.

No row is touched by two who post for different facts: the balance of an account is worked out from its postings, and for
months that are locked from what was kept of them then. A balance in a row of its own would be written by every document,
one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from billing.accounts import sellers
from billing.audit import service as audit
from billing.audit.entry import Change
from billing.bills.transaction import one_act
from billing.errors import AlreadyDone, NotFound, Refused
from billing.ledger import store
from billing.ledger.entry import BookedEntry, DraftEntry, differences, reversal_of
from billing.ledger.month import following, month_of
from billing.ledger.posting_rules import DOCUMENT_FACTS
from billing.ledger.store import SQL, AccountKey, KnownEntry, NewEntry
from billing.sql import Connection

AT_ONCE_MAX: Final = 5_000
"""Entries of one set of statements: more are posted in several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedEntry:
    """Where a fact stands in the books; `is_new` false: it stood there before. `booked_on` is later than a late fact."""

    id: int
    seller: str
    key: str
    booked_on: date
    fact_on: date
    is_new: bool


@one_act
async def post(
    connection: Connection, entries: Sequence[DraftEntry], *, now: datetime, actor: str
) -> list[PostedEntry]:
    """Enter facts, all or none, in one transaction of the caller or of their own; in the order given.

    A fact is booked on its own day, or where its month is locked on the first day of the first one that is open. The same
    key with the same body again changes nothing, and gives the first entry.

    Raises:
        Refused: an entry of this key says otherwise.
    """
    posted: list[PostedEntry] = []
    for first in range(0, len(entries), AT_ONCE_MAX):
        some = entries[first : first + AT_ONCE_MAX]
        posted += await post_in(await open_books(connection, some), connection, some, now=now, actor=actor)
    return posted


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBooks:
    """What stays as it is until the transaction ends: the newest locked month of sellers, and accounts by their ids."""

    locked: Mapping[str, date]
    accounts: Mapping[AccountKey, int]


async def open_books(connection: Connection, drafts: Sequence[DraftEntry]) -> OpenBooks:
    """Have the accounts of entries and their months ready, for post_in() later in this transaction.

    Who locks anything else that others wait for does so afterwards: accounts are opened by all in the same order, and
    nobody who has opened some waits for anybody who wants them.
    """
    locked = await _lock_sellers(connection, {each.seller for each in drafts})
    keys = {(each.seller, posting.account, posting.currency) for each in drafts for posting in each.postings}
    return OpenBooks(locked=locked, accounts=await store.account_ids(connection, keys))


async def post_in(
    books: OpenBooks, connection: Connection, drafts: Sequence[DraftEntry], *, now: datetime, actor: str
) -> list[PostedEntry]:
    """What post() does, in the transaction that opened the books for entries on the same accounts.

    Raises:
        Refused: see post().
    """
    locked = books.locked
    wanted: dict[tuple[str, str], NewEntry] = {}
    for draft in drafts:
        new = NewEntry(
            draft=draft, body_hash=draft.body_hash, booked_on=booking_day(draft.fact_on, locked.get(draft.seller))
        )
        same = wanted.setdefault(new.key, new)
        if same.body_hash != new.body_hash:
            raise _says_otherwise(same.draft, draft, same.body_hash, new.body_hash)
    made = await store.insert_entries(connection, list(wanted.values()), actor=actor, at=now)
    await store.insert_postings(connection, ((id_, wanted[key].draft) for key, id_ in made.items()), books.accounts)
    known = await _known_before(connection, [new for key, new in wanted.items() if key not in made])
    return [_posted(wanted[each.seller, each.key], made, known) for each in drafts]


async def _lock_sellers(connection: Connection, sellers: set[str]) -> dict[str, date]:
    """Keep their months as they are until the transaction ends; the newest that is locked, of each that has one."""
    for seller in sorted(sellers):
        await SQL.lock_for_posting.execute(connection, seller=seller)
    rows = await SQL.locked_up_to.fetch(connection, sellers=sorted(sellers))
    return {row["seller"]: row["month"] for row in rows}


def booking_day(fact_on: date, locked: date | None) -> date:
    """The day of the fact, or the first that is open where its month is locked: `locked`, or one before."""
    if locked is None or month_of(fact_on) > locked:
        return fact_on
    return following(locked)


async def _known_before(connection: Connection, repeated: Sequence[NewEntry]) -> dict[tuple[str, str], KnownEntry]:
    """The first entries of facts that come again."""
    if not repeated:
        return {}
    known = await store.entries_by_key(connection, [each.key for each in repeated])
    for each in repeated:
        first = known[each.key]
        if first.body_hash != each.body_hash:
            found = await store.find_entry(connection, first.id)
            assert found is not None, "nobody deletes an entry"
            raise _says_otherwise(found[0].entry, each.draft, first.body_hash, each.body_hash)
    return known


def _says_otherwise(first: DraftEntry, other: DraftEntry, first_hash: bytes, other_hash: bytes) -> Refused:
    differing = differences(first, other)
    return Refused(
        f"entry {first.key} says otherwise: {', '.join(differing)} differ, hash {first_hash.hex()[:16]} before,"
        f" {other_hash.hex()[:16]} now",
        "a fact is entered once: take it back and enter another",
        details={
            "key": first.key,
            "hash_before": first_hash.hex(),
            "hash_now": other_hash.hex(),
            "differs": {name: {"before": was, "now": becomes} for name, (was, becomes) in differing.items()},
        },
    )


def _posted(new: NewEntry, made: dict[tuple[str, str], int], known: dict[tuple[str, str], KnownEntry]) -> PostedEntry:
    before = known.get(new.key)
    return PostedEntry(
        id=made[new.key] if before is None else before.id,
        seller=new.draft.seller,
        key=new.draft.key,
        booked_on=new.booked_on if before is None else before.booked_on,
        fact_on=new.draft.fact_on if before is None else before.fact_on,
        is_new=before is None,
    )


async def find_entry(connection: Connection, id_: int) -> tuple[BookedEntry, int | None]:
    """An entry, and the one that has taken it back.

    Raises:
        NotFound: there is none.
    """
    found = await store.find_entry(connection, id_)
    if found is None:
        raise NotFound(f"no entry {id_}", "list them with csms ledger postings")
    return found


async def reverse(connection: Connection, id_: int, *, reason: str, now: datetime, actor: str) -> PostedEntry:
    """Take an entry back by its exact negative, on the day that `now` is where the seller is.

    Raises:
        NotFound: there is none.
        AlreadyDone: it was taken back before.
    """
    booked, reversed_by = await find_entry(connection, id_)
    if reversed_by is not None:
        raise AlreadyDone(f"entry {id_} was taken back by entry {reversed_by}", "nothing to do")
    today = await sellers.today_at(connection, booked.entry.seller, now=now)
    [posted] = await post(connection, [reversal_of(booked.entry, id_, on=today, reason=reason)], now=now, actor=actor)
    return posted


async def reverse_by_hand(connection: Connection, id_: int, *, reason: str, now: datetime, actor: str) -> PostedEntry:
    """The same for an operator, who cannot take back what a document says.

    Raises:
        NotFound, AlreadyDone: see reverse().
        Refused: the fact is a document.
    """
    booked, _ = await find_entry(connection, id_)
    if booked.entry.fact in DOCUMENT_FACTS:
        raise Refused(f"entry {id_} is that of document {booked.entry.document}", "cancel it by a credit note")
    async with connection.transaction():
        posted = await reverse(connection, id_, reason=reason, now=now, actor=actor)
        said = {"seller": posted.seller, "by": posted.id, "booked_on": posted.booked_on.isoformat()}
        change = Change(noun="entry", subject=str(id_), action="reverse", after=said)
        await audit.record(connection, [change], now=now, actor=actor, reason=reason)
    return posted


async def the_seller(connection: Connection, named: str | None) -> str:
    """The seller that is meant: the one named, or the only one there is.

    Raises:
        NotFound: there is no such seller, or none at all.
        Refused: there are several.
    """
    sellers = [row["id"] for row in await SQL.sellers.fetch(connection)]
    if named is not None and named not in sellers:
        raise NotFound(f"no seller {named}", f"there are {', '.join(sellers) or 'none'}")
    if named is None and not sellers:
        raise NotFound("there is no seller yet", "make one: csms seller create")
    if named is None and len(sellers) > 1:
        raise Refused(f"there are {len(sellers)} sellers: {', '.join(sellers)}", "say which: --seller")
    return named or sellers[0]
