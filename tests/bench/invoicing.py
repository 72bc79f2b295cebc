"""How fast a month is invoiced: python -m tests.bench.invoicing [--customers N] [--bills N] [--workers N].

Fills a database with customers and the final bills of their month, copies of one that the rating engine made, then runs the
invoice run over it: each document in a transaction of its own, each with its number, its hashes and its entry in the books.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg

from billing.invoices.run import InvoiceRun, RunWanted
from csms import logs
from csms.database.cluster import open_cluster
from csms.database.migrate import migrate
from csms.database.pool import open_pool
from tests.bench.processes import MB
from tests.billing.invoices.books import NORTH, Books

PATIENCE_S = 3600
FILL = (
    """
    INSERT INTO account (id, seller, kind, language, time_zone, rhythm, payment_days, details)
    SELECT 'P-' || n, 'north', 'private', 'de', 'Europe/Berlin', 'month', 14,
           '{"party": {"name": "Example", "address": null}}' FROM generate_series(1, $1::integer) AS n
    """,
    """
    INSERT INTO account_token (token, valid_from, account)
    SELECT 'T-' || n, '2026-01-01', 'P-' || n FROM generate_series(1, $1::integer) AS n
    """,
)
SESSIONS = """
    INSERT INTO session (charge_point, transaction, token, started_at, ended_at, complete_at, energy_wh)
    SELECT 'CP-1', 'bench-' || n || '-' || k, 'T-' || n, at, at + interval '1 hour', at + interval '1 hour', 10000
      FROM generate_series(1, $1::integer) AS n, generate_series(1, $2::integer) AS k,
           LATERAL (SELECT timestamptz '2026-03-01' + k % 28 * interval '1 day' + n * interval '0.1 s' AS at) AS a
"""
RATED = "INSERT INTO rating (session) SELECT id FROM session WHERE token LIKE 'T-%'"
BILLS = """
    INSERT INTO bill (session, seq, kind, as_of, energy_wh, currency, total_excl_minor, total_tax_minor, total_incl_minor,
                      total_excl_exact, total_incl_exact, tariff, tariff_version, policy_version, engine_version,
                      inputs_hash, inputs, detail, created_at, incentive_minor)
    SELECT s.id, b.seq, b.kind, b.as_of, b.energy_wh, b.currency, b.total_excl_minor, b.total_tax_minor,
           b.total_incl_minor, b.total_excl_exact, b.total_incl_exact, b.tariff, b.tariff_version, b.policy_version,
           b.engine_version, b.inputs_hash, b.inputs, b.detail, b.created_at, b.incentive_minor
      FROM session s, (SELECT * FROM bill WHERE session = $1::integer) AS b
     WHERE s.token LIKE 'T-%'
"""


async def fill(pool: asyncpg.Pool[Any], *, customers: int, bills: int) -> None:
    """So many customers with so many final bills each."""
    books = Books(pool)
    await books.open()
    model = await books.charged("MODEL")
    for statement in FILL:
        await pool.execute(statement, customers)
    await pool.execute(SESSIONS, customers, bills)
    await pool.execute(RATED)
    await pool.execute(BILLS, model)
    await pool.execute("VACUUM ANALYZE")


async def measure(*, customers: int, bills: int, workers: int, directory: str | None) -> dict[str, object]:
    """Figures by name."""
    with tempfile.TemporaryDirectory(prefix="csms-bench-", dir=directory) as place:
        os.chmod(place, 0o711)  # noqa: PTH101, S103 - as root, Postgres runs as another account, which has to pass
        async with open_cluster(Path(place), "own") as dsn:
            await migrate(dsn)
            pool = await open_pool(dsn, size=workers + 1, name="bench", command_timeout_s=PATIENCE_S)
            try:
                await fill(pool, customers=customers, bills=bills)
                return await _run(pool, customers=customers, bills=bills, workers=workers)
            finally:
                await pool.close()


async def _run(pool: asyncpg.Pool[Any], *, customers: int, bills: int, workers: int) -> dict[str, object]:
    loop, times = asyncio.get_running_loop(), os.times()
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB
    wanted = RunWanted(seller=NORTH, until=date(2026, 3, 31), issued_on=date(2026, 4, 1), receipts=False)
    run = InvoiceRun(
        pool, wanted, clock=lambda: datetime.now(UTC), actor="bench", reason="bench", on_made=lambda _: None,
        workers=workers,
    )  # fmt: skip
    begin = loop.time()
    tally = await run.run()
    wall = loop.time() - begin
    now = os.times()
    cpu = now.user + now.system - times.user - times.system
    assert (tally.documents, tally.left_out) == (customers, 0), tally
    return {
        "documents": tally.documents,
        "bills": customers * bills,
        "by workers": workers,
        "wall: s": round(wall, 1),
        "documents/s": round(tally.documents / wall),
        "bills/s": round(customers * bills / wall),
        "CPU of the run, per document: ms": round(1000 * cpu / tally.documents, 2),
        "memory of the run, more at its end: MB": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB - before_mb, 1
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.invoicing", description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--bills", type=int, default=10, help="of each customer")
    parser.add_argument("--workers", type=int, default=2, help="documents issued beside each other")
    parser.add_argument("--directory", help="where the database may be; it takes some 10 KB per bill")
    given = parser.parse_args()
    logs.configure("warning")
    for name, figure in asyncio.run(measure(**vars(given))).items():
        sys.stdout.write(f"{name:42}{figure}\n")


if __name__ == "__main__":
    main()
