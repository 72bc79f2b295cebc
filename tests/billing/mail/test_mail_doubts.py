"""Where nobody knows whether a mail server has a mail: it is doubtful, and stays so until somebody decides or knows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from billing.errors import AlreadyDone, NotDone, NotFound, Refused
from billing.mail import operating
from billing.mail.delivery import State
from billing.mail.service import MailService
from billing.policies import store as policies
from billing.policies.kinds import MAIL
from csms.database.embedded import EmbeddedPostgres
from tests.billing.mail.mail_room import HOST, Got, Inbox, PostOffice, letter, serving, settings, to_server, until

WHO = {"actor": "Olga", "reason": "seen in the log"}


async def choose_resend(office: PostOffice) -> None:
    async with office.pool.acquire() as connection:
        await policies.change(connection, MAIL, ["when_doubtful=resend"])


async def settle(office: PostOffice, *, delivered: bool) -> State:
    async with office.pool.acquire() as connection:
        return await operating.settle(connection, 1, delivered=delivered, **WHO)


@contextlib.asynccontextmanager
async def hanging(office: PostOffice, inbox: Inbox) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A server that takes the message and says nothing until it is let go."""
    go = asyncio.Event()

    async def hang(_got: Got) -> None:
        await go.wait()

    inbox.on_message = hang
    await office.queue(letter("1"))
    async with serving(inbox) as port:
        try:
            yield port, go
        finally:
            go.set()


async def test_a_server_that_hangs_after_the_end_of_a_mail_makes_it_doubtful_and_it_is_not_sent_again(
    office: PostOffice, inbox: Inbox
) -> None:
    async with hanging(office, inbox) as (port, go):
        await office.service(port, answer_timeout_s=0.2).sweep()
        assert await office.only_state() == "doubtful"
        go.set()
        inbox.on_message = None
        await office.end_leases()
        for _ in range(3):
            assert await office.service(port).sweep() == 0

    assert await office.only_state() == "doubtful"
    assert await office.events() == [("unanswered", None, True)]
    assert len(inbox.asked) == 1


async def test_a_doubtful_mail_is_sent_again_with_the_same_message_id_where_that_was_chosen(
    office: PostOffice, inbox: Inbox
) -> None:
    await choose_resend(office)
    async with hanging(office, inbox) as (port, go):
        await office.service(port, answer_timeout_s=0.2).sweep()
        assert await office.only_state() == "retry"
        go.set()
        await office.make_due()
        await office.service(port).sweep()

    assert await office.only_state() == "sent"
    first, second = inbox.read
    assert first.raw == second.raw, "who has it twice can tell"


@pytest.mark.parametrize("answer", ["354 go on", "199 well", "no reply at all"])
async def test_an_answer_that_is_none_leaves_a_doubt(office: PostOffice, inbox: Inbox, answer: str) -> None:
    async def say(_got: Got) -> str:
        return answer

    inbox.on_message = say
    await office.queue(letter("1"), letter("2"))
    async with serving(inbox) as port:
        await office.service(port).sweep()

    assert await office.counts() == {"doubtful": 2}


@pytest.mark.parametrize(
    ("hangs_up_at", "state"),
    [
        ("EHLO", "queued"),
        ("MAIL", "retry"),
        ("RCPT", "retry"),
        ("DATA", "retry"),
        ("text", "retry"),
        ("dot", "doubtful"),
    ],
)
async def test_a_connection_that_ends_leaves_a_doubt_only_behind_the_end_of_the_mail(
    office: PostOffice, hangs_up_at: str, state: str
) -> None:
    """A server by hand, which hangs up when it has read so much."""
    await office.queue(letter("1", text="x" * 60 + "\n"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                word = (await reader.readuntil(b"\r\n"))[:4].decode()
                if word == hangs_up_at:
                    break
                writer.write(b"354 go on\r\n" if word == "DATA" else b"250 Ok\r\n")
                if word == "DATA":
                    await (reader.readexactly(40) if hangs_up_at == "text" else reader.readuntil(b"\r\n.\r\n"))
                    break
        writer.transport.abort()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with contextlib.suppress(Exception):
            await office.service(port).sweep()

    assert await office.only_state() == state


async def test_a_mail_whose_sender_has_died_is_doubtful_once_its_lease_has_ended(
    office: PostOffice, inbox: Inbox
) -> None:
    await office.queue(letter("1"), letter("2"))
    await office.pool.execute(
        "UPDATE mail_delivery SET state = 'sending', tries = 1, claim = gen_random_uuid(), first_tried_at = now(),"
        " next_at = now() + interval '1 minute' WHERE id = 1"
    )
    async with serving(inbox) as port:
        await office.service(port).sweep()
        assert list((await office.states()).values()) == ["sending", "sent"]
        await office.end_leases()
        await office.service(port).sweep()

    assert list((await office.states()).values()) == ["doubtful", "sent"]
    assert ("lapsed", None, True) in await office.events()


async def test_a_mail_whose_sender_has_died_is_sent_again_where_that_was_chosen_and_in_time(
    office: PostOffice, inbox: Inbox
) -> None:
    await choose_resend(office)
    await office.queue(letter("1"), letter("2"))
    await office.pool.execute(
        "UPDATE mail_delivery SET state = 'sending', claim = gen_random_uuid(), next_at = now(),"
        " first_tried_at = now() - CASE id WHEN 1 THEN interval '1 hour' ELSE interval '73 hours' END"
    )
    async with serving(inbox) as port:
        await office.service(port).sweep()

    assert list((await office.states()).values()) == ["sent", "doubtful"]
    assert len(inbox.got) == 1


async def test_a_mail_is_not_ended_when_the_books_took_so_long_that_others_may_doubt_it(
    office: PostOffice, inbox: Inbox
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()
    await office.queue(letter("1"))
    async with serving(inbox, at_data=(asked, go)) as port, office.pool.acquire() as connection:
        sending = asyncio.create_task(office.service(port, lease=timedelta(seconds=2)).sweep())
        await asked.wait()
        async with connection.transaction():
            await connection.execute("SELECT FROM mail_delivery FOR UPDATE")
            go.set()
            await asyncio.sleep(1.5)
        await sending

    assert inbox.read == []
    assert await office.only_state() == "retry"
    assert await office.words() == ["the books took too long"]


async def test_what_was_only_claimed_is_everybodys_again_once_its_lease_has_ended(
    office: PostOffice, inbox: Inbox
) -> None:
    await office.queue(letter("1"))
    await office.pool.execute(
        "UPDATE mail_delivery SET claim = gen_random_uuid(), next_at = now() + interval '1 minute'"
    )
    async with serving(inbox) as port:
        assert await office.service(port).sweep() == 0
        await office.end_leases()
        assert await office.service(port).sweep() == 1

    assert await office.only_state() == "sent"


async def test_who_is_alive_keeps_its_mail_however_long_the_server_takes(office: PostOffice, inbox: Inbox) -> None:
    """Longer than a lease: others neither take it nor doubt it."""
    async with hanging(office, inbox) as (port, go):
        slow = office.service(port, lease=timedelta(seconds=1), answer_timeout_s=30)
        other = office.service(port)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(slow.run())
            await until(lambda: _is(office, "sending"))
            for _ in range(5):
                await asyncio.sleep(0.5)
                await other.sweep()
                assert await office.only_state() == "sending"
            go.set()
            await until(lambda: _is(office, "sent"))
            running.cancel()

    assert len(inbox.got) == 1


async def _is(office: PostOffice, state: str) -> bool:
    return await office.only_state() == state


async def test_a_sender_who_was_taken_for_dead_still_says_what_became_of_its_mail(
    office: PostOffice, inbox: Inbox
) -> None:
    async with hanging(office, inbox) as (port, go):
        sending = asyncio.create_task(office.service(port).sweep())
        await until(lambda: _is(office, "sending"))
        await office.end_leases()
        await office.service(port).keep_books()
        assert await office.only_state() == "doubtful"
        go.set()
        await sending

    assert await office.only_state() == "sent"
    assert await office.events() == [("lapsed", None, True), ("accepted", 250, True)]


async def test_what_a_late_sender_says_does_not_undo_what_was_decided(office: PostOffice, inbox: Inbox) -> None:
    async with hanging(office, inbox) as (port, go):
        sending = asyncio.create_task(office.service(port).sweep())
        await until(lambda: _is(office, "sending"))
        await office.end_leases()
        await office.service(port).keep_books()
        async with office.pool.acquire() as connection:
            await operating.cancel(connection, 1, **WHO)
        go.set()
        await sending

    assert await office.only_state() == "cancelled"
    assert await office.events() == [("lapsed", None, True), ("cancelled", None, True), ("accepted", 250, False)]


async def test_a_late_yes_keeps_a_mail_from_going_again_though_it_was_to_be_resent(
    office: PostOffice, inbox: Inbox
) -> None:
    async with hanging(office, inbox) as (port, go):
        sending = asyncio.create_task(office.service(port).sweep())
        await until(lambda: _is(office, "sending"))
        await office.end_leases()
        await office.service(port).keep_books()
        assert await settle(office, delivered=False) is State.RETRY
        go.set()
        await sending
        assert await office.only_state() == "sent"
        assert await office.service(port).sweep() == 0

    assert len(inbox.got) == 1


async def test_who_lost_its_claim_does_not_end_its_mail(office: PostOffice, inbox: Inbox) -> None:
    """It was held up between the claim and the end of the message, and somebody else decided meanwhile."""
    asked = asyncio.Event()
    go = asyncio.Event()
    await office.queue(letter("1"))
    async with serving(inbox, at_data=(asked, go)) as port:
        sending = asyncio.create_task(office.service(port).sweep())
        await asked.wait()
        async with office.pool.acquire() as connection:
            await operating.cancel(connection, 1, **WHO)
        go.set()
        await sending

    assert await office.only_state() == "cancelled"
    assert inbox.got == []


async def test_a_stop_waits_for_the_answer_to_a_mail_that_is_at_its_end(office: PostOffice, inbox: Inbox) -> None:
    async with hanging(office, inbox) as (port, go):
        running = asyncio.create_task(office.service(port).run())
        await until(lambda: _is(office, "sending"))
        running.cancel()
        asyncio.get_running_loop().call_later(0.3, go.set)
        with contextlib.suppress(asyncio.CancelledError):
            await running

    assert await office.only_state() == "sent"


async def test_a_stop_gives_back_what_was_claimed_and_does_not_wait_for_ever(office: PostOffice, inbox: Inbox) -> None:
    await office.queue(*(letter(f"also {n}") for n in range(5)))
    async with hanging(office, inbox) as (port, _go):
        service = MailService(
            office.pool, settings(to_server(port, answer_timeout_s=60), drain_timeout_s=0.2, connections=1)
        )
        running = asyncio.create_task(service.run())
        await until(lambda: _has(office, "sending"))
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    assert await office.counts() == {"sending": 1, "queued": 5}
    assert await office.pool.fetchval("SELECT count(*) FROM mail_delivery WHERE claim IS NOT NULL") == 1


async def _has(office: PostOffice, state: str) -> bool:
    return (await office.counts())[state] > 0


async def test_an_operator_settles_a_doubtful_mail_either_way(office: PostOffice, inbox: Inbox) -> None:
    async with hanging(office, inbox) as (port, go):
        await office.service(port, answer_timeout_s=0.2).sweep()
        go.set()
        inbox.got.clear()
        inbox.on_message = None
        assert await settle(office, delivered=False) is State.RETRY
        await office.service(port).sweep()
        assert await office.only_state() == "sent"
        with pytest.raises(Refused, match="only a doubtful one is settled"):
            await settle(office, delivered=True)
    assert len(inbox.got) == 1

    rows = await office.pool.fetch("SELECT kind, actor, reason FROM mail_event WHERE actor IS NOT NULL")
    assert [tuple(row) for row in rows] == [("settled", "Olga", "seen in the log")]


async def test_a_doubtful_mail_that_was_delivered_is_sent(office: PostOffice, inbox: Inbox) -> None:
    async with hanging(office, inbox) as (port, _go):
        await office.service(port, answer_timeout_s=0.2).sweep()
        assert await settle(office, delivered=True) is State.SENT
        assert await office.service(port).sweep() == 0

    assert await office.only_state() == "sent"


DECISIONS = {
    "settle": lambda connection, id_, **who: operating.settle(connection, id_, delivered=True, **who),
    "retry": lambda connection, id_, **who: operating.retry(connection, [id_], **who),
    "cancel": operating.cancel,
}


@pytest.mark.parametrize(
    ("state", "refused"),
    [
        ("queued", {"settle": Refused, "retry": AlreadyDone}),
        ("retry", {"settle": Refused}),
        ("sending", {"settle": Refused, "retry": Refused, "cancel": Refused}),
        ("doubtful", {"retry": Refused}),
        ("sent", {"settle": Refused, "retry": Refused, "cancel": Refused}),
        ("failed", {"settle": Refused, "cancel": Refused}),
        ("bounced", {"settle": Refused, "cancel": Refused}),
        ("cancelled", {"settle": Refused, "cancel": AlreadyDone}),
    ],
)
async def test_operators_decide_what_the_state_of_a_mail_allows(
    office: PostOffice, state: str, refused: dict[str, type[NotDone]]
) -> None:
    await office.queue(letter("1"))
    ways = {"queued": "", "doubtful": "sending doubtful", "sent": "sending sent", "bounced": "sending sent bounced"}
    for each in ways.get(state, state).split():
        await office.pool.execute(
            "UPDATE mail_delivery SET state = $1, claim = gen_random_uuid(),"
            " next_at = CASE WHEN $1 IN ('retry', 'sending') THEN now() END,"
            " ended_at = CASE WHEN $1 IN ('sent', 'failed', 'bounced', 'cancelled') THEN now() END",
            each,
        )
    async with office.pool.acquire() as connection:
        for name, decide in DECISIONS.items():
            transaction = connection.transaction()
            await transaction.start()
            if name in refused:
                with pytest.raises(refused[name]):
                    await decide(connection, 1, **WHO)
            else:
                await decide(connection, 1, **WHO)
            await transaction.rollback()
            with pytest.raises(Refused, match="for a reason"):
                await decide(connection, 1, actor="Olga", reason=" ")
            with pytest.raises(NotFound):
                await decide(connection, 2, **WHO)

    assert await office.only_state() == state


async def test_what_failed_by_a_mistake_of_ours_is_tried_again_together(office: PostOffice, inbox: Inbox) -> None:
    inbox.on_mail = lambda _address: "550 5.7.1 not your domain"
    await office.queue(letter("1"), letter("2"), letter("3", kind="reminder"))
    before = await office.pool.fetchval("SELECT now()")
    async with serving(inbox) as port:
        await office.service(port).sweep()
        async with office.pool.acquire() as connection:
            found = await operating.failed_since(connection, before, kind="invoice")
            await operating.retry(connection, found, **WHO)
        inbox.on_mail = lambda _address: None
        await office.service(port).sweep()

    assert list((await office.states()).values()) == ["sent", "sent", "failed"]


async def test_a_suppressed_address_is_written_to_again_once_that_is_lifted(office: PostOffice, inbox: Inbox) -> None:
    inbox.on_recipient = lambda _address: "550 5.1.1 nobody"
    await office.queue(letter("1"))
    async with serving(inbox) as port, office.pool.acquire() as connection:
        await office.service(port).sweep()
        with pytest.raises(Refused, match="nobody is there"):
            await operating.retry(connection, [1], **WHO)
        await operating.lift(connection, "Anna@customer.example", **WHO)
        with pytest.raises(NotFound, match="is not suppressed"):
            await operating.lift(connection, "anna@customer.example", **WHO)
        await operating.retry(connection, [1], **WHO)
        inbox.on_recipient = lambda _address: None
        await office.service(port).sweep()
        listed = (
            await operating.list_suppressions(connection),
            await operating.list_suppressions(connection, lifted=True),
        )

    assert await office.only_state() == "sent"
    assert (listed[0], [each["lifted_reason"] for each in listed[1]]) == ([], ["seen in the log"])


async def test_an_answer_is_written_down_however_long_the_books_are_away(
    office: PostOffice, inbox: Inbox, postgres: EmbeddedPostgres
) -> None:
    """The server has said yes; until that can be written down, it is what we know, and nobody sends the mail again."""
    name = await office.pool.fetchval("SELECT current_database()")
    administrator = await asyncpg.connect(postgres.dsn_of("postgres"))

    async def close_the_books(_got: Got) -> None:
        await administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)

    inbox.on_message = close_the_books
    await office.queue(letter("1"))
    async with serving(inbox) as port:
        sending = asyncio.create_task(office.service(port).sweep())
        await asyncio.sleep(1.5)
        assert not sending.done()
        assert len(inbox.got) == 1
        await administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await sending
    await administrator.close()

    assert await office.only_state() == "sent"
    assert len(inbox.got) == 1


async def test_without_books_no_mail_is_ended(office: PostOffice, inbox: Inbox, postgres: EmbeddedPostgres) -> None:
    """The text is with the server, and that its end comes cannot be written down: so it does not come."""
    name = await office.pool.fetchval("SELECT current_database()")
    administrator = await asyncpg.connect(postgres.dsn_of("postgres"))
    asked, go = asyncio.Event(), asyncio.Event()
    await office.queue(letter("1"))
    async with serving(inbox, at_data=(asked, go)) as port:
        sending = asyncio.create_task(office.service(port).sweep())
        await asked.wait()
        await administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        go.set()
        await asyncio.sleep(0.5)
        await administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await sending
        assert inbox.got == []
        assert await office.only_state() == "retry"
        assert [kind for kind, _, _ in await office.events()] == ["cut_off"]
        await office.make_due()
        await office.service(port).sweep()
    await administrator.close()

    assert len(inbox.got) == 1
    assert await office.only_state() == "sent"
