"""csms invoice send, as somebody in accounting uses it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from cli_room import environment, run
from pypdf import PdfReader

from csms.database.pool import open_pool
from tests.billing.invoices.books import Books

MONTH = ("--period", "2026-03", "--issued-on", "2026-04-01", "--reason", "March")


@pytest.fixture
async def charged(data_home: Path, database: str) -> dict[str, str]:
    """A month of two customers."""
    pool = await open_pool(database, size=2, name="office")
    books = Books(pool)
    await books.open()
    for n in (1, 2):
        await books.customer(f"C-{n}", f"TAG-{n}")
        await books.charged(f"TAG-{n}")
    await pool.close()
    return environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")


@pytest.fixture
async def office(charged: dict[str, str]) -> dict[str, str]:
    """It is invoiced: one of them has an address."""
    reachable = ("account", "set", "C-1", "--invoice-email", "c1@customer.example", "--reason", "asked")
    for each in (reachable, ("invoice", "run", "--seller", "north", *MONTH)):
        assert (await run(charged, *each)).code == 0
    return charged


async def test_a_month_is_tried_sent_and_found_to_be_sent(office: dict[str, str]) -> None:
    days = ("invoice", "send", "--seller", "north", "--issued-from", "2026-04-01")
    tried = await run(office, *days, "--dry-run", "-o", "json")
    done = await run(office, *days, "-o", "csv", "--fields", "account,outcome,address,files,left_out")
    again = await run(office, *days)
    queued = await run(office, "mail", "list", "-o", "json")
    number = next(each["key"].split()[-1] for each in queued.json)
    named = await run(office, "invoice", "send", number, "-o", "json")
    shown = await run(office, "invoice", "show", number, "-o", "json")
    kept = await run(office, "archive", "list", "-o", "json")

    assert (tried.code, tried.err.strip()) == (6, "1 documents would be queued as mail; 1 left out")
    assert sorted(done.out.splitlines()[1:]) == [
        "C-1,queued,c1@customer.example,1,",
        "C-2,left_out,,,account C-2 has no e-mail address",
    ]
    assert (done.code, again.err.strip()) == (6, "0 documents queued as mail; 1 left out")
    assert [(each["state"], each["account"], each["kind"]) for each in queued.json] == [("queued", "C-1", "invoice")]
    assert (named.code, named.json["outcome"], "--again" in named.json["next"]) == (0, "sent_before", True)
    assert [(each["n"], each["address"], each["actor"]) for each in shown.json["sent"]] == [
        (1, "c1@customer.example", "tester")
    ]
    assert [(each["subject"], each["kind"]) for each in kept.json] == [(number, "invoice_pdf")]


async def test_the_e_invoice_that_went_out_stays_the_one_that_is_written(
    charged: dict[str, str], tmp_path: Path
) -> None:
    office = charged
    address = ("--street", "Weg 1", "--postal-code", "50667", "--city", "Koeln", "--country", "DE")
    form = ("--e-invoice", "zugferd", "--invoice-email", "c2@customer.example", "--reason", "asked")
    assert (await run(office, "account", "set", "C-2", *address, *form)).code == 0
    assert (await run(office, "invoice", "run", "--seller", "north", *MONTH, "--account", "C-2")).code == 0
    listed = await run(office, "invoice", "list", "--account", "C-2", "-o", "json")
    number = listed.json[0]["number"]
    write = ("invoice", "einvoice", number, "--profile", "zugferd", "--out")
    assert (await run(office, *write, tmp_path / "before.pdf")).code == 0
    foot = ("seller", "set", "north", "--footer", "Register 4711", "--reason", "registered")
    assert (await run(office, *foot)).code == 0
    sent = await run(office, "invoice", "send", number)
    assert (await run(office, "seller", "set", "north", "--clear", "footer", "--reason", "moved")).code == 0
    for name in ("after.pdf", "again.pdf"):
        assert (await run(office, *write, tmp_path / name)).code == 0
    before, after, again = ((tmp_path / f"{name}.pdf").read_bytes() for name in ("before", "after", "again"))

    assert (sent.code, after == again, before != after) == (0, True, True)
    texts = ["Register 4711" in PdfReader(BytesIO(each)).pages[0].extract_text() for each in (before, after)]
    assert texts == [False, True]


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ("R2026-000001", "--issued-from", "2026-04-01"),
        ("--issued-from", "2026-04-01"),
        ("R2026-000001", "--again"),
        ("R2026-000001", "--reason", "x"),
        ("--seller", "north", "--issued-from", "2026-04-01", "--again", "--reason", "x"),
    ],
)
async def test_what_makes_no_sense_is_said_to_be_wrong_usage(data_home: Path, wrong: tuple[str, ...]) -> None:
    assert (await run(environment(data_home / "data"), "invoice", "send", *wrong)).code == 2
