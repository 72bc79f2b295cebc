"""What a customer who is invoiced with each session owes beside it is invoiced by itself as well."""

from __future__ import annotations

from datetime import UTC, date, datetime

from billing.accounts import service as accounts
from billing.accounts.account import Rhythm
from billing.invoices.document import LineKind
from tests.billing.bills.world import BEFORE
from tests.billing.invoices.books import Books
from tests.billing.invoices.test_contracts_on_invoices import rule, subscribed
from tests.billing.mail.mail_room import Inbox
from tests.billing.office.office_room import OfficeRoom


async def give(books: Books, account: str, token: str) -> None:
    async with books.pool.acquire() as connection:
        await accounts.give_token(
            connection, account, token, labels={}, valid_from=BEFORE, now=books.clock.now, actor="ada", reason="found"
        )


async def test_fees_and_sessions_from_before_the_token_was_known_are_invoiced_and_sent(
    room: OfficeRoom, inbox: Inbox
) -> None:
    dispatch, books = room.dispatch, room.dispatch.books
    await dispatch.customer("C-1", email="c1@customer.example", rhythm=Rhythm.SESSION)
    await dispatch.customer("C-2", email="c2@customer.example")
    await books.world.token("TAG-1")
    await books.charged("TAG-1")
    await give(books, "C-1", "TAG-1")
    await rule(books)
    await subscribed(books, "C-1", price="9.90")
    books.clock.now = datetime(2026, 3, 20, tzinfo=UTC)
    await room.office.sweep()
    nothing = await books.documents()
    for _ in range(2):
        await room.office.look_at_contracts()
    await room.office.sweep()
    [document] = await books.documents()
    got = await dispatch.delivered(inbox)

    assert nothing == []
    assert [(line.kind, line.gross_minor) for line in document.lines] == [
        (LineKind.SESSION, 500), (LineKind.SUBSCRIPTION, 1178),
    ]  # fmt: skip
    assert [each.recipient for each in got] == ["c1@customer.example"]
    assert await books.problems() == []


async def test_what_cannot_be_invoiced_waits_and_the_rest_goes(room: OfficeRoom) -> None:
    books = room.dispatch.books
    await room.dispatch.customer("C-1", rhythm=Rhythm.SESSION)
    await room.dispatch.customer("C-2", "TAG-2", rhythm=Rhythm.SESSION)
    await subscribed(books, "C-1")
    await books.charged("TAG-2")
    books.clock.now = datetime(2026, 3, 20, tzinfo=UTC)
    await room.office.look_at_contracts()
    first = [each.account for each in await books.documents()]
    await rule(books)
    await room.office.look_at_contracts()

    assert first == ["C-2"], "nobody has said which tax a fee bears"
    assert [each.account for each in await books.documents()] == ["C-2", "C-1"]
    assert await room.due() == []


async def test_what_falls_due_on_a_day_that_has_begun_where_the_seller_is_waits_for_no_other(room: OfficeRoom) -> None:
    books = room.dispatch.books
    await room.dispatch.customer("C-1", rhythm=Rhythm.SESSION, time_zone="Europe/Berlin")
    await rule(books)
    await subscribed(books, "C-1", price="9.90")
    books.clock.now = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)  # in Hamburg it is March, when the contract begins
    await room.office.look_at_contracts()
    [document] = await books.documents()

    assert document.issued_on == document.days[0] == date(2026, 3, 1)
