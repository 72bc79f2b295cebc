"""Every act of the books leaves exactly one entry in the audit log, in its transaction; what is rolled back leaves none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import click
import pytest
from cli_room import environment, run

from billing.archive.entry import Deposit
from billing.archive.service import Archive
from billing.ledger import service as ledger
from billing.ledger.posting_rules import Fact, Part, Settlement, entry_of_settlement
from csms.cli.main import csms
from csms.database.pool import open_pool
from tests.billing.invoices.books import Books
from tests.billing.mail.mail_room import Got, Inbox, PostOffice, letter, serving
from tests.midday import midday_zone

BOOKS = frozenset(
    {
        "account",
        "archive",
        "audit",
        "brand",
        "close",
        "contract",
        "credit",
        "invoice",
        "item",
        "ledger",
        "mail",
        "plan",
        "seller",
    }
)
ELSEWHERE = {
    "bill": "bills are facts of their own, numbered, and never change",
    "certificate": "rows of certificates keep who and why",
    "cp": "what a charge point is asked is kept with its answer",
    "db": "it is no act within the books",
    "discount": "rules have their days and who entered them; nothing of them is overwritten",
    "firmware": "roll-outs keep who and why",
    "incentive": "as discounts",
    "local-list": "each sending is kept",
    "log": "each request is kept",
    "display": "each request is kept",
    "monitor": "each request is kept",
    "policy": "each version is kept with who set it",
    "price-series": "each import is kept",
    "profile": "each request is kept",
    "reservation": "each reservation is kept",
    "review": "decisions are rows of their own, with who and why",
    "session": "a correction bill keeps who and why, as a limit does",
    "site": "a limit is a version with who set it",
    "surcharge": "as discounts",
    "tariff": "publications are rows of their own, with who and why",
    "tax": "rules have their days and who entered them; nothing of them is overwritten",
    "template": "versions are kept",
    "token": "who issued, blocked and limited it is kept with it",
    "file": "it is no act within the books",
    "quirk": "it is no act within the books",
}
"""Nouns beyond the books, each with what keeps its changes."""
OWN_RECORD = {
    "invoice send": "each sending is a row of its own with who and why, which never changes",
    "close run": "it repeats what is done anyway, and locks nothing",
    "mail bounce import": "what servers report is an event of the mail, not an operator's decision",
}
"""Commands of the books that change something and are no decision of an operator."""
WHY = ("--reason", "because it is tested")
ZONE = midday_zone()
TODAY = datetime.now(ZoneInfo(ZONE)).date()
LAST_MONTH = (TODAY.replace(day=1) - timedelta(days=1)).replace(day=1)
DAY = timedelta(days=1)


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, frozenset[str]]]:
    """Every command with the names of its parameters."""
    if not isinstance(command, click.Group):
        yield " ".join(path), frozenset(each.name or "" for each in command.params)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


CHANGING = {path for path, names in commands(csms) if names & {"reason", "dry_run"}}
"""What changes something says why, or can be tried."""


def test_a_command_that_changes_something_is_one_of_the_books_or_it_is_known_what_keeps_its_changes() -> None:
    nouns = {path.split()[0] for path in CHANGING}

    assert nouns - BOOKS - ELSEWHERE.keys() == set()


@dataclass
class Clerk:
    """Gives commands, and counts the entries that they leave."""

    env: dict[str, str]
    pool: asyncpg.Pool
    acts: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def entries(self) -> int:
        count: int = await self.pool.fetchval("SELECT count(*) FROM audit_entry")
        return count

    async def act(self, *arguments: object) -> Any:
        """Try a command, which is rolled back, then give it: what it prints."""
        words = " ".join(str(each) for each in arguments)
        path = max((each for each in CHANGING if f"{words} ".startswith(f"{each} ")), key=len)
        before = await self.entries()
        tried = await run(self.env, *arguments, *WHY, "--dry-run")
        after_trying = await self.entries()
        done = await run(self.env, *arguments, *WHY, "-o", "json")
        after = await self.entries()
        assert (tried.code, done.code) == (0, 0), (words, tried.err, done.err)
        if (after_trying - before, after - after_trying) != (0, 1):
            self.wrong.append(f"{path}: {after_trying - before} entries by trying, {after - after_trying} by doing it")
        self.acts.append(path)
        return json.loads(done.out) if done.out.startswith(("{", "[")) else None


@pytest.fixture
async def clerk(data_home: Path, database: str) -> AsyncIterator[Clerk]:
    pool = await open_pool(database, size=3, name="clerk")
    env = environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")
    try:
        yield Clerk(env, pool)
    finally:
        await pool.close()


async def test_each_act_of_the_books_leaves_one_entry_and_none_if_it_is_rolled_back(clerk: Clerk) -> None:
    books = Books(clerk.pool)
    await books.open()
    await _parties(clerk)
    await _contracts(clerk)
    await _documents(clerk, books)
    await _ledger(clerk)
    await _archive(clerk)
    await _mail(clerk)

    assert clerk.wrong == []
    assert {path for path in CHANGING if path.split()[0] in BOOKS} - set(clerk.acts) == set(OWN_RECORD)
    assert (await run(clerk.env, "audit", "verify")).code == 0


async def test_what_is_refused_leaves_no_entry(clerk: Clerk) -> None:
    books = Books(clerk.pool)
    await books.open()
    await books.customer("C-1", "TAG-1")
    before = await clerk.entries()
    refused = (
        ("seller", "set", "north", "--vat-id", "DE1"), ("account", "set", "C-9", "--city", "Kiel"),
        ("account", "token", "take", "C-1", "NOCARD"), ("plan", "version", "none", "--name", "x", "--interval", "week",
         "--price", "1", "--currency", "EUR"), ("invoice", "draft", "void", "7"), ("credit", "create", "R1"),
        ("credit", "correct", "7"), ("credit", "reissue", "R1"), ("ledger", "reverse", "4711"), ("ledger", "map", "unset", "bank"),
        ("close", "lock", "--month", f"{TODAY:%Y-%m}"), ("archive", "hold", "lift", "1"), ("mail", "cancel", "1"),
        ("mail", "suppression", "lift", "nobody@customer.example"), ("invoice", "draft", "create", "C-1"),
    )  # fmt: skip
    for each in refused:
        assert (await run(clerk.env, *each, *WHY)).code in {3, 5, 7}, each

    assert await clerk.entries() == before


async def _parties(clerk: Clerk) -> None:
    address = ("--street", "Weg 1", "--city", "Kiel", "--country", "DE")
    await clerk.act("seller", "create", "south", "--name", "Southern Example GmbH", *address, "--vat-id", "DE136695976")
    await clerk.act("seller", "set", "south", "--city", "Ulm")
    await clerk.act("seller", "site", "depot", "--seller", "south", "--from", "2030-01-01")
    await clerk.act("brand", "create", "blue", "--seller", "south", "--name", "Blue Charging")
    await clerk.act("brand", "set", "blue", "--name", "Bluer Charging")
    await clerk.act("account", "create", "C-1", "--seller", "north", "--kind", "private", "--name", "Erika Example")
    await clerk.act("account", "create", "C-2", "--seller", "north", "--kind", "private", "--name", "Max Example")
    await clerk.act("account", "set", "C-1", "--language", "de", "--time-zone", ZONE)
    for token in ("TAG-1", "TAG-2"):
        await Books(clerk.pool).world.token(token)
    since = ("--from", "2020-01-01")
    await clerk.act("account", "token", "give", "C-1", "TAG-1", *since)
    await clerk.act("account", "token", "give", "C-2", "TAG-2", *since)
    await clerk.act("account", "token", "take", "C-2", "TAG-2")
    await clerk.act("account", "close", "C-2")
    await clerk.act("account", "pseudonymise", "C-2")


async def _contracts(clerk: Clerk) -> None:
    plan = ("--interval", "month", "--currency", "EUR")
    for id_ in ("basic", "plus"):
        await clerk.act("plan", "create", id_, "--name", id_, "--price", "29.90", *plan)
    await clerk.act("plan", "version", "basic", "--name", "Basic", "--price", "31", *plan)
    contract = ("--account", "C-1", "--currency", "EUR", "--country", "DE", "--plan", "basic")
    await clerk.act("contract", "create", "HOME", *contract, "--start", LAST_MONTH, "--token", "TAG-1")
    subscribed = await clerk.act("contract", "subscribe", "HOME", "plus")
    await clerk.act("contract", "change", subscribed["subscription"], "--quantity", "2", "--on", TODAY)
    [other] = [each["id"] for each in (await shown(clerk, "HOME"))["subscriptions"] if each["plan"] == "basic"]
    await clerk.act("contract", "unsubscribe", other, "--last-day", TODAY)
    await clerk.act("contract", "discount", "add", "HOME", "--label", "Welcome", "--percent", "5", "--from", TODAY)
    [discount] = (await shown(clerk, "HOME"))["discounts"]
    await clerk.act("contract", "discount", "end", "HOME", discount["id"], "--last-day", TODAY + DAY)
    await clerk.act(
        "contract", "milestone", "split", "HOME", "--name", "Works", "--total", "100", "--part", "First=30@start",
        "--part", "Second=70@end",
    )  # fmt: skip
    parts = await clerk_json(clerk, "contract", "milestones", "HOME")
    await clerk.act("contract", "milestone", "reach", parts[0]["id"])
    await clerk.act("contract", "milestone", "cancel", parts[1]["id"])
    await clerk.act("contract", "token", "end", "HOME", "--token", "TAG-1", "--last-day", TODAY)
    await clerk.act("contract", "token", "add", "HOME", "--token", "TAG-1", "--from", TODAY + DAY)
    await clerk.act("item", "add", "HOME", "--name", "Box", "--price", "10")
    [item] = await clerk_json(clerk, "item", "list", "--contract", "HOME")
    await clerk.act("item", "cancel", item["id"])
    await clerk.act("contract", "template", "save", "home", "--from", "HOME")
    await clerk.act("contract", "run", "HOME")
    await clerk.act("contract", "terminate", "HOME", "--for-cause", "--last-day", TODAY + 40 * DAY)
    await clerk.act("contract", "renew", "HOME")


async def _documents(clerk: Clerk, books: Books) -> None:
    await books.customer("C-3", "TAG-3")
    await books.customer("C-4", "TAG-4")
    sessions = [await books.charged(token) for token in ("TAG-3", "TAG-4", "TAG-3")]
    await clerk.act("invoice", "series", "set", "north", "--pattern", "N{year}-{n:3}")
    until = ("--until", "2026-03-31")
    [first] = await clerk.act("invoice", "draft", "create", "C-3", *until)
    await clerk.act("invoice", "draft", "void", first["draft"])
    [second] = await clerk.act("invoice", "draft", "create", "C-3", *until)
    issued = ("--issued-on", "2026-04-01")
    invoice = await clerk.act("invoice", "draft", "issue", second["draft"], *issued)
    await clerk.act("invoice", "run", "--seller", "north", "--account", "C-4", *until, *issued)
    await books.rerated(sessions[0], kwh=8)
    await clerk.act("credit", "correct", sessions[0])
    partner = ("--name", "Example Parking KG", "--street", "Markt 3", "--city", "Kiel", "--country", "DE")
    agreed = ("--tax-number", "20/123/45678", "--self-billing-from", "2026-01-01")
    await clerk.act("account", "create", "P-7", "--seller", "north", "--kind", "partner", *partner, *agreed)
    await clerk.act(
        "invoice", "self-bill", "P-7", "--line", "Share=10", "--currency", "EUR", "--tax", "S:19", "--key", "1"
    )
    await clerk.act("credit", "reissue", "N2026-002")
    await clerk.act("credit", "create", invoice["number"], "--line", "2=1.00")


async def _ledger(clerk: Clerk) -> None:
    await clerk.act("ledger", "map", "set", "bank", "1200", "--seller", "north")
    await clerk.act("ledger", "map", "unset", "bank", "--seller", "north")
    await clerk.act("ledger", "datev", "set", "--consultant", "29098", "--client", "55003", "--seller", "north")
    paid = Settlement(
        fact=Fact.PAYMENT_RECEIVED, seller="north", key="payment:1", on=date(2026, 3, 9), currency="EUR", through="bank",
        items=(Part("C-3", 100, None, None),),
    )  # fmt: skip
    async with clerk.pool.acquire() as connection:
        [posted] = await ledger.post(
            connection, [entry_of_settlement(paid)], now=datetime(2026, 3, 9, tzinfo=UTC), actor="ada"
        )
    await clerk.act("ledger", "reverse", posted.id)
    accepted = ("--accept", "sessions_invoiced", "--accept", "drafts", "--accept", "sessions_unbilled")
    await clerk.act("close", "lock", "--month", "2026-03", "--seller", "north", *accepted)
    before = await clerk.entries()
    files = await run(clerk.env, "ledger", "export", "--format", "csv", "--month", "2026-03", "--seller", "north", *WHY)
    again = await run(clerk.env, "ledger", "export", "--format", "csv", "--month", "2026-03", "--seller", "north", *WHY)
    assert (files.code, again.out) == (0, files.out)
    tried = await run(
        clerk.env, "ledger", "export", "--format", "datev", "--next", "--seller", "north", *WHY, "--dry-run"
    )
    assert tried.code == 0
    assert await clerk.entries() == before + 1
    clerk.acts.append("ledger export")


async def _archive(clerk: Clerk) -> None:
    old = date(2001, 1, 1)
    room = Archive(Path(clerk.env["CSMS_DATA_DIR"]) / "archive")
    deposits = [
        Deposit(content=text, media_type="application/pdf", kind="invoice_pdf", subject="RE-1", day=old, country="DE")
        for text in (b"one", b"two")
    ]
    async with clerk.pool.acquire() as connection:
        async with connection.transaction():
            await room.deposit(connection, deposits, actor="ada", now=datetime(2001, 1, 1, tzinfo=UTC))
        await room.settle(connection)
    hold = await clerk.act("archive", "hold", "set", "--subject", "RE-1")
    await clerk.act("archive", "hold", "lift", hold["hold"])
    await clerk.act("archive", "retention", "set", "voucher", "--country", "DE", "--years", "9")
    await clerk.act("archive", "expire")
    before = await clerk.entries()
    assert (await run(clerk.env, "archive", "expire", *WHY)).code == 0
    assert await clerk.entries() == before, "nothing was there to delete"


async def _mail(clerk: Clerk) -> None:
    office, inbox = PostOffice(clerk.pool), Inbox()

    async def mumble(_got: Got) -> str:
        return "199 well"

    inbox.on_message = mumble
    inbox.on_recipient = lambda address: "550 5.1.1 User unknown" if "ben" in address else None
    async with serving(inbox) as port:
        await office.queue(letter("doubtful"), letter("unknown", "ben@customer.example"))
        await office.service(port).sweep()
    await office.queue(letter("waiting", "cleo@customer.example"))
    ids = {each["key"]: each["id"] for each in await clerk_json(clerk, "mail", "list")}
    await clerk.act("mail", "settle", ids["doubtful"], "--delivered")
    await clerk.act("mail", "cancel", ids["waiting"])
    await clerk.act("mail", "retry", ids["waiting"])
    await clerk.act("mail", "suppression", "lift", "ben@customer.example")
    said = await clerk.pool.fetchval(
        "SELECT string_agg(e::text, '') FROM audit_entry e WHERE noun IN ('mail', 'suppression')"
    )
    assert "customer.example" not in said


async def clerk_json(clerk: Clerk, *arguments: object) -> Any:
    said = await run(clerk.env, *arguments, "-o", "json")
    assert said.code == 0, said.err
    return said.json


async def shown(clerk: Clerk, contract: str) -> Any:
    return await clerk_json(clerk, "contract", "show", contract)
