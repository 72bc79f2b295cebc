"""csms brand, as somebody who runs a white label uses it."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from cli_room import environment, run
from pypdf import PdfReader

from csms.database.pool import open_pool
from tests.billing.invoices.books import Books

LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 14"><rect width="60" height="14" fill="#8b1f3a"/></svg>'
WHY = ("--reason", "white label")
OWN = """#let d = json(bytes(sys.inputs.fields))
#set page(paper: "a4")
OUR OWN LETTER #d.number of #d.brand.name
"""


@pytest.fixture
async def office(data_home: Path, database: str) -> dict[str, str]:
    """A month of a customer and a stranger, with nothing issued."""
    pool = await open_pool(database, size=2, name="office")
    books = Books(pool)
    await books.open()
    await books.customer("C-1", "TAG-1", language="de")
    await books.charged("TAG-1", kwh=10)
    await books.charged("TAG-9", kwh=3)
    await pool.close()
    return environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")


def files(place: Path) -> dict[str, Path]:
    written = {
        "logo": ("logo.svg", LOGO),
        "template": ("invoice.typ", OWN),
        "broken": ("broken.typ", "#let d = "),
        "text": ("mail.de.txt", "Subject: {kind} {number} der {brand}\n\nMoin {customer},\n\n{payment}\n"),
        "wrong": ("wrong.txt", "Subject: {number.__class__}\n\n{whatever}\n"),
        "headless": ("headless.txt", "Moin\n"),
    }
    for name, content in written.values():
        (place / name).write_text(content, encoding="utf-8")
    return {name: place / file for name, (file, _) in written.items()}


async def test_a_brand_is_entered_changed_and_kept_in_the_log(office: dict[str, str], tmp_path: Path) -> None:
    given = files(tmp_path)
    texts = ("--mail-text", f"de={given['text']}", "--footer", "de=Eine Marke der Northern", "--footer", "*=A brand")
    made = await run(
        office, "brand", "create", "harbour", "--seller", "north", "--name", "Harbour Charging", "--accent", "#8b1f3a",
        "--logo", given["logo"], "--sender", "0800 1", *texts, *WHY, "-o", "json",
    )  # fmt: skip
    twice = await run(office, "brand", "create", "harbour", "--seller", "north", "--name", "H", *WHY)
    moved = await run(
        office, "brand", "set", "harbour", "--mail-address", "bills@harbour.example", "--footer", "fr=Une marque",
        "--clear", "logo", *WHY, "-o", "json",
    )  # fmt: skip
    listed = await run(office, "brand", "list", "--seller", "north", "-o", "json")
    log = await run(office, "audit", "log", "--noun", "brand", "-o", "json")

    assert (made.code, made.json["logo"]["name"], made.json["sender"]) == (0, "logo.svg", ["0800 1"])
    assert made.json["mail"]["texts"]["de"]["subject"] == "{kind} {number} der {brand}"
    assert twice.code == 7
    assert (moved.json["logo"], moved.json["mail"]["address"]) == (None, "bills@harbour.example")
    assert set(moved.json["footer"]) == {"de", "*", "fr"}
    assert [(each["id"], each["mail_address"]) for each in listed.json] == [("harbour", "bills@harbour.example")]
    assert [(each["action"], each["reason"]) for each in log.json] == [("create", WHY[1]), ("set", WHY[1])]


async def test_what_no_document_or_mail_could_bear_is_refused_when_it_is_entered(
    office: dict[str, str], tmp_path: Path
) -> None:
    given = files(tmp_path)
    create = ("brand", "create", "harbour", "--seller", "north", "--name", "Harbour", *WHY)
    wrong = {
        "--accent": "blue", "--template": str(given["broken"]), "--mail-text": f"de={given['wrong']}",
        "--mail-address": "nobody", "--logo": str(given["text"]), "--footer": "tlh=Qapla",
    }  # fmt: skip
    refused = [await run(office, *create, name, value) for name, value in wrong.items()]
    headless = await run(office, *create, "--mail-text", f"de={given['headless']}")
    nobodys = await run(office, *create, "--seller", "south")
    other = await run(office, "account", "set", "C-1", "--brand", "harbour", *WHY)
    at_site = await run(office, "seller", "site", "depot", "--seller", "north", "--brand", "harbour", *WHY)

    assert [each.code for each in refused] == [5] * len(wrong)
    said = [each.error["message"] for each in refused]
    assert ["is no colour" in said[0], "does not work" in said[1], "is none of {kind}" in said[2]] == [True] * 3
    assert (headless.code, nobodys.code, other.code, at_site.code) == (5, 3, 5, 5)
    assert other.error["message"] == "no brand harbour"


async def test_documents_of_an_account_and_receipts_of_a_site_bear_their_brand(
    office: dict[str, str], database: str, tmp_path: Path
) -> None:
    given = files(tmp_path)
    for name, template in (("harbour", ("--logo", given["logo"])), ("depot", ("--template", given["template"]))):
        made = await run(
            office, "brand", "create", name, "--seller", "north", "--name", f"{name} power", *template, *WHY
        )
        assert made.code == 0, made.err
    assert (await run(office, "account", "set", "C-1", "--brand", "harbour", *WHY)).code == 0
    since = ("--from", "2026-02-01", "--brand", "depot")
    assert (await run(office, "seller", "site", "depot", "--seller", "north", *since, *WHY)).code == 0
    month = ("--period", "2026-03", "--issued-on", "2026-04-01", *WHY)
    assert (await run(office, "invoice", "run", "--seller", "north", *month)).code == 0
    invoice, receipt = tmp_path / "invoice.pdf", tmp_path / "receipt.pdf"
    assert (await run(office, "invoice", "render", "R2026-000001", "--out", invoice)).code == 0
    assert (await run(office, "invoice", "render", "B2026-000001", "--out", receipt)).code == 0
    assert (await run(office, "brand", "set", "harbour", "--clear", "logo", *WHY)).code == 0
    again = tmp_path / "again.pdf"
    assert (await run(office, "invoice", "render", "R2026-000001", "--out", again)).code == 0

    assert "OUR OWN LETTER B2026-000001 of depot power" in PdfReader(receipt).pages[0].extract_text()
    page = PdfReader(invoice).pages[0]
    assert "harbour power" not in page.extract_text().splitlines()[0], "the logo stands in the place of the name"
    assert again.read_bytes() == invoice.read_bytes(), "a document that was typeset stays as it is"
    connection = await asyncpg.connect(database)
    counted = await connection.fetchval("SELECT count(*) FROM archive_entry")
    await connection.close()
    assert counted == 2
