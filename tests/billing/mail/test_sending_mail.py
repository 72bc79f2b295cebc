"""Mails that were queued reach a mail server, each once, whatever it answers."""

from __future__ import annotations

from tests.billing.mail.mail_room import Inbox, PostOffice, letter, serving


async def test_a_queued_mail_is_handed_to_the_mail_server_once(office: PostOffice, inbox: Inbox) -> None:
    await office.queue(letter("invoice 1"))
    async with serving(inbox) as port:
        assert await office.service(port).sweep() == 1
        assert await office.service(port).sweep() == 0

    [got] = inbox.got
    assert got.recipient == "anna@customer.example"
    assert got.mail["Subject"] == "Your invoice invoice 1"
    assert await office.states() == {"invoice 1 anna@customer.example": "sent"}
    assert await office.words() == ["DOT: 250 2.0.0 Ok: queued as 4711"]
