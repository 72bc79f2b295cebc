"""What holds of the books whatever happens: properties against the real tables. Each example has a seller of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.ledger import service
from billing.ledger.balance import balances, sums_of
from billing.ledger.check import check
from billing.ledger.entry import AccountKind, DraftEntry, LedgerAccount, Posting, reversal_of
from billing.ledger.month import following, month_of
from billing.ledger.open_items import open_items
from csms.database.embedded import EmbeddedPostgres
from csms.database.pool import connect_once
from tests.billing.ledger.books import FOREVER, NOW
from tests.examples import tried

T = TypeVar("T")
Work = Callable[[Any, str], Awaitable[T]]
FIRST = date(2026, 1, 1)
DAYS = st.integers(0, 150).map(lambda days: FIRST + timedelta(days=days))
ACCOUNTS = [LedgerAccount(AccountKind.RECEIVABLE, f"C-{n}") for n in range(3)] + [
    LedgerAccount(AccountKind.REVENUE, "session:DE:S:19"),
    LedgerAccount(AccountKind.TAX_PAYABLE, "DE:S:19"),
    LedgerAccount(AccountKind.BANK),
]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """One database for all examples: nothing in it can be taken away again, but each has a seller."""

    async def administer(statement: str) -> None:
        connection = await asyncpg.connect(postgres.dsn_of("postgres"))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(administer(f"CREATE DATABASE ledger_examples TEMPLATE {migrated_template}"))
    yield postgres.dsn_of("ledger_examples")
    asyncio.run(administer("DROP DATABASE ledger_examples WITH (FORCE)"))


def in_books(dsn: str, work: Work[T]) -> T:
    """Work with the empty books of a new seller."""

    async def with_seller() -> T:
        seller = f"seller-{next(_numbers)}"
        async with connect_once(dsn) as connection:
            await connection.execute(
                'INSERT INTO seller (id, details) VALUES ($1, \'{"party": {"name": "Example", "address": null}}\')',
                seller,
            )
            return await work(connection, seller)

    return asyncio.run(with_seller())


@st.composite
def drafts(draw: st.DrawFn, number: int) -> DraftEntry:
    """Up to four amounts in one or two currencies, and what balances them."""
    postings: list[Posting] = []
    for currency in draw(st.sampled_from([["EUR"], ["CHF"], ["EUR", "JPY"]])):
        amounts = draw(st.lists(st.integers(-(10**12), 10**12).filter(bool), min_size=1, max_size=3))
        amounts += [-sum(amounts)] if sum(amounts) else []
        for amount in amounts:
            account = draw(st.sampled_from(ACCOUNTS))
            owed = account.kind is AccountKind.RECEIVABLE
            item = draw(st.sampled_from([None, "R-1", "R-2"])) if owed else None
            postings.append(Posting(account, amount, currency, item, draw(st.none() | DAYS) if item else None))
    return DraftEntry(
        seller="", fact="transfer", key=f"transfer:{number}", fact_on=draw(DAYS), postings=tuple(postings)
    )


@st.composite
def many_drafts(draw: st.DrawFn) -> list[DraftEntry]:
    return [draw(drafts(number)) for number in range(draw(st.integers(1, 8)))]


async def recomputed(connection: Any, seller: str, as_of: date) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Debits and credits of accounts from nothing but postings."""
    rows = await connection.fetch(
        """
        SELECT a.kind, a.owner, a.currency, sum(greatest(p.amount_minor, 0))::bigint AS debit,
               sum(greatest(-p.amount_minor, 0))::bigint AS credit
          FROM ledger_posting p JOIN ledger_account a ON a.id = p.account JOIN ledger_entry e ON e.id = p.entry
         WHERE e.seller = $1 AND e.booked_on <= $2 GROUP BY 1, 2, 3
        """,
        seller,
        as_of,
    )
    return {(row["kind"], row["owner"], row["currency"]): (row["debit"], row["credit"]) for row in rows}


async def projected(connection: Any, seller: str, as_of: date) -> dict[tuple[str, str, str], tuple[int, int]]:
    return {
        (each.account.kind.value, each.account.owner, each.currency): (each.debit_minor, each.credit_minor)
        for each in await balances(connection, seller, as_of=as_of)
    }


@dataclass
class Model:
    """The books as a list of what was posted when."""

    locked: date | None = None
    booked: dict[str, tuple[date, DraftEntry]] = field(default_factory=dict)

    def post(self, draft: DraftEntry) -> None:
        open_from = following(self.locked) if self.locked else date.min
        self.booked.setdefault(draft.key, (max(draft.fact_on, open_from), draft))

    def balances(self, as_of: date) -> dict[tuple[str, str, str], tuple[int, int]]:
        debits, credited = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
        for booked_on, draft in self.booked.values():
            for each in draft.postings if booked_on <= as_of else ():
                key = (each.account.kind.value, each.account.owner, each.currency)
                debits[key] += max(each.amount_minor, 0)
                credited[key] += max(-each.amount_minor, 0)
        return {key: (debits[key], credited[key]) for key in debits.keys() | credited.keys()}

    def open_items(self, as_of: date) -> dict[tuple[str, str | None, str], int]:
        found = Counter[tuple[str, str | None, str]]()
        for booked_on, draft in self.booked.values():
            for each in draft.postings:
                if booked_on <= as_of and each.account.kind is AccountKind.RECEIVABLE:
                    found[each.account.owner, each.document, each.currency] += each.amount_minor
        return {key: minor for key, minor in found.items() if minor}


STEPS = st.one_of(
    st.tuples(st.just("post"), st.integers(0, 7)),
    st.tuples(st.just("reverse"), st.integers(0, 7)),
    st.tuples(st.just("lock"), st.integers(0, 1)),
)


@given(made=many_drafts(), steps=st.lists(STEPS, max_size=16), as_of=DAYS)
@tried(40)
def test_the_books_are_what_was_posted_whatever_is_repeated_reversed_or_locked(
    dsn: str, made: list[DraftEntry], steps: list[tuple[str, int]], as_of: date
) -> None:
    async def work(connection: Any, seller: str) -> None:
        model, ids = Model(), dict[str, int]()
        for what, n in [("post", n) for n in range(len(made))] + steps:
            draft = replace(made[n % len(made)], seller=seller)
            if what == "post":
                [posted] = await service.post(connection, [draft], now=NOW, actor="ada")
                ids[draft.key] = posted.id
                model.post(draft)
                assert posted.booked_on == model.booked[draft.key][0]
            elif what == "reverse" and f"reversal:{ids[draft.key]}" not in model.booked:
                id_ = ids[draft.key]
                await service.reverse(connection, id_, reason="so", now=NOW, actor="ada")
                model.post(reversal_of(draft, id_, on=NOW.date(), reason="so"))
            elif what == "lock":
                month = following(model.locked) if model.locked else FIRST
                async with connection.transaction():
                    await service.SQL.insert_lock.execute(
                        connection, seller=seller, month=month, accepted=[], reason="so", actor="ada", at=NOW
                    )
                    await service.SQL.snapshot_month.execute(connection, seller=seller, month=month)
                model.locked = month
        for day in (as_of, FOREVER):
            assert await projected(connection, seller, day) == model.balances(day)
            assert await recomputed(connection, seller, day) == model.balances(day)
            items = await open_items(connection, seller, as_of=day)
            assert {(each.account.owner, each.document, each.currency): each.open_minor for each in items} == (
                model.open_items(day)
            )
        assert all(not each.difference_minor for each in sums_of(await balances(connection, seller, as_of=as_of)))
        assert await check(connection, seller) == []

    in_books(dsn, work)


@given(made=many_drafts(), seed=st.integers(0, 2**16))
@tried(20)
def test_the_order_of_independent_transactions_does_not_matter(dsn: str, made: list[DraftEntry], seed: int) -> None:
    turned = Random(seed).sample(made, len(made))

    async def work(connection: Any, seller: str) -> list[Any]:
        for draft in turned if seller.endswith("turned") else made:
            await service.post(connection, [replace(draft, seller=seller)], now=NOW, actor="ada")
        items = await open_items(connection, seller, as_of=FOREVER)
        return [await projected(connection, seller, FOREVER), items]

    async def in_turn(connection: Any, seller: str) -> list[Any]:
        await connection.execute(
            'INSERT INTO seller (id, details) VALUES ($1, \'{"party": {"name": "Example", "address": null}}\')',
            f"{seller}-turned",
        )
        return await work(connection, f"{seller}-turned")

    assert in_books(dsn, work) == in_books(dsn, in_turn)


@given(made=many_drafts(), locked=st.booleans())
@tried(20)
def test_reversing_everything_brings_every_account_to_zero(dsn: str, made: list[DraftEntry], locked: bool) -> None:
    async def work(connection: Any, seller: str) -> None:
        posted = await service.post(connection, [replace(each, seller=seller) for each in made], now=NOW, actor="ada")
        if locked:
            month = max(month_of(each.booked_on) for each in posted)
            async with connection.transaction():
                await service.SQL.insert_lock.execute(
                    connection, seller=seller, month=month, accepted=[], reason="so", actor="ada", at=NOW
                )
        for each in posted:
            await service.reverse(connection, each.id, reason="all", now=NOW, actor="ada")
        found = await recomputed(connection, seller, FOREVER)
        assert all(debit == credit for debit, credit in found.values())
        assert await open_items(connection, seller, as_of=FOREVER) == []

    in_books(dsn, work)
