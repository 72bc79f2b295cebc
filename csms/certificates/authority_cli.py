"""csms certificate authority: who signs the certificates of charge points."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from billing import AlreadyDone, CliError, NotFound, Output, Refused, async_command, output_options
from csms.certificates import files, revocations, store
from csms.certificates.authority import AuthorityKey, make_root
from csms.certificates.http_exchange import Unreachable
from csms.certificates.signing import est_servers
from csms.certificates.store import SQL
from csms.cli.context import connect, default_actor, settings_of
from csms.protocol.blocks.certificate_facts import CertificatePurpose
from csms.settings import Settings

ORGANISATION_LENGTH_MAX = 64  # ub-organization-name of RFC 5280
DAYS_MAX = 36_500
days_option = click.option(
    "--days", type=click.IntRange(1, DAYS_MAX), default=3650, show_default=True, help="How long the root is valid."
)


@click.group()
def authority() -> None:
    """The authority that signs certificates of charge points: embedded, or an external one by EST.

    \b
    Examples:
      csms certificate authority create --organisation "Example Charging Ltd"
      csms certificate authority show
    """


@authority.command()
@click.option("--organisation", required=True, help="O in all certificates: the operator's name (A00.FR.404).")
@days_option
@output_options
@click.pass_context
@async_command
async def create(context: click.Context, organisation: str, days: int, output: Output) -> None:
    """Make the embedded authority: a key in the data directory, a root, and an empty list of revoked certificates.

    A key that is there already is used: bring your own as authority.key, or name it with CSMS_AUTHORITY_KEY (PEM, ECDSA or
    RSA of 2048 bits, readable by its owner only). Nodes that are to sign need the same file.

    \b
    Examples:
      csms certificate authority create --organisation "Example Charging Ltd"
      csms certificate authority create --organisation "Example Charging Ltd" --days 7300
    """
    name = organisation.strip()
    if not name or len(name) > ORGANISATION_LENGTH_MAX or not name.isprintable():
        raise click.BadParameter(f"a name has 1 to {ORGANISATION_LENGTH_MAX} characters", param_hint="--organisation")
    settings = settings_of(context)
    async with connect(context) as connection:
        if await SQL.newest_authority.fetchval(connection) is not None:
            raise AlreadyDone(
                "there is an authority already", "see csms certificate authority show; before it ends: authority renew"
            )
        path = files.key_path(settings)
        key = files.load_key(path) or _fresh_key(path)
        await _add_root(connection, settings, key, name, days)
        row = await _shown(connection, settings)
    output.one(row)


def _fresh_key(path: Path) -> AuthorityKey:
    try:
        return files.make_key(path)
    except FileExistsError:
        raise CliError(f"somebody has just made {path}", "run it again") from None


@authority.command()
@days_option
@output_options
@click.pass_context
@async_command
async def renew(context: click.Context, days: int, output: Output) -> None:
    """Make the next root, with the same key and name, long before the present one ends.

    New certificates are signed in its name; those of the old one count as long as they are valid.

    \b
    Example:
      csms certificate authority renew --days 3650
    """
    settings = settings_of(context)
    async with connect(context) as connection:
        name = await store.organisation(connection)
        if name is None:
            raise NotFound("there is no authority", "make one: csms certificate authority create --organisation NAME")
        key = files.load_key(files.key_path(settings))
        if key is None:
            raise Refused(
                f"the authority's key is not here: {files.key_path(settings)}", "run it where the key is, or set CSMS_AUTHORITY_KEY"
            )  # fmt: skip
        await _add_root(connection, settings, key, name, days)
        row = await _shown(connection, settings)
    output.one(row)


async def _add_root(connection: Any, settings: Settings, key: AuthorityKey, organisation: str, days: int) -> None:
    now = datetime.now(UTC)
    root = make_root(
        key, organisation=organisation, number=x509.random_serial_number(), now=now, valid=timedelta(days=days)
    )
    await SQL.insert_authority.fetchval(
        connection,
        organisation=organisation,
        certificate=root.public_bytes(Encoding.PEM).decode(),
        fingerprint=root.fingerprint(hashes.SHA256()).hex(),
        valid_until=root.not_valid_after_utc,
        actor=default_actor(),
    )
    roots = await store.roots(connection)
    files.write(files.roots_path(settings), _pem(roots))
    await revocations.refresh(connection, files.list_path(settings), files.authorities_of(key, roots), now=now)


def _pem(certificates: list[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


@authority.command()
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, output: Output) -> None:
    """Show who signs, with which files, and whether an EST server answers where one is set.

    \b
    Examples:
      csms certificate authority show
      csms certificate authority show -o json
    """
    settings = settings_of(context)
    async with connect(context) as connection:
        row = await _shown(connection, settings)
    servers = {str(purpose): server for purpose, server in est_servers(settings).items() if purpose is not CertificatePurpose.COMBINED}  # fmt: skip
    told = []
    for purpose, server in servers.items():
        try:
            given = await server.cacerts()
            answer: dict[str, object] = {
                "answers": True,
                "authority": [each.subject.rfc4514_string() for each in given],
            }
        except Unreachable as trouble:
            answer = {"answers": False, "problem": str(trouble)}
        told.append({"purpose": purpose, "url": server.url, **answer})
    output.one({**row, "est": told})


async def _shown(connection: Any, settings: Settings) -> dict[str, object]:
    roots = await store.roots(connection)
    key = files.load_key(files.key_path(settings))
    newest = roots[0] if roots else None
    return {
        "organisation": await store.organisation(connection),
        "signs": "est" if settings.est_url else "own" if newest is not None else None,
        "number": None if newest is None else f"{newest.serial_number:X}",
        "subject": None if newest is None else newest.subject.rfc4514_string(),
        "valid_until": None if newest is None else newest.not_valid_after_utc,
        "roots": len(roots),
        "key": str(files.key_path(settings)),
        "key_is_here": bool(files.authorities_of(key, roots[:1])),
        "certificates": str(files.roots_path(settings)),
        "revocation_list": str(files.list_path(settings)),
        "next": None
        if newest is None
        else f"csms serve --tls-client-ca {files.roots_path(settings)} --tls-client-crl {files.list_path(settings)}",
    }


@authority.command()
@click.pass_context
@async_command
async def export(context: click.Context) -> None:
    """Print the roots of the embedded authority in PEM, the newest first: what --tls-client-ca needs on every node.

    \b
    Example:
      csms certificate authority export > authority.pem
    """
    async with connect(context) as connection:
        roots = await store.roots(connection)
    if not roots:
        raise NotFound("there is no authority", "make one: csms certificate authority create --organisation NAME")
    click.echo(_pem(roots).decode(), nl=False)
