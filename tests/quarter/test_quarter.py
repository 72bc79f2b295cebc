"""A fictitious operator's quarter: three months are lived through and closed, and every figure is held against a hand's.

What happens and what has to come of it stand in the TOML files beside this one, the sums with their arithmetic.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from billing.invoices import service as invoices
from billing.invoices.document import Document
from tests.quarter.acts import SELLER, Operator
from tests.quarter.telling import (
    beancount_lines,
    datev_lines,
    differences,
    document_lines,
    entry_lines,
    last_of,
    row_lines,
)

HERE = Path(__file__).parent
MONTHS = {"january": date(2026, 1, 1), "february": date(2026, 2, 1), "march": date(2026, 3, 1)}
_SUMS = ("of", "kwh", "net", "tax", "gross")
_TAX = ("country", "category", "rate", "documents", "net", "tax")


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{name}.toml").read_text())


@pytest.fixture
async def operator(pool: asyncpg.Pool, database: str, tmp_path: Path) -> Operator:
    opening = read("operator")
    operator = Operator(pool, database, tmp_path, tariffs=opening["tariffs"])
    await operator.play(opening["opening"]["acts"])
    return operator


async def test_a_quarter_comes_to_what_was_worked_out_by_hand(operator: Operator) -> None:
    known = 0
    reported: dict[date, dict[str, list[str]]] = {}
    for name, month in MONTHS.items():
        script = read(name)
        operator.unbilled.clear()
        await operator.play(script["acts"])
        documents = (await issued(operator))[known:]
        known += len(documents)

        found = differences(await told(operator, month, documents), script["expected"])
        assert not found, f"{name}\n{found}"
        reported[month] = await reports(operator, month)
    assert {month: await reports(operator, month) for month in reported} == reported, "a locked month stays what it was"
    assert bean_check(operator.place) == "0"
    assert await operator.csms("ledger", "check") == ""
    assert await operator.csms("invoice", "verify") == ""
    await operator.csms("audit", "verify")


async def told(operator: Operator, month: date, documents: Sequence[Document]) -> dict[str, Sequence[str]]:
    """Everything that is said of a month, by the commands that an accountant gives once it is locked."""
    first, last, name = str(month), str(last_of(month)), f"{month:%Y-%m}"

    async def report(*arguments: str) -> Any:
        return await operator.rows("report", *arguments)

    postings = await operator.rows("ledger", "postings", "--from", first, "--to", last, "--limit", "10000")
    all_taxes = await report("tax", "--until", last)
    items = await report("open-items", "--as-of", last)
    balance = await report("trial-balance", "--as-of", last)
    pack = operator.place / name
    await operator.csms("close", "pack", str(pack), "--month", name, "--format", "datev", "--format", "beancount")
    [datev], [beancount] = pack.glob("EXTF_*.csv"), pack.glob("*.beancount")
    return {
        "unbilled": operator.unbilled,
        "documents": list(document_lines(documents)),
        "entries": list(entry_lines(postings)),
        "trial_balance": row_lines(balance, "account", "owner", "debit", "credit", "balance"),
        **await reports(operator, month),
        "taxes_since_the_begin": row_lines(all_taxes, *_TAX),
        "open_items": row_lines(items, "owner", "document", "due_on", "days_overdue", "open"),
        "datev": datev_lines(datev.read_bytes()),
        "beancount": beancount_lines(beancount.read_text()),
    }


async def reports(operator: Operator, month: date) -> dict[str, list[str]]:
    """What is said of a month's revenue and its taxes."""
    days = ("--since", str(month), "--until", str(last_of(month)))
    revenue = {
        f"revenue_by_{by}": row_lines(await operator.rows("report", "revenue", "--by", by, *days), *_SUMS)
        for by in ("site", "tariff", "channel", "kind")
    }
    return {**revenue, "taxes": row_lines(await operator.rows("report", "tax", *days), *_TAX)}


def bean_check(place: Path) -> str:
    """What beancount says of the three months in one book."""
    book = place / "quarter.beancount"
    months = [f'include "{each.relative_to(place)}"' for each in sorted(place.glob("*/*.beancount"))]
    assert len(months) == len(MONTHS)
    book.write_text("\n".join(['plugin "beancount.plugins.auto_accounts"', *months, ""]))
    command = str(Path(sys.executable).with_name("bean-check"))
    done = subprocess.run([command, "--no-cache", book], capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - a tool of the tests
    return f"{done.returncode}{done.stdout}{done.stderr}"


async def issued(operator: Operator) -> list[Document]:
    async with operator.pool.acquire() as connection:
        rows = await connection.fetch("SELECT number FROM invoice ORDER BY id")
        found = [await invoices.get(connection, row["number"], seller=SELLER) for row in rows]
    return [each.document for each in found]


def test_a_wrong_a_missing_and_an_additional_line_are_told_one_by_one() -> None:
    expected = {"entries": "bank 4.00  # 1 + 3\nreceivable -4.00\n", "taxes": "DE S 19"}

    assert differences({"entries": ["bank 4.00", "receivable -4.00"], "taxes": ["DE S 19"]}, expected) == ""
    told = differences({"entries": ["bank 4.01", "receivable -4.00", "rounding -0.01"], "taxes": []}, expected)
    assert told.splitlines() == [
        "--- entries, by hand", "+++ entries, as it is", "@@ -1,2 +1,3 @@", "-bank 4.00", "+bank 4.01", " receivable -4.00",
        "+rounding -0.01", "--- taxes, by hand", "+++ taxes, as it is", "@@ -1 +0,0 @@", "-DE S 19",
    ]  # fmt: skip
