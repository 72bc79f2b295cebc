"""csms firmware add, list, delete: what there is to hand out."""

from __future__ import annotations

from pathlib import Path

import click

from billing import Output, async_command, output_options
from csms.cli.context import connect, default_actor
from csms.firmware import images
from csms.firmware.signing import Signature, certificate_of, require_both

COLUMNS = ("id", "version", "vendor", "model", "name", "size_bytes", "signed", "rollouts", "added_at")


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--version", required=True, metavar="V", help="As charge points report it once they run it.")
@click.option("--vendor", help="Only for charge points of this make.")
@click.option("--model", help="Only for charge points of this model.")
@click.option(
    "--signing-certificate", "certificate_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the certificate that the manufacturer signed it with.",
)  # fmt: skip
@click.option("--signature", type=Signature(), help="Of the file, by that certificate; base64, or @FILE.")
@output_options
@click.pass_context
@async_command
async def add(
    context: click.Context,
    path: Path,
    version: str,
    vendor: str | None,
    model: str | None,
    certificate_path: Path | None,
    signature: str | None,
    output: Output,
) -> None:
    """Store firmware, to be handed out by roll-outs.

    \b
    Examples:
      csms firmware add pump-2.1.bin --version 2.1 --vendor "Example Chargers" --model Pump
      csms firmware add pump-2.1.bin --version 2.1 --signing-certificate maker.pem --signature @pump-2.1.sig
    """
    certificate = certificate_of(certificate_path)
    require_both(certificate, signature)
    async with connect(context) as connection:
        with path.open("rb") as content:
            added = await images.add(
                connection, content, name=path.name, version=version, vendor=vendor, model=model,
                signature=signature, certificate=certificate, actor=default_actor(),
            )  # fmt: skip
    output.one(added)


@click.command("list")
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, output: Output) -> None:
    """List firmware that can be rolled out.

    \b
    Example:
      csms firmware list
    """
    async with connect(context) as connection:
        found = await images.list_images(connection)
    output.rows(found, columns=COLUMNS)


@click.command()
@click.argument("image", metavar="ID", type=click.IntRange(1, 2**31 - 1))
@output_options
@click.pass_context
@async_command
async def delete(context: click.Context, image: int, output: Output) -> None:
    """Offer firmware no longer, and delete its file. Which roll-outs brought it to whom stays known.

    \b
    Example:
      csms firmware delete 1
    """
    async with connect(context) as connection:
        output.one(await images.withdraw(connection, image, actor=default_actor()))


image_commands = (add, list_, delete)
