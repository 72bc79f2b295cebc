"""csms invoice run: what is due becomes documents."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import asyncpg
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from billing.accounts import sellers
from billing.accounts import service as accounts
from billing.accounts.options import REASON
from billing.accounts.party import LANGUAGES
from billing.accounts.seller import Seller, today_of, zone_of
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN
from billing.errors import ExitCode
from billing.invoices.cli_words import ISSUED_ON, day_of_issue
from billing.invoices.period import last_day
from billing.invoices.rows import short_row
from billing.invoices.run import InvoiceRun, Made, RunWanted
from billing.money import Money
from billing.time_zones import NoSuchZone, zone_named

Actor = Callable[[], str]
OpenPool: TypeAlias = "Callable[[click.Context], AbstractAsyncContextManager[asyncpg.Pool[Any]]]"
COLUMNS = ("account", "number", "form", "issued_on", "due_on", "net", "tax", "gross", "currency", "left_out", "next")


class _Period(click.ParamType[date]):
    name = "period"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        found = last_day(str(value))
        if found is None:
            self.fail(f"{value!r} is no period such as 2026-03, 2026-Q1, 2026-H1, 2026-W10 or 2026", param, ctx)
        return found


def _zone(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        if value is not None:
            zone_named(value)
    except NoSuchZone:
        raise click.BadParameter(f"{value!r} is no time zone; use an IANA name such as Europe/Berlin") from None
    return value


_OPTIONS = (
    click.option("--seller", required=True, help="Whose documents."),
    click.option(
        "--period", type=_Period(), help="A period that has ended: 2026-03, 2026-Q1, 2026-H1, 2026-W10, 2026."
    ),
    click.option("--until", type=DAY, help="In place of a period: the last day that counts."),
    ISSUED_ON,
    click.option("--account", metavar="ACCOUNT", help="Only this customer, whatever its rhythm."),
    click.option("--no-receipts", is_flag=True, help="No receipts for sessions that nobody's account pays for."),
    click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Of receipts."),
    click.option(
        "--time-zone", callback=_zone, metavar="ZONE", help="Whose days count for receipts; the seller's unless said."
    ),
    click.option("--sample", type=click.IntRange(1), help="So many documents at most."),
)


def _run_options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def add_run(group: click.Group, open_pool: OpenPool, actor: Actor) -> None:
    @group.command("run")
    @_run_options
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        seller: str,
        period: date | None,
        until: date | None,
        issued_on: date | None,
        account: str | None,
        no_receipts: bool,
        language: str,
        time_zone: str | None,
        sample: int | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Invoice what ended up to the end of a period: each customer whose turn it is, and those without a contract.

        It may be stopped and run again at any time: what is invoiced stays, the rest goes on. Exit status 6 if anybody was
        left out, with the reason and what to do.

        \b
        Examples:
          csms invoice run --seller north --period 2026-03 --reason "March" --dry-run --sample 5
          csms invoice run --seller north --period 2026-03 --reason "March" -o jsonl > march.jsonl
          csms invoice run --seller north --until 2026-03-20 --account C-1001 --reason "asked for it"
        """
        if (period is None) == (until is None):
            raise click.UsageError("give either --period or --until")
        async with open_pool(context) as pool:
            async with pool.acquire() as connection:
                whose = await sellers.get(connection, seller)
                if account is not None:
                    await accounts.get(connection, account)
            now = datetime.now(UTC)
            wanted = RunWanted(
                seller=whose, until=last_day_that_counts(whose, period, until, now=now),
                issued_on=day_of_issue(whose, issued_on, now=now), account=account, receipts=not no_receipts,
                language=language, time_zone=time_zone or zone_of(whose), limit=sample, dry_run=dry_run,
            )  # fmt: skip
            left_out = await _run(pool, wanted, reason=reason, actor=actor(), output=output)
        if left_out:
            context.exit(ExitCode.FINDINGS)


def last_day_that_counts(seller: Seller, period: date | None, until: date | None, *, now: datetime) -> date:
    """The last day that counts: of a period that has ended where the seller is, or one that has come there."""
    today, last = today_of(seller, now), period or until
    assert last is not None, "one of them is given"
    if last > today or last == today == period:
        raise click.UsageError(f"{last} has not ended yet: where seller {seller.id} is, it is {today}")
    return last


async def _run(pool: asyncpg.Pool[Any], wanted: RunWanted, *, reason: str, actor: str, output: Output) -> int:
    console = Console(stderr=True)
    hidden = sys.stdout.isatty() or not console.is_terminal
    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True, disable=hidden
    ) as progress:
        stream = output.stream(COLUMNS, also=("dry_run",))
        run = InvoiceRun(
            pool, wanted, clock=lambda: datetime.now(UTC), actor=actor, reason=reason,
            on_made=lambda made: stream.send(_row(made, dry_run=wanted.dry_run)),
            on_seen=lambda count: progress.advance(task, count),
        )  # fmt: skip
        task = progress.add_task("customers", total=await run.count())
        tally = await run.run()
    sums = ", ".join(str(Money(minor, currency)) for currency, minor in sorted(tally.gross_minor.items())) or "nothing"
    tried = " would be made" if wanted.dry_run else ""
    output.note(f"{tally.documents} documents{tried}, {sums}; {tally.left_out} left out")
    return tally.left_out


def _row(made: Made, *, dry_run: bool) -> dict[str, object]:
    short = {} if made.document is None else short_row(made.document)
    row = {name: short.get(name) for name in COLUMNS}
    row |= {"account": made.account, "left_out": made.left_out, "next": made.next_step}
    return row | ({"dry_run": True} if dry_run else {})
