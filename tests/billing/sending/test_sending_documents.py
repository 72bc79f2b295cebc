"""Documents leave the house: each once, to whom it belongs, with the files that the archive keeps."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from pypdf import PdfReader

from billing.accounts import brands
from billing.accounts import service as accounts
from billing.accounts.account import AccountKind
from billing.accounts.brand import BrandMail
from billing.accounts.brands import file_of
from billing.archive.contents import Contents
from billing.documents.mail_text import MailText
from billing.e_invoices.profiles import Profile
from billing.errors import Refused
from billing.invoices.document import GroupBy
from billing.sending.attachments import ArchivedAttachments
from billing.sending.told import SentBefore
from tests.billing.mail.mail_room import Inbox, PostOffice, serving
from tests.billing.sending.dispatch import Dispatch, attached, body, left_out, sent


async def test_each_document_goes_once_to_its_customer_in_its_language(dispatch: Dispatch, inbox: Inbox) -> None:
    for n, language in enumerate(("de", "en", "fr", "nl")):
        await dispatch.customer(f"C-{n}", f"TAG-{n}", email=f"c{n}@customer.example", language=language)
        await dispatch.books.charged(f"TAG-{n}", kwh=10 + n)
    await dispatch.books.charged("LOOSE")
    await dispatch.books.run()
    told, tally = await dispatch.send()
    again, second = await dispatch.send()
    got = await dispatch.delivered(inbox)

    assert (tally.sent, tally.before, tally.left_out) == (4, 0, 0)
    assert (again, second.sent) == ([], 0), "a run over days looks only for what was not sent"
    assert len(sent(told)) == len(got) == 4
    subjects = sorted(str(each.mail["Subject"]).split(" ")[0] for each in got)
    assert subjects == ["Facture", "Factuur", "Invoice", "Rechnung"]
    by_address = {each.recipient: each for each in got}
    german = by_address["c0@customer.example"]
    assert str(german.mail["Subject"]).endswith(" von Northern Example Energy GmbH")
    assert "5,00" in body(german)
    assert "15.04.2026" in body(german)
    assert "DE89" in body(german)
    assert await dispatch.findings() == []


async def test_what_a_customer_gets_is_what_the_archive_keeps(dispatch: Dispatch, inbox: Inbox) -> None:
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example")
    await dispatch.books.charged("TAG-1")
    await dispatch.books.run()
    await dispatch.send()
    [got] = await dispatch.delivered(inbox)
    rows = await dispatch.pool.fetch(
        "SELECT f.form, e.sha256, e.subject, s.n, s.actor, s.account FROM document_file f JOIN archive_entry e ON e.id = f.entry"
        " JOIN document_sending s ON s.invoice = f.invoice AND f.entry = ANY (s.entries)"
    )

    [(name, pdf)] = attached(got).items()
    [row] = rows
    assert name == "R2026-000001.pdf"
    assert pdf == Contents(dispatch.directory).read(row["sha256"])
    assert tuple(row)[0:1] + tuple(row)[2:] == ("pdf", "R2026-000001", 1, "ada", "C-1")
    assert "R2026-000001" in PdfReader(BytesIO(pdf)).pages[0].extract_text()


async def test_whoever_asked_for_an_e_invoice_gets_it_beside_or_inside_the_pdf(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    await dispatch.seller_with(
        contact="Accounts", phone="+49 40 123", email="books@north.example", electronic_address="DE136695976",
        electronic_scheme="9930",
    )  # fmt: skip
    for n, profile in enumerate((Profile.PEPPOL, Profile.ZUGFERD)):
        await dispatch.customer(
            f"C-{n}", f"TAG-{n}", email=f"c{n}@customer.example", kind=AccountKind.BUSINESS, e_invoice=profile
        )
        await dispatch.books.charged(f"TAG-{n}")
    await dispatch.pool.execute(
        "UPDATE account SET details = jsonb_set(jsonb_set(jsonb_set(details, '{buyer_reference}', '\"4711\"'),"
        " '{party,electronic_address}', '\"NL004495445B01\"'), '{party,electronic_scheme}', '\"9944\"')"
    )
    made, _ = await dispatch.books.run()
    told, _ = await dispatch.send()
    got = {each.recipient: each for each in await dispatch.delivered(inbox)}

    assert [each.left_out for each in made] == [None, None]
    assert (left_out(told), len(got)) == ({}, 2)
    beside, inside = attached(got["c0@customer.example"]), attached(got["c1@customer.example"])
    assert sorted(name.rpartition(".")[2] for name in beside) == ["pdf", "xml"]
    assert any(b"<cbc:ID>R2026-" in content for content in beside.values())
    [hybrid] = inside.values()
    assert list(PdfReader(BytesIO(hybrid)).attachments) == ["factur-x.xml"]


async def test_documents_go_to_whoever_pays_and_credit_notes_to_whoever_was_invoiced(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    await dispatch.customer("BOSS", "TAG-0", email="boss@employer.example", kind=AccountKind.EMPLOYER)
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example", payer="BOSS", labels={GroupBy.DRIVER: "Eve"})
    await dispatch.customer("C-2", "TAG-2", email="c2@customer.example")
    await dispatch.books.charged("TAG-1")
    await dispatch.books.charged("TAG-2")
    await dispatch.books.run()
    [mine] = [each.number for each in await dispatch.books.documents() if each.account == "C-2"]
    note = await dispatch.credited(mine)
    await dispatch.changed("C-2", payer="BOSS")
    told, _ = await dispatch.send()
    got = await dispatch.delivered(inbox)

    assert set(sent(told).values()) == {"boss@employer.example"}
    assert len(told) == len(got) == 3
    [credit] = [each for each in got if note in str(each.mail["Subject"])]
    assert str(credit.mail["Subject"]).startswith("Credit note C2026-000001")
    assert "refund" in body(credit)


async def test_a_brand_writes_by_its_own_address_in_its_own_words(dispatch: Dispatch, inbox: Inbox) -> None:
    text = MailText(subject="{brand}: {number}", body="Moin {customer}! {{bar}} {amount} bis {due_on}")
    mail = BrandMail(address="bills@harbour.example", reply_to="help@harbour.example", texts={"de": text})
    await dispatch.brand("harbour", mail=mail)
    await dispatch.seller_with(email="books@north.example")
    for n, brand in ((1, "harbour"), (2, None)):
        await dispatch.customer(f"C-{n}", f"TAG-{n}", email=f"c{n}@customer.example", language="de", brand=brand)
        await dispatch.books.charged(f"TAG-{n}")
    await dispatch.books.run()
    await dispatch.send()
    got = {each.recipient: each for each in await dispatch.delivered(inbox)}
    branded, plain = got["c1@customer.example"], got["c2@customer.example"]

    assert str(branded.mail["From"]) == "Harbour <bills@harbour.example>"
    assert str(branded.mail["Reply-To"]) == "help@harbour.example"
    assert str(branded.mail["Subject"]).startswith("Harbour: R2026-00000")
    assert body(branded).split() == ["Moin", "Example", "C-1!", "{bar}", "5,00", "€", "bis", "15.04.2026"]
    assert str(plain.mail["From"]) == "Example Charging <billing@operator.example>"
    assert "books@north.example" in str(plain.mail["Reply-To"])


async def test_who_cannot_be_reached_is_told_with_what_to_do_and_the_rest_goes_on(dispatch: Dispatch) -> None:
    await dispatch.customer("C-1", "TAG-1")
    await dispatch.customer("C-2", "TAG-2", email="ends@with.nothing.")
    await dispatch.customer("C-3", "TAG-3", email="c3@customer.example")
    for n in (1, 2, 3):
        await dispatch.books.charged(f"TAG-{n}")
    receipt = await dispatch.books.charged("LOOSE")
    await dispatch.books.run()
    told, tally = await dispatch.send()
    [number] = [each.number for each in await dispatch.books.documents() if each.account is None]
    loose, _ = await dispatch.send(number)

    assert receipt
    assert (tally.sent, tally.left_out) == (1, 2)
    assert min(left_out(told).values()) == "account C-1 has no e-mail address"
    assert [each.next_step for each in told if each.number in left_out(told)] == [
        f"csms account set {each.account} --invoice-email ADDRESS --reason ..."
        for each in told
        if each.number in left_out(told)
    ]
    assert left_out(loose) == {number: "it is a receipt, of nobody that we know"}


async def test_a_document_whose_template_fails_is_left_out_and_sent_once_that_is_mended(dispatch: Dispatch) -> None:
    """A template may work for the samples, and not for every document."""
    picky = b'#let d = json(bytes(sys.inputs.fields))\n#if d.sample == "" { panic("no") }\n#d.number'
    await dispatch.brand("harbour", template=file_of("own.typ", picky), files={file_of("", picky).sha256: picky})
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example", brand="harbour")
    await dispatch.customer("C-2", "TAG-2", email="c2@customer.example")
    for n in (1, 2):
        await dispatch.books.charged(f"TAG-{n}")
    await dispatch.books.run()
    told, tally = await dispatch.send()
    async with dispatch.pool.acquire() as connection:
        await brands.change(
            connection, "harbour", lambda details: replace(details, template=None), files={}, now=dispatch.books.clock.now,
            actor="ada", reason="mended",
        )  # fmt: skip
    mended, _ = await dispatch.send()

    assert (tally.sent, tally.left_out) == (1, 1)
    assert "template template.typ does not work" in next(iter(left_out(told).values()))
    assert list(sent(mended).values()) == ["c1@customer.example"]


async def test_it_is_sent_again_only_when_somebody_says_why(dispatch: Dispatch, inbox: Inbox) -> None:
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example")
    await dispatch.books.charged("TAG-1")
    await dispatch.books.run()
    await dispatch.send("R2026-000001")
    before, _ = await dispatch.send("R2026-000001")
    tried, _ = await dispatch.send("R2026-000001", again=True, reason="lost", dry_run=True)
    twice, _ = await dispatch.send("R2026-000001", again=True, reason="lost")
    got = await dispatch.delivered(inbox)
    rows = await dispatch.pool.fetch("SELECT n, reason, entries FROM document_sending ORDER BY n")

    assert isinstance(before[0], SentBefore)
    assert (len(sent(tried)), len(sent(twice)), len(got)) == (1, 1, 2)
    assert [tuple(row)[:2] for row in rows] == [(1, None), (2, "lost")]
    assert rows[0]["entries"] == rows[1]["entries"], "the same file, not another one"
    assert attached(got[0]) == attached(got[1])


async def test_a_dry_run_leaves_nothing_behind(dispatch: Dispatch) -> None:
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example")
    await dispatch.books.charged("TAG-1")
    await dispatch.books.run()
    told, tally = await dispatch.send(dry_run=True)
    counted = await dispatch.pool.fetchrow(
        "SELECT (SELECT count(*) FROM mail_message), (SELECT count(*) FROM archive_entry), (SELECT count(*) FROM document_sending)"
    )

    assert (tally.sent, sent(told)) == (1, {"R2026-000001": "c1@customer.example"})
    assert tuple(counted) == (0, 0, 0)
    assert not (dispatch.directory / "incoming").exists()


async def test_an_attachment_that_was_changed_goes_to_nobody(dispatch: Dispatch, inbox: Inbox) -> None:
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example")
    await dispatch.books.charged("TAG-1")
    await dispatch.books.run()
    await dispatch.send()
    sha256 = await dispatch.pool.fetchval("SELECT sha256 FROM archive_entry")
    path = Contents(dispatch.directory).path(sha256)
    right = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    async with serving(inbox) as port:
        office = PostOffice(dispatch.pool)
        await office.service(port, fetch=ArchivedAttachments(dispatch.directory)).sweep()
        state = await office.only_state()
    path.write_bytes(right)
    await office.make_due()
    got = await dispatch.delivered(inbox)

    assert (state, len(got)) == ("retry", 1)
    assert attached(got[0]) == {"R2026-000001.pdf": right}


async def test_whoever_is_forgotten_is_forgotten_in_the_mails_too_once_they_have_gone(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    await dispatch.customer("C-1", "TAG-1", email="c1@customer.example")
    await dispatch.books.charged("TAG-1")
    await dispatch.books.run()
    await dispatch.send()
    now = dispatch.books.clock.now

    async def forget() -> None:
        async with dispatch.pool.acquire() as connection:
            await accounts.pseudonymise(connection, "C-1", now=now, actor="ada", reason="asked")

    async with dispatch.pool.acquire() as connection:
        await accounts.take_token(connection, "C-1", "TAG-1", valid_from=now, now=now, actor="ada", reason="asked")
    with pytest.raises(Refused, match=r"1 mails to account C-1 are on their way"):
        await forget()
    await dispatch.delivered(inbox)
    await forget()
    kept = await dispatch.pool.fetch(
        "SELECT d.address, c.body FROM document_sending s JOIN mail_delivery d USING (message) LEFT JOIN mail_content c USING (message)"
    )

    assert [tuple(row) for row in kept] == [(None, None)]
