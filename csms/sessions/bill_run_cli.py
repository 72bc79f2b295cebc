"""csms bill run: a period closed in one act."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import click

from billing import (
    DAY,
    Days,
    ExitCode,
    Output,
    accounts_of_period,
    async_command,
    bill_period,
    count_unbilled,
    output_options,
)
from csms.charge_points.fleet import progress_bar
from csms.cli.context import migrated_database, settings_of
from csms.database.pool import open_pool
from csms.sessions.bill_jobs import JOBS_MAX, bill_in_jobs, usual_jobs
from csms.sessions.service import Sessions
from csms.settings import Settings
from csms.sites import service as sites

COLUMNS = (
    "site", "ended", "billed", "corrected", "held", "unrated", "waiting", "dropped", "orphans", "kwh_metered",
    "kwh_billed", "kwh_unexplained", "total_incl_tax", "currency",
)  # fmt: skip
COUNTING_S = 600
"""So long a look at all sessions of a month may take."""


class _Month(click.ParamType[date]):
    name = "month"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", str(value))
        if found is None or found[1] == "0000":
            self.fail(f"{value!r} is no month such as 2026-03", param, ctx)
        return date(int(found[1]), int(found[2]), 1)


@click.command("run")
@click.option("--day", type=DAY, help="This day, by the wall clock of each site.")
@click.option("--month", type=_Month(), help="This month, by the wall clock of each site.")
@click.option("--site", help="Only of this site.")
@click.option(
    "--jobs", type=click.IntRange(1, JOBS_MAX), help="Processes that bill side by side; default: one for each core."
)
@click.option("--dry-run", is_flag=True, help="Only account; nothing is billed that is not billed yet.")
@output_options
@click.pass_context
@async_command
async def bill_run(
    context: click.Context,
    day: date | None,
    month: date | None,
    site: str | None,
    jobs: int | None,
    dry_run: bool,
    output: Output,
) -> None:
    """Bill what ended in a period as far as it may be, and account for every session and kWh of it.

    Repeating it changes nothing that is billed. Exit status 6 while anything is held, unrated, waiting or an orphan, or
    energy is unexplained: csms session list --state held, csms session orphans say more.

    \b
    Examples:
      csms bill run --day 2026-03-01
      csms bill run --month 2026-03 --site harbour -o json
    """
    days = _days(day, month, site)
    async with migrated_database(context) as dsn:
        pool = await open_pool(dsn, size=1, name="csms cli", command_timeout_s=COUNTING_S)
        try:
            if site is not None:
                async with pool.acquire() as connection:
                    await sites.get(connection, site)
            if not dry_run:
                await _bill(pool, dsn, settings_of(context), days, jobs)
            async with pool.acquire() as connection:
                found = await accounts_of_period(connection, days)
        finally:
            await pool.close()
    output.rows([each.to_dict() | ({"dry_run": True} if dry_run else {}) for each in found], columns=COLUMNS)
    if any(each.held or each.unrated or each.waiting or each.orphans or each.kwh_unexplained for each in found):
        context.exit(ExitCode.FINDINGS)


def _days(day: date | None, month: date | None, site: str | None) -> Days:
    if (day is None) == (month is None):
        raise click.UsageError("give either --day or --month")
    if day is not None:
        return Days(first=day, last=day, site=site)
    assert month is not None, "one of them is given"
    following = (month + timedelta(days=31)).replace(day=1)
    return Days(first=month, last=following - timedelta(days=1), site=site)


async def _bill(pool: asyncpg.Pool[Any], dsn: str, settings: Settings, days: Days, jobs: int | None) -> None:
    sessions = Sessions(pool, settings)
    await sessions.prepare()
    async with pool.acquire() as connection:
        total = await count_unbilled(connection, days)
    jobs, now = jobs or usual_jobs(total), datetime.now(UTC)
    with progress_bar("sessions", total) as advance:
        if jobs == 1:
            await _drain((count async for count, _ in bill_period(pool, sessions, days, now=now)), advance)
        else:
            await _drain(bill_in_jobs(pool, dsn, settings, days, jobs=jobs, now=now), advance)


async def _drain(batches: AsyncIterator[int], advance: Callable[[], None]) -> None:
    async for count in batches:
        for _each in range(count):
            advance()
