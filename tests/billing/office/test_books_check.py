"""The nightly look at the books names what is not what it was (M10): a document, a row of a log, a file, an entry."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import asyncpg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from billing.archive.contents import Contents
from billing.invoices import service as invoices
from billing.office.night import last_time
from tests.billing.office.office_room import OfficeRoom


@pytest.fixture
async def month(room: OfficeRoom) -> OfficeRoom:
    """Two invoices in the books and in the archive."""
    for n in (1, 2):
        await room.dispatch.customer(f"C-{n}", f"TAG-{n}", email=f"c{n}@customer.example")
        await room.dispatch.books.charged(f"TAG-{n}")
    await room.dispatch.books.run()
    await room.dispatch.send()
    return room


async def found(room: OfficeRoom) -> list[tuple[str, str]]:
    return [(each.check, each.subject) for each in await room.office.check_books()]


def shown(check: str) -> float | None:
    return REGISTRY.get_sample_value("csms_books_findings", {"check": check})


async def test_books_that_nobody_touched_are_as_they_were(month: OfficeRoom) -> None:
    assert await found(month) == []
    assert [shown(each) for each in ("invoices", "audit", "archive", "ledger")] == [0, 0, 0, 0]


async def test_one_changed_byte_of_an_archived_invoice_is_named_by_the_number_of_the_invoice(month: OfficeRoom) -> None:
    row = await month.dispatch.pool.fetchrow("SELECT id, sha256 FROM archive_entry WHERE subject = 'R2026-000002'")
    path = Contents(month.dispatch.directory).path(row["sha256"])
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    with capture_logs() as logs:
        findings = await found(month)

    subject = f"R2026-000002 (archive entry {row['id']})"
    assert findings == [("archive", subject)]
    [told] = [each for each in logs if each["event"] == "books_changed"]
    assert (told["log_level"], told["check"], told["subject"]) == ("error", "archive", subject)
    assert str(path) in told["problem"]
    assert REGISTRY.get_sample_value("csms_books_finding", {"check": "archive", "subject": subject}) == 1
    assert shown("archive") == 1


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("UPDATE invoice SET body = jsonb_set(body, '{buyer,name}', '\"Another\"') WHERE number = 'R2026-000001'", ("invoices", "R2026-000001")),
        ("UPDATE invoice_line SET body = jsonb_set(body, '{name}', '\"Another\"') WHERE invoice = (SELECT id FROM invoice WHERE number = 'R2026-000002')", ("invoices", "R2026-000002")),
        ("DELETE FROM invoice WHERE number = 'R2026-000001'", ("invoices", "R2026-000002")),
        ("UPDATE audit_entry SET actor = 'eve' WHERE id = 2", ("audit", "audit entry 2")),
        ("UPDATE archive_entry SET actor = 'eve' WHERE id = 2", ("archive", "R2026-00000")),
    ],
    ids=["head", "line", "deleted", "log", "archive"],
)  # fmt: skip
async def test_what_somebody_above_all_triggers_has_changed_is_named(
    month: OfficeRoom, statement: str, wanted: tuple[str, str]
) -> None:
    await month.tampered(statement.removeprefix("DELETE FROM ").removeprefix("UPDATE ").split()[0], statement)
    findings = await found(month)

    assert any(check == wanted[0] and subject.startswith(wanted[1]) for check, subject in findings), findings


async def test_an_entry_of_the_ledger_that_was_changed_is_named(month: OfficeRoom) -> None:
    await month.tampered("ledger_posting", "UPDATE ledger_posting SET amount_minor = amount_minor + 1 WHERE n = 1")
    findings = await found(month)

    assert {check for check, _ in findings} == {"ledger"}
    assert all(subject.startswith("north ") for _, subject in findings)


async def test_documents_that_are_issued_meanwhile_are_nothing_that_is_wrong(month: OfficeRoom) -> None:
    books = month.dispatch.books
    told: list[str] = []
    async with month.dispatch.pool.acquire() as connection:
        async for each in invoices.verify(connection):
            if isinstance(each, invoices.Finding):
                told.append(each.problem)
            elif await month.dispatch.pool.fetchval("SELECT count(*) FROM invoice") < 4:
                await books.charged("TAG-1", day=20)
                await books.run(receipts=False)

    assert told == []
    assert len(await books.documents()) == 4
    await month.tampered("number_series", "UPDATE number_series SET last = 5")
    assert [subject for _, subject in await found(month)] == ["north full invoice 2026"]


async def test_it_is_done_once_a_night_by_the_node_whose_turn_it_is(month: OfficeRoom) -> None:
    clock = month.dispatch.books.clock
    clock.now = datetime(2026, 4, 2, 1, 0, tzinfo=UTC)
    office = month.new(books_check_at=time(2, 30))
    for _ in range(3):
        await office.look_at_books()
        clock.now += timedelta(hours=1)
    asked = list(month.turns)
    await month.tampered("audit_entry", "UPDATE audit_entry SET actor = 'eve' WHERE id = 2")
    await office.check_books()
    told = shown("audit")
    month.mine = False
    clock.now += timedelta(days=1)
    await office.look_at_books()

    assert asked == [("books", timedelta(hours=22.5)), ("books", timedelta(hours=0.5))]
    assert told
    assert shown("audit") is None, "it is another node that knows now"


async def test_a_look_that_failed_is_made_again_and_what_was_found_before_stays_shown(month: OfficeRoom) -> None:
    clock = month.dispatch.books.clock
    clock.now = datetime(2026, 4, 2, 3, 0, tzinfo=UTC)
    office = month.new(books_check_at=time(2, 30))
    await month.tampered("audit_entry", "UPDATE audit_entry SET actor = 'eve' WHERE id = 2")
    await office.check_books()
    dsn, month.dsn = month.dsn, f"{month.dsn}&connect_timeout=nothing"
    with pytest.raises(asyncpg.PostgresError, match=r"connect_timeout"):
        await office.look_at_books()
    still = shown("audit")
    month.dsn = dsn
    month.mine = False  # the turn was taken, and is still this node's
    await office.look_at_books()

    assert still == shown("audit") == 1
    assert [work for work, _ in month.turns] == ["books"]


async def test_never_is_never(month: OfficeRoom) -> None:
    await month.new(books_check_at=None).look_at_books()

    assert month.turns == []


def test_the_last_time_is_that_of_today_or_of_yesterday() -> None:
    now = datetime(2026, 3, 29, 2, 30, tzinfo=UTC)

    assert last_time(time(2, 30), now) == now
    assert last_time(time(2, 31), now) == datetime(2026, 3, 28, 2, 31, tzinfo=UTC)
