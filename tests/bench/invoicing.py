"""How fast a month is invoiced and closed: python -m tests.bench.invoicing [--customers N] [--bills N] [--workers N].

Fills a database with customers and the final bills of their month, copies of one that the rating engine made, then runs the
invoice run over it: each document in a transaction of its own, each with its number, its hashes and its entry in the books.
Then the month is closed as an operator does it: csms close run, lock and pack. Meanwhile it looks, twice a second, at the
memory of the run and at the transaction that has been open longest of those that write, and so hold locks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg

from billing.invoices.run import WORKERS, InvoiceRun, RunWanted
from csms import logs
from csms.database.cluster import open_cluster
from csms.database.migrate import migrate
from csms.database.pool import connect_once, open_pool
from tests.bench.processes import MB
from tests.bench.report import machine
from tests.billing.invoices.books import NORTH, Books

PATIENCE_S = 3600
LOOK_S = 0.5
MONTH = "2026-03"
LAST_DAY = date(2026, 3, 31)
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


LONGEST = """
    SELECT extract(epoch FROM clock_timestamp() - xact_start)::float AS seconds,
           concat_ws(' ', state, wait_event_type, wait_event, left(ltrim(query), 30)) AS doing
      FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
       AND backend_xid IS NOT NULL
     ORDER BY xact_start
     LIMIT 1
"""
FILLED = ("account", "account_token", "session", "rating", "bill")


async def fill(pool: asyncpg.Pool[Any], *, customers: int, bills: int) -> None:
    """So many customers with so many final bills each."""
    books = Books(pool)
    await books.open()
    model = await books.charged("MODEL", month=2)
    for statement in FILL:
        await pool.execute(statement, customers)
    await pool.execute(SESSIONS, customers, bills)
    await pool.execute(RATED)
    await pool.execute(BILLS, model)


async def settle(dsn: str) -> None:
    """As autovacuum leaves a month that came day by day; what filling left to the disk is none of the run's business."""
    async with connect_once(dsn, as_owner=True) as connection:
        await connection.execute(f"VACUUM ANALYZE {', '.join(FILLED)}")
        await connection.execute("CHECKPOINT")
    await asyncio.to_thread(os.sync)


@dataclass(slots=True)
class Watch:
    """What was seen of a run: its memory in MB by the second, and how long a transaction that wrote was open at most."""

    rss_mb: list[float] = field(default_factory=list)
    transaction_s_max: float = 0
    it_did: str = ""

    def at(self, part: float) -> float:
        """The memory after this part of the time, 0 to 1."""
        return round(self.rss_mb[int(part * (len(self.rss_mb) - 1))], 1)


@asynccontextmanager
async def watched(dsn: str) -> AsyncIterator[Watch]:
    """Look at this process and at its database until the block ends."""
    watch = Watch()

    async def look() -> None:
        async with connect_once(dsn, as_owner=True, name="watch") as connection:
            while True:
                watch.rss_mb.append(_rss_mb())
                row = await connection.fetchrow(LONGEST)
                if row is not None and row["seconds"] > watch.transaction_s_max:
                    watch.transaction_s_max, watch.it_did = row["seconds"], row["doing"]
                await asyncio.sleep(LOOK_S)

    watch.rss_mb.append(_rss_mb())
    looking = asyncio.create_task(look())
    try:
        yield watch
    finally:
        looking.cancel()
        await asyncio.wait([looking])
        watch.rss_mb.append(_rss_mb())


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB


async def measure(*, customers: int, bills: int, workers: int, directory: str | None) -> dict[str, object]:
    """Figures by name."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="csms-bench-", dir=directory) as place:
        os.chmod(place, 0o711)  # noqa: PTH101, S103 - as root, Postgres runs as another account, which has to pass
        async with open_cluster(Path(place), "own") as dsn:
            await migrate(dsn)
            pool = await open_pool(dsn, size=workers + 1, name="bench", command_timeout_s=PATIENCE_S)
            try:
                begin = loop.time()
                await fill(pool, customers=customers, bills=bills)
                filled = loop.time() - begin
                await settle(dsn)
                figures = await _run(pool, dsn, customers=customers, bills=bills, workers=workers)
            finally:
                await pool.close()
            return {"filled in: s": round(filled, 1)} | figures | await _closed(Path(place), dsn)


async def _run(pool: asyncpg.Pool[Any], dsn: str, *, customers: int, bills: int, workers: int) -> dict[str, object]:
    loop, times = asyncio.get_running_loop(), os.times()
    wanted = RunWanted(seller=NORTH, until=LAST_DAY, issued_on=LAST_DAY, receipts=False)
    run = InvoiceRun(
        pool, wanted, clock=lambda: datetime.now(UTC), actor="bench", reason="bench", on_made=lambda _: None,
        workers=workers,
    )  # fmt: skip
    async with watched(dsn) as watch:
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
        "memory of the run, first tenth: MB": watch.at(0.1),
        "memory of the run, half way: MB": watch.at(0.5),
        "memory of the run, end: MB": watch.at(1),
        "longest transaction that wrote: s": round(watch.transaction_s_max, 3),
        "it was at": watch.it_did,
    }


async def _closed(data_dir: Path, dsn: str) -> dict[str, object]:
    """Each command as a process of its own, as it is typed."""
    commands = {
        "close run": ("run", "--month", MONTH, "-o", "json"),
        "close run again": ("run", "--month", MONTH, "-o", "json"),
        "close lock": ("lock", "--month", MONTH, "--reason", "bench"),
        "close pack": ("pack", str(data_dir / "pack"), "--month", MONTH),
    }
    return {f"{name}: s": await _csms(data_dir, dsn, "close", *words) for name, words in commands.items()}


async def _csms(data_dir: Path, dsn: str, *words: str) -> float:
    """How many seconds a command takes."""
    loop = asyncio.get_running_loop()
    environment = os.environ | {"CSMS_DATA_DIR": str(data_dir), "CSMS_DATABASE_URL": dsn}
    begin = loop.time()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from csms.cli.main import main; main()", *words, env=environment,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, (words, out.decode())
    return round(loop.time() - begin, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.invoicing", description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--bills", type=int, default=10, help="of each customer")
    parser.add_argument("--workers", type=int, default=WORKERS, help="documents issued beside each other")
    parser.add_argument("--directory", help="where the database may be; it takes some 12 KB per bill")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write them there too, with the machine")
    given = vars(parser.parse_args())
    file = given.pop("json")
    logs.configure("warning")
    load = os.getloadavg()[0]
    figures = asyncio.run(measure(**given))
    for name, figure in figures.items():
        sys.stdout.write(f"{name:42}{figure}\n")
    if file is not None:
        told = {"machine": machine(f"everything on {os.cpu_count()} cores", load), "figures": figures}
        file.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
