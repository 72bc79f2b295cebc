"""An employer and a city bear parts of sessions, as an operator sets it up and sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_room import environment, run
from pypdf import PdfReader

from billing.rating.rating import Basis
from csms.database.pool import open_pool
from tests.billing.invoices.books import Books
from tests.billing.invoices.test_borne_parts import bears

RUN = ("invoice", "run", "--seller", "north", "--period", "2026-03", "--issued-on", "2026-04-01", "--reason", "March")
EMPLOYER = (
    "account", "create", "E-1", "--seller", "north", "--kind", "employer", "--name", "Example Works BV", "--street", "Dok 2",
    "--city", "Utrecht", "--country", "NL", "--vat-id", "NL004495445B01", "--party", "Works council", "--time-zone", "UTC",
)  # fmt: skip


@pytest.fixture
async def office(data_home: Path, database: str) -> dict[str, str]:
    """A driver; of each session E-1 bears 0.10 a kWh and "Works council" 0.50."""
    env = environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")
    pool = await open_pool(database, size=2, name="office")
    books = Books(pool)
    await books.open()
    await books.customer("C-1", "TAG-1")
    assert (await run(env, *EMPLOYER)).code == 0
    await bears(books, "E-1", "0.10", basis=Basis.PER_KWH)
    await bears(books, "Works council", "0.50")
    await books.charged("TAG-1")
    await books.charged("TAG-1", kwh=4, day=3)
    await pool.close()
    return env


async def test_a_month_asks_the_driver_and_the_employer_for_what_is_theirs(
    office: dict[str, str], tmp_path: Path
) -> None:
    done = await run(office, *RUN, "-o", "csv", "--fields", "account,number,gross")
    again = await run(office, *RUN)
    driver = await run(office, "invoice", "show", "R2026-000001", "-o", "json")
    employer = await run(office, "invoice", "show", "R2026-000002", "-o", "json")
    file = await run(office, "account", "show", "E-1", "-o", "json")
    pdf = await run(office, "invoice", "render", "R2026-000002", "--out", tmp_path / "part.pdf")
    checked = await run(office, "ledger", "check")

    assert sorted(done.out.splitlines()[1:]) == ["C-1,R2026-000001,7.00", "E-1,R2026-000002,2.40"]
    assert again.err.strip() == "0 documents, nothing; 0 left out"
    assert (driver.json["gross"], driver.json["due"]) == ("7.00", "4.60")
    assert {each["source"] for each in employer.json["lines"]} == {
        "borne:north:R2026-000001:E-1", "borne:north:R2026-000001:Works council",
    }  # fmt: skip
    assert [(each["category"], each["tax"]) for each in employer.json["taxes"]] == [("O", "0.00")]
    assert [(each["account"], each["balance"]) for each in file.json["balance"]] == [
        ("incentive_receivable", "0.00"), ("receivable", "2.40"),
    ]  # fmt: skip
    assert (pdf.code, checked.code) == (0, 0), pdf.err
    text = " ".join(page.extract_text() for page in PdfReader(tmp_path / "part.pdf").pages)
    assert "Your part of R2026-000001" in text
    assert "third party" in text


async def test_an_account_is_asked_under_one_name_only_and_lets_go_of_it(office: dict[str, str]) -> None:
    other = ("--seller", "north", "--kind", "private", "--name", "B", "--time-zone", "UTC")
    taken = await run(office, "account", "create", "C-9", *other, "--party", "Works council")
    own = await run(office, "account", "create", "C-9", *other, "--party", "E-1")
    gone = await run(office, "account", "set", "E-1", "--clear", "parties", "--reason", "no longer", "-o", "json")
    free = await run(office, "account", "create", "C-9", *other, "--party", "Works council", "-o", "json")

    assert (taken.code, own.code) == (5, 5)
    assert "Works council is account E-1 already" in taken.error["message"]
    assert (gone.json["parties"], free.json["parties"]) == ([], ["Works council"])
