"""Files for the general ledger, read back by readers of our own and by bean-check."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import AlreadyDone, NotFound, Refused
from billing.ledger import export
from billing.ledger import export_settings as settings
from billing.ledger.account_map import AccountMap, Mapped
from billing.ledger.beancount import account_name
from billing.ledger.datev import COLUMNS, DatevSettings, amount_text, pairs_of
from billing.ledger.entry import AccountKind, LedgerAccount, Posting
from billing.ledger.export import Export, Form
from tests.billing.ledger.books import (
    APRIL,
    BANK,
    MARCH,
    NOW,
    OTHER,
    REVENUE,
    SELLER,
    Books,
    customer,
    paid,
    sale,
    transfer,
)
from tests.examples import tried

BEAN_CHECK = Path(sys.executable).with_name("bean-check")
LATER = datetime(2026, 5, 3, 8, 30, 15, 250_400, tzinfo=UTC)
NUMBERS = {"receivable": "10000", "revenue": "4400", "tax_payable": "3806", "bank": "1800"}


@dataclass
class Desk:
    """Whoever hands the ledger over."""

    books: Books

    async def month(
        self, form: str, month: date = MARCH, *, now: datetime = LATER, **more: Any
    ) -> tuple[Export, bytes]:
        file = io.BytesIO()
        async with self.books.pool.acquire() as connection:
            made = await export.export_month(connection, SELLER, Form(form), month, file, now=now, actor="ada", **more)
        return made, file.getvalue()

    async def next(self, form: str, *, now: datetime = LATER, **more: Any) -> list[tuple[Export, bytes]]:
        found = []
        async with self.books.pool.acquire() as connection:
            made = export.export_pending(connection, SELLER, Form(form), io.BytesIO, now=now, actor="ada", **more)
            async for each, file in made:
                assert isinstance(file, io.BytesIO)
                found.append((each, file.getvalue()))
        return found

    async def again(self, id_: int) -> bytes:
        file = io.BytesIO()
        async with self.books.pool.acquire() as connection:
            await export.write_again(connection, await export.find_export(connection, id_), file)
        return file.getvalue()

    async def map(self, kind: str, number: str, pattern: str = "*", tax_key: str | None = None) -> None:
        mapped = Mapped(kind=AccountKind(kind), pattern=pattern, number=number, tax_key=tax_key)
        async with self.books.pool.acquire() as connection:
            await settings.map_account(connection, SELLER, mapped, reason="chart SKR04", actor="ada", now=NOW)

    async def datev(self, **more: int) -> None:
        given = {"consultant": 29098, "client": 55003, "account_digits": 4, "year_begins": 1, **more}
        async with self.books.pool.acquire() as connection:
            await settings.set_datev(
                connection, SELLER, DatevSettings(**given), reason="as the adviser said", actor="ada", now=NOW
            )

    async def ready_for_datev(self) -> None:
        await self.datev()
        for kind, number in NUMBERS.items():
            await self.map(kind, number)


@pytest.fixture
def desk(books: Books) -> Desk:
    return Desk(books)


def rows_of_csv(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode())))


def turnover(rows: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found = Counter[str]()
    for account, amount in rows:
        found[account] += amount  # type: ignore[assignment]  # a Counter of decimals
    return {account: Decimal(amount) for account, amount in found.items() if amount}


@dataclass
class Buchungsstapel:
    """What DATEV would read: by place, never by name."""

    header: list[str]
    lines: list[list[str]]

    @classmethod
    def read(cls, body: bytes) -> Buchungsstapel:
        text = body.decode("cp1252")
        assert text.endswith("\r\n")
        assert "\n" not in text.replace("\r\n", "")
        header, names, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=";")
        assert tuple(names) == COLUMNS
        assert {len(line) for line in lines} <= {125}
        return cls(header, lines)

    @property
    def turnover(self) -> dict[str, Decimal]:
        found = []
        for line in self.lines:
            assert re.fullmatch(r"\d{1,10},\d\d", line[0])
            amount = Decimal(line[0].replace(",", ".")) * {"S": 1, "H": -1}[line[1]]
            found += [(line[6], amount), (line[7], -amount)]
        return turnover(found)


def bean_check(path: Path) -> str:
    done = subprocess.run([BEAN_CHECK, "--no-cache", path], capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - a tool of the tests
    return f"{done.returncode}{done.stdout}{done.stderr}"


def beancount_turnover(body: bytes) -> dict[str, Decimal]:
    found = re.findall(r"^  ([A-Z]\S+)  (-?[0-9.]+) ([A-Z]{3})$", body.decode(), re.MULTILINE)
    return turnover((f"{account} {currency}", Decimal(amount)) for account, amount, currency in found)


async def test_a_locked_month_is_the_same_bytes_whenever_it_is_asked_for(desk: Desk) -> None:
    await desk.books.post(sale("R-1"), paid("R-1"))
    await desk.books.lock(MARCH)
    made, first = await desk.month("csv")
    await desk.books.post(sale("R-2"))
    again, second = await desk.month("csv", now=datetime(2026, 9, 1, tzinfo=UTC))

    assert (again, second) == (made, first)
    assert await desk.again(made.id) == first
    assert [(row["account"], row["debit"], row["credit"]) for row in rows_of_csv(first)] == [
        ("receivable", "11.90", ""), ("revenue", "", "10.00"), ("tax_payable", "", "1.90"),
        ("bank", "11.90", ""), ("receivable", "", "11.90"),
    ]  # fmt: skip
    assert (made.entries, made.size) == (2, len(first))
    assert made.file_name == f"ledger_acme_2026-03_{made.id}.csv"


async def test_an_open_month_is_exported_only_as_far_as_it_goes(desk: Desk) -> None:
    await desk.books.post(sale("R-1"))

    with pytest.raises(Refused, match=r"2026-03 is not locked, it may still change"):
        await desk.month("csv")
    [(made, _)] = await desk.next("csv")
    assert (made.span.after, made.entries) == (0, 1)
    assert await desk.next("csv") == []


async def test_no_line_is_in_two_files_and_each_file_is_always_the_same(desk: Desk) -> None:
    bodies, ids = [], []
    for n in range(3):
        await desk.books.post(sale(f"R-{n}"), sale(f"A-{n}", fact_on=date(2026, 4, 7)))
        for made, body in await desk.next("csv"):
            ids.append((made.id, made.span.month))
            bodies.append(body)
    await desk.books.lock(MARCH)
    await desk.books.post(sale("late"))
    [(late, body)] = await desk.next("csv")

    assert [month for _, month in ids] == [MARCH, APRIL] * 3
    assert late.span.month == APRIL
    lines = [(row["entry"], row["posting"]) for each in (*bodies, body) for row in rows_of_csv(each)]
    assert len(lines) == len(set(lines)) == 7 * 3
    assert [await desk.again(id_) for id_, _ in ids] == bodies
    with pytest.raises(Refused, match=r"2026-03 of acme as csv was exported in parts: \d+, \d+, \d+"):
        await desk.month("csv")
    assert await desk.next("csv") == []


async def test_what_was_exported_as_a_month_is_not_next_any_more_but_in_another_form_it_is(desk: Desk) -> None:
    await desk.books.post(sale("R-1"))
    await desk.books.lock(MARCH)
    await desk.month("csv")
    await desk.books.post(sale("R-2"))

    assert [made.span.month for made, _ in await desk.next("csv")] == [APRIL]
    assert [made.span.month for made, _ in await desk.next("beancount")] == [MARCH, APRIL]


async def test_who_exports_waits_for_who_is_posting_so_that_no_entry_is_passed_over(desk: Desk) -> None:
    slow, quick = sale("R-1"), sale("R-2")
    async with desk.books.pool.acquire() as poster:
        begun = poster.transaction()
        await begun.start()
        await export.store.SQL.lock_for_posting.execute(poster, seller=SELLER)
        first = await poster.fetchval("SELECT nextval(pg_get_serial_sequence('ledger_entry', 'id'))")
        [second] = await desk.books.post(quick)
        exporting = asyncio.create_task(desk.next("csv"))
        await asyncio.sleep(0.1)
        assert (exporting.done(), first < second.id) == (False, True)
        await begun.rollback()
    [(made, _)] = await exporting
    await desk.books.post(slow)

    assert made.span.up_to == second.id
    assert [found.entries for found, _ in await desk.next("csv")] == [1]


async def test_of_two_who_export_at_once_one_gets_the_file(desk: Desk) -> None:
    await desk.books.post(sale("R-1"))
    done = await asyncio.gather(*(desk.next("csv") for _ in range(3)), return_exceptions=True)

    files = [each for each in done if isinstance(each, list) and each]
    assert len(files) == 1
    assert all(isinstance(each, list | AlreadyDone) for each in done)
    assert await desk.books.pool.fetchval("SELECT count(*) FROM ledger_export") == 1


async def test_the_tables_themselves_refuse_two_files_that_begin_behind_the_same_entry(desk: Desk) -> None:
    await desk.books.post(sale("R-1"))
    await desk.next("csv")
    same = await desk.books.pool.fetchval(
        "INSERT INTO ledger_export (seller, format, month, after_entry, up_to_entry, map_as_of, entries, bytes, sha256,"
        " actor, at) SELECT seller, format, month, after_entry, up_to_entry + 1, map_as_of, entries, bytes, sha256, actor,"
        " at FROM ledger_export ON CONFLICT DO NOTHING RETURNING id"
    )

    assert same is None


async def test_a_month_without_entries_and_an_export_that_is_none_are_not_found(desk: Desk) -> None:
    await desk.books.lock(MARCH)

    with pytest.raises(NotFound, match=r"nothing is booked in 2026-03 for acme"):
        await desk.month("csv")
    with pytest.raises(NotFound, match=r"no export 4711"):
        await desk.again(4711)


async def test_datev_reads_the_header_the_lines_and_the_turnover_of_our_books(desk: Desk) -> None:
    await desk.ready_for_datev()
    credit = sale("CN-1", net=-100, tax=-19, due_on=None)
    await desk.books.post(sale("R/2026 1"), paid("R/2026 1"), credit, sale("0", net=0, tax=0))
    await desk.books.lock(MARCH)
    made, body = await desk.month("datev")
    read = Buchungsstapel.read(body)

    assert body.startswith(b'"EXTF";700;21;"Buchungsstapel";13;20260503083015250;;')
    assert len(read.header) == 31
    assert read.header[10:16] == ["29098", "55003", "20260101", "4", "20260301", "20260331"]
    assert (read.header[18], read.header[20], read.header[21]) == ("1", "0", "EUR")
    assert [(line[0], line[1], line[6], line[7], line[9], line[10], line[116]) for line in read.lines] == [
        ("1,00", "H", "10000", "4400", "0503", "CN-1", ""),
        ("0,19", "H", "10000", "3806", "0503", "CN-1", ""),
        ("10,00", "S", "10000", "4400", "0503", "R/2026-1", "19032026"),
        ("1,90", "S", "10000", "3806", "0503", "R/2026-1", "19032026"),
        ("11,90", "S", "1800", "10000", "2003", "R/2026-1", ""),
    ]  # fmt: skip
    assert {line[2] for line in read.lines} == {"EUR"}
    assert {line[113] for line in read.lines} == {"0"}
    assert read.turnover == {
        "10000": Decimal("-1.19"), "4400": Decimal("-9.00"), "3806": Decimal("-1.71"), "1800": Decimal("11.90"),
    }  # fmt: skip
    assert made.file_name == f"EXTF_acme_2026-03_EUR_{made.id}.csv"
    assert made.entries == 3
    assert await desk.again(made.id) == body


async def test_a_late_fact_bears_its_own_day_beside_that_of_its_booking(desk: Desk) -> None:
    await desk.ready_for_datev()
    await desk.books.lock(MARCH)
    [posted] = await desk.books.post(sale("R-9"))
    [(_, datev)], [(_, beans)], [(_, table)] = [await desk.next(form) for form in ("datev", "beancount", "csv")]

    [line, _] = Buchungsstapel.read(datev).lines
    assert (line[9], line[47:51]) == ("0104", ["Buchung", str(posted.id), "Vorgang vom", "2026-03-05"])
    assert '2026-04-01 * "invoice issued" "R-9" ^R-9\n' in beans.decode()
    assert "  fact-on: 2026-03-05\n" in beans.decode()
    assert {(row["booked_on"], row["fact_on"]) for row in rows_of_csv(table)} == {("2026-04-01", "2026-03-05")}


async def test_text_that_datev_does_not_know_is_written_as_near_as_can_be_and_cut(desk: Desk) -> None:
    await desk.ready_for_datev()
    text = 'Zaklad "Łódź"\nÄ €  ' + "x" * 90
    await desk.books.post(sale("R_1+" + "9" * 50, text=text))
    [(_, body)] = await desk.next("datev")
    line = Buchungsstapel.read(body).lines[0]

    assert line[13] == ('invoice issued Zaklad "?ódz" Ä € ' + "x" * 90)[:60]
    assert line[10] == ("R_1-" + "9" * 50)[:36]


async def test_accounts_without_a_number_are_refused_by_name_and_nothing_is_remembered(desk: Desk) -> None:
    await desk.datev()
    await desk.map("bank", "1800")
    await desk.books.post(sale("R-1"), paid("R-1"))

    with pytest.raises(
        Refused, match=r"3 accounts have no number in the general ledger: receivable:C-1, revenue"
    ) as refused:
        await desk.next("datev")
    assert refused.value.details["unmapped"] == ["receivable:C-1", "revenue:session:DE:S:19", "tax_payable:DE:S:19"]
    assert await desk.books.pool.fetchval("SELECT count(*) FROM ledger_export") == 0


async def test_a_file_keeps_the_numbers_it_was_made_with(desk: Desk) -> None:
    await desk.ready_for_datev()
    await desk.books.post(sale("R-1"))
    await desk.books.lock(MARCH)
    made, first = await desk.month("datev")
    await desk.map("revenue", "4401")
    await desk.datev(client=7)
    await desk.books.post(sale("R-2"))
    [(_, following)] = await desk.next("datev")

    assert (await desk.month("datev"))[1] == await desk.again(made.id) == first
    assert Buchungsstapel.read(following).lines[0][7] == "4401"
    assert Buchungsstapel.read(following).header[11] == "7"


async def test_a_datev_file_is_in_one_currency(desk: Desk) -> None:
    await desk.ready_for_datev()
    exchange = transfer("x", [(BANK, 5, "EUR"), (customer(), -5, "EUR"), (BANK, 700, "JPY"), (customer(), -700, "JPY")])
    await desk.books.post(exchange)
    await desk.books.lock(MARCH)

    with pytest.raises(Refused, match=r"acme has accounts in EUR, JPY, a DATEV file is in one of them"):
        await desk.month("datev")
    yen, body = await desk.month("datev", currency="JPY")
    assert Buchungsstapel.read(body).turnover == {"1800": Decimal(700), "10000": Decimal(-700)}
    assert Buchungsstapel.read(body).header[21] == "JPY"
    assert [each.span.currency for each, _ in await desk.next("datev")] == ["EUR"]
    assert yen.file_name == f"EXTF_acme_2026-03_JPY_{yen.id}.csv"


async def test_a_currency_is_named_only_where_a_file_has_one(desk: Desk) -> None:
    await desk.ready_for_datev()
    await desk.books.post(sale("R-1"))

    with pytest.raises(Refused, match=r"a csv file has all currencies in it"):
        await desk.next("csv", currency="EUR")
    with pytest.raises(NotFound, match=r"acme has no account in EURO"):
        await desk.next("datev", currency="EURO")


async def test_what_datev_cannot_be_told_is_refused(desk: Desk) -> None:
    await desk.books.post(transfer("x", [(BANK, 5, "KWD"), (customer(), -5, "KWD")]))
    with pytest.raises(Refused, match=r"what DATEV files of acme bear is not said yet"):
        await desk.next("datev")
    await desk.ready_for_datev()
    with pytest.raises(Refused, match=r"KWD has more than 2 decimals"):
        await desk.next("datev")
    await desk.map("bank", "180000")
    await desk.books.post(paid("R-1", 5))
    with pytest.raises(Refused, match=r"account numbers 180000 are longer than 5 digits"):
        await desk.next("datev", currency="EUR")


async def test_a_line_bears_the_tax_key_of_its_account(desk: Desk) -> None:
    await desk.ready_for_datev()
    await desk.map("revenue", "4400", "session:DE:*", "40")
    await desk.books.post(sale("R-1"))
    [(_, body)] = await desk.next("datev")

    assert [line[8] for line in Buchungsstapel.read(body).lines] == ["0040", ""]


def test_the_financial_year_of_a_month_begins_at_or_before_it() -> None:
    july = DatevSettings(consultant=1001, client=1, account_digits=4, year_begins=7)

    assert july.year_start(date(2026, 6, 1)) == date(2025, 7, 1)
    assert july.year_start(date(2026, 7, 1)) == date(2026, 7, 1)


@given(st.lists(st.integers(-(10**6), 10**6).filter(bool), min_size=1, max_size=6))
@tried(200)
def test_movements_between_two_accounts_turn_over_what_the_entry_does(amounts: list[int]) -> None:
    amounts = [*amounts, -sum(amounts)] if sum(amounts) else amounts
    postings = [Posting(LedgerAccount(AccountKind.BANK, str(n)), each, "EUR") for n, each in enumerate(amounts)]
    found = Counter[LedgerAccount]()
    for pair in pairs_of(postings):
        assert pair.amount_minor > 0
        found[pair.account.account] += pair.side.sign * pair.amount_minor
        found[pair.contra.account] -= pair.side.sign * pair.amount_minor

    assert {account: minor for account, minor in found.items() if minor} == {
        each.account: each.amount_minor for each in postings
    }
    assert len(pairs_of(postings)) < len(postings)


@pytest.mark.parametrize(
    ("minor", "currency", "text"), [(5, "EUR", "0,05"), (123456, "EUR", "1234,56"), (120, "JPY", "120,00")]
)
def test_an_amount_has_two_decimals_and_a_comma(minor: int, currency: str, text: str) -> None:
    assert amount_text(minor, currency) == text


async def test_bean_check_accepts_every_month_alone_and_all_together(desk: Desk, tmp_path: Path) -> None:
    odd = [customer("c-1 ä"), customer("1st:floor"), customer('"'), customer("C-1"), customer(":"), customer("c:-")]
    await desk.books.post(
        *(transfer(f'key "{n}"', [(each, 5, "EUR"), (BANK, -5, "EUR")], text='say "no"\\\n; * !') for n, each in enumerate(odd)),
        sale("R-1"), paid("R-1"), sale("R 2", net=0, tax=0),
        transfer("jpy", [(BANK, 700, "JPY"), (REVENUE, -700, "JPY")]), transfer("kwd", [(BANK, 1, "KWD"), (REVENUE, -1, "KWD")]),
    )  # fmt: skip
    await desk.books.lock(MARCH)
    await desk.books.post(sale("R-3"))
    made = await desk.next("beancount")
    for each, body in made:
        (tmp_path / each.file_name).write_bytes(body)
        assert bean_check(tmp_path / each.file_name) == "0"
    main = tmp_path / "main.beancount"
    main.write_text(
        'plugin "beancount.plugins.auto_accounts"\n' + "".join(f'include "{each.file_name}"\n' for each, _ in made)
    )
    wrong = tmp_path / "wrong.beancount"
    wrong.write_bytes(made[0][1].replace(b"11.90 EUR", b"11.91 EUR"))

    assert bean_check(main) == "0"
    assert "does not balance" in bean_check(wrong)
    assert [each.span.month for each, _ in made] == [MARCH, APRIL]
    accounts = beancount_turnover(made[0][1])
    assert accounts["Assets:Bank EUR"] == Decimal("11.90") - Decimal("0.05") * len(odd)
    assert sum(amount for account, amount in accounts.items() if account.endswith(" EUR")) == 0
    assert accounts["Assets:Bank KWD"] == Decimal("0.001")
    assert sum(name.startswith("Assets:Receivable:") for name in accounts) == len(odd)


@given(st.lists(st.text(max_size=12), min_size=2, max_size=2, unique=True))
@tried(500)
def test_two_owners_never_share_an_account_of_beancount(owners: list[str]) -> None:
    names = [account_name(LedgerAccount(AccountKind.RECEIVABLE, owner)) for owner in owners]

    assert len(set(names)) == 2
    assert all(re.fullmatch(r"Assets(:[A-Z0-9][A-Za-z0-9-]*)+", name) for name in names)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (LedgerAccount(AccountKind.RECEIVABLE, "C-1001"), "Assets:Receivable:C-1001"),
        (LedgerAccount(AccountKind.RECEIVABLE), "Assets:Receivable"),
        (LedgerAccount(AccountKind.TAX_PAYABLE, "DE:S:19"), "Liabilities:TaxPayable:DE:S:19"),
        (LedgerAccount(AccountKind.BAD_DEBT), "Expenses:BadDebt"),
    ],
)
def test_an_account_of_beancount_is_named_by_what_it_is(account: LedgerAccount, name: str) -> None:
    assert account_name(account) == name


@pytest.mark.parametrize(
    ("owner", "number"),
    [("session:DE:S:19", "1"), ("session:DE:S:7", "2"), ("session:AT:S:20", "3"), ("item:DE:S:19", "4"), ("", "4")],
)
def test_a_whole_owner_goes_before_a_pattern_and_a_longer_one_before_a_shorter(owner: str, number: str) -> None:
    lines = [("*", "4"), ("session:*", "3"), ("session:DE:*", "2"), ("session:DE:S:19", "1")]
    numbers = AccountMap(Mapped(kind=AccountKind.REVENUE, pattern=pattern, number=n) for pattern, n in lines)

    assert numbers.number(LedgerAccount(AccountKind.REVENUE, owner)) == number
    assert numbers.number(LedgerAccount(AccountKind.BANK, owner)) == ""


async def test_the_map_is_said_line_by_line(desk: Desk) -> None:
    await desk.map("bank", "1800")
    with pytest.raises(AlreadyDone, match=r"bank:\* is 1800 already"):
        await desk.map("bank", "1800")
    with pytest.raises(Refused, match=r"'18x' is no account number"):
        await desk.map("bank", "18x")
    with pytest.raises(Refused, match=r"'abc' is no tax key"):
        await desk.map("bank", "1800", tax_key="abc")
    async with desk.books.pool.acquire() as connection:
        said: dict[str, Any] = {"reason": "so", "actor": "ada", "now": NOW}
        await settings.unmap_account(connection, SELLER, AccountKind.BANK, "*", **said)
        with pytest.raises(NotFound, match=r"bank:\* is not mapped"):
            await settings.unmap_account(connection, SELLER, AccountKind.BANK, "*", **said)
        newest = await settings.newest_map(connection, SELLER)
        assert await settings.mapped_as_of(connection, SELLER, newest) == []
        assert len(await settings.mapped_as_of(connection, SELLER, newest - 1)) == 1
        assert await settings.newest_map(connection, OTHER) == 0
