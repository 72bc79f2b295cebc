"""csms invoice render: a document as its receiver sees it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import Connect
from billing.errors import AlreadyDone
from billing.invoices import service
from billing.invoices.cli_words import WHOSE

Actor = Callable[[], str]
Directory: TypeAlias = "Callable[[click.Context], Path]"


def add_render(group: click.Group, connect: Connect, directory: Directory, actor: Actor) -> None:
    @group.command("render")
    @click.argument("number", metavar="NUMBER")
    @click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to; NUMBER.pdf unless said.")
    @WHOSE
    @output_options
    @click.pass_context
    @async_command
    async def render(context: click.Context, number: str, out: Path | None, seller: str | None, output: Output) -> None:
        """Write the PDF of a document. It is made and archived the first time; from then on it is the same file.

        \b
        Example:
          csms invoice render R2026-000001 --out R2026-000001.pdf
        """
        from billing.archive.service import Archive  # noqa: PLC0415 - only this command needs them
        from billing.documents.press import Press  # noqa: PLC0415 - typst and Babel take long to load
        from billing.invoices.paper import archived  # noqa: PLC0415

        async with connect(context) as connection:
            found = await service.get(connection, number, seller=seller)
            pdf, entry = await archived(
                connection, Archive(directory(context)), found, Press(), now=datetime.now(UTC), actor=actor()
            )
        place = out or Path(f"{number.replace('/', '-')}.pdf")
        write_new(pdf, place)
        output.one({"number": number, "file": str(place), "size_bytes": len(pdf), "archive_entry": entry})


def write_new(content: bytes, place: Path) -> None:
    """Write a file that was not there.

    Raises:
        AlreadyDone: it was.
    """
    try:
        with place.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise AlreadyDone(f"{place} exists", "name another file, or take it away first") from None
