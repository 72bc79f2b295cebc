"""What is issued without a day said bears the day where its seller is, whatever day it is in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cli_room import environment, run

from billing.accounts.account import AccountKind
from csms.database.pool import open_pool
from tests.billing.invoices.books import Books

NOON = 11
WHY = ("--reason", "x", "-o", "json")


@dataclass(frozen=True, slots=True)
class There:
    """A seller where it is another day than in UTC."""

    env: dict[str, str]
    zone: str
    elsewhere: date
    """The day in UTC."""

    @property
    def today(self) -> date:
        return datetime.now(ZoneInfo(self.zone)).date()


@pytest.fixture
async def there(data_home: Path, database: str) -> There:
    env = environment(data_home / "data", CSMS_DATABASE_URL=database, CSMS_ACTOR="tester")
    pool = await open_pool(database, size=2, name="office")
    books = Books(pool)
    await books.open()
    for n in (1, 2):
        await books.customer(f"C-{n}", f"TAG-{n}")
        await books.charged(f"TAG-{n}")
    await books.customer("P-1", kind=AccountKind.PARTNER)
    await pool.close()
    now = datetime.now(UTC)
    zone = "Pacific/Kiritimati" if now.hour >= NOON else "Etc/GMT+12"
    assert (await run(env, "seller", "set", "north", "--time-zone", zone, *WHY)).json["time_zone"] == zone
    return There(env, zone, now.date())


async def test_invoices_credit_notes_and_drafts_bear_it(there: There) -> None:
    env, today = there.env, there.today
    done = await run(
        env,
        "invoice",
        "run",
        "--seller",
        "north",
        "--period",
        "2026-03",
        "--account",
        "C-1",
        "--reason",
        "x",
        "-o",
        "json",
    )
    [draft] = (await run(env, "invoice", "draft", "create", "C-2", *WHY)).json
    shown = await run(env, "invoice", "draft", "show", draft["draft"], "-o", "json")
    issued = await run(env, "invoice", "draft", "issue", draft["draft"], *WHY)
    note = await run(env, "credit", "create", "R2026-000001", "--line", "1=1.00", *WHY)
    owed = await run(env, "report", "open-items", "-o", "json")

    assert today != there.elsewhere
    assert [done.json["issued_on"], issued.json["issued_on"], note.json["issued_on"]] == [str(today)] * 3
    assert (draft["until"], shown.json["until"]) == (str(today), str(today))
    assert [each["document"] for each in owed.json] == ["R2026-000001", "R2026-000002"], "as of a day that has them"


async def test_a_document_in_a_partner_s_name_bears_it(there: There) -> None:
    env, today = there.env, there.today
    agreed = await run(
        env, "account", "set", "P-1", "--self-billing-from", "2026-01-01", "--vat-id", "NL004495445B01", *WHY
    )
    made = await run(
        env, "invoice", "self-bill", "P-1", "--line", "Share=10", "--currency", "EUR", "--tax", "S:21", *WHY
    )

    assert agreed.code == 0, agreed.err
    assert made.json["issued_on"] == str(today)


async def test_nothing_is_taken_back_on_a_day_before_it_was_issued(there: There) -> None:
    env, today = there.env, there.today
    nothing = await run(env, "credit", "correct", "1", *WHY)
    await run(env, "invoice", "run", "--seller", "north", "--period", "2026-03", "--reason", "x")
    late = await run(env, "credit", "create", "R2026-000001", "--issued-on", "2026-03-31", *WHY)

    assert (nothing.code, nothing.error["message"]) == (3, "session 1 is on no document")
    assert late.code == 5
    assert (
        late.error["message"]
        == f"R2026-000001 was issued on {today}: nothing takes it back on 2026-03-31, a day before"
    )
