"""csms invoice and csms credit, as somebody in accounting uses them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from cli_room import environment, run
from pypdf import PdfReader

from billing.contracts.accruing import accrue
from csms.database.pool import open_pool
from tests.billing.invoices.books import Books
from tests.billing.invoices.test_contracts_on_invoices import rule, subscribed

MARCH = ("--seller", "north", "--period", "2026-03", "--issued-on", "2026-04-01", "--reason", "March")
WHY = ("--reason", "to look at")


@pytest.fixture
async def office(data_home: Path, database: str) -> dict[str, str]:
    """A month of two customers and a stranger."""
    pool = await open_pool(database, size=2, name="office")
    books = Books(pool)
    await books.open()
    await books.customer("C-1", "TAG-1", language="de")
    await books.customer("C-2", "TAG-2")
    for token, kwh in (("TAG-1", 10), ("TAG-1", 4), ("TAG-2", 6), ("TAG-9", 3)):
        await books.charged(token, kwh=kwh)
    await pool.close()
    return environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")


async def test_a_month_is_tried_then_run_then_found_to_be_done(office: dict[str, str]) -> None:
    tried = await run(office, "invoice", "run", *MARCH, "--dry-run", "--sample", "1", "-o", "csv")
    nothing = await run(office, "invoice", "list", "-o", "json")
    done = await run(office, "invoice", "run", *MARCH, "-o", "csv", "--fields", "account,number,gross,currency")
    again = await run(office, "invoice", "run", *MARCH)
    listed = await run(office, "invoice", "list", "-o", "json")
    shown = await run(office, "invoice", "show", "R2026-000001", "-o", "json")
    verified = await run(office, "invoice", "verify")
    series = await run(office, "invoice", "series", "list", "-o", "json")

    assert (tried.code, len(tried.out.splitlines()), nothing.json) == (0, 2, [])
    assert "1 documents would be made" in tried.err
    assert ",B2026-000001,1.50,EUR" in done.out.splitlines()
    assert sorted(line.split(",")[2] for line in done.out.splitlines()[1:]) == ["1.50", "3.00", "7.00"]
    assert done.err.strip() == "3 documents, 11.50 EUR; 0 left out"
    assert again.err.strip() == "0 documents, nothing; 0 left out"
    assert {(each["account"], each["gross"], each["due_on"]) for each in listed.json} == {
        ("C-1", "7.00", "2026-04-15"), ("C-2", "3.00", "2026-04-15"), (None, "1.50", None),
    }  # fmt: skip
    assert (shown.json["seller"], shown.json["from"]["vat_id"], shown.json["actor"]) == (
        "north",
        "DE136695976",
        "tester",
    )
    assert shown.json["lines"][0]["creditable"] == shown.json["lines"][0]["gross"]
    assert (verified.code, verified.out, verified.err.strip()) == (0, "", "3 documents")
    assert [(each["form"], each["last"]) for each in series.json] == [("full", 2), ("simplified", 1)]


async def test_what_fell_due_of_contracts_is_told_beside_unbilled_sessions(
    office: dict[str, str], database: str
) -> None:
    pool = await open_pool(database, size=2, name="contracts")
    await rule(Books(pool))
    await subscribed(Books(pool), "C-1", price="9.90")
    async with pool.acquire() as connection:
        await accrue(connection, now=datetime(2026, 3, 15, tzinfo=UTC))
    await pool.close()
    waiting = await run(office, "report", "unbilled")
    done = await run(office, "invoice", "run", *MARCH)
    invoiced = await run(office, "report", "unbilled")

    assert waiting.err.strip() == (
        "fallen due of contracts and on no document: 9.90 EUR as agreed (charges: 1);"
        " the next csms invoice run of each customer's rhythm takes them"
    )
    assert done.code == 0
    assert (invoiced.code, invoiced.err) == (0, "")


async def test_an_invoice_is_credited_by_lines_and_then_as_a_whole(office: dict[str, str]) -> None:
    assert (await run(office, "invoice", "run", *MARCH, "--account", "C-1")).code == 0
    tried = await run(
        office, "credit", "create", "R2026-000001", "--line", "1=2.50", "--reason", "x", "--dry-run", "-o", "json"
    )
    part = await run(
        office, "credit", "create", "R2026-000001", "--line", "1=2.50", "--reason", "display broken", "-o", "json"
    )
    much = await run(office, "credit", "create", "R2026-000001", "--line", "1=2.51", "--reason", "x")
    wrong = [
        await run(office, "credit", "create", "R2026-000001", "--line", line, "--reason", "x")
        for line in ("0", "1=2.505", "1=-1", "one", "7")
    ]
    rest = await run(office, "credit", "create", "R2026-000001", "--reason", "all of it", "-o", "json")
    none = await run(office, "credit", "create", "R2026-000001", "--reason", "more")
    listed = await run(office, "credit", "list", "-o", "json")

    assert tried.json | {"dry_run": None} == part.json | {"dry_run": None, "number": tried.json["number"]}
    assert (part.json["number"], part.json["gross"], part.json["corrects"]) == ("C2026-000001", "2.50", "R2026-000001")
    assert (much.code, "remain 2.50 EUR, not 2.51 EUR" in much.error["message"]) == (5, True)
    assert [each.code for each in wrong] == [2, 2, 2, 2, 5]
    assert (rest.json["gross"], none.code) == ("4.50", 7)
    assert [each["number"] for each in listed.json] == ["C2026-000001", "C2026-000002"]


async def test_nothing_of_a_customer_is_deleted_even_before_anything_is_stored(office: dict[str, str]) -> None:
    held = await run(office, "archive", "hold", "set", "--account", "C-1", "--reason", "lawsuit", "-o", "json")
    nobody = await run(office, "archive", "hold", "set", "--account", "C-9", "--reason", "lawsuit")
    listed = await run(office, "archive", "hold", "list", "-o", "json")

    assert (held.code, nobody.code) == (0, 3)
    assert "there is no such account" in nobody.error["message"]
    assert [each["account"] for each in listed.json] == ["C-1"]


async def test_a_correction_says_what_had_been_credited_before(office: dict[str, str], database: str) -> None:
    assert (await run(office, "invoice", "run", *MARCH, "--account", "C-2")).code == 0
    given = ("credit", "create", "R2026-000001", "--line", "1=1.00", "--reason", "goodwill")
    assert (await run(office, *given)).code == 0
    pool = await open_pool(database, size=2, name="rerates")
    books = Books(pool)
    session = await pool.fetchval("SELECT session FROM invoice_source WHERE session IS NOT NULL")
    await books.rerated(session, kwh=8)
    await pool.close()
    done = await run(office, "credit", "correct", session, *WHY, "-o", "json")

    assert [(each["number"], each["gross"]) for each in done.json] == [
        ("C2026-000002", "2.00"),
        ("R2026-000002", "4.00"),
    ]
    assert "1.00 EUR had been credited of it before and is charged again: csms credit create R2026-000002" in done.err


async def test_a_draft_is_made_looked_at_and_issued_or_given_up(office: dict[str, str]) -> None:
    made = await run(office, "invoice", "draft", "create", "C-1", "--until", "2026-03-31", *WHY, "-o", "json")
    [draft] = made.json
    held = await run(office, "invoice", "run", *MARCH, "--account", "C-1", "-o", "json")
    shown = await run(office, "invoice", "draft", "show", draft["draft"], "-o", "json")
    listed = await run(office, "invoice", "draft", "list", "-o", "json")
    issued = await run(office, "invoice", "draft", "issue", draft["draft"], "--reason", "fine", "-o", "json")
    second = await run(office, "invoice", "draft", "create", "C-2", "--until", "2026-03-31", *WHY, "-o", "json")
    other = second.json[0]["draft"]
    void = await run(office, "invoice", "draft", "void", other, *WHY, "-o", "json")
    gone = await run(office, "invoice", "draft", "show", other)

    assert (draft["gross"], draft["sources"]) == ("7.00", 2)
    assert (held.code, held.json["left_out"]) == (6, "account C-1 has an open draft")
    assert len(shown.json["lines"]) == 2
    assert [(each["account"], each["state"]) for each in listed.json] == [("C-1", "open")]
    assert (issued.json["number"], issued.json["gross"]) == ("R2026-000001", "7.00")
    assert (void.json, gone.code) == ({"draft": other, "state": "void"}, 7)


async def test_a_document_becomes_an_e_invoice_where_the_rules_of_its_form_allow_it(
    office: dict[str, str], tmp_path: Path
) -> None:
    address = ("--street", "Weg 1", "--postal-code", "50667", "--city", "Koeln", "--country", "DE")
    electronic = ("--electronic-address", "erika@example.org", "--electronic-scheme", "EM")
    assert (await run(office, "account", "set", "C-1", *address, *electronic, "--reason", "asked")).code == 0
    assert (await run(office, "invoice", "run", *MARCH, "--account", "C-1")).code == 0
    file = tmp_path / "invoice.xml"
    found = await run(office, "invoice", "validate", "R2026-000001", "--profile", "xrechnung-ubl", "-o", "json")
    refused = await run(office, "invoice", "einvoice", "R2026-000001", "--profile", "xrechnung-ubl")
    contact = ("--contact", "Accounts", "--phone", "+49 40 123", "--email", "books@north.example")
    assert (await run(office, "seller", "set", "north", *contact, "--reason", "asked")).code == 0
    asked = ("--buyer-reference", "04011000-12345-03", "--e-invoice", "xrechnung-ubl")
    assert (await run(office, "account", "set", "C-2", *address, *electronic, *asked, "--reason", "asked")).code == 0
    assert (await run(office, "invoice", "run", *MARCH, "--account", "C-2")).code == 0
    sound = await run(office, "invoice", "validate", "R2026-000002", "--profile", "xrechnung-ubl")
    made = await run(office, "invoice", "einvoice", "R2026-000002", "--profile", "xrechnung-ubl", "--out", file)
    twice = await run(office, "invoice", "einvoice", "R2026-000002", "--profile", "xrechnung-ubl", "--out", file)
    printed = await run(office, "invoice", "einvoice", "R2026-000002", "--profile", "xrechnung-ubl")

    assert found.code == 6
    assert {"BR-DE-2", "BR-DE-15"} <= {each["rule"] for each in found.json}
    assert (refused.code, "[BR-DE-15]" in refused.error["message"]) == (5, True)
    assert (sound.code, sound.out, made.code, twice.code) == (0, "", 0, 7)
    assert file.read_bytes() == printed.out.encode()
    assert "<cbc:ID>R2026-000002</cbc:ID>" in printed.out


async def test_a_document_that_lacks_something_is_issued_anew_with_it(office: dict[str, str]) -> None:
    contact = ("--contact", "Accounts", "--phone", "+49 40 123", "--email", "books@north.example")
    assert (await run(office, "seller", "set", "north", *contact, "--reason", "asked")).code == 0
    assert (await run(office, "invoice", "run", *MARCH, "--account", "C-1")).code == 0
    refused = await run(office, "invoice", "einvoice", "R2026-000001", "--profile", "xrechnung-ubl")
    address = ("--street", "Weg 1", "--postal-code", "50667", "--city", "Koeln", "--country", "DE")
    electronic = ("--electronic-address", "erika@example.org", "--electronic-scheme", "EM")
    asked = ("--buyer-reference", "04011000-12345-03")
    assert (await run(office, "account", "set", "C-1", *address, *electronic, *asked, "--reason", "asked")).code == 0
    anew = ("credit", "reissue", "R2026-000001", "--reason", "their reference")
    tried = await run(office, *anew, "--dry-run", "-o", "json")
    done = await run(office, *anew, "-o", "json")
    again = await run(office, *anew)
    sound = await run(office, "invoice", "einvoice", "R2026-000002", "--profile", "xrechnung-ubl")
    open_items = await run(office, "report", "open-items", "--seller", "north", "-o", "json")

    assert (refused.code, refused.error["next"]) == (
        5, "a document that is issued stays as it is: enter what is missing, then csms credit reissue R2026-000001",
    )  # fmt: skip
    assert [(each["number"], each["gross"], each["corrects"]) for each in done.json] == [
        ("C2026-000001", "7.00", "R2026-000001"), ("R2026-000002", "7.00", None),
    ]  # fmt: skip
    assert [each | {"dry_run": None} for each in tried.json] == [each | {"dry_run": None} for each in done.json]
    assert (again.code, "was issued anew as R2026-000002" in again.error["message"]) == (7, True)
    assert (sound.code, "04011000-12345-03" in sound.out) == (0, True)
    assert [(each["document"], each["open"]) for each in open_items.json] == [("R2026-000002", "7.00")]


async def test_a_document_is_typeset_once_and_kept_and_goes_out_with_its_e_invoice_inside(
    office: dict[str, str], tmp_path: Path
) -> None:
    foot = ("seller", "set", "north", "--footer", "Sitz in Hamburg, Beispielregister 4711", "--reason", "registered")
    assert (await run(office, *foot)).code == 0
    assert (await run(office, "invoice", "run", *MARCH, "--account", "C-1")).code == 0
    first, second, hybrid = (tmp_path / name for name in ("first.pdf", "second.pdf", "hybrid.pdf"))
    made = await run(office, "invoice", "render", "R2026-000001", "--out", first, "-o", "json")
    again = await run(office, "invoice", "render", "R2026-000001", "--out", second, "-o", "json")
    twice = await run(office, "invoice", "render", "R2026-000001", "--out", first)
    address = ("--street", "Weg 1", "--postal-code", "50667", "--city", "Koeln", "--country", "DE")
    assert (await run(office, "account", "set", "C-2", *address, "--reason", "asked")).code == 0
    assert (await run(office, "invoice", "run", *MARCH, "--account", "C-2")).code == 0
    zugferd = await run(office, "invoice", "einvoice", "R2026-000002", "--profile", "zugferd", "--out", hybrid)
    kept = await run(office, "archive", "list", "-o", "json")
    verified = await run(office, "archive", "verify")
    tried = await run(office, "document", "preview", "--number", "R2026-000001", "--out", tmp_path / "tried.pdf")

    assert (made.code, twice.code, tried.code, verified.code) == (0, 7, 0, 0), tried.err
    assert first.read_bytes() == second.read_bytes()
    assert made.json["archive_entry"] == again.json["archive_entry"]
    assert [(each["subject"], each["kind"], each["account"]) for each in kept.json] == [
        ("R2026-000001", "invoice_pdf", "C-1")
    ]
    text = " ".join(page.extract_text() for page in PdfReader(first).pages)
    words = (
        "R2026-000001",
        "7,00",
        "Ladevorgang",
        "Northern Example Energy GmbH",
        "Sitz in Hamburg, Beispielregister 4711",
    )
    assert all(word in text for word in words)
    assert zugferd.code == 0, zugferd.err
    assert list(PdfReader(hybrid).attachments) == ["factur-x.xml"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("run", "--seller", "north", "--reason", "x"), 2, "either --period or --until"),
        (("run", "--seller", "north", "--period", "2026-99", "--reason", "x"), 2, "is no period such as"),
        (("run", "--seller", "north", "--until", "2999-01-01", "--reason", "x"), 2, "has not ended yet"),
        (("run", "--seller", "south", "--period", "2026-03", "--reason", "x"), 3, "no seller south"),
        (("run", "--seller", "north", "--period", "2026-03", "--account", "C-9", "--reason", "x"), 3, "no account C-9"),
        (
            ("run", "--seller", "north", "--period", "2026-03", "--time-zone", "Mars", "--reason", "x"),
            2,
            "is no time zone",
        ),
        (
            ("run", "--seller", "north", "--period", "2026-03", "--issued-on", "2999-01-01", "--reason", "x"),
            2,
            "still to come",
        ),
        (("show", "R1"), 3, "no document R1"),
        (("series", "set", "north", "--pattern", "R", "--reason", "x"), 5, "is no shape for numbers"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_next_step(
    office: dict[str, str], arguments: tuple[str, ...], code: int, word: str
) -> None:
    said = await run(office, "invoice", *arguments)

    assert (said.code, word in said.error["message"]) == (code, True), said.error


async def test_numbers_look_as_the_seller_says_and_the_log_knows_who_said_it(
    office: dict[str, str], database: str
) -> None:
    said = await run(
        office, "invoice", "series", "set", "north", "--pattern", "N-{n:3}", "--reason", "ours", "-o", "json"
    )
    assert (await run(office, "invoice", "run", *MARCH, "--account", "C-1")).code == 0
    log = await run(office, "audit", "log", "--noun", "series", "-o", "json")
    connection = await asyncpg.connect(database)
    try:
        number = await connection.fetchval("SELECT number FROM invoice")
    finally:
        await connection.close()

    assert (said.json["pattern"], said.json["default"], number) == ("N-{n:3}", "R{year}-{n:6}", "N-001")
    assert [(each["actor"], each["after"]["pattern"]) for each in log.json] == [("tester", "N-{n:3}")]


PARTNER = (
    "account", "create", "P-7", "--seller", "north", "--kind", "partner", "--name", "Example Parking KG", "--street", "Markt 3",
    "--postal-code", "24103", "--city", "Kiel", "--country", "DE", "--vat-id", "DE136695976", "--language", "de",
    "--iban", "DE89370400440532013000", "--self-billing-from", "2026-01-01",
)  # fmt: skip
SHARE = (
    "invoice",
    "self-bill",
    "P-7",
    "--currency",
    "EUR",
    "--from",
    "2026-03-01",
    "--to",
    "2026-03-31",
    "--reason",
    "March",
)


async def test_a_partner_gets_a_document_in_its_own_name_that_says_who_wrote_it(
    office: dict[str, str], tmp_path: Path
) -> None:
    assert (await run(office, *PARTNER)).code == 0
    file = tmp_path / "share.json"
    file.write_text('[{"text": "Share of March", "net": "118.40"}, {"text": "Rent", "net": 40, "tax": "S:7"}]')
    pieces = tmp_path / "pieces.json"
    pieces.write_text('[{"text": "Rent", "net": 20, "quantity": 2}]')
    line = ("--line", "Share of March=118.40", "--tax", "S:19", "--key", "2026-03")
    tried = await run(office, *SHARE, *line, "--dry-run", "-o", "json")
    made = await run(office, *SHARE, *line, "-o", "json")
    twice = await run(office, *SHARE, *line)
    second = await run(office, *SHARE, "--file", file, "--tax", "S:19", "-o", "json")
    several = await run(office, *SHARE, "--file", pieces, "--tax", "S:19")
    pdf = await run(office, "invoice", "render", "S2026-000001", "--out", tmp_path / "self.pdf")
    credited = await run(office, "credit", "create", "S2026-000001", "--reason", "twice", "-o", "json")
    balance = await run(office, "ledger", "balance", "--account", "payable", "-o", "json")
    verified = await run(office, "invoice", "verify")

    assert (tried.json["number"], tried.json["dry_run"]) == ("S2026-000001", True)
    assert made.json == {name: value for name, value in tried.json.items() if name != "dry_run"}
    assert (made.json["form"], made.json["net"], made.json["tax"], made.json["gross"]) == (
        "self_billed", "118.40", "22.50", "140.90",
    )  # fmt: skip
    assert (twice.code, second.json["gross"]) == (7, "183.70")
    assert (several.code, "quantity" in str(several.error)) == (5, True), "a net is of the whole line"
    assert twice.error["message"] == "key 2026-03 of account P-7 is document S2026-000001"
    assert (credited.json["number"], credited.json["gross"]) == ("SC2026-000001", "140.90")
    assert [(each["owner"], each["balance"]) for each in balance.json] == [("P-7", "-183.70")]
    assert (verified.code, pdf.code) == (0, 0), pdf.err
    text = " ".join(page.extract_text() for page in PdfReader(tmp_path / "self.pdf").pages)
    assert all(word in text for word in ("Gutschrift", "S2026-000001", "Example Parking KG", "140,90", "DE136695976"))
    assert text.startswith("Northern Example Energy GmbH"), "whose letterhead it is"


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ((), 2, "say what is owed"),
        (("--line", "Share"), 2, "is no line"),
        (("--line", "Share=1", "--tax", "X:19"), 2, "is no tax"),
        (("--line", "Share=1", "--tax", "S:19", "--issued-on", "2025-12-31"), 5, "the agreement is from 2026-01-01"),
        (("--line", "Share=1"), 5, "is not decided"),
        (("--file", "-"), 5, "is no JSON"),
    ],
)
async def test_what_no_partner_can_be_billed_for_is_refused_with_whose_move_it_is(
    office: dict[str, str], arguments: tuple[str, ...], code: int, word: str
) -> None:
    assert (await run(office, *PARTNER)).code == 0
    said = await run(office, *SHARE, *arguments)
    listed = await run(office, "invoice", "list", "-o", "json")

    assert (said.code, word in said.error["message"], listed.json) == (code, True, []), said.error
