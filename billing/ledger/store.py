"""Accounts, entries and postings in the database: rows to values and back, always several at once. Decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeAlias

from billing.ledger.entry import AccountKind, BookedEntry, DraftEntry, LedgerAccount, Posting
from billing.sql import Connection, Queries

SQL: Final = Queries.load("billing.ledger")

AT_A_TIME: Final = 5_000
"""Entries that are read in one go."""

AccountKey: TypeAlias = tuple[str, LedgerAccount, str]
"""Seller, account, currency."""


async def account_ids(connection: Connection, keys: Collection[AccountKey]) -> dict[AccountKey, int]:
    """The ids of accounts; those that are not there yet are opened."""
    wanted = sorted(keys, key=lambda key: (key[0], key[1].kind, key[1].owner, key[2]))
    found = await _find_accounts(connection, wanted)
    missing = [key for key in wanted if key not in found]
    if missing:
        opened = await SQL.open_accounts.fetch(connection, **_account_columns(missing))
        found |= {
            (row["seller"], LedgerAccount(AccountKind(row["kind"]), row["owner"]), row["currency"]): row["id"]
            for row in opened
        }
    by_others = [key for key in missing if key not in found]
    if by_others:
        found |= await _find_accounts(connection, by_others)
    return found


async def _find_accounts(connection: Connection, keys: Sequence[AccountKey]) -> dict[AccountKey, int]:
    rows = await SQL.find_accounts.fetch(connection, **_account_columns(keys))
    return {keys[row["n"] - 1]: row["id"] for row in rows}


def _account_columns(keys: Sequence[AccountKey]) -> dict[str, list[str]]:
    return {
        "sellers": [seller for seller, _, _ in keys],
        "kinds": [account.kind.value for _, account, _ in keys],
        "owners": [account.owner for _, account, _ in keys],
        "currencies": [currency for _, _, currency in keys],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """A draft, its hash, and the day that it is booked on."""

    draft: DraftEntry
    body_hash: bytes
    booked_on: date

    @property
    def key(self) -> tuple[str, str]:
        return (self.draft.seller, self.draft.key)


async def insert_entries(
    connection: Connection, entries: Sequence[NewEntry], *, actor: str, at: datetime
) -> dict[tuple[str, str], int]:
    """The ids of those whose key was new, by seller and key."""
    rows = await SQL.insert_entries.fetch(
        connection,
        sellers=[each.draft.seller for each in entries],
        booked_ons=[each.booked_on for each in entries],
        fact_ons=[each.draft.fact_on for each in entries],
        facts=[each.draft.fact for each in entries],
        keys=[each.draft.key for each in entries],
        hashes=[each.body_hash for each in entries],
        postings=[len(each.draft.postings) for each in entries],
        documents=[each.draft.document for each in entries],
        texts=[each.draft.text for each in entries],
        reversed=[each.draft.reverses for each in entries],
        actor=actor,
        at=at,
    )
    return {(row["seller"], row["key"]): row["id"] for row in rows}


async def insert_postings(
    connection: Connection, made: Iterable[tuple[int, DraftEntry]], accounts: Mapping[AccountKey, int]
) -> None:
    """The postings of new entries, given with their ids."""
    rows = [
        (
            id_,
            n,
            draft.seller,
            len(draft.postings),
            accounts[draft.seller, posting.account, posting.currency],
            posting.currency,
            posting.amount_minor,
            posting.document,
            posting.due_on,
        )
        for id_, draft in made
        for n, posting in enumerate(draft.postings, start=1)
    ]
    if not rows:
        return
    names = ("entries", "ns", "sellers", "counts", "accounts", "currencies", "amounts", "documents", "due_ons")
    columns = zip(*rows, strict=True)
    await SQL.insert_postings.execute(
        connection, **{name: list(column) for name, column in zip(names, columns, strict=True)}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEntry:
    """An entry that was made before under some key."""

    id: int
    body_hash: bytes
    booked_on: date
    fact_on: date


async def entries_by_key(
    connection: Connection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], KnownEntry]:
    """Entries that there are, by seller and key."""
    rows = await SQL.entries_by_key.fetch(
        connection, sellers=[seller for seller, _ in keys], keys=[key for _, key in keys]
    )
    return {
        (row["seller"], row["key"]): KnownEntry(
            id=row["id"], body_hash=row["body_hash"], booked_on=row["booked_on"], fact_on=row["fact_on"]
        )
        for row in rows
    }


async def find_entry(connection: Connection, id_: int) -> tuple[BookedEntry, int | None] | None:
    """An entry, and the one that has taken it back."""
    row = await SQL.find_entry.fetchrow(connection, id=id_)
    if row is None:
        return None
    [booked] = await _with_postings(connection, row["seller"], [row], currency=None)
    return booked, row["reversed_by"]


async def entries_between(
    connection: Connection,
    seller: str,
    *,
    after: int,
    up_to: int,
    first: date,
    last: date,
    currency: str | None = None,
) -> AsyncIterator[BookedEntry]:
    """Entries with an id above `after` and up to `up_to`, booked from `first` to `last`, in the order of their ids.

    Postings in one currency only, if one is named.
    """
    while True:
        rows = await SQL.entries_between.fetch(
            connection, seller=seller, after=after, up_to=up_to, first=first, last=last, limit=AT_A_TIME
        )
        if not rows:
            return
        for booked in await _with_postings(connection, seller, rows, currency=currency):
            yield booked
        after = rows[-1]["id"]


async def _with_postings(
    connection: Connection, seller: str, rows: Sequence[Any], *, currency: str | None
) -> list[BookedEntry]:
    postings: dict[int, list[Posting]] = {row["id"]: [] for row in rows}
    accounts: dict[int, LedgerAccount] = {}
    for each in await SQL.postings_of.fetch(connection, entries=list(postings), currency=currency):
        account = accounts.get(each["account"])
        if account is None:
            account = accounts[each["account"]] = LedgerAccount(AccountKind(each["kind"]), each["owner"])
        postings[each["entry"]].append(
            Posting(account, each["amount_minor"], each["currency"], each["document"], each["due_on"])
        )
    return [
        BookedEntry(
            number=row["id"],
            booked_on=row["booked_on"],
            entry=DraftEntry(
                seller=seller,
                fact=row["fact"],
                key=row["key"],
                fact_on=row["fact_on"],
                postings=tuple(postings[row["id"]]),
                text=row["text"],
                document=row["document"],
                reverses=row["reverses"],
            ),
            actor=row["actor"],
            at=row["at"],
        )
        for row in rows
    ]


async def locked_up_to(connection: Connection, seller: str) -> date | None:
    """The newest month of a seller that is locked; all before are as well."""
    rows = await SQL.locked_up_to.fetch(connection, sellers=[seller])
    return rows[0]["month"] if rows else None
