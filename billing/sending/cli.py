"""csms invoice send: documents leave the house."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from billing.accounts import sellers
from billing.audit.service import require_reason
from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DAY, DRY_RUN
from billing.errors import ExitCode
from billing.invoices import service as invoices
from billing.sending.told import Days, LeftOut, SendTally, Sent, SentBefore, Told, Wanted

Actor = Callable[[], str]
OpenPool: TypeAlias = "Callable[[click.Context], AbstractAsyncContextManager[asyncpg.Pool[Any]]]"
Directory: TypeAlias = "Callable[[click.Context], Path]"
COLUMNS: Final = ("number", "account", "outcome", "address", "files", "mail", "sent_at", "left_out", "next")


def add_send(group: click.Group, open_pool: OpenPool, archive: Directory, actor: Actor) -> None:
    @group.command("send")
    @click.argument("numbers", metavar="[NUMBER]...", nargs=-1)
    @click.option("--seller", help="All documents of this seller; of numbers: whose they are.")
    @click.option("--issued-from", "since", type=DAY, help="Of all, those issued on this day or later.")
    @click.option(
        "--issued-until",
        "until",
        type=DAY,
        help="Those issued on this day or before; today where the seller is unless said.",
    )
    @click.option("--again", is_flag=True, help="Once more, whatever was sent before; with --reason, of numbers only.")
    @click.option("--reason", help="Why it is sent again; kept with it.")
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        numbers: tuple[str, ...],
        seller: str | None,
        since: date | None,
        until: date | None,
        again: bool,
        reason: str | None,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Send documents to their customers, or to whoever pays for them: as PDF, and as e-invoice where one is asked for.

        Each goes into the queue of mails (csms mail list) exactly once, however often this is run or stopped. Its files are in
        the archive from then on. Exit status 6 if any was left out, with the reason and what to do.

        \b
        Examples:
          csms invoice send R2026-000001
          csms invoice send --seller north --issued-from 2026-04-01 --dry-run
          csms invoice send R2026-000001 --again --reason "the customer has lost it"
        """
        _require_sense(numbers, seller=seller, since=since, until=until, again=again, reason=reason)
        wanted = Wanted(actor=actor(), again=again, reason=reason and require_reason(reason), dry_run=dry_run)
        async with open_pool(context) as pool:
            which = await _which(pool, numbers, seller=seller, since=since, until=until)
            tally = await _run(pool, archive(context), wanted, which, named=bool(numbers), output=output)
        tried = " would be" if dry_run else ""
        before = f", {tally.before} sent before" if tally.before else ""
        output.note(f"{tally.sent} documents{tried} queued as mail{before}; {tally.left_out} left out")
        if tally.left_out:
            context.exit(ExitCode.FINDINGS)


def _require_sense(
    numbers: tuple[str, ...],
    *,
    seller: str | None,
    since: date | None,
    until: date | None,
    again: bool,
    reason: str | None,
) -> None:
    if bool(numbers) is (since is not None) or (until is not None and since is None):
        raise click.UsageError("give either numbers, or --seller and --issued-from")
    if since is not None and seller is None:
        raise click.UsageError("give --seller with --issued-from")
    if again and (not numbers or reason is None):
        raise click.UsageError("--again is for numbers, and comes with --reason")
    if reason is not None and not again:
        raise click.UsageError("--reason is why a document is sent --again")


async def _which(
    pool: asyncpg.Pool[Any], numbers: Sequence[str], *, seller: str | None, since: date | None, until: date | None
) -> Days | list[int]:
    async with pool.acquire() as connection:
        if since is None:
            return [(await invoices.get(connection, each, seller=seller)).id for each in dict.fromkeys(numbers)]
        assert seller is not None, "asked for with the days"
        today = await sellers.today_at(connection, seller, now=datetime.now(UTC))
    return Days(seller=seller, since=since, until=until or today)


async def _run(
    pool: asyncpg.Pool[Any],
    directory: Path,
    wanted: Wanted,
    which: Days | list[int],
    *,
    named: bool,
    output: Output,
) -> SendTally:
    from billing.archive.service import Archive  # noqa: PLC0415 - only this command needs them
    from billing.sending.run import SendRun  # noqa: PLC0415 - Babel takes long to load
    from billing.sending.service import Sending  # noqa: PLC0415

    sending = Sending(pool, Archive(directory), wanted, clock=lambda: datetime.now(UTC))
    console = Console(stderr=True)
    hidden = sys.stdout.isatty() or not console.is_terminal
    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True, disable=hidden
    ) as progress:
        stream = output.stream(COLUMNS)

        def tell(told: Told) -> None:
            progress.advance(task, 1)
            if named or not isinstance(told, SentBefore):
                stream.send(_row(told))

        run = SendRun(pool, sending, which, on_told=tell)
        task = progress.add_task("documents", total=await run.count())
        return await run.run()


def _row(told: Told) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(COLUMNS) | {"number": told.number, "account": told.account}
    match told:
        case Sent():
            outcome = "tried" if told.message is None else "queued"
            return row | {
                "outcome": outcome, "address": told.address, "files": told.files, "mail": told.message,
            }  # fmt: skip
        case SentBefore():
            again = f'csms invoice send {told.number} --again --reason "..." sends it once more'
            return row | {"outcome": "sent_before", "sent_at": told.at, "next": again}
        case LeftOut():
            return row | {"outcome": "left_out", "left_out": told.why, "next": told.next_step}
