"""Reports of mail servers find the mail that they are of, count once, and keep us from writing to where nobody is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import AlreadyDone, NotFound, Refused
from billing.mail.report import Action, ReportInvalid, read_report
from billing.mail.reporting import Noted, take_report
from tests.billing.mail.mail_room import Inbox, PostOffice, letter, serving
from tests.examples import tried

REPORT = """\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.customer.example>
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=bound"

This is a MIME-encapsulated message.

--=bound
Content-Type: text/plain; charset=utf-8

I'm sorry to have to inform you that your message could not be delivered.

--=bound
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.customer.example
{envelope}
{recipients}
--=bound
Content-Type: {returned_type}

{returned}
--=bound--
"""
RECIPIENT = """\
Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} <{address}>: {words}
"""
HEADERS = """\
Message-ID: {message_id}
From: Example Charging <billing@operator.example>
Subject: Your invoice
"""


def report(
    *recipients: tuple[str, str, str],
    envelope_id: str | None = None,
    message_id: str = "<someone@elsewhere.example>",
    to: str = "billing@operator.example",
    words: str = "User unknown",
    as_text: bool = True,
) -> bytes:
    """As Postfix and Exim write it: (action, status, address) of each recipient."""
    blocks = [RECIPIENT.format(action=a, status=s, address=who, words=words) for a, s, who in recipients]
    text = REPORT.format(
        to=to,
        envelope="" if envelope_id is None else f"Original-Envelope-Id: {envelope_id}\n",
        recipients="\n".join(blocks),
        returned_type="text/rfc822-headers" if as_text else "message/rfc822",
        returned=HEADERS.format(message_id=message_id) + ("" if as_text else "\nDear customer\n"),
    )
    return text.encode()


FAILED = ("failed", "5.1.1", "anna@customer.example")
FULL = ("failed", "5.2.2", "anna@customer.example")


async def take(office: PostOffice, raw: bytes) -> list[Noted]:
    async with office.pool.acquire() as connection:
        return await take_report(connection, raw, actor="Olga")


@pytest.fixture
async def sent(office: PostOffice, inbox: Inbox) -> Inbox:
    """A mail to Anna and Ben, and one to Anna alone, with a mail server."""
    await office.queue(letter("1", ["anna@customer.example", "ben@customer.example"]), letter("2"))
    async with serving(inbox) as port:
        await office.service(port, return_path="bounces+{id}@operator.example").sweep()
    return inbox


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("by", ["envelope id", "return path", "message id"])
async def test_a_report_finds_its_mail(office: PostOffice, sent: Inbox, by: str, as_text: bool) -> None:
    first = sent.got[0]
    assert first.envelope_id is not None
    leads: dict[str, dict[str, Any]] = {
        "envelope id": {"envelope_id": first.envelope_id},
        "return path": {"to": first.return_path},
        "message id": {"message_id": first.message_id},
    }

    [noted] = await take(office, report(FAILED, as_text=as_text, **leads[by]))

    assert (noted.delivery, noted.bounced, noted.suppressed, noted.status) == (1, True, True, "5.1.1")
    assert list((await office.states()).values()) == ["bounced", "sent", "sent"]
    assert (await office.events())[-1] == ("bounced", None, True)
    assert (await office.words())[-1] == "550 5.1.1 <anna@customer.example>: User unknown"


async def test_of_several_recipients_each_has_its_own_word(office: PostOffice, sent: Inbox) -> None:
    raw = report(
        ("delayed", "4.4.1", "Anna@customer.example"), ("failed", "5.1.1", "ben@customer.example"),
        ("failed", "5.1.1", "eve@other.example"), message_id=sent.got[0].message_id,
    )  # fmt: skip

    noted = await take(office, raw)

    assert [(each.delivery, each.event, each.bounced, each.suppressed) for each in noted] == [
        (1, "delayed", False, False), (2, "bounced", True, True),
    ]  # fmt: skip
    assert list((await office.states()).values()) == ["sent", "bounced", "sent"]


async def test_a_forwarded_mail_that_bounces_elsewhere_is_ours_by_its_envelope(office: PostOffice, sent: Inbox) -> None:
    raw = report(("failed", "5.1.1", "anna@new.example"), envelope_id=sent.got[0].envelope_id)

    [noted] = await take(office, raw)

    assert noted.bounced
    assert await office.pool.fetchval("SELECT address FROM mail_suppression") == "anna@customer.example"


async def test_a_full_mailbox_is_no_reason_never_to_write_again(office: PostOffice, sent: Inbox, inbox: Inbox) -> None:
    [noted] = await take(office, report(FULL, envelope_id=sent.got[0].envelope_id))
    assert (noted.bounced, noted.suppressed) == (True, False)

    await office.queue(letter("3"))
    async with serving(inbox) as port:
        await office.service(port).sweep()
    assert list((await office.states()).values()) == ["bounced", "sent", "sent", "sent"]


async def test_a_report_counts_once(office: PostOffice, sent: Inbox) -> None:
    raw = report(FAILED, envelope_id=sent.got[0].envelope_id)
    await take(office, raw)

    with pytest.raises(AlreadyDone, match="was taken in at"):
        await take(office, raw)
    [later] = await take(office, raw.replace(b"I'm sorry", b"We are sorry"))

    assert not later.bounced
    assert [took for kind, _, took in await office.events() if kind == "bounced"] == [True, False]
    assert await office.pool.fetchval("SELECT count(*) FROM mail_suppression") == 1


async def test_a_report_of_a_doubtful_mail_settles_it(office: PostOffice) -> None:
    """Who reports of it has had it."""
    await office.queue(letter("1"))
    await office.pool.execute(
        "UPDATE mail_delivery SET state = 'sending', claim = gen_random_uuid(), next_at = now(), envelope_id = $1",
        "ab" * 12,
    )
    await office.pool.execute("UPDATE mail_delivery SET state = 'doubtful', next_at = NULL")

    [noted] = await take(office, report(FULL, envelope_id="ab" * 12))

    assert noted.bounced
    assert await office.only_state() == "bounced"


async def test_a_mail_that_was_never_sent_cannot_bounce(office: PostOffice) -> None:
    await office.queue(letter("1"))
    envelope_id = await office.pool.fetchval("SELECT envelope_id FROM mail_delivery")

    [noted] = await take(office, report(FAILED, envelope_id=envelope_id))

    assert (noted.bounced, noted.suppressed) == (False, False)
    assert await office.only_state() == "queued"


@pytest.mark.parametrize(
    "raw",
    [
        report(FAILED),
        report(FAILED, envelope_id="ab" * 12, message_id=f"<{'cd' * 16}@operator.example>"),
        report(("failed", "5.1.1", "eve@other.example"), message_id="SECOND"),
    ],
)
async def test_a_report_of_somebody_elses_mail_is_not_taken_in(office: PostOffice, sent: Inbox, raw: bytes) -> None:
    with pytest.raises(NotFound, match="no mail of ours"):
        await take(office, raw.replace(b"SECOND", sent.got[0].message_id.encode()))

    assert await office.counts() == {"sent": 3}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Subject: out of office\n\nI am away until Monday.\n",
        report().replace(b"message/delivery-status", b"text/plain"),
        report(),
        report(("vanished", "5.1.1", "anna@customer.example")),
        b"\xff\x00" * 500,
    ],
)
async def test_a_file_that_is_no_report_is_refused(office: PostOffice, raw: bytes) -> None:
    with pytest.raises(Refused, match="is not taken in"):
        await take(office, raw)


@given(st.binary(max_size=400), st.integers(0, 1500))
@tried(300)
def test_no_file_breaks_the_reader(noise: bytes, at: int) -> None:
    whole = report(FAILED, envelope_id="ab" * 12)
    for raw in (noise, whole[:at] + noise + whole[at:], whole[:at]):
        try:
            read = read_report(raw)
        except ReportInvalid:
            continue
        assert read.recipients
        assert all("\x00" not in each.words and len(each.words) <= 1000 for each in read.recipients)


def test_what_a_server_says_of_a_mail_that_it_passed_on_is_no_bounce() -> None:
    read = read_report(report(("relayed", "2.0.0", "anna@customer.example"), envelope_id="ab" * 12))

    assert [each.action for each in read.recipients] == [Action.RELAYED]
    assert read.envelope_ids == {"ab" * 12}
