"""Closing a month: what stands in its way, the lock, the pack, and whether the books are right."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from billing.errors import AlreadyDone, Refused
from billing.ledger import close, service
from billing.ledger.check import CHECKS, check
from billing.ledger.close import Closing, Locked
from billing.ledger.export import Form, export_month
from billing.ledger.month import is_over
from billing.ledger.open_items import Age, age_of, ageing, open_items
from billing.ledger.pack import PackedFile, pack
from billing.ledger.unbilled import unbilled_values
from csms.database.pool import connect_once
from tests.billing.bills.world import World
from tests.billing.ledger.books import (
    APRIL,
    BANK,
    DAY,
    MARCH,
    NOW,
    OTHER,
    SELLER,
    Books,
    customer,
    paid,
    sale,
    transfer,
)

FEBRUARY = date(2026, 2, 1)
PATIENCE_S = 30.0
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@dataclass
class Closer:
    """Whoever closes months."""

    books: Books
    now: datetime = NOW

    async def open_checks(
        self, month: date = MARCH, seller: str = SELLER, *, accept: Sequence[str] = ()
    ) -> dict[str, Any]:
        async with self.books.pool.acquire() as connection:
            lines = await close.checklist(self.closing(connection, month, seller), accepted=accept)
        return {each.check.name: each.found.open for each in lines if each.found.open}

    async def lock(self, month: date = MARCH, *, accept: Sequence[str] = ()) -> Locked:
        async with self.books.pool.acquire() as connection:
            return await close.lock(self.closing(connection, month), reason="the month is done", accepted=accept)

    async def pack(self, directory: Path, *, forms: Sequence[Form] = (Form.CSV, Form.BEANCOUNT)) -> list[PackedFile]:
        async with self.books.pool.acquire() as connection:
            return await pack(connection, SELLER, MARCH, directory, forms=forms, now=self.now, actor="ada")

    def closing(self, connection: Any, month: date, seller: str = SELLER) -> Closing:
        return Closing(connection=connection, seller=seller, month=month, now=self.now, actor="ada")


@pytest.fixture
def closer(books: Books) -> Closer:
    return Closer(books)


@pytest.fixture
async def world(books: Books) -> World:
    """A site with a charge point; whose it is, is not said."""
    made = World(books.pool)
    await made.site()
    await made.charge_point()
    return made


async def test_a_month_is_locked_once_with_who_and_why(closer: Closer) -> None:
    await closer.books.post(sale("R-1"), paid("R-1"))
    locked = await closer.lock()

    assert locked == Locked(
        seller=SELLER, month=MARCH, entries=2, postings=5, accepted=(), reason="the month is done", actor="ada",
        locked_at=NOW,
    )  # fmt: skip
    with pytest.raises(AlreadyDone, match=r"2026-03 was locked by ada at 2026-04-02"):
        await closer.lock()
    with pytest.raises(AlreadyDone, match=r"2026-02 lies before one that is locked"):
        await closer.lock(FEBRUARY)


async def test_of_two_who_lock_a_month_at_once_one_does(closer: Closer) -> None:
    await closer.books.post(sale())
    done = await asyncio.gather(closer.lock(), closer.lock(), return_exceptions=True)

    assert sorted(type(each).__name__ for each in done) == ["AlreadyDone", "Locked"]


async def test_months_are_locked_in_order(closer: Closer) -> None:
    await closer.books.post(sale("R-1", fact_on=date(2026, 2, 5)), sale("R-2"))

    assert await closer.open_checks() == {"months_before": 1}
    with pytest.raises(Refused, match=r"2026-03 cannot be locked: months_before \(1\)"):
        await closer.lock()
    await closer.lock(FEBRUARY)
    await closer.lock()


async def test_a_month_is_not_locked_over_what_is_booked_in_the_one_before_meanwhile(closer: Closer) -> None:
    await closer.books.post(sale("R-2"))
    pool = closer.books.pool
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with pool.acquire() as connection, connection.transaction():
        await service.post(connection, [sale("R-1", fact_on=date(2026, 2, 5))], now=NOW, actor="ada")
        locking = asyncio.create_task(closer.lock())
        async with asyncio.timeout(PATIENCE_S):
            while not await connection.fetchval(waiting):  # noqa: ASYNC110 - the event is another connection's
                await asyncio.sleep(0.01)

    with pytest.raises(Refused, match=r"2026-03 cannot be locked: 2026-02 is not locked") as refused:
        await locking
    assert refused.value.next_step == "csms close lock --seller acme --month 2026-02 --reason ..."
    await closer.lock(FEBRUARY)
    assert (await closer.lock()).month == MARCH


async def test_a_month_is_locked_when_it_has_ended_everywhere_on_earth(closer: Closer) -> None:
    end = datetime(2026, 4, 1, 12, tzinfo=UTC)

    assert (is_over(MARCH, end), is_over(MARCH, end - timedelta(microseconds=1))) == (True, False)
    assert await closer.open_checks(APRIL) == {"month_over": 1}
    with pytest.raises(Refused, match=r"month_over cannot be accepted"):
        await closer.lock(APRIL, accept=["month_over"])


async def test_sessions_without_a_final_bill_stand_in_the_way_until_they_are_let_pass(
    closer: Closer, world: World
) -> None:
    for day in (date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 31), date(2026, 4, 1)):
        end = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=12)
        await world.session(started_at=end - timedelta(hours=1), ended_at=end, complete_at=end)
    held = await world.session(started_at=NOON, ended_at=NOON + timedelta(hours=1), holds=["register_jump"])
    dropped = await world.session(started_at=NOON, ended_at=NOON + timedelta(hours=1))
    await world.change(dropped, dropped="zero energy")
    await world.running(started_at=NOON)

    assert await closer.open_checks() == {"sessions_unbilled": 2, "sessions_held": 1}
    await world.change(held, holds=[])
    assert await closer.open_checks() == {"sessions_unbilled": 3}
    with pytest.raises(Refused, match=r"sessions_unbilled \(3\)"):
        await closer.lock()
    with pytest.raises(Refused, match=r"no check is named session_unbilled"):
        await closer.lock(accept=["session_unbilled"])
    assert (await closer.lock(accept=["sessions_unbilled"])).accepted == ("sessions_unbilled",)


async def test_a_session_is_its_customer_s_seller_s_else_the_site_s_else_everybody_s(
    closer: Closer, world: World
) -> None:
    await world.session(started_at=NOON, ended_at=NOON + timedelta(hours=1), complete_at=NOON)
    both = [(await closer.open_checks(seller=each)).get("sessions_unbilled") for each in (SELLER, OTHER)]
    await closer.books.pool.execute(
        "INSERT INTO site_seller (site, seller, valid_from, actor) VALUES ('depot', 'acme', '2026-01-01', 'ada')"
    )
    site = [(await closer.open_checks(seller=each)).get("sessions_unbilled") for each in (SELLER, OTHER)]
    await closer.books.pool.execute(
        "INSERT INTO account (id, seller, kind, language, time_zone, rhythm, payment_days, details)"
        " VALUES ('C-1', 'bolt', 'private', 'en', 'Europe/Berlin', 'month', 14, '{}')"
    )
    await closer.books.pool.execute("INSERT INTO account_token VALUES ('TAG-1', '2026-01-01', 'C-1')")
    customers = [(await closer.open_checks(seller=each)).get("sessions_unbilled") for each in (SELLER, OTHER)]

    assert (both, site, customers) == ([1, 1], [1, None], [None, 1])


async def test_the_month_to_close_is_the_first_with_entries_that_is_open(closer: Closer) -> None:
    async def month() -> date:
        async with closer.books.pool.acquire() as connection:
            return await close.month_to_close(connection, SELLER, now=NOW)

    assert await month() == MARCH
    await closer.books.post(sale("R-1", fact_on=date(2026, 1, 5)))
    assert await month() == date(2026, 1, 1)
    await closer.lock(date(2026, 1, 1))
    assert await month() == FEBRUARY


async def test_a_locked_month_stays_locked_and_says_where_late_facts_go(closer: Closer) -> None:
    async with closer.books.pool.acquire() as connection:
        still_open = await close.refuse_to_reopen(connection, SELLER, MARCH)
        await closer.books.lock(MARCH)
        locked = await close.refuse_to_reopen(connection, SELLER, MARCH)

    assert still_open.message == "2026-03 is open"
    assert locked.message == "2026-03 is locked, and stays so: its figures were handed over"
    assert "is booked in 2026-04 with its own date" in locked.next_step


async def test_balances_of_a_locked_month_are_those_of_its_postings(closer: Closer) -> None:
    await closer.books.post(sale("R-1"), paid("R-1", 500), sale("R-2", fact_on=date(2026, 4, 1)))
    days = [date(2026, 2, 28), DAY, date(2026, 3, 30), date(2026, 3, 31), date(2026, 4, 1)]
    before = [await closer.books.balances(as_of=day) for day in days]
    await closer.lock()
    after = [await closer.books.balances(as_of=day) for day in days]

    assert after == before
    assert [each.get("receivable:C-1 EUR", 0) for each in after] == [0, 1190, 690, 690, 1880]
    assert await closer.books.pool.fetchval("SELECT count(*) FROM ledger_balance") == 4


async def test_a_pack_is_the_same_to_the_byte_whenever_and_wherever_it_is_made(closer: Closer, tmp_path: Path) -> None:
    await closer.books.post(sale("R-1"), paid("R-1", 500))
    await closer.lock()
    first = await closer.pack(tmp_path / "one")
    await closer.books.post(sale("R-2"))
    closer.now += timedelta(days=90)
    again = await closer.pack(tmp_path / "one")
    other = await closer.pack(tmp_path / "two")

    assert [each.is_new for each in first] == [True] * 5
    assert [replace(each, is_new=True) for each in again] == other == first
    assert not any(each.is_new for each in again)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(each.name for each in first)
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert (manifest["seller"], manifest["month"], manifest["entries"]) == (SELLER, "2026-03", 2)
    assert {each["file"]: each["sha256"] for each in manifest["files"]} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "two").iterdir()
        if path.name != "manifest.json"
    }
    assert (tmp_path / "one" / "open-items.csv").read_text() == (
        "account,owner,document,opened_on,due_on,days_overdue,age,open,currency\n"
        "receivable,C-1,R-1,2026-03-05,2026-03-19,12,1-30,6.90,EUR\n"
    )
    assert "receivable,C-1,11.90,5.00,6.90,EUR\n" in (tmp_path / "one" / "trial-balance.csv").read_text()


async def test_a_pack_never_writes_over_what_says_otherwise(closer: Closer, tmp_path: Path) -> None:
    await closer.books.post(sale("R-1"))
    with pytest.raises(Refused, match=r"2026-03 of acme is not locked"):
        await closer.pack(tmp_path)
    await closer.lock()
    await closer.pack(tmp_path)
    (tmp_path / "trial-balance.csv").write_text("all is well\n")

    with pytest.raises(Refused, match=r"has another trial-balance.csv"):
        await closer.pack(tmp_path)
    assert (tmp_path / "trial-balance.csv").read_text() == "all is well\n"


async def test_right_books_have_no_findings(closer: Closer) -> None:
    await closer.books.post(sale("R-1"), paid("R-1"), replace(sale(), seller=OTHER))
    await closer.lock()
    [posted] = await closer.books.post(sale("R-2"))
    await closer.books.reverse(posted.id)

    async with closer.books.pool.acquire() as connection:
        assert await check(connection) == []


TAMPERING = {
    "entries": ["UPDATE ledger_posting SET amount_minor = amount_minor + 1 WHERE entry = $1 AND n = 1"],
    "trial_balance": ["UPDATE ledger_posting SET amount_minor = amount_minor + 1 WHERE entry = $1 AND n = 1"],
    "projections": [
        "UPDATE ledger_posting SET amount_minor = amount_minor * 2 WHERE entry = $1",
        "UPDATE ledger_balance SET debit_minor = debit_minor + 1 WHERE $1 > 0",
        "DELETE FROM ledger_balance WHERE $1 > 0",
    ],
    "reversals": ["UPDATE ledger_posting SET amount_minor = amount_minor * 2 WHERE entry = $1"],
    "exports": ["UPDATE ledger_export SET after_entry = 1, up_to_entry = up_to_entry + 1 WHERE $1 > 0"],
}


@pytest.mark.parametrize(("name", "statement"), [(name, each) for name, them in TAMPERING.items() for each in them])
async def test_who_goes_round_the_triggers_is_found_out(
    closer: Closer, database: str, name: str, statement: str
) -> None:
    [posted] = await closer.books.post(sale("R-1"))
    await closer.books.reverse(posted.id)
    await closer.lock()
    async with closer.books.pool.acquire() as connection:
        await export_month(connection, SELLER, Form.CSV, MARCH, BytesIO(), now=NOW, actor="ada")
    async with connect_once(database, as_owner=True) as owner, owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute("ALTER TABLE ledger_posting DISABLE TRIGGER USER")
        await owner.execute("ALTER TABLE ledger_balance DISABLE TRIGGER USER")
        await owner.execute("ALTER TABLE ledger_export DISABLE TRIGGER USER")
        await owner.execute(statement, posted.id)

    async with closer.books.pool.acquire() as connection:
        found = {each.check: each for each in await check(connection)}
    assert name in found
    assert found[name].seller == SELLER
    assert found.keys() <= {each.name for each in CHECKS}


@pytest.mark.parametrize(
    ("days", "age"),
    [(-5, Age.NOT_DUE), (0, Age.NOT_DUE), (1, Age.UP_TO_30), (30, Age.UP_TO_30), (31, Age.UP_TO_60), (60, Age.UP_TO_60),
     (61, Age.UP_TO_90), (90, Age.UP_TO_90), (91, Age.OVER_90)],
)  # fmt: skip
def test_what_is_due_ages_from_the_day_after(days: int, age: Age) -> None:
    assert age_of(days) is age


async def test_open_items_are_settled_by_what_names_their_document(closer: Closer) -> None:
    await closer.books.post(
        sale("R-1"), sale("R-2", due_on=None), sale("R-3", account="C-2", due_on=date(2026, 1, 15)),
        paid("R-1", 500), paid("R-2"),
        transfer("credit", [(customer("C-2"), -90, "EUR"), (BANK, 90, "EUR")]),
    )  # fmt: skip
    as_of = date(2026, 4, 18)
    async with closer.books.pool.acquire() as connection:
        found = await open_items(connection, SELLER, as_of=as_of)
        earlier = await open_items(connection, SELLER, as_of=DAY, owner="C-1")

    assert [(each.account.owner, each.document, each.due_on, each.open_minor) for each in found] == [
        ("C-1", "R-1", date(2026, 3, 19), 690), ("C-2", "R-3", date(2026, 1, 15), 1190), ("C-2", None, DAY, -90),
    ]  # fmt: skip
    assert [(each.document, each.due_on, each.open_minor) for each in earlier] == [
        ("R-1", date(2026, 3, 19), 1190), ("R-2", DAY, 1190),
    ]  # fmt: skip
    assert ageing(found, as_of) == [
        {"account": "receivable", "owner": "C-1", "not_due": "0.00", "1-30": "6.90", "31-60": "0.00", "61-90": "0.00",
         "over_90": "0.00", "total": "6.90", "currency": "EUR"},
        {"account": "receivable", "owner": "C-2", "not_due": "0.00", "1-30": "0.00", "31-60": "-0.90", "61-90": "0.00",
         "over_90": "11.90", "total": "11.00", "currency": "EUR"},
    ]  # fmt: skip


async def test_what_no_document_shows_is_told_by_state(books: Books, world: World) -> None:
    billed, running, held, waiting, bare = [
        await world.session(), await world.running(), await world.session(holds=["x"]), await world.session(),
        await world.running(),
    ]  # fmt: skip
    for session, kind, minor in ((billed, "interim", 100), (billed, "final", 595), (running, "interim", 200),
                                 (held, "interim", 300), (waiting, "interim", 400)):  # fmt: skip
        await bill(books.pool, session, kind, minor)
    async with books.pool.acquire() as connection:
        found = await unbilled_values(connection, SELLER)

    assert {each.state: (each.sessions, each.without_amount, each.incl.minor) for each in found} == {
        "final": (1, 0, 595), "running": (2, 1, 200), "held": (1, 0, 300), "waiting": (1, 0, 400),
    }  # fmt: skip
    assert bare


async def bill(pool: asyncpg.Pool, session: int, kind: str, minor: int) -> None:
    await pool.execute(
        "INSERT INTO tariff (id, version, body, sha256, currency, valid_from)"
        " VALUES ('T', 1, '{}', '', 'EUR', now()) ON CONFLICT DO NOTHING"
    )
    await pool.execute(
        """
        INSERT INTO bill (session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
                          total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version,
                          inputs_hash, inputs, detail)
        SELECT $1, (SELECT count(*) + 1 FROM bill WHERE session = $1), $2, now(), 1000, 'EUR', $3, 0, $3, 0, 0, 'T', 1, 1,
               'x', '', '{}', '{}'
        """,
        session,
        kind,
        minor,
    )
