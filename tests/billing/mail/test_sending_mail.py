"""Mails that were queued reach a mail server, each once, whatever it answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from email.utils import parseaddr

import asyncpg
import pytest
from prometheus_client import REGISTRY

from billing.errors import NotFound, Unavailable
from billing.mail.address import Mailbox
from billing.mail.message import Attachment
from billing.mail.service import MailService
from billing.mail.smtp import ServerTrouble
from tests.billing.mail.mail_room import PDF, Got, Inbox, PostOffice, letter, serving, settings, to_server, until

INVOICE = Attachment(name="Invoice 1.pdf", content_type="application/pdf", ref="documents/17")


def kept(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


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


async def test_each_recipient_is_a_delivery_of_its_own_of_one_message(office: PostOffice, inbox: Inbox) -> None:
    inbox.on_recipient = lambda address: "550 5.1.1 User unknown" if address.startswith("ben") else None
    await office.queue(letter("invoice 1", [f"{each}@customer.example" for each in ("anna", "ben", "carl")]))
    async with serving(inbox) as port:
        await office.service(port).sweep()

    assert list((await office.states()).values()) == ["sent", "failed", "sent"]
    assert {each.message_id for each in inbox.got} == {inbox.got[0].message_id}
    assert [parseaddr(each)[1] for each in str(inbox.got[0].mail["To"]).split(", ")] == [
        "anna@customer.example", "ben@customer.example", "carl@customer.example",
    ]  # fmt: skip


async def test_greylisting_is_waited_for(office: PostOffice, inbox: Inbox) -> None:
    """451 for whom the server has not seen before; it holds up none of the others."""
    inbox.on_recipient = lambda a: "451 4.7.1 Greylisted" if a.startswith("new") and inbox.asked.count(a) < 3 else None
    await office.queue(letter("1", "new@customer.example"), letter("2", "old@customer.example"))
    async with serving(inbox) as port:
        service = office.service(port)
        await service.sweep()
        assert list((await office.states()).values()) == ["retry", "sent"]
        pauses = await office.pool.fetchval("SELECT next_at - now() FROM mail_delivery WHERE state = 'retry'")
        assert timedelta(seconds=40) < pauses < timedelta(seconds=80)
        assert await service.sweep() == 0, "it is not tried before its time"
        for _ in range(2):
            await office.make_due()
            await service.sweep()

    assert list((await office.states()).values()) == ["sent", "sent"]
    assert inbox.sessions == 3
    assert await office.pool.fetch("SELECT tries FROM mail_delivery ORDER BY id") == [(3,), (1,)]
    assert [kind for kind, _, _ in await office.events()] == ["deferred", "accepted", "deferred", "accepted"]


async def test_a_mail_stays_the_same_though_the_operators_sender_changes_between_two_tries(
    office: PostOffice, inbox: Inbox
) -> None:
    inbox.on_recipient = lambda a: "451 4.7.1 Greylisted" if inbox.asked.count(a) < 2 else None
    await office.queue(letter("1"))
    async with serving(inbox) as port:
        await office.service(port).sweep()
        await office.make_due()
        await office.service(port, sender=Mailbox(address="new@bücher.example")).sweep()
        await office.queue(letter("2", "ben@customer.example"))
        inbox.on_recipient = lambda _address: None
        await office.service(port, sender=Mailbox(address="new@bücher.example")).sweep()

    first, second = inbox.got
    assert first.mail["From"] == "Example Charging <billing@operator.example>"
    assert first.message_id.endswith("@operator.example>")
    assert (second.return_path, second.mail["From"]) == ("new@xn--bcher-kva.example",) * 2


async def test_who_says_no_for_too_long_is_given_up(office: PostOffice, inbox: Inbox) -> None:
    inbox.on_recipient = lambda _address: "450 4.2.0 Mailbox busy"
    await office.queue(letter("1"))
    async with serving(inbox) as port:
        service = office.service(port)
        await service.sweep()
        await office.pool.execute("UPDATE mail_delivery SET first_tried_at = now() - interval '72 hours'")
        await office.make_due()
        await service.sweep()

    assert await office.only_state() == "failed"
    assert [kind for kind, _, _ in await office.events()] == ["deferred", "gave_up"]


@pytest.mark.parametrize(
    ("answer", "state", "suppressed"),
    [
        ("550 5.1.1 User unknown", "failed", True),
        ("550 No such user here", "failed", False),
        ("554 5.7.1 Relay access denied", "failed", False),
        ("452 4.2.2 Mailbox full", "retry", False),
        ("421 4.3.2 Shutting down", "retry", False),
    ],
)
async def test_a_recipient_is_refused_for_good_or_for_now(
    office: PostOffice, inbox: Inbox, answer: str, state: str, suppressed: bool
) -> None:
    inbox.on_recipient = lambda address: answer if address.startswith("ben") else None
    await office.queue(letter("1", "ben@customer.example"), letter("2"))
    async with serving(inbox) as port:
        await office.service(port).sweep()
        await office.queue(letter("3", "BEN@customer.example"))
        inbox.on_recipient = lambda _address: None
        await office.service(port).sweep()

    assert list((await office.states()).values()) == [state, "sent", "failed" if suppressed else "sent"]
    assert (await office.words())[0] == f"RCPT: {answer}"
    assert (("suppressed", None, True) in await office.events()) is suppressed


async def test_a_content_that_is_refused_fails_that_mail_alone(office: PostOffice, inbox: Inbox) -> None:
    async def judge(got: Got) -> str | None:
        return "554 5.6.0 Content refused" if "invoice 2" in str(got.mail["Subject"]) else None

    inbox.on_message = judge
    await office.queue(*(letter(f"invoice {n}") for n in range(1, 4)))
    async with serving(inbox) as port:
        await office.service(port).sweep()

    assert list((await office.states()).values()) == ["sent", "failed", "sent"]
    assert inbox.sessions == 1, "the session goes on"


async def test_a_sender_who_is_refused_fails_and_can_be_tried_again(office: PostOffice, inbox: Inbox) -> None:
    inbox.on_mail = lambda _address: "550 5.7.1 not your domain"
    await office.queue(letter("1"))
    async with serving(inbox) as port:
        await office.service(port).sweep()

    assert await office.only_state() == "failed"
    assert await office.pool.fetchval("SELECT count(*) FROM mail_suppression") == 0


async def test_many_mails_go_over_one_connection_and_a_new_one_is_made_after_so_many(
    office: PostOffice, inbox: Inbox
) -> None:
    await office.queue(*(letter(f"invoice {n}") for n in range(25)))
    async with serving(inbox) as port:
        assert await office.service(port, per_connection_max=10, batch_size=7).sweep() == 25

    assert inbox.sessions == 3
    assert set(inbox.counted().values()) == {1}
    assert len(inbox.got) == 25


async def test_a_server_that_closes_an_idle_connection_costs_no_try(office: PostOffice, inbox: Inbox) -> None:
    """After each message this one hangs up."""

    async def take(_got: Got) -> str:
        return "250 Ok"

    inbox.on_message = take
    await office.queue(*(letter(f"invoice {n}") for n in range(3)))
    async with serving(inbox, hangs_up=True) as port:
        await office.service(port).sweep()

    assert await office.counts() == {"sent": 3}
    assert await office.pool.fetchval("SELECT max(tries) FROM mail_delivery") == 1
    assert len(inbox.got) == 3


async def test_a_mail_has_its_attachments_from_whoever_keeps_them(office: PostOffice, inbox: Inbox) -> None:
    tried: Counter[str] = Counter()

    async def archive(ref: str) -> bytes:
        tried[ref] += 1
        if ref == "nowhere":
            raise NotFound("no document nowhere", "look elsewhere")
        if ref == "defective":
            raise ZeroDivisionError
        if ref == "away" and tried[ref] == 1:
            raise Unavailable("the archive is away", "wait")
        return PDF * (40 if ref == "big" else 1)

    refs = ("there", "nowhere", "defective", "away", "big")
    file = Attachment(name="Rechnung März.pdf", content_type="application/pdf", ref="")
    await office.queue(*(letter(each, attachments=(replace(file, ref=each),)) for each in refs))
    async with serving(inbox) as port:
        service = office.service(port, fetch=archive)
        await service.sweep()
        first = [each.partition(" ")[0] + " " + state for each, state in (await office.states()).items()]
        await office.make_due()
        await service.sweep()

    assert first == ["away retry", "big sent", "defective retry", "nowhere failed", "there sent"]
    assert list((await office.states()).values()) == ["sent", "sent", "retry", "failed", "sent"]
    [arrived] = inbox.got[1].mail.iter_attachments()
    assert (arrived.get_filename(), arrived.get_payload(decode=True)) == ("Rechnung März.pdf", PDF)
    assert await office.pool.fetch("SELECT tries FROM mail_delivery WHERE state = 'retry'") == [(2,)]


async def test_an_archive_that_does_not_answer_holds_up_its_own_mail_alone(office: PostOffice, inbox: Inbox) -> None:
    async def archive(_ref: str) -> bytes:
        await asyncio.Event().wait()
        return b""

    await office.queue(letter("1", attachments=(INVOICE,)), letter("2"))
    async with serving(inbox) as port:
        await office.service(port, fetch=archive, timeout_s=0.5).sweep()

    assert list((await office.states()).values()) == ["retry", "sent"]


async def test_without_an_archive_mails_with_attachments_wait(office: PostOffice, inbox: Inbox) -> None:
    await office.queue(letter("1", attachments=(INVOICE,)), letter("2"))
    async with serving(inbox) as port:
        await office.service(port).sweep()

    assert list((await office.states()).values()) == ["retry", "sent"]


@pytest.mark.parametrize(("ours", "theirs"), [(100_000, 33_554_432), (20_000_000, 50_000)])
async def test_a_mail_that_is_too_big_fails_wherever_the_limit_is(
    office: PostOffice, inbox: Inbox, ours: int, theirs: int
) -> None:
    async def archive(_ref: str) -> bytes:
        return PDF * 4

    await office.queue(letter("1", attachments=(INVOICE,)), letter("2"))
    async with serving(inbox, size_max=theirs) as port:
        await office.service(port, fetch=archive, bytes_max=ours).sweep()

    assert list((await office.states()).values()) == ["failed", "sent"]


async def test_a_defect_of_ours_holds_up_one_mail_and_none_of_the_others(
    office: PostOffice, inbox: Inbox, database: str
) -> None:
    """Such as a column that does not take what is written of the first of them."""
    owner = await asyncpg.connect(database)
    await owner.execute("ALTER TABLE mail_event ADD CHECK (delivery <> 1)")
    await owner.close()
    await office.queue(letter("1"), letter("2"), letter("3"))
    async with serving(inbox) as port:
        for _ in range(2):
            await office.service(port).sweep()

    assert list((await office.states()).values()) == ["sending", "sent", "sent"]
    assert set(inbox.counted().values()) == {1}


async def test_several_nodes_share_the_queue_and_nobody_sends_what_another_one_does(
    office: PostOffice, inbox: Inbox
) -> None:
    """Five services with two connections each, as workers and nodes have them, on one database."""

    async def slowly(_got: Got) -> None:
        await asyncio.sleep(0.002)

    inbox.on_message = slowly
    await office.queue(*(letter(f"invoice {n}") for n in range(300)))
    async with serving(inbox) as port:
        nodes = [office.service(port, batch_size=7) for _ in range(5)]
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(each.run()) for each in nodes]
            await until(lambda: _all_sent(office, 300))
            for each in running:
                each.cancel()

    assert len(inbox.got) == 300
    assert set(inbox.counted().values()) == {1}
    assert inbox.sessions >= 2, "more than one took part"


async def _all_sent(office: PostOffice, count: int) -> bool:
    return (await office.counts())["sent"] == count


async def test_no_more_are_sent_in_a_minute_than_were_allowed_by_all_nodes_together(
    office: PostOffice, inbox: Inbox
) -> None:
    await office.queue(*(letter(f"invoice {n}") for n in range(30)))
    async with serving(inbox) as port:
        nodes = [office.service(port, per_minute_max=10, batch_size=4) for _ in range(3)]
        await asyncio.gather(*(each.sweep() for each in nodes))
        assert len(inbox.got) == 10
        await office.pool.execute("UPDATE mail_pace SET at = at - interval '61 seconds'")
        await asyncio.gather(*(each.sweep() for each in nodes))

    assert len(inbox.got) == 20
    assert await office.counts() == {"sent": 20, "queued": 10}


async def test_a_server_that_is_away_fails_no_mail_and_is_left_alone_for_a_while(
    office: PostOffice, inbox: Inbox
) -> None:
    async with serving(inbox) as port:
        pass
    await office.queue(letter("1"))
    with pytest.raises(ServerTrouble, match=str(port)):
        await office.service(port).sweep()
    assert await office.states() == {"1 anna@customer.example": "queued"}

    async with asyncio.TaskGroup() as group:
        running = group.create_task(office.service(port).run())
        await asyncio.sleep(0.3)
        assert kept("csms_mail_server_up") == 0
        async with serving(inbox, port=port):
            await until(lambda: _all_sent(office, 1))
            running.cancel()
    assert kept("csms_mail_server_up") == 1
    assert await office.pool.fetchval("SELECT tries FROM mail_delivery") == 1


async def test_a_server_that_does_not_answer_holds_up_its_own_mail_alone(office: PostOffice, inbox: Inbox) -> None:
    """The connection that waits for it lets go of what it had claimed besides, and another one takes over."""
    stuck = asyncio.Event()

    async def hang(got: Got) -> None:
        if "invoice 0" in str(got.mail["Subject"]):
            await stuck.wait()

    inbox.on_message = hang
    await office.queue(*(letter(f"invoice {n}") for n in range(10)))
    async with serving(inbox) as port:
        service = MailService(office.pool, settings(to_server(port, answer_timeout_s=60), connections=2))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(service.run())
            await until(lambda: _all_sent(office, 9))
            assert await office.counts() == {"sent": 9, "sending": 1}
            stuck.set()
            await until(lambda: _all_sent(office, 10))
            running.cancel()

    assert set(inbox.counted().values()) == {1}


async def test_each_delivery_has_an_address_for_reports_where_that_is_set(office: PostOffice, inbox: Inbox) -> None:
    await office.queue(letter("1", ["anna@customer.example", "ben@customer.example"]))
    async with serving(inbox) as port:
        await office.service(port, return_path="bounces+{id}@operator.example").sweep()

    ids = {row["envelope_id"] for row in await office.pool.fetch("SELECT envelope_id FROM mail_delivery")}
    assert {each.return_path for each in inbox.got} == {f"bounces+{id_}@operator.example" for id_ in ids}
    assert {each.envelope_id for each in inbox.got} == ids


async def test_a_server_that_only_claims_to_know_reports_gets_its_mail_without(
    office: PostOffice, inbox: Inbox
) -> None:
    await office.queue(letter("1"), letter("2"))
    async with serving(inbox, knows_reports=False) as port:
        await office.service(port).sweep()

    assert await office.counts() == {"sent": 2}


async def test_figures_tell_what_waits(office: PostOffice, inbox: Inbox) -> None:
    inbox.on_recipient = lambda address: {"b": "451 later", "c": "550 5.1.1 nobody"}.get(address[0])
    await office.queue(*(letter(each, f"{each}@customer.example") for each in "abcd"))
    before = kept("csms_mail_tries_total", event="accepted")
    async with serving(inbox) as port:
        service = office.service(port)
        await service.measure()
        assert kept("csms_mail_deliveries", state="queued") == 4
        await service.sweep()
        await service.measure()

    assert kept("csms_mail_deliveries", state="queued") == 0
    assert kept("csms_mail_deliveries", state="retry") == 1
    assert kept("csms_mail_suppressed_addresses") == 1
    assert kept("csms_mail_tries_total", event="accepted") == before + 2
