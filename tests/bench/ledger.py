"""How fast the ledger is: python -m tests.bench.ledger [--entries N] [--batch N] [--connections N].

Fills the books of one seller with the documents of a month as whoever issues them would, each with its entry of three
postings and its deferred check, then closes the month: checklist, lock, pack.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from billing.invoices.document import (
    Address,
    Document,
    DocumentForm,
    DocumentKind,
    Line,
    LineKind,
    Party,
    Tax,
    TaxGroup,
    TaxMode,
)
from billing.ledger import close, service
from billing.ledger.balance import balances
from billing.ledger.check import check
from billing.ledger.close import Closing
from billing.ledger.export import Form
from billing.ledger.pack import pack
from billing.ledger.posting_rules import entry_of
from csms import logs
from csms.database.cluster import open_cluster
from csms.database.migrate import migrate
from csms.database.pool import open_pool

T = TypeVar("T")
SELLER = "bench"
MONTH = datetime(2026, 3, 1, tzinfo=UTC).date()
NOW = datetime(2026, 4, 3, tzinfo=UTC)
CUSTOMERS = 20_000
PATIENCE_S = 600
TAX = Tax("S", Decimal(19))
LINE = Line(
    position=1, kind=LineKind.SESSION, source="bill:1:1", name="Charging", quantity=Decimal(1), unit="C62", unit_price=None,
    tax=TAX, net_minor=1000, tax_minor=190, gross_minor=1190,
)  # fmt: skip
DOCUMENT = Document(
    kind=DocumentKind.INVOICE, form=DocumentForm.FULL, number="", issued_on=MONTH, days=(MONTH, MONTH), currency="EUR",
    tax_mode=TaxMode.SUM_THEN_ROUND, language="en",
    seller=Party(name="Bench", address=Address(street="Sample Way 1", city="Sampletown", country="DE")), buyer=None,
    lines=(LINE,), tax_groups=(TaxGroup(tax=TAX, net_minor=1000, tax_minor=190),), due_on=MONTH + timedelta(days=14),
)  # fmt: skip


def documents(first: int, last: int) -> Iterator[Document]:
    for n in range(first, last):
        yield replace(
            DOCUMENT, number=f"R-2026-{n:09}", account=f"C-{n % CUSTOMERS}", issued_on=MONTH + timedelta(days=n % 31)
        )


async def post(pool: asyncpg.Pool[Any], *, entries: int, batch: int, connections: int) -> float:
    """Seconds for so many, by so many who post at once; each batch is a transaction."""
    batches = iter(range(0, entries, batch))

    async def issue() -> None:
        async with pool.acquire() as connection:
            for first in batches:
                drafts = [entry_of(each, SELLER) for each in documents(first, min(first + batch, entries))]
                await service.post(connection, drafts, now=NOW, actor="bench")

    return (await timed(lambda: asyncio.gather(*(issue() for _ in range(connections)))))[0]


async def timed(work: Callable[[], Awaitable[T]]) -> tuple[float, T]:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    found = await work()
    return loop.time() - begin, found


async def measure(*, entries: int, batch: int, connections: int, directory: str | None) -> dict[str, object]:
    """Figures by name."""
    with tempfile.TemporaryDirectory(prefix="csms-bench-", dir=directory) as place:
        os.chmod(place, 0o711)  # noqa: PTH101, S103 - as root, Postgres runs as another account, which has to pass
        async with open_cluster(Path(place), "own") as dsn:
            await migrate(dsn)
            pool = await open_pool(dsn, size=connections, name="bench", command_timeout_s=PATIENCE_S)
            try:
                await pool.execute("INSERT INTO seller (id, details) VALUES ($1, '{}')", SELLER)
                seconds = await post(pool, entries=entries, batch=batch, connections=connections)
                figures: dict[str, object] = {
                    "entries": entries,
                    "in batches of": batch,
                    "by connections": connections,
                    "entries/s": round(entries / seconds),
                }
                async with pool.acquire() as connection:
                    return figures | await _closed(connection, Path(place) / "pack")
            finally:
                await pool.close()


async def _closed(connection: Any, directory: Path) -> dict[str, object]:
    closing = Closing(connection=connection, seller=SELLER, month=MONTH, now=NOW, actor="bench")
    forms = (Form.CSV, Form.BEANCOUNT)
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "balances of the open month": lambda: balances(connection, SELLER, as_of=MONTH + timedelta(days=30)),
        "checklist": lambda: close.checklist(closing),
        "checklist and lock": lambda: close.lock(closing, reason="bench"),
        "balances of the locked month": lambda: balances(connection, SELLER, as_of=MONTH + timedelta(days=30)),
        "check": lambda: check(connection, SELLER),
        "pack, csv and beancount": lambda: pack(
            connection, SELLER, MONTH, directory, forms=forms, now=NOW, actor="bench"
        ),
    }
    return {f"{name}: s": round((await timed(step))[0], 2) for name, step in steps.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ledger", description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="documents of the month")
    parser.add_argument("--batch", type=int, default=500, help="documents of one transaction")
    parser.add_argument("--connections", type=int, default=2, help="who post at once")
    parser.add_argument("--directory", help="where the database may be; it takes some 1 KB per entry")
    given = parser.parse_args()
    logs.configure("warning")
    for name, figure in asyncio.run(measure(**vars(given))).items():
        sys.stdout.write(f"{name:36}{figure}\n")


if __name__ == "__main__":
    main()
