"""csms ledger, close and report as scripts use them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import click
import pytest
from click.testing import CliRunner, Result

from billing.cli_output import CommandGroup
from billing.errors import ExitCode
from billing.ledger.cli import ledger_group
from billing.ledger.close import CloseStep, Closing, Outcome
from billing.ledger.close_cli import close_group
from billing.ledger.report_cli import report_group
from tests.billing.ledger.books import MARCH, OTHER, SELLER, Books, paid, sale

Run = Callable[..., Awaitable[Result]]
WHY = ("--reason", "March is done")


class Counting:
    """A step of a close that has so much left to do."""

    left = 3

    async def act(self, closing: Closing) -> Outcome:
        assert (closing.seller, closing.month, closing.actor) == (SELLER, MARCH, "ada")
        done = self.left
        if not closing.dry_run:
            self.left = 0
        return Outcome(count=done)


@pytest.fixture
def run(database: str) -> Run:
    """Runs a command line against the test's database, in a thread since commands bring their own loop."""

    @asynccontextmanager
    async def connect(_context: click.Context) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(database)
        try:
            yield connection
        finally:
            await connection.close()

    counting = Counting()
    steps = [CloseStep(name="counting", what="what is left is counted down", act=counting.act)]
    groups = [
        ledger_group(connect, actor=lambda: "ada"),
        close_group(connect, actor=lambda: "ada", steps=steps),
        report_group(connect),
    ]
    root = CommandGroup("csms", commands=groups)

    async def run(*arguments: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, root, [str(each) for each in arguments])

    return run


@pytest.fixture
async def shop(pool: asyncpg.Pool) -> Books:
    """One seller with an invoice that is paid in part."""
    await pool.execute(
        'INSERT INTO seller (id, details) VALUES ($1, \'{"party": {"name": "Example", "address": null}}\')', SELLER
    )
    books = Books(pool)
    await books.post(sale("R-1"), paid("R-1", 500))
    return books


def read(result: Result) -> Any:
    assert result.exit_code == 0, (result.stderr, result.exception)
    return json.loads(result.stdout)


def refused(result: Result, code: ExitCode) -> str:
    assert result.exit_code == code, (result.stdout, result.stderr)
    return str(json.loads(result.stderr)["message"])


@pytest.mark.usefixtures("shop")
async def test_balances_accounts_and_postings_are_told(run: Run) -> None:
    balance = read(await run("ledger", "balance", "--account", "receivable", "-o", "json"))
    owner = read(await run("ledger", "balance", "--owner", "C-1", "--as-of", "2026-03-19", "-o", "json"))
    accounts = read(await run("ledger", "accounts", "-o", "json"))
    postings = read(await run("ledger", "postings", "--document", "R-1", "--account", "receivable", "-o", "json"))
    table = await run("ledger", "postings", "--limit", "2")

    assert balance == [
        {
            "account": "receivable",
            "owner": "C-1",
            "debit": "11.90",
            "credit": "5.00",
            "balance": "6.90",
            "currency": "EUR",
        }
    ]
    assert [each["balance"] for each in owner] == ["11.90"]
    assert [each["account"] for each in accounts] == ["bank", "receivable", "revenue", "tax_payable"]
    assert [(each["fact"], each["debit"], each["credit"], each["due_on"]) for each in postings] == [
        ("invoice_issued", "11.90", None, "2026-03-19"), ("payment_received", None, "5.00", None),
    ]  # fmt: skip
    assert [line.split("\t")[3] for line in table.stdout.splitlines()] == [
        "fact",
        "payment_received",
        "payment_received",
    ]
    assert "raise --limit" in table.stderr


@pytest.mark.usefixtures("shop")
async def test_right_books_are_silent_and_wrong_ones_end_with_six(run: Run, pool: asyncpg.Pool) -> None:
    right = await run("ledger", "check", "-o", "json")
    await pool.execute(
        "INSERT INTO ledger_lock (seller, month, reason, actor, locked_at) VALUES ('acme', '2026-03-01', 'x', 'x', now())"
    )
    wrong = await run("ledger", "check", "--seller", SELLER, "-o", "json")

    assert (right.exit_code, right.stdout, right.stderr) == (0, "", "")
    assert wrong.exit_code == ExitCode.FINDINGS
    assert {each["check"] for each in json.loads(wrong.stdout)} == {"projections"}
    assert json.loads(wrong.stdout)[0]["message"] == (
        "debit 0.00, credit 0.00 EUR is kept, its postings come to debit 5.00, credit 0.00 EUR"
    )


async def test_the_rules_are_one_table(run: Run) -> None:
    rows = read(await run("ledger", "rules", "-o", "json"))

    assert [(row["side"], row["account"]) for row in rows if row["fact"] == "payment_received"] == [
        ("debit", "bank"), ("credit", "receivable"),
    ]  # fmt: skip
    assert "what a third party bears; by party" in {row["amount"] for row in rows}


async def test_an_entry_is_taken_back_with_a_reason(run: Run, shop: Books) -> None:
    made, money = await shop.post(sale("R-1"), paid("R-1", 500))
    tried = read(await run("ledger", "reverse", money.id, "--reason", "bounced", "--dry-run", "-o", "json"))
    before = read(await run("ledger", "balance", "--account", "bank", "-o", "json"))
    done = read(await run("ledger", "reverse", money.id, "--reason", "bounced", "-o", "json"))
    again = await run("ledger", "reverse", money.id, "--reason", "bounced")
    document = await run("ledger", "reverse", made.id, "--reason", "no")
    silent = await run("ledger", "reverse", money.id, "--reason", " ")

    assert {each["dry_run"] for each in tried} == {True}
    assert [each["balance"] for each in before] == ["5.00"]
    assert [(each["account"], each["debit"], each["credit"], each["reverses"], each["text"]) for each in done] == [
        ("bank", None, "5.00", money.id, "bounced"), ("receivable", "5.00", None, money.id, "bounced"),
    ]  # fmt: skip
    assert "was taken back by entry" in refused(again, ExitCode.CONFLICT)
    assert refused(document, ExitCode.REFUSED) == f"entry {made.id} is that of document R-1"
    assert silent.exit_code == ExitCode.USAGE


@pytest.mark.usefixtures("shop")
async def test_a_month_is_closed_from_status_to_pack(run: Run, tmp_path: Path) -> None:
    month = ("--month", "2026-03")
    status = read(await run("close", "status", *month, "-o", "json"))
    tried = read(await run("close", "run", *month, "--dry-run", "-o", "json"))
    ran = read(await run("close", "run", *month, "-o", "json"))
    twice = read(await run("close", "run", *month, "-o", "json"))
    unlocked = await run("close", "pack", tmp_path / "x", *month)
    dry = read(await run("close", "lock", *month, *WHY, "--dry-run", "-o", "json"))
    locked = read(await run("close", "lock", *month, *WHY, "-o", "json"))
    again = await run("close", "lock", *month, *WHY)
    after = await run("close", "status", *month)
    packed = read(await run("close", "pack", tmp_path, *month, "-o", "json"))
    reopened = await run("close", "reopen", *month)

    assert {each["state"] for each in status} == {"done"}
    assert [each["check"] for each in status][:2] == ["month_over", "months_before"]
    assert [run["steps"][0]["count"] for run in (tried, ran, twice)] == [3, 3, 0]
    assert ran["checks"] == status
    assert refused(unlocked, ExitCode.REFUSED) == "2026-03 of acme is not locked"
    assert (dry["dry_run"], dry["entries"], locked["reason"], locked["postings"]) == (True, 2, "March is done", 5)
    assert "was locked by ada" in refused(again, ExitCode.CONFLICT)
    assert "it was locked by ada" in after.stderr
    assert packed[-1]["file"] == "manifest.json"
    assert all((tmp_path / each["file"]).stat().st_size == each["bytes"] for each in packed)
    assert "late" not in refused(reopened, ExitCode.REFUSED)
    assert "csms ledger reverse ENTRY" in json.loads(reopened.stderr)["next"]


async def test_a_pack_that_is_refused_leaves_no_export_behind(run: Run, shop: Books, tmp_path: Path) -> None:
    month = ("--month", "2026-03")
    forms = ("--format", "csv", "--format", "datev", "--format", "beancount")
    assert (await run("close", "lock", *month, *WHY)).exit_code == 0
    pack = await run("close", "pack", tmp_path / "books", *month, *forms)

    assert refused(pack, ExitCode.REFUSED) == "what DATEV files of acme bear is not said yet"
    assert await shop.pool.fetchval("SELECT count(*) FROM ledger_export") == 0
    assert not (tmp_path / "books").exists()


async def test_what_is_open_is_listed_with_what_to_do_and_ends_with_six(run: Run, shop: Books) -> None:
    await shop.post(sale("R-0", fact_on=date(2026, 2, 1)))
    status = await run("close", "status", "--month", "2026-03", "-o", "json")
    table = await run("close", "status", "--month", "2026-03")
    ran = await run("close", "run", "--month", "2026-03")
    lock = await run("close", "lock", "--month", "2026-03", *WHY)

    assert (status.exit_code, table.exit_code, ran.exit_code) == (ExitCode.FINDINGS,) * 3
    [line] = [each for each in json.loads(status.stdout) if each["state"] == "open"]
    assert (line["check"], line["note"], line["next"]) == (
        "months_before", "2026-02 is not locked", "csms close lock --seller acme --month 2026-02 --reason ...",
    )  # fmt: skip
    assert "acme 2026-03: 1 of 12 checks are open" in table.stderr
    assert ran.stdout == table.stdout, "one table, whoever reads it"
    assert "acme 2026-03: 1 of 12 checks are open" in ran.stderr
    assert "counting: 3 what is left is counted down\n" in ran.stderr
    assert "months_before (1)" in refused(lock, ExitCode.REFUSED)


@pytest.mark.usefixtures("shop")
async def test_the_ledger_leaves_on_stdout_or_in_files(run: Run, tmp_path: Path) -> None:
    early = await run("ledger", "export", "--format", "csv", "--month", "2026-03")
    dry = read(await run("ledger", "export", "--format", "csv", "--next", "--dry-run", "-o", "json"))
    await run("close", "lock", "--month", "2026-03", *WHY)
    raw = await run("ledger", "export", "--format", "csv", "--month", "2026-03")
    [stored] = read(await run("ledger", "export", "--format", "beancount", "--next", "--to", tmp_path, "-o", "json"))
    nothing = read(await run("ledger", "export", "--format", "beancount", "--next", "--to", tmp_path, "-o", "json"))
    listed = read(await run("ledger", "exports", "-o", "json"))
    again = await run("ledger", "export", "--run", stored["export"])

    assert refused(early, ExitCode.REFUSED) == "2026-03 is not locked, it may still change"
    assert dry == [
        {"format": "csv", "month": "2026-03", "currency": None, "after_entry": 0, "up_to_entry": 2, "dry_run": True}
    ]
    assert raw.stdout.startswith("entry,posting,booked_on,")
    assert raw.stdout.count("\n") == 6
    assert (tmp_path / stored["file"]).read_bytes() == again.stdout_bytes
    assert nothing == []
    assert [(each["format"], each["entries"]) for each in listed] == [("beancount", 2), ("csv", 2)]
    with os.scandir(tmp_path) as there:
        assert [each.name for each in there] == [stored["file"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("export",),
        ("export", "--format", "csv"),
        ("export", "--format", "csv", "--next"),
        ("export", "--run", "1", "--format", "csv"),
        ("export", "--run", "1", "--dry-run"),
        ("export", "--run", "1", "--next", "--to", "x"),
        ("export", "--month", "2026-3", "--format", "csv"),
        ("map", "set", "bank", "1", "2", "3", "--reason", "x"),
        ("map", "set", "bank", "1800"),
        ("map", "set", "house", "1800", "--reason", "x"),
        ("reverse", "1"),
    ],
)
async def test_what_is_not_said_rightly_is_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert (await run("ledger", *arguments)).exit_code == ExitCode.USAGE


@pytest.mark.usefixtures("shop")
async def test_numbers_and_what_datev_asks_for_are_said_on_the_command_line(run: Run, tmp_path: Path) -> None:
    why = ("--reason", "chart SKR04", "-o", "json")
    unknown = await run("ledger", "datev", "show")
    tried = read(await run("ledger", "map", "set", "bank", "1800", "--dry-run", *why))
    empty = read(await run("ledger", "map", "list", "-o", "json"))
    for line in (("bank", "1800"), ("receivable", "C-*", "10000"), ("tax_payable", "3806"), ("revenue", "4400")):
        read(await run("ledger", "map", "set", *line, *why))
    keyed = read(await run("ledger", "map", "set", "revenue", "4400", "--tax-key", "40", *why))
    again = await run("ledger", "map", "set", "bank", "1800", *why)
    listed = read(await run("ledger", "map", "list", "-o", "json"))
    read(await run("ledger", "datev", "set", "--consultant", "29098", "--client", "55003", *why))
    shown = read(await run("ledger", "datev", "show", "-o", "json"))
    [made] = read(await run("ledger", "export", "--format", "datev", "--next", "--to", tmp_path, "-o", "json"))
    read(await run("ledger", "map", "unset", "bank", *why))
    gone = await run("ledger", "map", "unset", "bank", *why)

    assert refused(unknown, ExitCode.NOT_FOUND) == "what DATEV files of acme bear is not said yet"
    assert (tried["dry_run"], empty) == (True, [])
    assert (keyed["pattern"], keyed["tax_key"]) == ("*", "40")
    assert refused(again, ExitCode.CONFLICT) == "bank:* is 1800 already"
    assert [(each["account"], each["pattern"], each["number"]) for each in listed] == [
        ("bank", "*", "1800"), ("receivable", "C-*", "10000"), ("revenue", "*", "4400"), ("tax_payable", "*", "3806"),
    ]  # fmt: skip
    assert shown == {"consultant": 29098, "client": 55003, "account_digits": 4, "year_begins": 1}
    assert (tmp_path / made["file"]).name.startswith("EXTF_acme_2026-03_EUR_")
    assert (tmp_path / made["file"]).read_bytes().count(b'"0040"') == 1
    assert refused(gone, ExitCode.NOT_FOUND) == "bank:* is not mapped"


@pytest.mark.usefixtures("shop")
async def test_reports_say_what_the_books_say(run: Run) -> None:
    trial = await run("report", "trial-balance", "--as-of", "2026-03-31")
    items = read(await run("report", "open-items", "--as-of", "2026-04-18", "-o", "json"))
    ages = read(await run("report", "open-items", "--as-of", "2026-04-18", "--by", "owner", "-o", "json"))
    nobody = read(await run("report", "open-items", "--owner", "C-2", "-o", "json"))
    unbilled = read(await run("report", "unbilled", "-o", "json"))

    assert trial.exit_code == 0
    assert "4 accounts: debit 16.90 EUR, credit 16.90 EUR" in trial.stderr
    assert trial.stdout.splitlines()[1] == "bank\t\t5.00\t0.00\t5.00\tEUR"
    assert [(each["document"], each["open"], each["days_overdue"], each["age"]) for each in items] == [
        ("R-1", "6.90", 30, "1-30")
    ]
    assert [each["1-30"] for each in ages] == ["6.90"]
    assert (nobody, unbilled) == ([], [])


async def test_of_several_sellers_one_is_named(run: Run, shop: Books) -> None:
    await shop.pool.execute(
        'INSERT INTO seller (id, details) VALUES ($1, \'{"party": {"name": "Example", "address": null}}\')', OTHER
    )
    which = await run("report", "trial-balance")
    named = read(await run("report", "trial-balance", "--seller", OTHER, "-o", "json"))
    unknown = await run("close", "status", "--seller", "nobody")

    assert refused(which, ExitCode.REFUSED) == "there are 2 sellers: acme, bolt"
    assert named == []
    assert refused(unknown, ExitCode.NOT_FOUND) == "no seller nobody"
