"""csms ledger export: files for the general ledger, on stdout or in a directory."""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import DRY_RUN, Connect
from billing.ledger import export, service
from billing.ledger.cli_options import CURRENCY, MONTH, SELLER, Actor
from billing.ledger.export import HANDED_OVER, Export, Form, Span
from billing.ledger.month import month_text
from billing.sql import Connection

COLUMNS: Final = (
    "export", "format", "month", "currency", "after_entry", "up_to_entry", "entries", "bytes", "file", "sha256",
)  # fmt: skip
FORMS: Final = click.Choice([each.value for each in Form])


def add_exports(group: click.Group, connect: Connect) -> None:
    """`csms ledger exports`."""

    @group.command("exports")
    @click.option("--month", type=MONTH, help="Only of this month.")
    @click.option("--format", "form", type=FORMS, help="Only in this form.")
    @SELLER
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context, month: date | None, form: str | None, seller: str | None, output: Output
    ) -> None:
        """List the files that were made for the general ledger.

        \b
        Example:
          csms ledger exports --month 2026-03
        """
        wanted = None if form is None else Form(form)
        async with connect(context) as connection:
            of = await service.the_seller(connection, seller)
            found = await export.exports_of(connection, of, month=month, form=wanted)
        output.rows([each.to_dict() for each in found], columns=COLUMNS)


_WAYS: Final = (
    click.option("--format", "form", type=FORMS, help="Of a month, or of what is next."),
    click.option("--month", type=MONTH, help="All of this month, which is locked; again the same bytes."),
    click.option("--next", "is_next", is_flag=True, help="What was booked since the last files, one for each month."),
    click.option("--run", "run", type=click.IntRange(min=1), metavar="EXPORT", help="A file that was made, again."),
    click.option(
        "--to", "directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
        help="Write files into this directory, and say which.",
    ),
    click.option("--reason", default=HANDED_OVER, show_default=True, metavar="TEXT", help="Why; in the audit log."),
)  # fmt: skip


def _with_ways(command: Any) -> Any:
    for each in reversed(_WAYS):
        command = each(command)
    return command


def add_export(group: click.Group, connect: Connect, actor: Actor) -> None:
    """`csms ledger export`."""

    @group.command("export")
    @_with_ways
    @CURRENCY
    @SELLER
    @DRY_RUN
    @output_options
    @click.pass_context
    @async_command
    async def command(
        context: click.Context,
        form: str | None,
        month: date | None,
        is_next: bool,
        run: int | None,
        directory: Path | None,
        currency: str | None,
        seller: str | None,
        reason: str,
        dry_run: bool,
        output: Output,
    ) -> None:
        """Write entries for the general ledger. No entry is in two files of a form, and a file is always the same.

        Without --to the file goes to stdout. --next needs --to; with --dry-run it only says what would be in the files.

        \b
        Examples:
          csms ledger export --format datev --month 2026-03 > EXTF_2026-03.csv
          csms ledger export --format csv --next --to /srv/handover
          csms ledger export --run 17 > again.csv
        """
        _require_one_way(form, month=month, is_next=is_next, run=run, directory=directory, dry_run=dry_run)
        async with connect(context) as connection:
            if run is not None:
                with _new_file() as file:
                    _put(await _again(connection, run, file), file, directory, output)
                return
            of, wanted = await service.the_seller(connection, seller), Form(str(form))
            given: dict[str, Any] = {"currency": currency, "now": datetime.now(UTC), "actor": actor(), "reason": reason}
            if dry_run:
                found = await export.pending(connection, of, wanted, month=month, currency=currency)
                output.rows([_span_row(each) for each in found], columns=COLUMNS[1:6])
            elif month is not None and not is_next:
                with _new_file() as file:
                    whole = await export.export_month(connection, of, wanted, month, file, **given)
                    _put(whole, file, directory, output)
            else:
                made = export.export_pending(connection, of, wanted, _new_file, month=month, **given)
                output.rows([_stored(each, file, directory) async for each, file in made], columns=COLUMNS)


def _require_one_way(
    form: str | None, *, month: date | None, is_next: bool, run: int | None, directory: Path | None, dry_run: bool
) -> None:
    if (run is None) is (month is None and not is_next):
        raise click.UsageError("give --month, --next, or --run EXPORT")
    if (form is None) is (run is None):
        raise click.UsageError("--format goes with --month and --next, and only with them")
    if is_next and directory is None and not dry_run:
        raise click.UsageError("--next may write several files: say where, --to DIR")
    if run is not None and dry_run:
        raise click.UsageError("--run changes nothing; leave --dry-run away")


async def _again(connection: Connection, run: int, file: BinaryIO) -> Export:
    found = await export.find_export(connection, run)
    await export.write_again(connection, found, file)
    return found


def _new_file() -> BinaryIO:
    return tempfile.TemporaryFile()


def _put(found: Export, file: BinaryIO, directory: Path | None, output: Output) -> None:
    """Into the directory, or to stdout as it is."""
    if directory is not None:
        output.rows([_stored(found, file, directory)], columns=COLUMNS)
        return
    file.seek(0)
    shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _stored(found: Export, file: BinaryIO, directory: Path | None) -> dict[str, object]:
    """In the directory under its name, as a whole or not at all."""
    assert directory is not None, "it was asked for"
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / f".{found.file_name}.part"
    with file, part.open("wb") as place:
        file.seek(0)
        shutil.copyfileobj(file, place)
    part.rename(directory / found.file_name)
    return found.to_dict()


def _span_row(span: Span) -> dict[str, object]:
    return {
        "format": span.form,
        "month": month_text(span.month),
        "currency": span.currency,
        "after_entry": span.after,
        "up_to_entry": span.up_to,
        "dry_run": True,
    }
