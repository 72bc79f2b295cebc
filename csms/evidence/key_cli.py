"""csms cp key: the public keys that meters sign with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from billing import INSTANT, CliError, ExitCode, Output, async_command, output_options
from csms.cli.context import connect, default_actor
from csms.evidence import service
from csms.evidence.service import KeyOf
from csms.evidence.signatures import KEY_LENGTH_MAX
from csms.templates.config_cli import cp

__all__ = ["cp"]

COLUMNS = (
    "id", "charge_point", "evse", "serial", "fingerprint", "curve", "register", "valid_from", "valid_until",
    "told_by_charge_point",
)  # fmt: skip


@cp.group()
def key() -> None:
    """Public keys of meters, as registered from type plates: what a charge point says of itself is only compared.

    \b
    Examples:
      csms cp key import CP-001 meter.pem --serial 1DZG0033016824 --reason "type plate, installed 3 May"
      csms cp key list CP-001
    """


@key.command("import")
@click.argument("id_", metavar="CP")
@click.argument("written", metavar="KEY")
@click.option(
    "--evse", type=click.IntRange(min=1), help="Of this EVSE's meter; of any of the charge point unless said."
)
@click.option("--serial", metavar="TEXT", help="The meter's serial number, as its records bear it; any unless said.")
@click.option(
    "--register",
    "register",
    metavar="OBIS",
    help="What is billed, such as 1-0:1.8.0; 1.8.0, imported energy, unless said.",
)
@click.option("--measures-time", is_flag=True, help="The meter is approved for time, too.")
@click.option("--from", "valid_from", type=INSTANT, help="For sessions that begin then or later; from now unless said.")
@click.option("--reason", required=True, help="Where the key comes from; kept for ever.")
@click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
@output_options
@click.pass_context
@async_command
async def import_(
    context: click.Context,
    /,
    id_: str,
    written: str,
    evse: int | None,
    serial: str | None,
    register: str | None,
    measures_time: bool,
    valid_from: datetime | None,
    reason: str,
    actor: str,
    output: Output,
) -> None:
    """Register a meter's public key: a file with it, or the key itself in hex or base64 (DER).

    \b
    Examples:
      csms cp key import CP-001 meter.pem --evse 1 --reason "type plate"
      csms cp key import CP-001 3059301306072A86... --register 01-00:B2.08.00 --reason "register of keys"
    """
    whose = KeyOf(charge_point=id_, evse=evse, serial=serial, register=register, measures_time=measures_time)
    text = _written(written)
    async with connect(context) as connection:
        made = await service.register_key(
            connection, whose, text, reason=reason, actor=actor, now=datetime.now(UTC), valid_from=valid_from
        )
    output.one(made)


def _written(given: str) -> str:
    """The content of the file of that name, if there is one."""
    path = Path(given)
    try:
        if len(given) > KEY_LENGTH_MAX or not path.is_file():
            return given
        content = path.read_bytes()[:KEY_LENGTH_MAX]
    except OSError:
        return given
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.hex()


@key.command("list")
@click.argument("id_", metavar="[CP]", required=False)
@output_options
@click.pass_context
@async_command
async def list_(context: click.Context, id_: str | None, output: Output) -> None:
    """List registered keys, those that hold no longer included.

    told_by_charge_point compares with the charge point's own settings, as they were last read: another key there is a
    reason to look at the meter.

    \b
    Example:
      csms cp key list CP-001 -o json
    """
    async with connect(context) as connection:
        output.rows(await service.list_keys(connection, id_), columns=COLUMNS)


@key.command()
@click.argument("key_id", metavar="KEY_ID")
@click.option("--until", "valid_until", type=INSTANT, help="Sessions that begin then or later; now unless said.")
@click.option("--reason", required=True, help="Why; kept for ever.")
@click.option("--actor", default=default_actor, help="Who decides; the account's name unless said.")
@output_options
@click.pass_context
@async_command
async def revoke(
    context: click.Context, key_id: str, valid_until: datetime | None, reason: str, actor: str, output: Output
) -> None:
    """End a key: sessions that begin later are not verified with it. Bills that stand stay.

    \b
    Example:
      csms cp key revoke 7 --reason "meter exchanged"
    """
    if not key_id.isdecimal() or len(key_id) > 18:  # noqa: PLR2004 - bigint
        raise CliError(f"{key_id!r} is no number of a key", "see csms cp key list", ExitCode.USAGE)
    async with connect(context) as connection:
        done = await service.revoke_key(
            connection, int(key_id), reason=reason, actor=actor, now=datetime.now(UTC), valid_until=valid_until
        )
    output.one(done)
