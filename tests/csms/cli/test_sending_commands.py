"""csms invoice send, as somebody in accounting uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_room import environment, run

from csms.database.pool import open_pool
from tests.billing.invoices.books import Books

MONTH = ("--period", "2026-03", "--issued-on", "2026-04-01", "--reason", "March")


@pytest.fixture
async def office(data_home: Path, database: str) -> dict[str, str]:
    """A month of two customers, invoiced: one has an address."""
    pool = await open_pool(database, size=2, name="office")
    books = Books(pool)
    await books.open()
    for n in (1, 2):
        await books.customer(f"C-{n}", f"TAG-{n}")
        await books.charged(f"TAG-{n}")
    await pool.close()
    env = environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")
    assert (
        await run(env, "account", "set", "C-1", "--invoice-email", "c1@customer.example", "--reason", "asked")
    ).code == 0
    assert (await run(env, "invoice", "run", "--seller", "north", *MONTH)).code == 0
    return env


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
