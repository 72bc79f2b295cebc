"""An invoice with each session, made and sent by itself for those who want it so."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from billing.accounts.account import AccountKind, Rhythm
from billing.invoices.document import GroupBy
from billing.office.trouble import DATABASE_TROUBLE
from tests.billing.mail.mail_room import Inbox
from tests.billing.office.office_room import OfficeRoom
from tests.billing.sending.dispatch import attached, cut_off
from tests.conftest import LONG


async def test_each_session_of_such_a_customer_is_invoiced_and_sent_once_it_has_its_bill(
    room: OfficeRoom, inbox: Inbox
) -> None:
    dispatch = room.dispatch
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example", rhythm=Rhythm.SESSION)
    await dispatch.customer("C-2", "TAG-2", email="c2@customer.example")
    for day in (2, 3):
        for token in ("TAG-1", "TAG-2", "LOOSE"):
            await dispatch.books.charged(token, day=day)
    before = await room.due()
    await room.office.sweep()
    await room.office.sweep()
    documents = await dispatch.books.documents()
    got = await dispatch.delivered(inbox)

    assert len(before) == 2
    assert [(each.account, len(each.lines), each.gross_minor) for each in documents] == [("C-1", 1, 500)] * 2
    assert [(each.recipient, list(attached(each))) for each in got] == [
        ("c1@customer.example", [f"R2026-00000{n}.pdf"]) for n in (1, 2)
    ]
    assert (await room.due(), room.queued) == ([], 2)
    assert await dispatch.pool.fetchval("SELECT count(*) FROM document_due") == 0
    assert await dispatch.books.problems() == []


async def test_whoever_pays_for_others_says_when(room: OfficeRoom) -> None:
    dispatch = room.dispatch
    await dispatch.customer("BOSS", kind=AccountKind.EMPLOYER, email="boss@employer.example", rhythm=Rhythm.SESSION)
    await dispatch.customer("C-1", "TAG-1", payer="BOSS", labels={GroupBy.COST_CENTRE: "4711"})
    await dispatch.books.charged("TAG-1")
    await room.office.sweep()
    [document] = await dispatch.books.documents()

    assert (document.account, document.lines[0].labels["driver"]) == ("BOSS", "Example C-1")


async def test_what_a_run_has_invoiced_is_not_invoiced_again_and_the_other_way_round(room: OfficeRoom) -> None:
    dispatch = room.dispatch
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example", rhythm=Rhythm.SESSION)
    await dispatch.books.charged("TAG-1", day=2)
    await dispatch.books.run()
    await dispatch.books.charged("TAG-1", day=3)
    await asyncio.gather(*(room.new().sweep() for _ in range(3)))
    await dispatch.books.run()
    sources = [line.source for each in await dispatch.books.documents() for line in each.lines]

    assert len(sources) == len(set(sources)) == 2
    assert await room.due() == []


async def test_what_is_in_the_way_is_told_and_looked_at_again_later(room: OfficeRoom) -> None:
    dispatch, clock = room.dispatch, room.dispatch.books.clock
    await dispatch.customer("C-1", "TAG-1", rhythm=Rhythm.SESSION)
    await dispatch.customer("C-2", "TAG-2", rhythm=Rhythm.SESSION)
    await dispatch.customer("C-3", "TAG-3", rhythm=Rhythm.SESSION)
    held, other = await dispatch.books.charged("TAG-1"), await dispatch.books.charged("TAG-2")
    free = await dispatch.books.charged("TAG-3", kwh=0)
    await dispatch.pool.execute("UPDATE rating SET holds = '{looked_into}' WHERE session = $1", held)
    await dispatch.changed("C-2", rhythm=Rhythm.MONTH)
    await room.office.sweep()
    first = await room.due()
    await dispatch.pool.execute("UPDATE rating SET holds = '{}' WHERE session = $1", held)
    await room.office.sweep()
    too_soon = await dispatch.books.documents()
    clock.now += timedelta(days=2)
    await room.office.sweep()
    documents = await dispatch.books.documents()

    assert free, other
    assert first == [(held, "it is held, or nobody's account pays for it any more")]
    assert too_soon == []
    assert [each.account for each in documents] == ["C-1"], (
        "C-2 waits for the end of its month, and free is nothing to pay"
    )
    waiting = await dispatch.pool.fetch("SELECT problem FROM document_due")
    assert ["C-1 has no e-mail address" in row["problem"] for row in waiting] == [True]


async def test_without_a_mail_server_documents_wait_for_a_command(room: OfficeRoom) -> None:
    room.sends = False
    dispatch = room.dispatch
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example", rhythm=Rhythm.SESSION)
    await dispatch.books.charged("TAG-1")
    await room.new().sweep()
    counted = await dispatch.pool.fetchrow("SELECT (SELECT count(*) FROM invoice), (SELECT count(*) FROM document_due)")

    assert tuple(counted) == (1, 0)


async def test_a_node_whose_turn_it_is_not_does_nothing(room: OfficeRoom) -> None:
    room.mine = False
    await room.dispatch.customer("C-1", "TAG-1", rhythm=Rhythm.SESSION)
    await room.office.sweep()
    nothing_due = list(room.turns)
    await room.dispatch.books.charged("TAG-1")
    await room.office.sweep()

    assert nothing_due == []
    assert room.turns == [("office", timedelta(seconds=2.5))]
    assert await room.dispatch.books.documents() == []


@pytest.mark.parametrize("seed", range(20 if LONG else 2))
async def test_whatever_breaks_off_at_any_statement_each_session_is_on_one_invoice_and_one_mail(
    room: OfficeRoom, inbox: Inbox, seed: int
) -> None:
    dispatch, dice = room.dispatch, random.Random(seed)
    for n in range(3):
        await dispatch.customer(f"C-{n}", f"TAG-{n}", email=f"c{n}@customer.example", rhythm=Rhythm.SESSION)
        await dispatch.books.charged(f"TAG-{n}")
    for deadly in dice.sample(range(2, 70), 3):
        with contextlib.suppress(*DATABASE_TROUBLE):
            async with cut_off(dispatch.pool, after=deadly):
                await room.new().sweep()
    await room.new().sweep()
    documents, got = await dispatch.books.documents(), await dispatch.delivered(inbox)

    assert sorted(each.account or "" for each in documents) == ["C-0", "C-1", "C-2"]
    assert sorted(each.recipient for each in got) == [f"c{n}@customer.example" for n in range(3)]
    assert await dispatch.books.problems() == []


async def test_a_session_that_cannot_be_read_holds_up_no_other(room: OfficeRoom) -> None:
    dispatch = room.dispatch
    await dispatch.customer("C-1", "TAG-1", rhythm=Rhythm.SESSION)
    broken, sound = [await dispatch.books.charged("TAG-1", day=day) for day in (2, 3)]
    await room.tampered("bill", f"UPDATE bill SET detail = '{{}}' WHERE session = {broken}")
    await room.office.sweep()
    [document] = await dispatch.books.documents()
    [waiting] = await room.due()

    assert [line.source for line in document.lines] == [f"bill:{sound}:1"]
    assert waiting[0] == broken
    assert "a defect: " in str(waiting[1])


async def test_what_ends_in_the_first_hours_of_a_month_is_invoiced_in_it(room: OfficeRoom) -> None:
    dispatch = room.dispatch
    await dispatch.customer("C-1", "TAG-1", rhythm=Rhythm.SESSION)
    await dispatch.books.charged("TAG-1")
    dispatch.books.clock.now = datetime(2026, 4, 30, 22, 30, tzinfo=UTC)  # in Hamburg it is May
    await room.office.sweep()

    assert [each.issued_on for each in await dispatch.books.documents()] == [date(2026, 5, 1)]
