"""A document with a wrong address is taken back and issued anew in one act: what it charges is charged once all the time."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from billing.accounts import service as accounts
from billing.accounts.account import AccountKind
from billing.errors import AlreadyDone, NotFound, Refused
from billing.invoices import service
from billing.invoices.document import Document, DocumentKind
from billing.invoices.reissuing import reissue
from billing.invoices.service import Corrected
from billing.ledger.balance import balances
from tests.billing.invoices.books import Books
from tests.billing.invoices.test_borne_parts import EMPLOYER, bears, claims, of, owed
from tests.billing.invoices.test_contracts_on_invoices import margin_of, rule, subscribed
from tests.billing.invoices.test_taking_back import JULY, ended, paid_for_a_year, waits

DAY = date(2026, 4, 9)


async def anew(books: Books, number: str = "R2026-000001", on: date = DAY) -> Corrected:
    async with books.pool.acquire() as connection:
        return await reissue(connection, number, issued_on=on, now=books.clock.now, actor="ada", reason="order number")


async def referred(books: Books, account: str, reference: str) -> None:
    async with books.pool.acquire() as connection:
        await accounts.change(
            connection, account,
            lambda before: replace(before, details=replace(before.details, order_reference=reference)),
            now=books.clock.now, actor="ada", reason="asked",
        )  # fmt: skip


async def credited(books: Books, number: str, wanted: dict[int, int] | None = None, *, on: date = DAY) -> None:
    async with books.pool.acquire() as connection:
        await service.credit_invoice(
            connection, number, wanted=wanted, issued_on=on, now=books.clock.now, actor="ada", reason="by hand"
        )


async def corrected(books: Books, session: int) -> Corrected:
    async with books.pool.acquire() as connection:
        return await service.correct_session(
            connection, session, issued_on=DAY, now=books.clock.now, actor="ada", reason="late facts"
        )


async def charged_twice(books: Books) -> list[int]:
    """Two sessions of 5.00 of a fleet on R2026-000001."""
    await books.customer("F-1", "TAG-1", kind=AccountKind.FLEET)
    sessions = [await books.charged("TAG-1", day=day) for day in (2, 3)]
    await books.run()
    return sessions


async def receivable(books: Books) -> int:
    async with books.pool.acquire() as connection:
        found = await balances(connection, "north", as_of=date(2026, 12, 31))
    return sum(each.minor for each in found if each.account.kind.value == "receivable")


def told(document: Document) -> Any:
    return (document.lines, document.tax_groups, document.days, document.tax_mode)


async def test_the_same_lines_go_out_again_with_what_was_missing_and_are_owed_once(books: Books) -> None:
    await charged_twice(books)
    before = await receivable(books)
    await referred(books, "F-1", "PO-77")
    done = await anew(books)
    again, _ = await books.run()

    assert done.credit_note is not None
    assert done.invoice is not None
    [first, *_] = await books.documents()
    new = done.invoice.document
    assert (first.order_reference, new.order_reference) == (None, "PO-77")
    assert told(new) == told(first)
    assert (new.number, new.issued_on, done.credit_note.document.gross_minor) == (
        "R2026-000002",
        DAY,
        first.gross_minor,
    )
    assert again == []
    assert await receivable(books) == before == first.gross_minor
    assert await books.problems() == []
    [entry] = await books.pool.fetch("SELECT subject, after::text FROM audit_entry WHERE action = 'reissue'")
    assert entry["subject"] == "R2026-000001"
    assert "R2026-000002" in entry["after"]


async def test_what_was_credited_as_a_whole_by_hand_is_only_issued_anew(books: Books) -> None:
    await charged_twice(books)
    await credited(books, "R2026-000001")
    done = await anew(books)

    assert done.credit_note is None
    assert [each.kind for each in await books.documents()].count(DocumentKind.CREDIT_NOTE) == 1
    assert await receivable(books) == 1000


async def test_it_is_issued_anew_once_and_its_successor_again(books: Books) -> None:
    await charged_twice(books)
    await anew(books)
    with pytest.raises(AlreadyDone, match=r"R2026-000001 was issued anew as R2026-000002"):
        await anew(books)
    third = await anew(books, "R2026-000002")

    assert third.invoice is not None
    assert third.invoice.document.number == "R2026-000003"
    assert await receivable(books) == 1000
    assert await books.problems() == []


async def test_what_cannot_be_issued_anew_says_why_and_stays(books: Books) -> None:
    await charged_twice(books)
    await credited(books, "R2026-000001", {1: 100})
    with pytest.raises(Refused, match=r"a part of R2026-000001 was credited") as refused:
        await anew(books)
    with pytest.raises(Refused, match=r"C2026-000001 is a credit note"):
        await anew(books, "C2026-000001")
    with pytest.raises(NotFound, match=r"no document R2026-000009"):
        await anew(books, "R2026-000009")

    assert "csms credit create R2026-000001" in str(refused.value.next_step)
    assert len(await books.documents()) == 2


async def test_of_a_session_that_was_billed_anew_the_bill_is_corrected_first(books: Books) -> None:
    [session, _] = await charged_twice(books)
    await books.rerated(session, kwh=12)
    with pytest.raises(Refused, match=r"bill 2 counts by now, not bill 1"):
        await anew(books)

    assert len(await books.documents()) == 1
    assert await receivable(books) == 1000


async def test_a_correction_takes_back_from_the_document_that_stands(books: Books) -> None:
    [session, _] = await charged_twice(books)
    await anew(books)
    await books.rerated(session, kwh=12)
    done = await corrected(books, session)
    last = await anew(books, done.invoice.document.number if done.invoice else "")

    assert done.credit_note is not None
    assert done.credit_note.document.corrects is not None
    assert done.credit_note.document.corrects.number == "R2026-000002"
    assert last.invoice is not None
    assert last.invoice.document.gross_minor == 600
    assert await receivable(books) == 500 + 600
    assert await books.problems() == []


async def test_corrections_and_issuing_anew_at_once_charge_a_session_once(books: Books) -> None:
    sessions = await charged_twice(books)
    for session in sessions:
        await books.rerated(session, kwh=12)

    async def tries(act: Any) -> None:
        with contextlib.suppress(AlreadyDone, Refused):
            await act

    await asyncio.gather(*(tries(anew(books)) for _ in range(3)), *(tries(corrected(books, each)) for each in sessions))
    for session in sessions:
        await tries(corrected(books, session))

    assert await receivable(books) == 2 * 600
    assert await books.problems() == []


async def test_two_at_once_issue_it_anew_once(books: Books) -> None:
    await charged_twice(books)
    done = await asyncio.gather(*(anew(books) for _ in range(4)), return_exceptions=True)

    assert sorted(type(each).__name__ for each in done) == ["AlreadyDone", "AlreadyDone", "AlreadyDone", "Corrected"]
    assert await receivable(books) == 1000


async def test_the_rest_of_a_fee_is_taken_back_from_the_document_that_stands(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    await anew(books, on=JULY)
    await ended(books, subscription, date(2026, 7, 1))
    await books.run(until=JULY, issued_on=JULY)

    [back] = [
        each
        for each in await books.documents()
        if each.kind is DocumentKind.CREDIT_NOTE and each.corrects and each.corrects.number == "R2026-000002"
    ]
    assert back.gross_minor == 14398
    assert await receivable(books) == 28560 - 14398
    assert await waits(books) == 0


async def test_what_was_taken_back_of_a_fee_is_taken_back_of_the_new_document_too(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    await ended(books, subscription, date(2026, 7, 1))
    await books.run(until=JULY, issued_on=JULY)
    before, earned = await owed(books), await margin_of(books)
    done = await anew(books, on=JULY)
    last = await anew(books, "R2026-000002", on=JULY)
    again, _ = await books.run(until=JULY, issued_on=JULY)

    assert before == {"receivable:C-1": 28560 - 14398}
    assert [each and each.document.gross_minor for each in (done.credit_note, done.invoice, done.no_longer_owed)] == [
        28560 - 14398,
        28560,
        14398,
    ]
    assert done.no_longer_owed is not None
    assert done.no_longer_owed.document.corrects is not None
    assert done.no_longer_owed.document.corrects.number == "R2026-000002"
    assert done.no_longer_owed.document.reason == "No longer owed: Home 2026-07-01 - 2026-12-31"
    assert last.no_longer_owed is not None
    assert last.no_longer_owed.document.gross_minor == 14398
    assert (await owed(books), await margin_of(books)) == (before, earned)
    assert again == []
    assert await books.problems() == []


async def test_of_a_fee_that_was_credited_by_hand_and_ended_then_only_what_is_owed_is_charged_again(
    books: Books,
) -> None:
    subscription = await paid_for_a_year(books)
    await credited(books, "R2026-000001")
    await ended(books, subscription, date(2026, 7, 1))
    await books.run(until=JULY, issued_on=JULY)
    nothing = await owed(books)
    done = await anew(books, on=JULY)

    assert nothing == {}
    assert done.credit_note is None
    assert await owed(books) == {"receivable:C-1": 28560 - 14398}


async def test_a_fee_that_ended_after_a_part_of_it_was_given_is_credited_by_hand_first(books: Books) -> None:
    subscription = await paid_for_a_year(books)
    await credited(books, "R2026-000001", {1: 100})
    await ended(books, subscription, date(2026, 7, 1))
    await books.run(until=JULY, issued_on=JULY)
    with pytest.raises(Refused, match=r"a part of R2026-000001 was credited by hand"):
        await anew(books, on=JULY)


async def test_what_a_party_bears_no_longer_it_is_not_asked_for_again(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    await books.charged("TAG-1")
    await books.run()
    [asks] = of(await books.documents(), "E-1")
    await credited(books, "R2026-000001", {1: 250})
    await books.run(until=date(2026, 4, 30), issued_on=date(2026, 5, 1))
    half = await owed(books)
    first = await anew(books, asks.number, on=date(2026, 5, 1))
    after = await owed(books)
    await credited(books, "R2026-000001", on=date(2026, 5, 1))
    await books.run(until=date(2026, 4, 30), issued_on=date(2026, 5, 1))
    none = await owed(books)
    with pytest.raises(Refused, match=r"nothing of R2026-000003 is owed any more"):
        await anew(books, "R2026-000003", on=date(2026, 5, 1))

    assert first.invoice is not None
    assert first.invoice.document.number == "R2026-000003"
    assert half == after == {"receivable:C-1": 200, "receivable:E-1": 50}
    assert (none, await claims(books)) == ({}, {})
    assert await books.problems() == []


async def test_a_contract_earns_what_it_earned(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await rule(books)
    await subscribed(books, "C-1")
    await books.run()
    before = await margin_of(books)
    await anew(books)

    assert await margin_of(books) == before


async def test_what_a_third_party_bears_and_the_document_that_asks_it_are_issued_anew_too(books: Books) -> None:
    await bears(books, EMPLOYER, "1.00")
    await books.customer("C-1", "TAG-1")
    await books.customer("E-1", kind=AccountKind.EMPLOYER)
    await books.charged("TAG-1")
    await books.run()
    [asks] = of(await books.documents(), "E-1")
    await anew(books, asks.number)
    after_theirs = await owed(books)
    await anew(books, "R2026-000001")
    await books.run(until=date(2026, 4, 30), issued_on=date(2026, 5, 1))

    assert after_theirs == {"receivable:C-1": 400, "receivable:E-1": 100}
    assert await owed(books) == {"receivable:C-1": 400, "receivable:E-1": 100}
    assert await claims(books) == {}
    assert await books.pool.fetchval("SELECT count(*) FROM borne_due") == 0
    assert await books.problems() == []


async def test_a_receipt_is_issued_anew_with_what_the_seller_has_changed(books: Books) -> None:
    await books.charged("TAG-9")
    await books.run()
    [receipt] = await books.documents()
    done = await anew(books, receipt.number)

    assert done.invoice is not None
    assert done.invoice.document.buyer is None
    assert told(done.invoice.document) == told(receipt)
    assert await receivable(books) == 500
