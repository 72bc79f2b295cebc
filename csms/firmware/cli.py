"""csms firmware: bring firmware to charge points, and see how far they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import click

from billing import INSTANT, Output, async_command, output_options
from csms.charge_points import service as charge_points
from csms.charge_points.asking import finish as finish_command
from csms.charge_points.asking import require_online, send, timeout_option
from csms.cli.context import connect
from csms.firmware import service
from csms.firmware.asking import (
    COLUMNS,
    ask,
    asked,
    finish,
    interval_option,
    listed,
    most_option,
    patience_option,
    retries_option,
    url_option,
    wait_option,
)
from csms.firmware.images_cli import image_commands
from csms.firmware.service import Attempt
from csms.firmware.signing import Signature, certificate_of, require_both
from csms.firmware.transfer import TransferKind
from csms.protocol.blocks.firmware import PublishFirmware, UnpublishFirmware, UpdateFirmware
from csms.protocol.vocabulary import Protocol
from csms.rollouts.cli import rollout


class Checksum(click.ParamType[str]):
    """An MD5 in hex (PublishFirmwareRequest.checksum)."""

    name = "md5"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(r"[0-9a-fA-F]{32}", str(value)) is None:
            self.fail(f"{value!r} is no MD5: it has 32 hex digits (md5sum FILE prints it)", param, ctx)
        return str(value).lower()


@click.group()
def firmware() -> None:
    """Firmware: have charge points fetch and install it, and see how far they are.

    \b
    Examples:
      csms firmware add pump-2.1.bin --version 2.1
      csms firmware rollout create --image 1 --all
      csms firmware update CP-001 --url https://files.example/pump-2.1.bin --wait
      csms firmware status CP-001
    """


firmware.add_command(rollout)
for _command in image_commands:
    firmware.add_command(_command)


@firmware.command()
@click.argument("id_", metavar="CP")
@url_option("Where the charge point fetches it")
@click.option("--retrieve-at", type=INSTANT, help="Not before; at once where left out.")
@click.option("--install-at", type=INSTANT, help="Not before; as soon as it has it where left out.")
@retries_option
@interval_option
@click.option(
    "--signing-certificate", "certificate_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the certificate that the manufacturer signed the firmware with.",
)  # fmt: skip
@click.option("--signature", type=Signature(), help="Of the file, by that certificate.")
@wait_option
@patience_option
@timeout_option
@output_options
@click.pass_context
@async_command
async def update(
    context: click.Context,
    id_: str,
    url: str,
    retrieve_at: datetime | None,
    install_at: datetime | None,
    retries: int | None,
    retry_interval_s: int | None,
    certificate_path: Path | None,
    signature: str | None,
    wait: bool,
    patience_s: float,
    timeout_s: float,
    output: Output,
) -> None:
    """Have a charge point fetch and install firmware, signed (OCPP 1.6: SignedUpdateFirmware) or not.

    A newer request takes the place of one that is still open.

    \b
    Examples:
      csms firmware update CP-001 --url https://files.example/pump-2.1.bin --wait
      csms firmware update CP-002 --url sftp://depot:PASSWORD@files.example/pump-2.1.bin --retrieve-at 2026-03-02T01:00:00Z
      csms firmware update CP-003 --url https://files.example/x.bin --signing-certificate maker.pem --signature MEUCIQD...
    """
    certificate = certificate_of(certificate_path)
    require_both(certificate, signature)
    begin = retrieve_at or datetime.now(UTC)
    if install_at is not None and install_at < begin:
        raise click.BadParameter("it cannot be installed before it is fetched", param_hint="--install-at")
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        protocol = await require_online(connection, known)
        signed = protocol is Protocol.V16 and certificate is not None
        message = "SignedUpdateFirmware" if signed else "UpdateFirmware"
        if protocol is Protocol.V16 and not signed and install_at is not None:
            raise click.BadParameter(
                "OCPP 1.6 installs when it will; only signed firmware has a time", param_hint="--install-at"
            )
        await service.require_announced(connection, known, protocol, message, url)

        def command(request: int) -> UpdateFirmware:
            return UpdateFirmware(
                request=request, url=url, retrieve_at=begin, install_at=install_at, retries=retries,
                retry_interval_s=retry_interval_s, certificate=certificate, signature=signature,
            )  # fmt: skip

        kind = TransferKind.FIRMWARE
        request, outcome = await ask(connection, known, kind, [Attempt(message=message, command=command)], timeout_s)
        wait_s = patience_s if wait else None
        await finish(context, connection, output, kind, known, request, outcome, wait_s=wait_s)


@firmware.command()
@click.argument("id_", metavar="[CP]", required=False)
@most_option
@output_options
@click.pass_context
@async_command
async def status(context: click.Context, id_: str | None, most: int, output: Output) -> None:
    """Show how far charge points are: the newest request of each, or all of one with what it told besides.

    \b
    Examples:
      csms firmware status
      csms firmware status CP-001 -o json
    """
    async with connect(context) as connection:
        found = await listed(connection, [TransferKind.FIRMWARE, TransferKind.PUBLICATION], id_, most)
    output.rows(found, columns=COLUMNS)


@firmware.command()
@click.argument("id_", metavar="CP")
@url_option("Where the local controller fetches it")
@click.option("--checksum", type=Checksum(), required=True, help="MD5 of the file.")
@retries_option
@interval_option
@wait_option
@patience_option
@timeout_option
@output_options
@click.pass_context
@async_command
async def publish(
    context: click.Context,
    id_: str,
    url: str,
    checksum: str,
    retries: int | None,
    retry_interval_s: int | None,
    wait: bool,
    patience_s: float,
    timeout_s: float,
    output: Output,
) -> None:
    """Have a local controller fetch firmware and offer it to the charge points behind it (OCPP 2.0.1).

    \b
    Example:
      csms firmware publish LC-001 --url https://files.example/pump-2.1.bin --checksum d41d8cd98f00b204e9800998ecf8427e
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        protocol = await require_online(connection, known)
        await service.require_announced(connection, known, protocol, "PublishFirmware", url)

        def command(request: int) -> PublishFirmware:
            return PublishFirmware(
                request=request, url=url, checksum=checksum, retries=retries, retry_interval_s=retry_interval_s
            )

        kind, attempt = TransferKind.PUBLICATION, Attempt(message="PublishFirmware", command=command)
        request, outcome = await ask(connection, known, kind, [attempt], timeout_s)
        wait_s = patience_s if wait else None
        await finish(context, connection, output, kind, known, request, outcome, wait_s=wait_s)


@firmware.command()
@click.argument("id_", metavar="CP")
@click.option("--checksum", type=Checksum(), required=True, help="MD5 of the file, as it was published.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def unpublish(context: click.Context, id_: str, checksum: str, timeout_s: float, output: Output) -> None:
    """Have a local controller offer a file no longer (OCPP 2.0.1).

    \b
    Example:
      csms firmware unpublish LC-001 --checksum d41d8cd98f00b204e9800998ecf8427e
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        outcome = await send(connection, known, UnpublishFirmware(checksum=checksum), timeout_s=timeout_s)
    output.one(asked(None, outcome))
    finish_command(context, outcome)
