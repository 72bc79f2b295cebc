"""csms file: what charge points fetch and have sent."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

import click

from billing import CliError, ExitCode, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.cli.context import connect, default_actor
from csms.files import service

COLUMNS = ("id", "kind", "name", "charge_point", "size_bytes", "sha256", "completed_at", "fetched_by")
KINDS = ("image", "log", "other")
FILE_ID = click.IntRange(1, 2**63 - 1)


@click.group()
def file() -> None:
    """Files: firmware that charge points fetch, logs that they have sent.

    \b
    Examples:
      csms file list --kind log --cp CP-001
      csms file get 12 --out CP-001.log
    """


@file.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only these.")
@click.option("--cp", "id_", metavar="CP", help="Only those that this charge point has sent.")
@click.option(
    "--limit", "most", type=click.IntRange(1, 1000), default=100, show_default=True, help="The newest so many."
)
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, kind: str | None, id_: str | None, most: int, output: Output) -> None:
    """List files, newest first.

    \b
    Examples:
      csms file list
      csms file list --kind log --cp CP-001 -o json
    """
    async with connect(context) as connection:
        name = None if id_ is None else (await charge_points.get(connection, id_)).id
        found = await service.list_files(connection, kind=kind, charge_point=name, most=most)
    output.rows(found, columns=COLUMNS)


@file.command()
@click.argument("id_", metavar="ID", type=FILE_ID)
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: int, output: Output) -> None:
    """Show a file, and who fetched or sent it.

    \b
    Example:
      csms file show 12
    """
    async with connect(context) as connection:
        found = await service.get(connection, id_)
        output.one({**found, "transfers": await service.transfers_of(connection, id_)})


@file.command()
@click.argument("id_", metavar="ID", type=FILE_ID)
@click.option("--out", type=click.Path(path_type=Path), help="File or directory; - writes to stdout. Under its name here where left out.")  # fmt: skip
@click.option("--force", is_flag=True, help="Over a file that is there.")
@click.pass_context
@async_command
async def get(context: click.Context, id_: int, out: Path | None, force: bool) -> None:
    """Fetch a file.

    \b
    Examples:
      csms file get 12
      csms file get 12 --out - | less
    """
    async with connect(context) as connection:
        known = await service.get(connection, id_)
        if out is not None and str(out) == "-":
            await service.write_to(connection, id_, sys.stdout.buffer)
            return
        path = out or Path(known["name"])
        path = path / known["name"] if path.is_dir() else path
        if path.exists() and not force:
            raise CliError(f"{path} is there already", "name another one with --out, or --force", ExitCode.CONFLICT)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with fresh.open("wb") as target:
                await service.write_to(connection, id_, target)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    click.echo(f"{path}: {known['size_bytes']} bytes, sha256 {known['sha256'].hex()}", err=True)


@file.command()
@click.argument("content", metavar="FILE", type=click.File("rb"))
@click.option("--name", help="Under which it is listed; its own where left out.")
@output_options
@click.pass_context
@async_command
async def add(context: click.Context, content: IO[bytes], name: str | None, output: Output) -> None:
    """Store a file that is no firmware, such as a manufacturer's release notes. Firmware: csms firmware add.

    \b
    Example:
      csms file add notes-2.1.txt
    """
    async with connect(context) as connection:
        async with connection.transaction():
            called = name or Path(getattr(content, "name", "") or "file").name
            id_ = await service.add(connection, content, name=called, kind="other", actor=default_actor())
        output.one(await service.get(connection, id_))


@file.command()
@click.argument("id_", metavar="ID", type=FILE_ID)
@output_options
@click.pass_context
@async_command
async def delete(context: click.Context, id_: int, output: Output) -> None:
    """Delete a file's content. That it was there, and who fetched or sent it, stays known.

    \b
    Example:
      csms file delete 12
    """
    async with connect(context) as connection:
        output.one(await service.delete(connection, id_, actor=default_actor()))
