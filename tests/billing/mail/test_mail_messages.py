"""A message becomes bytes that any mail server and mail program reads as it was meant, and nothing besides."""

from __future__ import annotations

import email
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import Refused
from billing.mail.address import Mailbox
from billing.mail.message import Attachment, MailMessage, cleaned, content_hash, message_id, one_line, plain
from billing.mail.mime import Letter, as_bytes, as_data
from tests.billing.mail.mail_room import PDF, SENDER, letter
from tests.examples import tried

AT = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)
INVOICE = Attachment(name="Rechnung März.pdf", content_type="application/pdf", ref="documents/17")
DATA_TYPES = {"from", "to", "cc", "reply-to", "subject", "date", "message-id", "auto-submitted", "mime-version"}
HOSTILE = st.text(st.sampled_from('ab ä\r\n\t:<>,;"@=?\x00\x0b\x85\u2028\ud800') | st.characters(), max_size=60)


def full(**given: Any) -> Letter:
    plain_letter = Letter(
        message_id="0123456789abcdef" * 2, queued_at=AT, sender=SENDER, to=(Mailbox(address="anna@customer.example"),),
        cc=(), reply_to=None, subject="Your invoice", text="Dear customer\n", html=None,
    )  # fmt: skip
    return replace(plain_letter, **given)


def parsed(raw: bytes) -> EmailMessage:
    mail = email.message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def undone(raw: bytes) -> bytes:
    """What a server makes of DATA: RFC 5321 4.5.2."""
    lines = raw.split(b"\r\n")
    assert lines[-1] == b""
    assert not any(b"\r" in each or b"\n" in each for each in lines)
    assert b"." not in lines
    return b"\r\n".join(each.removeprefix(b".") if each.startswith(b".") else each for each in lines)


def test_text_html_and_attachments_arrive_as_they_were() -> None:
    raw = as_bytes(full(text="Grüße\n.\n..two\nFrom me\n", html="<p>Grüße</p>\n"), [(INVOICE, PDF)])
    mail = parsed(undone(b"".join(as_data(raw))))

    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == ["Grüße", ".", "..two", "From me"]
    assert html.get_content().splitlines() == ["<p>Grüße</p>"]
    [file] = mail.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == (INVOICE.name, "application/pdf")
    assert file.get_payload(decode=True) == PDF
    assert mail["From"] == "Example Charging <billing@operator.example>"
    assert mail["Date"].datetime == AT
    assert mail["Auto-Submitted"] == "auto-generated"
    assert raw.isascii()


def test_the_same_message_is_the_same_bytes_whenever_it_is_made() -> None:
    made = {as_bytes(full(html="<p>1</p>"), [(INVOICE, PDF)]) for _ in range(3)}

    assert len(made) == 1


@pytest.mark.parametrize(
    "domain", ["operator.example", "a" * 60 + ".operator.example", ("b" * 50 + ".") * 4 + "example"]
)
def test_the_message_id_is_in_the_senders_domain_however_long(domain: str) -> None:
    raw = as_bytes(full(sender=Mailbox(address=f"billing@{domain}")))

    assert parsed(raw)["Message-ID"] == f"<{'0123456789abcdef' * 2}@{domain}>"


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
@tried(300)
def test_no_name_and_no_subject_makes_a_header(subject: str, name: str, text: str, file: str) -> None:
    said = letter(
        "invoice 1", subject=f"Invoice {subject}", text=text, sender=Mailbox(address=SENDER.address, name=name)
    )
    mail = cleaned(replace(said, to=(Mailbox(address="anna@customer.example", name=name),)))
    assert mail.sender is not None
    sender = mail.sender
    made = full(subject=mail.subject, text=mail.text, sender=sender, to=mail.to, html=mail.text)
    raw = as_bytes(made, [(Attachment(name=one_line(file, length_max=50) or "x", content_type="a/b", ref="r"), b"")])
    arrived = parsed(raw)

    assert {each.lower() for each in arrived.keys()} <= {*DATA_TYPES, "content-type", "content-transfer-encoding"}  # noqa: SIM118 - a message has no others
    assert len(arrived.keys()) == len(set(arrived.keys()))
    assert [each.addr_spec for each in arrived["To"].addresses] == ["anna@customer.example"]
    assert [each.addr_spec for each in arrived["From"].addresses] == [SENDER.address]
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    undone(b"".join(as_data(raw)))


@given(st.binary(max_size=200))
@tried(300)
def test_no_message_ends_before_its_end(raw: bytes) -> None:
    """However lines end, the server sees no line of a single dot: what follows would be commands."""
    data = b"".join(as_data(raw))

    assert b"\r\n.\r\n" not in b"\r\n" + data
    assert undone(data).replace(b"\r\n", b"\n").rstrip(b"\n") == (
        raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    )


def test_recipients_who_cannot_be_written_to_are_left_out_of_the_headers() -> None:
    boxes = (Mailbox(address="nobody", name="N"), Mailbox(address="anna@customer.example", name="Anna, of Customer"))
    mail = parsed(as_bytes(full(to=boxes, cc=boxes, reply_to=boxes[0])))

    assert mail["To"] == '"Anna, of Customer" <anna@customer.example>'
    assert mail["Cc"] == '"Anna, of Customer" <anna@customer.example>'
    assert mail["Reply-To"] is None


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"key": " "}, "key"),
        ({"key": "a\nb"}, "key"),
        ({"key": "k" * 301}, "key"),
        ({"kind": "An Invoice"}, "kind"),
        ({"subject": " \r\n"}, "no subject"),
        ({"to": ()}, "for nobody"),
        ({"to": tuple(Mailbox(address=f"a{n}@customer.example") for n in range(21))}, "recipients"),
        ({"text": "x" * 1_000_001}, "characters"),
        ({"expires_at": AT.replace(tzinfo=None)}, "no zone"),
        ({"attachments": (replace(INVOICE, name="../x.pdf"),)}, "cannot name an attachment"),
        ({"attachments": (replace(INVOICE, name="x\r\n.pdf"),)}, "cannot name an attachment"),
        ({"attachments": (replace(INVOICE, content_type="message/rfc822"),)}, "no type of an attachment"),
        ({"attachments": (replace(INVOICE, content_type="a/b\r\nX: y"),)}, "no type of an attachment"),
        ({"attachments": (replace(INVOICE, ref=""),)}, "is nowhere"),
        ({"attachments": (INVOICE,) * 21}, "attachments"),
    ],
)
def test_a_message_that_is_none_is_refused_before_it_is_queued(given: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match="cannot be queued") as refused:
        cleaned(replace(letter("invoice 1"), **given))

    assert word in refused.value.message


def test_what_customers_are_called_keeps_no_invoice_from_its_way() -> None:
    said = letter("invoice 1", subject="Invoice\r\nBcc: eve@other.example\x00", text="a\x00b\rc\r\nd\ud800")
    mail = cleaned(replace(said, to=(Mailbox(address=" anna@customer.example ", name="Anna\u2028\tMeier\x85"),)))

    assert mail.subject == "Invoice Bcc: eve@other.example"
    assert mail.text == "ab\nc\nd?"
    assert mail.to == (Mailbox(address="anna@customer.example", name="Anna Meier"),)


def test_each_recipient_has_a_message_once() -> None:
    boxes = tuple(Mailbox(address=each) for each in ("anna@customer.example", "Anna@CUSTOMER.example", "b@c.example"))
    mail = cleaned(replace(letter("invoice 1"), to=boxes, cc=boxes))

    assert [each.address for each in mail.to] == ["anna@customer.example", "b@c.example"]
    assert mail.cc == ()


def test_a_message_id_follows_from_what_is_said_alone() -> None:
    def id_of(message: MailMessage) -> str:
        return message_id(content_hash(cleaned(message), message.sender))

    one = letter("invoice 1")
    assert id_of(one) == id_of(letter("invoice 1"))
    others = [
        letter("invoice 2", subject=one.subject, text=one.text),
        replace(one, text="other\n"),
        replace(one, cc=(Mailbox(address="b@c.example"),)),
        replace(one, sender=SENDER),
        replace(one, attachments=(INVOICE,)),
    ]
    assert len({id_of(one), *map(id_of, others)}) == 6


def test_lines_of_a_body_end_as_lines_do() -> None:
    assert plain("a\r\nb\rc\nd") == "a\nb\nc\nd"
