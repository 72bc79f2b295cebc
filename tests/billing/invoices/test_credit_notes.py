"""Credit notes, corrections and drafts, as an operator makes them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, datetime

import pytest

from billing.accounts import service as accounts
from billing.accounts.account import AccountKind
from billing.errors import AlreadyDone, NotFound, Refused
from billing.invoices import drafts, service
from billing.invoices.document import DocumentForm, DocumentKind, GroupBy, Reference
from billing.invoices.service import Corrected
from billing.invoices.store import Issued
from tests.billing.invoices.books import APRIL_1, MARCH, Books

APRIL_9 = date(2026, 4, 9)


class Clerk:
    """Does what an operator does, one connection each."""

    def __init__(self, books: Books) -> None:
        self.books = books

    @property
    def now(self) -> datetime:
        return self.books.clock.now

    async def credits(self, number: str, wanted: dict[int, int] | None = None, *, on: date = APRIL_9) -> Issued:
        async with self.books.pool.acquire() as connection:
            return await service.credit_invoice(
                connection, number, wanted=wanted, issued_on=on, now=self.now, actor="ada", reason="complaint"
            )

    async def corrects(self, session: int) -> Corrected:
        async with self.books.pool.acquire() as connection:
            return await service.correct_session(
                connection, session, issued_on=APRIL_9, now=self.now, actor="ada", reason="late facts"
            )

    async def drafts(self, account: str) -> drafts.Draft:
        async with self.books.pool.acquire() as connection:
            [draft] = await drafts.create(
                connection, account, currency=None, until=MARCH, issued_on=APRIL_1, now=self.now, actor="ada",
                reason="to look at",
            )  # fmt: skip
        return draft

    async def issues(self, draft: int) -> Issued:
        async with self.books.pool.acquire() as connection:
            return await drafts.issue_draft(
                connection, draft, issued_on=APRIL_1, now=self.now, actor="ada", reason="looked at"
            )

    async def voids(self, draft: int) -> None:
        async with self.books.pool.acquire() as connection:
            await drafts.void(connection, draft, now=self.now, actor="ada", reason="wrong")


@pytest.fixture
def clerk(books: Books) -> Clerk:
    return Clerk(books)


async def test_a_whole_credit_is_the_invoice_taken_back_under_a_number_of_its_own(books: Books, clerk: Clerk) -> None:
    await books.customer("C-1", "TAG-1")
    for day in (2, 3):
        await books.charged("TAG-1", kwh="1.7", day=day)
    await books.run()
    note = (await clerk.credits("R2026-000001")).document
    [invoice, _] = await books.documents()

    assert (note.kind, note.form, note.number) == (DocumentKind.CREDIT_NOTE, DocumentForm.FULL, "C2026-000001")
    assert note.corrects == Reference(number="R2026-000001", issued_on=APRIL_1)
    assert (note.net_minor, note.tax_minor, note.gross_minor) == (invoice.net_minor, invoice.tax_minor, 170)
    assert (note.reason, note.due_on, note.buyer) == ("complaint", None, invoice.buyer)
    with pytest.raises(AlreadyDone, match=r"all of R2026-000001 is credited"):
        await clerk.credits("R2026-000001")
    with pytest.raises(Refused, match=r"C2026-000001 is a credit note itself"):
        await clerk.credits("C2026-000001")
    assert (await books.run())[1].documents == 0, "what was credited is not invoiced again by itself"
    assert await books.problems() == []


async def test_parts_of_lines_are_credited_until_nothing_is_left(books: Books, clerk: Clerk) -> None:
    await books.customer("C-1", "TAG-1")
    for day in (2, 3):
        await books.charged("TAG-1", day=day)
    await books.run()
    first = (await clerk.credits("R2026-000001", {1: 300})).document
    with pytest.raises(Refused, match=r"of line 1 of R2026-000001 remain 2.00 EUR, not 2.01 EUR"):
        await clerk.credits("R2026-000001", {1: 201})
    with pytest.raises(Refused, match=r"has no line 3"):
        await clerk.credits("R2026-000001", {3: 1})
    rest = (await clerk.credits("R2026-000001")).document
    [invoice, *notes] = await books.documents()

    assert [(line.source, line.gross_minor) for line in first.lines] == [("credit:R2026-000001:1", 300)]
    assert [line.gross_minor for line in rest.lines] == [200, 500]
    assert sum(note.net_minor for note in notes) == invoice.net_minor
    assert sum(note.tax_minor for note in notes) == invoice.tax_minor


async def test_many_who_credit_the_same_invoice_take_back_no_more_than_there_is(books: Books, clerk: Clerk) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run()
    said = await asyncio.gather(*(clerk.credits("R2026-000001", {1: 150}) for _ in range(6)), return_exceptions=True)

    assert sum(isinstance(each, Issued) for each in said) == 3
    assert sum(isinstance(each, Refused) for each in said) == 3
    assert sum(document.gross_minor for document in (await books.documents())[1:]) == 450


async def test_a_correction_credits_the_session_and_invoices_what_counts_now_in_one_act(
    books: Books, clerk: Clerk
) -> None:
    await books.customer("C-1", "TAG-1", labels={GroupBy.COST_CENTRE: "4711"})
    session, _ = await books.charged("TAG-1"), await books.charged("TAG-1", day=3)
    with pytest.raises(NotFound, match=rf"session {session} is on no document"):
        await clerk.corrects(session)
    await books.run()
    with pytest.raises(AlreadyDone, match=r"on R2026-000001 by the bill that counts"):
        await clerk.corrects(session)
    await books.rerated(session, kwh=12)
    assert (await books.run())[1].documents == 0, "a correction bill is invoiced only with the credit of the one before"
    done = await clerk.corrects(session)

    assert done.credit_note is not None
    assert done.invoice is not None
    assert [(line.source, line.gross_minor) for line in done.credit_note.document.lines] == [
        ("credit:R2026-000001:1", 500)
    ]
    assert [(line.source.split(":")[:2], line.gross_minor) for line in done.invoice.document.lines] == [
        (["bill", str(session)], 600)
    ]
    assert done.invoice.document.number == "R2026-000002"
    await books.rerated(session, kwh=11)
    again = await clerk.corrects(session)
    assert again.credit_note is not None
    assert again.credit_note.document.corrects == Reference(number="R2026-000002", issued_on=APRIL_9)
    assert again.invoice is not None
    for each in (done.invoice, again.invoice):
        assert [line.labels for line in each.document.lines] == [{"cost_centre": "4711", "site": "depot"}]
    assert await books.problems() == []


async def test_a_correction_to_nothing_only_credits(books: Books, clerk: Clerk) -> None:
    session = await books.charged("TAG-9")
    await books.run()
    await books.rerated(session, kwh=0)
    done = await clerk.corrects(session)

    assert done.credit_note is not None
    assert (done.credit_note.document.number, done.credit_note.document.gross_minor, done.invoice) == (
        "BC2026-000001",
        500,
        None,
    )


async def test_a_draft_is_looked_at_and_issued_as_it_was_and_keeps_the_run_away(books: Books, clerk: Clerk) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    draft = await clerk.drafts("C-1")
    with pytest.raises(AlreadyDone, match=rf"draft {draft.id} of account C-1 is open"):
        await clerk.drafts("C-1")
    await books.charged("TAG-1", day=3)
    made, tally = await books.run()
    issued = await clerk.issues(draft.id)

    assert (draft.document.number, draft.document.gross_minor) == ("", 500)
    assert (tally.documents, made[0].left_out) == (0, "account C-1 has an open draft")
    assert (issued.document.number, issued.document.lines) == ("R2026-000001", draft.document.lines)
    with pytest.raises(AlreadyDone, match=r"is issued"):
        await clerk.issues(draft.id)
    assert (await books.run())[1].documents == 1


async def test_a_draft_that_would_no_longer_be_what_it_was_is_not_issued(books: Books, clerk: Clerk) -> None:
    account = await books.customer("C-1", "TAG-1")
    session = await books.charged("TAG-1")
    draft = await clerk.drafts("C-1")
    async with books.pool.acquire() as connection:
        await accounts.change(
            connection,
            account.id,
            lambda known: replace(known, language="fr"),
            now=clerk.now,
            actor="ada",
            reason="asked",
        )
    with pytest.raises(Refused, match=r"would no longer be what it was"):
        await clerk.issues(draft.id)
    await books.rerated(session, kwh=12)
    with pytest.raises(Refused, match=rf"is for bill:{session}:1, which is invoiced elsewhere, held, or billed anew"):
        await clerk.issues(draft.id)
    await clerk.voids(draft.id)

    assert (await books.run())[1].gross_minor == {"EUR": 600}
    with pytest.raises(AlreadyDone, match=r"is void"):
        await clerk.voids(draft.id)


async def test_nobody_is_forgotten_who_has_still_to_pay(books: Books, clerk: Clerk) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")

    async def forget() -> None:
        async with books.pool.acquire() as connection:
            await accounts.pseudonymise(connection, "C-1", now=clerk.now, actor="ada", reason="asked")

    async with books.pool.acquire() as connection:
        await accounts.take_token(
            connection, "C-1", "TAG-1", valid_from=clerk.now, now=clerk.now, actor="ada", reason="asked"
        )
    with pytest.raises(Refused, match=r"1 sessions of account C-1 are on no document"):
        await forget()
    await books.run()
    await forget()

    [document] = await books.documents()
    assert document.buyer is not None
    assert document.buyer.name == "Example C-1", "what was issued keeps what the law has it keep"
    assert await books.problems() == []


async def test_nothing_to_pay_is_no_draft_and_neither_is_what_somebody_else_pays(books: Books, clerk: Clerk) -> None:
    await books.customer("F-1", kind=AccountKind.FLEET)
    await books.customer("C-1", "TAG-1", payer="F-1")
    with pytest.raises(NotFound, match=r"account F-1 has nothing to pay up to 2026-03-31"):
        await clerk.drafts("F-1")
    with pytest.raises(Refused, match=r"F-1 pays for account C-1"):
        await clerk.drafts("C-1")


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("{n}", ["1", "2"]),
        ("N/{year}/{n:3}", ["N/2026/001", "N/2026/002"]),
        ("NORTH-{n:4}", ["NORTH-0001", "NORTH-0002"]),
    ],
)
async def test_numbers_have_the_shape_that_the_seller_gave_them(books: Books, pattern: str, numbers: list[str]) -> None:
    async with books.pool.acquire() as connection:
        await service.set_pattern(
            connection,
            "north",
            DocumentKind.INVOICE,
            DocumentForm.FULL,
            pattern,
            now=books.clock.now,
            actor="ada",
            reason="ours",
        )
    for n in (1, 2):
        await books.customer(f"C-{n}", f"TAG-{n}")
        await books.charged(f"TAG-{n}")
    await books.run()

    assert sorted(document.number for document in await books.documents()) == numbers


async def test_a_new_year_begins_a_new_series(books: Books) -> None:
    await books.customer("C-1", "TAG-1")
    await books.charged("TAG-1")
    await books.run(issued_on=date(2026, 12, 31))
    await books.charged("TAG-1", day=3)
    await books.run(issued_on=date(2027, 1, 1))

    assert [document.number for document in await books.documents()] == ["R2026-000001", "R2027-000001"]


@pytest.mark.parametrize("pattern", ["R", "R{year}{n}", "{n}R", "R {n}", "R{n:0}", "R" * 30 + "{n}", "{n}{year}"])
async def test_a_shape_that_could_give_a_number_twice_or_none_is_refused(books: Books, pattern: str) -> None:
    with pytest.raises(Refused, match=r"is no shape for numbers"):
        async with books.pool.acquire() as connection:
            await service.set_pattern(
                connection,
                "north",
                DocumentKind.INVOICE,
                DocumentForm.FULL,
                pattern,
                now=books.clock.now,
                actor="ada",
                reason="ours",
            )
