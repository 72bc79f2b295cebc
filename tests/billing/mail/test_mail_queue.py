"""Queuing belongs to the fact that a mail tells of: with its commit the mail is there, once, whoever queues it how often."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg

from billing.mail.address import Mailbox
from billing.mail.forgetting import forget_account
from billing.mail.message import MailMessage
from billing.mail.queueing import Queued, queue
from tests.billing.mail.mail_room import Inbox, PostOffice, letter, serving


async def queued(pool: asyncpg.Pool, *messages: MailMessage) -> list[Queued]:
    async with pool.acquire() as connection:
        return await queue(connection, messages)


async def test_a_mail_comes_and_goes_with_the_transaction_of_its_fact(office: PostOffice) -> None:
    async with office.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await queue(connection, [letter("invoice 1")])
        await transaction.rollback()
    assert await office.states() == {}

    await office.queue(letter("invoice 1"))
    assert await office.states() == {"invoice 1 anna@customer.example": "queued"}


async def test_the_same_fact_never_queues_a_second_mail(office: PostOffice) -> None:
    [first] = await queued(office.pool, letter("invoice 1"))
    again, new, same = await queued(office.pool, letter("invoice 1"), letter("invoice 2"), letter("invoice 2"))
    [other] = await queued(office.pool, letter("invoice 1", text="Dear customer, it is another one.\n"))

    assert (first.is_new, again.is_new, again.differs, new.is_new) == (True, False, False, True)
    assert (same.message, same.is_new) == (new.message, True)
    assert (other.message, other.is_new, other.differs) == (first.message, False, True)
    assert len(await office.states()) == 2


async def test_twenty_who_queue_the_same_facts_at_once_queue_each_once(office: PostOffice) -> None:
    """In whatever order each of them has them, nobody waits for who waits for him."""
    facts = [letter(f"invoice {n}") for n in range(30)]

    async def again(turn: int) -> list[Queued]:
        order = facts[turn:] + facts[:turn]
        return await queued(office.pool, *(order if turn % 2 else reversed(order)))

    answers = await asyncio.gather(*(again(turn) for turn in range(20)))

    assert [sum(each.is_new for answer in answers for each in answer if each.key == fact.key) for fact in facts] == [
        1
    ] * 30
    assert await office.counts() == {"queued": 30}


async def test_a_wrong_address_fails_by_itself_and_keeps_nobody_else_from_the_mail(office: PostOffice) -> None:
    wrong = "anna@customer.example\r\nBcc: eve@other.example"
    [answer] = await queued(office.pool, letter("invoice 1", ["nobody", wrong, "ben@bücher.example"]))

    assert (answer.is_new, answer.unsendable) == (True, 2)
    assert list((await office.states()).values()) == ["failed", "failed", "queued"]
    assert await office.words() == ["the address has no @", "what stands before the @ is no name of a mailbox"]
    assert await office.pool.fetchval("SELECT address FROM mail_delivery WHERE n = 3") == "ben@xn--bcher-kva.example"


async def test_who_writes_is_the_messages_own_sender_else_the_brands_else_the_operator(
    office: PostOffice, inbox: Inbox
) -> None:
    await office.pool.execute("INSERT INTO seller (id, details) VALUES ('S', '{}')")
    for brand, mail in {
        "GREEN": {"address": "green@brand.example", "name": "Green Power", "reply_to": "desk@brand.example"},
        "WRONG": {"address": "no address"},
    }.items():
        await office.pool.execute("INSERT INTO brand (id, seller, details) VALUES ($1, 'S', $2)", brand, {"mail": mail})
    own = Mailbox(address="own@seller.example", name="Own")
    await office.queue(
        letter("1", brand="GREEN"), letter("2", brand="WRONG"), letter("3"), letter("4", brand="GREEN", sender=own)
    )
    async with serving(inbox) as port:
        await office.service(port).sweep()

    said = {
        str(each.mail["Subject"])[-1]: (each.mail["From"], each.mail["Reply-To"], each.return_path)
        for each in inbox.got
    }
    assert said == {
        "1": ("Green Power <green@brand.example>", "desk@brand.example", "green@brand.example"),
        "2": ("Example Charging <billing@operator.example>", None, "billing@operator.example"),
        "3": ("Example Charging <billing@operator.example>", None, "billing@operator.example"),
        "4": ("Own <own@seller.example>", "desk@brand.example", "own@seller.example"),
    }
    assert inbox.got[0].message_id.endswith("@brand.example>")


async def test_a_mail_that_is_of_no_use_any_more_is_not_sent(office: PostOffice, inbox: Inbox) -> None:
    now = datetime.now(UTC)
    await office.queue(
        letter("1", expires_at=now - timedelta(seconds=1)), letter("2", expires_at=now + timedelta(hours=1))
    )
    async with serving(inbox) as port:
        await office.service(port).sweep()

    assert list((await office.states()).values()) == ["failed", "sent"]
    assert ("expired", None, True) in await office.events()


async def test_what_is_hostile_in_a_mail_is_stored_and_sent_as_text(office: PostOffice, inbox: Inbox) -> None:
    hostile = "x\x00\ud800\r\n.\r\nQUIT\r\n<script>"
    mail = letter("invoice 1", subject=hostile, text=hostile, html=hostile)
    await office.queue(replace(mail, to=(Mailbox(address="anna@customer.example", name=hostile),)))
    async with serving(inbox) as port:
        await office.service(port).sweep()

    [got] = inbox.got
    body = got.mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == ["x?", ".", "QUIT", "<script>"]
    assert got.mail["Subject"] == "x . QUIT <script>"


async def test_of_mails_that_ended_long_ago_nobody_can_read_what_they_said(office: PostOffice, inbox: Inbox) -> None:
    await office.queue(letter("invoice 1", ["anna@customer.example", "ben@customer.example"]), letter("invoice 2"))
    async with serving(inbox) as port:
        service = office.service(port)
        await service.sweep()
        assert await service.forget() == 0
        await office.pool.execute(
            "UPDATE mail_delivery SET ended_at = now() - interval '401 days' WHERE address <> 'ben@customer.example'"
        )
        assert await service.forget() == 2

    assert list(await office.states()) == ["invoice 1 None", "invoice 1 ben@customer.example", "invoice 2 None"]
    rows = await office.pool.fetch("SELECT c.body FROM mail_content c")
    assert [row["body"]["subject"] for row in rows] == ["Your invoice invoice 1"], "somebody of it is still known"
    assert len(await office.words()) == 1

    [again] = await queued(office.pool, letter("invoice 2"))
    assert not again.is_new, "it is forgotten what it said, not that it was sent"


async def test_a_customers_mails_are_forgotten_on_demand_but_for_those_that_are_on_their_way(
    office: PostOffice, inbox: Inbox
) -> None:
    await office.pool.execute("INSERT INTO seller (id, details) VALUES ('S', '{}')")
    await office.pool.execute(
        "INSERT INTO account (id, seller, kind, language, time_zone, rhythm, payment_days, details)"
        " SELECT a, 'S', 'private', 'en', 'Europe/Berlin', 'month', 14, '{}' FROM unnest(ARRAY['A-1', 'A-2']) AS a"
    )
    inbox.on_recipient = lambda address: "550 5.1.1 nobody" if "gone" in address else None
    await office.queue(
        letter("1", account="A-1"), letter("2", "gone@customer.example", account="A-1"), letter("3", account="A-2")
    )
    async with serving(inbox) as port:
        await office.service(port).sweep()
    await office.queue(letter("4", account="A-1"))

    async with office.pool.acquire() as connection:
        assert await forget_account(connection, "A-1") == 1

    assert list(await office.states()) == ["1 None", "2 None", "3 anna@customer.example", "4 anna@customer.example"]
    assert await office.pool.fetchval("SELECT count(*) FROM mail_suppression") == 0
    kept = json.dumps([dict(row) for row in await office.pool.fetch("SELECT body FROM mail_content")])
    assert kept.count("Your invoice") == 2
