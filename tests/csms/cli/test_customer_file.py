"""A customer's file in one place: shown, handed over as a whole, and forgotten without a change to any document (S21)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cli_room import BOTH, Installation, environment, run
from cli_room import serving as server

from billing.contracts.changes import Act
from billing.contracts.logged import record_contract_change
from billing.contracts.project import Project, WantedItem
from billing.contracts.service import create
from csms.database.pool import open_pool
from tests.billing.invoices.books import Books
from tests.billing.mail.mail_room import Inbox, PostOffice, letter, serving

WHO = "Erika Muster-Example"
MAIL = "erika@customer.example"
WHY = ("--reason", "the customer asked")
PLACES_OF_DOCUMENTS = frozenset({"invoice", "invoice_line"})


@dataclass
class Desk:
    """A month-end desk with one customer: 40 sessions on three invoices, a credit note, a contract, mails, a kept PDF."""

    env: dict[str, str]
    books: Books

    async def json(self, *arguments: object) -> Any:
        said = await run(self.env, *arguments, "-o", "json")
        assert said.code == 0, said.err
        return said.json

    async def ended(self) -> None:
        """The contract that was to begin never does."""
        [item] = await self.json("item", "list", "--contract", "HOME")
        await self.json("item", "cancel", item["id"], *WHY)
        await self.json("contract", "terminate", "HOME", "--for-cause", "--last-day", "2098-12-31", *WHY)

    async def count(self, query: str) -> int:
        found: int = await self.books.pool.fetchval(query)
        return found

    async def documents(self) -> list[tuple[Any, ...]]:
        """Every byte of what was issued."""
        rows = await self.books.pool.fetch(
            "SELECT i.number, i.body::text, i.hash, i.chain, string_agg(l.body::text, '' ORDER BY l.position)"
            " FROM invoice i JOIN invoice_line l ON l.invoice = i.id GROUP BY i.id ORDER BY i.id"
        )
        return [tuple(row) for row in rows]

    async def told_of(self, words: tuple[str, ...]) -> set[str]:
        """The tables in which any of these words stands."""
        tables = await self.books.pool.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind = 'r' AND NOT c.relispartition"
        )
        found = set()
        for row in tables:
            text = await self.books.pool.fetchval(f"SELECT string_agg(t::text, ' ') FROM {row['name']} t")
            if text and any(word in text for word in words):
                found.add(row["name"])
        return found


@pytest.fixture
async def desk(data_home: Path, database: str) -> AsyncIterator[Desk]:
    pool = await open_pool(database, size=4, name="desk")
    books = Books(pool)
    await books.open()
    env = environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")
    desk = Desk(env, books)
    await books.customer("C-1", "TAG-1")
    await books.customer("C-2", "TAG-2")
    for name, value in (("--name", WHO), ("--email", MAIL)):
        await desk.json("account", "set", "C-1", name, value, *WHY)
    for month, last, sessions in ((3, 31, 13), (4, 30, 13), (5, 31, 14)):
        for n in range(sessions):
            await books.charged("TAG-1", kwh=n + 1, day=n + 1, month=month)
        await books.charged("TAG-2", month=month)
        await books.run(until=date(2026, month, last), issued_on=date(2026, month + 1, 1))
    async with pool.acquire() as connection:
        act = Act(actor="ada", reason="signed", now=books.clock.now, record=record_contract_change)
        project = Project(
            currency="EUR", country="DE", title=f"Wallbox of {WHO}", labels={"driver": WHO},
            items=(WantedItem(name="Wallbox", unit_price=Decimal(899)),),
        )  # fmt: skip
        await create(connection, "HOME", project, act, account="C-1", start=date(2099, 1, 1))
    office, inbox = PostOffice(pool), Inbox()
    await office.queue(
        letter("invoice R1", MAIL, account="C-1"), letter("other", "max@customer.example", account="C-2")
    )
    async with serving(inbox) as port:
        await office.service(port).sweep()
    yield desk
    await pool.close()


async def test_the_file_shows_the_newest_of_each_part_and_where_the_rest_is(desk: Desk) -> None:
    first = (await desk.json("invoice", "list", "--account", "C-1"))[0]["number"]
    await desk.json("credit", "create", first, "--line", "1=0.25", *WHY)
    shown = await desk.json("account", "show", "C-1", "--limit", "4")
    table = await run(desk.env, "account", "show", "C-1", "--limit", "2")
    whole = await desk.json("account", "show", "C-1", "--limit", "100", "--fields", "sessions,more")

    assert (shown["name"], shown["rhythm"], [each["token"] for each in shown["tokens"]]) == (WHO, "month", ["TAG-1"])
    assert [each["id"] for each in shown["contracts"]] == ["HOME"]
    assert [each["ended_at"][:10] for each in shown["sessions"]] == [f"2026-05-{day}" for day in (11, 12, 13, 14)]
    assert [(each["kind"], each["gross"]) for each in shown["documents"]] == [
        ("invoice", "45.50"), ("invoice", "45.50"), ("invoice", "52.50"), ("credit_note", "0.25"),
    ]  # fmt: skip
    assert [(each["account"], each["balance"], each["currency"]) for each in shown["balance"]] == [
        ("receivable", "143.25", "EUR")
    ]
    assert [each["open"] for each in shown["open_items"]] == ["45.25", "45.50", "52.50"]
    assert [(each["document"], each["debit"], each["credit"]) for each in shown["postings"]][-1] == (
        first,
        None,
        "0.25",
    )
    assert [each["action"] for each in shown["changes"]][-2:] == ["contract create", "document credit"]
    assert [(each["address"], each["state"]) for each in shown["mails"]] == [(MAIL, "sent")]
    assert shown["more"] == {"sessions": "csms account export C-1", "changes": "csms account export C-1"}
    assert (len(whole["sessions"]), whole["more"]) == (
        40,
        {"changes": "csms account export C-1"} if whole["more"] else {},
    )
    assert "csms invoice list --account C-1" in table.out
    assert "\n  number\tkind\tform\tissued_on" in table.out


async def test_an_export_has_every_row_and_nobody_elses(desk: Desk) -> None:
    await desk.json("invoice", "render", "R2026-000001", "--out", desk.env["CSMS_DATA_DIR"] + ".pdf")
    said = await run(desk.env, "account", "export", "C-1")
    lines = await run(desk.env, "account", "export", "C-1", "-o", "jsonl")
    wrong = await run(desk.env, "account", "export", "C-1", "-o", "csv")
    whole = json.loads(said.out)
    mine = "(SELECT id FROM session WHERE token = 'TAG-1')"

    expected = {
        "tokens": 1,
        "contracts": 1,
        "sessions": 40,
        "bills": await desk.count(f"SELECT count(*) FROM bill WHERE session IN {mine}"),
        "documents": 3,
        "drafts": 0,
        "postings": await desk.count(
            "SELECT count(*) FROM ledger_posting p JOIN ledger_account a ON a.id = p.account WHERE a.owner = 'C-1'"
        ),
        "archive": await desk.count("SELECT count(*) FROM archive_entry WHERE account = 'C-1'"),
        "mails": 1,
        "changes": await desk.count(
            "SELECT count(*) FROM audit_entry WHERE (noun, subject) IN (('account', 'C-1'), ('token', 'TAG-1'), ('contract', 'HOME'))"
        ),
    }
    assert expected["bills"] >= 40
    assert expected["archive"] == 1
    assert {part: len(whole[part]) for part in expected} == expected
    counted = Counter(json.loads(line)["part"] for line in lines.out.splitlines())
    assert counted == {"account": 1, **{part: count for part, count in expected.items() if count}}
    lines_of = [line["kind"] for each in whole["documents"] for line in each["document"]["lines"]]
    assert lines_of.count("session") == 40
    assert {each["detail"]["tax_included"] for each in whole["bills"]} == {"YES"}
    assert whole["mails"][0]["body"]["subject"] == "Your invoice invoice R1"
    assert whole["contracts"][0]["items"][0]["name"] == "Wallbox"
    assert any(each["personal"].get("after", {}).get("title") == f"Wallbox of {WHO}" for each in whole["changes"])
    assert "TAG-2" not in said.out
    assert "max@" not in said.out
    assert wrong.code == 2


async def test_a_customer_is_forgotten_everywhere_but_on_documents_which_stay_to_the_byte(desk: Desk) -> None:
    pdf = Path(desk.env["CSMS_DATA_DIR"] + ".pdf")
    await desk.json("invoice", "render", "R2026-000001", "--out", pdf)
    await desk.books.charged("TAG-1", day=20, month=6)
    await desk.json("account", "token", "take", "C-1", "TAG-1", *WHY)
    early = await run(desk.env, "account", "pseudonymise", "C-1", *WHY)
    await desk.json("invoice", "run", "--seller", "north", "--account", "C-1", "--until", "2026-06-30", *WHY)
    running = await run(desk.env, "account", "pseudonymise", "C-1", *WHY)
    await desk.ended()
    before = await desk.documents()
    done = await run(desk.env, "account", "pseudonymise", "C-1", *WHY)

    assert (running.code, "may charge it yet: HOME" in running.error["message"]) == (5, True)
    assert (early.code, "1 sessions of account C-1 are on no document" in early.error["message"]) == (5, True)
    assert done.code == 0, done.err
    assert await desk.documents() == before
    assert len([each for each in before if "C-1" in each[1]]) == 4
    assert await desk.told_of((WHO, MAIL, "Muster")) <= PLACES_OF_DOCUMENTS
    for check in (("invoice", "verify"), ("archive", "verify"), ("ledger", "check"), ("audit", "verify")):
        said = await run(desk.env, *check)
        assert said.code == 0, (check, said.out, said.err)
    shown = await desk.json("account", "show", "C-1")
    assert (shown["name"], shown["state"], shown["mails"][0]["address"]) == ("C-1", "pseudonymised", None)
    assert shown["contracts"][0]["title"] == ""


async def test_mail_that_has_not_ended_is_not_forgotten_under_way(desk: Desk) -> None:
    await PostOffice(desk.books.pool).queue(letter("reminder", MAIL, account="C-1"))
    await desk.json("account", "token", "take", "C-1", "TAG-1", *WHY)
    await desk.ended()
    early = await run(desk.env, "account", "pseudonymise", "C-1", *WHY)
    [mail] = await desk.json("mail", "list", "--state", "queued")
    await desk.json("mail", "cancel", mail["id"], *WHY)
    done = await run(desk.env, "account", "pseudonymise", "C-1", *WHY)

    assert (early.code, "1 mails to account C-1 are on their way" in early.error["message"]) == (5, True)
    assert done.code == 0


async def test_a_customer_sees_nothing_of_who_had_its_token_before(desk: Desk) -> None:
    await desk.json("account", "token", "give", "C-2", "TAG-1", "--from", "2026-07-01", "--driver", "Max Second", *WHY)
    told = await run(desk.env, "account", "export", "C-1")
    other = await run(desk.env, "account", "export", "C-2")

    assert "Max Second" not in told.out
    assert "Max Second" in other.out
    assert len(json.loads(other.out)["sessions"]) == 3


async def test_export_waits_for_no_one_and_is_of_one_moment(desk: Desk, database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute("SELECT id FROM account WHERE id = 'C-1' FOR UPDATE")
            said = await run(desk.env, "account", "export", "C-1")
    finally:
        await connection.close()

    assert said.code == 0


@pytest.mark.parametrize("protocol", BOTH)
def test_a_server_that_serves_a_session_writes_its_token_in_no_log(data_home: Path, protocol: str) -> None:
    tag, stranger = "LOGTAG-4711", "LOGTAG-UNKNOWN"

    async def serve(shop: Installation) -> None:
        await shop.furnish()
        await shop.data("token", "issue", tag)
        await shop.rated_session("LOG-1", protocol, token=tag)
        async with shop.simulated("LOG-2", protocol, evses=1) as station:
            await station.plug()
            assert await station.authorize(stranger) != "Accepted"
            await station.start(token=stranger)

    with server(data_home / "data", CSMS_LOG_LEVEL="debug") as shop:
        asyncio.run(serve(shop))

    log = shop.log_path.read_text()
    assert "draining" in log
    assert "LOGTAG" not in log.upper()
