"""csms close: the end of a month, from what is still open to the pack that is handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import click

from billing.cli_output import Format, Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, Connect, transaction
from billing.errors import ExitCode
from billing.ledger import close, service
from billing.ledger.cli_options import MONTH, REASON, SELLER, Actor
from billing.ledger.close import CloseStep, Closing, Line, State
from billing.ledger.export import Form
from billing.ledger.month import month_text
from billing.ledger.pack import pack
from billing.sql import Connection

HELP = """The end of a month: what is open, what can be done about it, the lock, and the pack that is handed over.

\b
Examples:
  csms close status
  csms close run --month 2026-03
  csms close lock --month 2026-03 --reason "March is done"
  csms close pack /srv/books/2026-03 --month 2026-03
"""
CHECK_COLUMNS: Final = ("check", "state", "open", "what", "note", "next")
_OF_MONTH: Final = click.option("--month", type=MONTH, help="Which; the first that is not locked unless said.")


def close_group(connect: Connect, *, actor: Actor, steps: Sequence[CloseStep] = ()) -> click.Group:
    """The command group; `steps` are what the rooms have to do at the end of a month, in order."""
    group = click.Group("close", help=HELP)
    _add_status(group, connect, actor)
    _add_run(group, connect, actor, steps)
    _add_lock(group, connect, actor)
    _add_pack(group, connect, actor)
    _add_reopen(group, connect)
    return group


async def _closing(
    connection: Connection, seller: str | None, month: date | None, actor: str, *, dry_run: bool = False
) -> Closing:
    now, of = datetime.now(UTC), await service.the_seller(connection, seller)
    month = month or await close.month_to_close(connection, of, now=now)
    return Closing(connection=connection, seller=of, month=month, now=now, actor=actor, dry_run=dry_run)


def _print_checks(lines: Sequence[Line], closing: Closing, output: Output) -> None:
    output.rows([each.to_dict() for each in lines], columns=CHECK_COLUMNS)
    if output.format is Format.TABLE:
        waiting = sum(each.state is State.OPEN for each in lines)
        output.note(
            f"{closing.seller} {month_text(closing.month)}: "
            + (f"{waiting} of {len(lines)} checks are open" if waiting else "nothing stands in the way of its lock")
        )


def _add_status(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("status")
    @_OF_MONTH
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(context: click.Context, month: date | None, seller: str | None, output: Output) -> None:
        """List what stands in the way of locking a month. Exit status 6 while anything does.

        \b
        Examples:
          csms close status
          csms close status --month 2026-03 -o json
        """
        async with connect(context) as connection:
            closing = await _closing(connection, seller, month, actor())
            locked = await close.find_lock(connection, closing.seller, closing.month)
            lines = await close.checklist(closing, accepted=locked.accepted if locked else ())
        _print_checks(lines, closing, output)
        if locked is not None:
            output.note(f"it was locked by {locked.actor} at {locked.locked_at.isoformat()}: {locked.reason}")
        elif any(each.state is State.OPEN for each in lines):
            context.exit(ExitCode.FINDINGS)


def _add_run(group: click.Group, connect: Connect, actor: Actor, steps: Sequence[CloseStep]) -> None:
    @group.command("run")
    @_OF_MONTH
    @SELLER
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, month: date | None, seller: str | None, dry_run: bool, output: Output
    ) -> None:
        """Do all that can be done towards the close of a month, and list what is still open. Exit status 6 if anything is.

        The table is that of csms close status; how each step went is told beside it, or is in the same object with -o json.

        Contracts are charged, the documents and entries of the month followed from hash to hash and sum to sum, and what no
        document shows is valued. Sessions to be billed, released or invoiced are told with the command for it: a document
        needs a day and a reason. Repeating it changes nothing that is done. It locks nothing.

        \b
        Examples:
          csms close run --month 2026-03 --dry-run
          csms close run --month 2026-03 -o json
        """
        async with connect(context) as connection:
            closing = await _closing(connection, seller, month, actor(), dry_run=dry_run)
            done = [each.row(await each.act(closing)) for each in steps]
            lines = await close.checklist(closing)
        if output.format is Format.TABLE:
            for each in done:
                output.note(_step_note(each))
            _print_checks(lines, closing, output)
        else:
            output.one(
                {
                    "seller": closing.seller,
                    "month": month_text(closing.month),
                    "steps": done,
                    "checks": [each.to_dict() for each in lines],
                    **({"dry_run": True} if dry_run else {}),
                }
            )
        if any(each["open"] for each in done) or any(each.state is State.OPEN for each in lines):
            context.exit(ExitCode.FINDINGS)


def _step_note(row: Mapping[str, object]) -> str:
    """How a step went, in a line beside the table of what is open."""
    told = f": {row['note']}" if row["note"] else ""
    waits = f"; {row['open']} to be seen to, next: {row['next']}" if row["open"] else ""
    return f"{row['step']}: {row['count']} {row['what']}{told}{waits}"


def _add_lock(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("lock")
    @click.option("--month", type=MONTH, required=True, help="Which; for good.")
    @click.option("--accept", "accepted", multiple=True, metavar="CHECK", help="What may wait for a later month.")
    @SELLER
    @REASON
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        month: date,
        accepted: tuple[str, ...],
        seller: str | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Lock a month: nothing is booked in it any more, and it is never opened again.

        What becomes known of it later is booked in the first open month, with its own date.

        \b
        Examples:
          csms close lock --month 2026-03 --reason "March is done" --dry-run
          csms close lock --month 2026-03 --reason "March is done" --accept sessions_held
        """
        async with connect(context) as connection, transaction(connection, dry_run=dry_run):
            closing = await _closing(connection, seller, month, actor())
            locked = await close.lock(closing, reason=reason, accepted=set(accepted))
        output.one(locked.to_dict() | ({"dry_run": True} if dry_run else {}))


def _add_pack(group: click.Group, connect: Connect, actor: Actor) -> None:
    @group.command("pack")
    @click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
    @click.option("--month", type=MONTH, required=True, help="Which; it is locked.")
    @click.option(
        "--format", "forms", type=click.Choice([each.value for each in Form]), multiple=True,
        default=(Form.CSV.value, Form.BEANCOUNT.value), show_default=True, help="Of the ledger in it; may be repeated.",
    )  # fmt: skip
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        directory: Path,
        month: date,
        forms: tuple[str, ...],
        seller: str | None,
        output: Output,
    ) -> None:
        """Write what is handed over of a locked month, with the SHA-256 of each file. Again it is the same to the byte.

        The files of the ledger are those that went to the general ledger, and one more with what had not gone yet.

        \b
        Examples:
          csms close pack /srv/books/2026-03 --month 2026-03
          csms close pack /srv/books/2026-03 --month 2026-03 --format csv --format datev
        """
        async with connect(context) as connection:
            of = await service.the_seller(connection, seller)
            wanted = [each for each in Form if each.value in forms]
            found = await pack(connection, of, month, directory, forms=wanted, now=datetime.now(UTC), actor=actor())
        output.rows([each.to_dict() for each in found], columns=("file", "bytes", "sha256", "new"))


def _add_reopen(group: click.Group, connect: Connect) -> None:
    @group.command("reopen")
    @click.option("--month", type=MONTH, required=True, help="Which.")
    @SELLER
    @click.pass_context
    @async_command
    async def command(context: click.Context, month: date, seller: str | None) -> None:
        """Say why a locked month is not opened again, and where what belongs to it goes.

        \b
        Example:
          csms close reopen --month 2026-03
        """
        async with connect(context) as connection:
            of = await service.the_seller(connection, seller)
            raise await close.refuse_to_reopen(connection, of, month)
