"""Entering facts into the books: once each, in months that are open, and never changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date

import asyncpg
import pytest

from billing.errors import AlreadyDone, NotFound, Refused
from billing.ledger import service
from billing.ledger.entry import DraftEntry, Posting
from tests.billing.ledger.books import (
    APRIL,
    BANK,
    DAY,
    MARCH,
    NOW,
    OTHER,
    REVENUE,
    SELLER,
    TAX,
    Books,
    customer,
    paid,
    sale,
    transfer,
)

NEXT_DAY = date(2026, 4, 3)


async def test_a_fact_is_posted_on_its_accounts_which_are_opened_on_first_use(books: Books) -> None:
    [posted] = await books.post(sale())

    assert (posted.booked_on, posted.fact_on, posted.is_new) == (DAY, DAY, True)
    assert await books.balances() == {
        "receivable:C-1 EUR": 1190,
        "revenue:session:DE:S:19 EUR": -1000,
        "tax_payable:DE:S:19 EUR": -190,
    }
    assert await books.balances(OTHER) == {}


async def test_many_facts_come_back_in_the_order_in_which_they_were_given(books: Books) -> None:
    numbers = [f"R-{n}" for n in (3, 1, 2)]
    posted = await books.post(*(sale(number) for number in numbers), replace(sale("R-1"), seller=OTHER))

    assert [(each.seller, each.key) for each in posted] == [
        (SELLER, "document:R-3"), (SELLER, "document:R-1"), (SELLER, "document:R-2"), (OTHER, "document:R-1"),
    ]  # fmt: skip
    assert len({each.id for each in posted}) == 4


async def test_the_same_fact_again_gives_the_first_entry_and_changes_nothing(books: Books) -> None:
    first = await books.post(sale("R-1"), sale("R-2"))
    turned = replace(sale("R-1"), postings=tuple(reversed(sale("R-1").postings)))
    again = await books.post(sale("R-2"), turned, sale("R-3"), sale("R-3"))

    assert [(each.id, each.is_new) for each in again[:2]] == [(first[1].id, False), (first[0].id, False)]
    assert again[2] == again[3]
    assert (await books.balances())["receivable:C-1 EUR"] == 3 * 1190


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        (sale(net=900, tax=290), "postings"),
        (sale(text="R-1, corrected"), "text"),
        (sale(fact_on=date(2026, 3, 6)), "fact_on"),
        (sale(due_on=None), "postings"),
        (sale(fact="receipt_issued"), "fact"),
    ],
)
async def test_the_same_key_with_another_body_is_refused_and_told_what_differs(
    books: Books, other: DraftEntry, differing: str
) -> None:
    [first] = await books.post(sale())

    with pytest.raises(Refused, match=rf"entry document:R-1 says otherwise: {differing} differ") as refused:
        await books.post(other, sale("R-2"))
    assert refused.value.details["hash_before"] == sale().body_hash.hex()
    assert refused.value.details["hash_now"] == other.body_hash.hex()
    assert list(refused.value.details["differs"]) == [differing]
    assert [each.id for each in await books.post(sale())] == [first.id]
    assert (await books.balances())["receivable:C-1 EUR"] == 1190


async def test_two_bodies_of_one_key_in_one_batch_are_refused(books: Books) -> None:
    with pytest.raises(Refused, match=r"entry document:R-1 says otherwise"):
        await books.post(sale(), sale(net=900, tax=290))
    assert await books.balances() == {}


async def test_of_two_who_post_the_same_key_at_once_both_get_the_one_entry(books: Books) -> None:
    batches = [[sale(f"R-{n}") for n in order] for order in (range(40), reversed(range(40)), range(20, 60))]
    found = await asyncio.gather(*(books.post(*batch) for batch in batches))

    ids: dict[str, set[int]] = {}
    for each in (posted for posting in found for posted in posting):
        ids.setdefault(each.key, set()).add(each.id)
    assert {len(each) for each in ids.values()} == {1}
    assert sum(each.is_new for posting in found for each in posting) == 60
    assert (await books.balances())["receivable:C-1 EUR"] == 60 * 1190


async def test_whoever_comes_second_with_another_body_waits_for_the_first_and_is_refused(books: Books) -> None:
    async with books.pool.acquire() as first:
        begun = first.transaction()
        await begun.start()
        await service.post(first, [sale()], now=NOW, actor="ada")
        second = asyncio.create_task(books.post(sale(net=900, tax=290)))
        await asyncio.sleep(0.1)
        assert not second.done()
        await begun.commit()

    with pytest.raises(Refused, match=r"says otherwise"):
        await second


async def test_a_late_fact_goes_to_the_first_open_month_with_its_own_date(books: Books) -> None:
    await books.post(sale("R-1"))
    await books.lock(MARCH)
    late, own, older = await books.post(
        sale("R-2"), sale("R-3", fact_on=NEXT_DAY), sale("R-4", fact_on=date(2025, 7, 1))
    )

    assert (late.booked_on, late.fact_on) == (APRIL, DAY)
    assert (own.booked_on, own.fact_on) == (NEXT_DAY, NEXT_DAY)
    assert (older.booked_on, older.fact_on) == (APRIL, date(2025, 7, 1))
    assert (await books.balances(as_of=date(2026, 3, 31)))["receivable:C-1 EUR"] == 1190
    assert (await books.balances())["receivable:C-1 EUR"] == 4 * 1190


async def test_a_fact_that_stood_in_a_month_before_it_was_locked_stays_there(books: Books) -> None:
    await books.post(sale())
    await books.lock(MARCH)
    [again] = await books.post(sale())

    assert (again.booked_on, again.is_new) == (DAY, False)


async def test_another_seller_s_months_stay_open(books: Books) -> None:
    await books.lock(MARCH)
    [posted] = await books.post(replace(sale(), seller=OTHER))

    assert posted.booked_on == DAY


async def test_who_locks_a_month_waits_for_who_is_posting_into_it(books: Books) -> None:
    async with books.pool.acquire() as poster:
        begun = poster.transaction()
        await begun.start()
        [posted] = await service.post(poster, [sale()], now=NOW, actor="ada")
        locking = asyncio.create_task(books.lock(MARCH))
        await asyncio.sleep(0.1)
        assert (posted.booked_on, locking.done()) == (DAY, False)
        await begun.commit()
        await locking

    kept = await books.pool.fetchval("SELECT sum(debit_minor) FROM ledger_balance")
    assert kept == 1190


async def test_who_posts_waits_for_who_is_locking_and_then_goes_to_the_next_month(books: Books) -> None:
    async with books.pool.acquire() as closer:
        begun = closer.transaction()
        await begun.start()
        await service.SQL.insert_lock.execute(
            closer, seller=SELLER, month=MARCH, accepted=[], reason="done", actor="ada", at=NOW
        )
        posting = asyncio.create_task(books.post(sale()))
        await asyncio.sleep(0.1)
        assert not posting.done()
        await begun.commit()

    [posted] = await posting
    assert posted.booked_on == APRIL


async def test_the_tables_themselves_keep_entries_out_of_a_locked_month(books: Books) -> None:
    await books.lock(MARCH)

    with pytest.raises(asyncpg.CheckViolationError, match=r"entry x is of 2026-02, which is locked"):
        await books.pool.execute(ENTRY, date(2026, 2, 27), 0)
    with pytest.raises(asyncpg.CheckViolationError, match=r"is of 2026-03, which is locked"):
        await books.pool.execute(ENTRY, DAY, 0)
    await books.pool.execute(ENTRY, APRIL, 0)


async def test_the_tables_wait_for_a_lock_even_if_nobody_else_does(books: Books) -> None:
    async with books.pool.acquire() as closer:
        begun = closer.transaction()
        await begun.start()
        await service.SQL.insert_lock.execute(
            closer, seller=SELLER, month=MARCH, accepted=[], reason="done", actor="ada", at=NOW
        )
        posting = asyncio.create_task(books.pool.execute(ENTRY, DAY, 0))
        await asyncio.sleep(0.1)
        assert not posting.done()
        await begun.commit()

    with pytest.raises(asyncpg.CheckViolationError, match=r"which is locked"):
        await posting


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_transaction_that_cannot_see_a_lock_may_not_post(books: Books, isolation: str) -> None:
    async with books.pool.acquire() as connection, connection.transaction(isolation=isolation):
        with pytest.raises(asyncpg.FeatureNotSupportedError, match=r"read committed"):
            await service.post(connection, [sale()], now=NOW, actor="ada")


ENTRY = """
INSERT INTO ledger_entry (seller, booked_on, fact_on, fact, key, body_hash, postings, actor, at)
VALUES ('acme', $1, $1, 'transfer', 'x', sha256('x'), $2, 'ada', now()) RETURNING id
"""
POSTING = """
INSERT INTO ledger_posting (entry, n, seller, postings, account, currency, amount_minor)
SELECT $1, $2, 'acme', $3, id, currency, $4 FROM ledger_account WHERE seller = 'acme' AND kind = $5
"""


@pytest.mark.parametrize(
    ("amounts", "said"),
    [
        ([("bank", 5), ("revenue", -4)], r"does not sum to zero"),
        ([("bank", 5)], r"has 1 postings of 2"),
        ([], r"has 0 postings of 2"),
        ([("bank", 5), ("franc", -5)], r"does not sum to zero"),
    ],
)
async def test_the_tables_themselves_refuse_an_entry_that_is_not_whole(
    books: Books, amounts: list[tuple[str, int]], said: str
) -> None:
    await books.post(paid(), sale(), transfer("f", [(BANK, 1, "CHF"), (REVENUE, -1, "CHF")]))
    accounts = {"bank": ("bank", "EUR"), "revenue": ("revenue", "EUR"), "franc": ("revenue", "CHF")}

    async def enter() -> None:
        async with books.pool.acquire() as connection, connection.transaction():
            entry = await connection.fetchval(ENTRY, APRIL, 2)
            for n, (name, amount) in enumerate(amounts, start=1):
                await connection.execute(f"{POSTING} AND currency = $6", entry, n, 2, amount, *accounts[name])

    with pytest.raises(asyncpg.CheckViolationError, match=said):
        await enter()


async def test_nothing_can_be_added_to_an_entry_later(books: Books) -> None:
    [posted] = await books.post(paid())

    for n in (1, 2):
        with pytest.raises(asyncpg.UniqueViolationError):
            await books.pool.execute(POSTING, posted.id, n, 2, 5, "bank")
    for n in (0, 3):
        with pytest.raises(asyncpg.CheckViolationError):
            await books.pool.execute(POSTING, posted.id, n, 2, 5, "bank")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await books.pool.execute(POSTING, posted.id, 3, 4, 5, "bank")


@pytest.mark.parametrize("table", ["ledger_account", "ledger_entry", "ledger_posting", "ledger_lock", "ledger_balance"])
async def test_nothing_is_changed_or_taken_away(books: Books, table: str) -> None:
    for change in (f"DELETE FROM {table}", f"UPDATE {table} SET seller = seller", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await books.pool.execute(
                change.replace("seller = seller", "account = account") if table == "ledger_balance" else change
            )


async def test_an_account_of_another_seller_or_currency_takes_no_posting(books: Books) -> None:
    await books.post(replace(sale(), seller=OTHER))

    async def enter() -> None:
        async with books.pool.acquire() as connection, connection.transaction():
            entry = await connection.fetchval(ENTRY, APRIL, 2)
            await connection.execute(POSTING.replace("seller = 'acme'", "seller = 'bolt'"), entry, 1, 2, 5, "revenue")

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await enter()


async def test_a_fact_that_moves_no_money_has_an_entry_without_postings(books: Books) -> None:
    [posted] = await books.post(sale(net=0, tax=0))

    assert posted.is_new
    assert await books.balances() == {}


async def test_an_entry_is_taken_back_once_by_its_exact_negative(books: Books) -> None:
    [posted] = await books.post(sale())
    taken_back = await books.reverse(posted.id, "entered twice")

    assert (taken_back.key, taken_back.booked_on) == (f"reversal:{posted.id}", NOW.date())
    assert await books.balances() == {}
    async with books.pool.acquire() as connection:
        booked, reversed_by = await service.find_entry(connection, posted.id)
        reversal, _ = await service.find_entry(connection, taken_back.id)
    assert (reversed_by, reversal.entry.reverses, reversal.entry.text) == (taken_back.id, posted.id, "entered twice")
    assert reversal.entry.postings == tuple(-each for each in booked.entry.postings)
    with pytest.raises(AlreadyDone, match=rf"entry {posted.id} was taken back by entry {taken_back.id}"):
        await books.reverse(posted.id)
    with pytest.raises(NotFound, match=r"no entry 4711"):
        await books.reverse(4711)


async def test_a_reversal_can_be_taken_back_in_its_turn(books: Books) -> None:
    [posted] = await books.post(sale())
    first = await books.reverse(posted.id)
    await books.reverse(first.id)

    assert (await books.balances())["receivable:C-1 EUR"] == 1190


async def test_the_tables_themselves_refuse_a_reversal_that_is_not_exact(books: Books) -> None:
    [posted] = await books.post(sale())
    wrong = DraftEntry(
        seller=SELLER, fact="reversal", key=f"reversal:{posted.id}", fact_on=APRIL, reverses=posted.id,
        postings=(Posting(customer(), -1190, "EUR", "R-1"), Posting(TAX, 1190, "EUR")),
    )  # fmt: skip

    with pytest.raises(asyncpg.CheckViolationError, match=r"is not the exact negative of entry"):
        await books.post(wrong)


async def test_a_document_is_not_taken_back_by_hand(books: Books) -> None:
    made, money = await books.post(sale(), paid())
    async with books.pool.acquire() as connection:
        with pytest.raises(Refused, match=r"is that of document R-1"):
            await service.reverse_by_hand(connection, made.id, reason="no", now=NOW, actor="ada")
        await service.reverse_by_hand(connection, money.id, reason="no", now=NOW, actor="ada")

    assert "bank EUR" not in await books.balances()


def test_a_draft_that_does_not_add_up_is_a_bug() -> None:
    with pytest.raises(AssertionError, match=r"does not sum to zero"):
        transfer("x", [(BANK, 5, "EUR"), (REVENUE, -4, "EUR")])
    with pytest.raises(AssertionError, match=r"does not sum to zero"):
        transfer("x", [(BANK, 5, "EUR"), (REVENUE, -5, "CHF")])
    with pytest.raises(AssertionError, match=r"posting of nothing"):
        transfer("x", [(BANK, 0, "EUR")])


async def test_the_seller_is_named_unless_there_is_only_one(books: Books) -> None:
    async with books.pool.acquire() as connection:
        with pytest.raises(Refused, match=r"there are 2 sellers: acme, bolt"):
            await service.the_seller(connection, None)
        with pytest.raises(NotFound, match=r"no seller nobody"):
            await service.the_seller(connection, "nobody")
        assert await service.the_seller(connection, OTHER) == OTHER


async def test_the_only_seller_need_not_be_named(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(NotFound, match=r"there is no seller yet"):
            await service.the_seller(connection, None)
        await connection.execute(
            'INSERT INTO seller (id, details) VALUES (\'acme\', \'{"party": {"name": "Example", "address": null}}\')'
        )
        assert await service.the_seller(connection, None) == SELLER
