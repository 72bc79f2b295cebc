"""csms certificate: certificates of charge points, and those that they trust."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from billing import CliError, ExitCode, NotFound, Output, Refused, async_command, output_options
from csms.certificates import files, installed, revocations, store, watch
from csms.certificates.authority import RevocationReason
from csms.certificates.authority_cli import authority
from csms.certificates.fleet import Row, Send, ask_each, fleet_options
from csms.certificates.renewal import renewal
from csms.certificates.rows import LIST_COLUMNS, listed, state
from csms.certificates.store import SQL
from csms.certificates.trusted import FileUnusable, Trusted, read_trusted
from csms.charge_points import service as charge_points
from csms.charge_points.asking import said, timeout_option
from csms.charge_points.asking import send as ask_one
from csms.cli.context import connect, default_actor, settings_of
from csms.protocol.blocks.certificate_facts import CertificatePurpose
from csms.protocol.blocks.certificates import CertificateUse
from csms.protocol.vocabulary import Command, Outcome, Protocol

FINAL = frozenset({"installed", "refused", "failed", "rejected", "superseded", "revoked", "ended"})
WAIT_POLL_S = 0.3
PURPOSES = tuple(str(each) for each in CertificatePurpose)
ROOT_USES = tuple(str(each) for each in CertificateUse if each is not CertificateUse.V2G_CHAIN)
INSTALLED_COLUMNS = ("charge_point", "use", "number", "subject", "valid_until", "told_at")
ENDING_COLUMNS = ("charge_point", "kind", "number", "valid_until", "renewing", "next")
most_option = click.option(
    "--limit", "most", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The newest so many."
)


@click.group()
def certificate() -> None:
    """Certificates: those of charge points, who signs them, and those that charge points trust.

    \b
    Examples:
      csms certificate authority create --organisation "Example Charging Ltd"
      csms certificate renew CP-001 --wait
      csms certificate list
      csms certificate install root.pem --all
    """


certificate.add_command(authority)


@certificate.command("list")
@click.argument("id_", metavar="[CP]", required=False)
@click.option("--site", help="Only charge points of this site.")
@click.option("--trusted", is_flag=True, help="The certificates that charge points trust, as they last listed them.")
@most_option
@output_options
@click.pass_context
@async_command
async def list_(
    context: click.Context, id_: str | None, site: str | None, trusted: bool, most: int, output: Output
) -> None:
    """List what charge points asked for, with what came of it: of each its newest request and what it uses, of one all.

    \b
    Examples:
      csms certificate list
      csms certificate list CP-001 -o json
      csms certificate list --trusted --site harbour
    """
    async with connect(context) as connection:
        name = None if id_ is None else (await charge_points.get(connection, id_)).id
        if trusted:
            known = await SQL.installed.fetch(connection, charge_point=name, site=site)
            output.rows([dict(row) for row in known], columns=INSTALLED_COLUMNS)
            return
        rows = await SQL.listed.fetch(
            connection, charge_point=name, site=site, latest=name is None, number=None, most=most
        )
    now = datetime.now(UTC)
    output.rows([listed(row, now=now) for row in rows], columns=LIST_COLUMNS)


@certificate.command()
@click.argument("id_", metavar="CP")
@timeout_option
@output_options
@click.pass_context
@async_command
async def show(context: click.Context, id_: str, timeout_s: float, output: Output) -> None:
    """Show the certificates of a charge point, and those that it trusts: it is asked, if it is online.

    \b
    Examples:
      csms certificate show CP-001
      csms certificate show CP-001 -o json
    """
    async with connect(context) as connection:
        known = await charge_points.get(connection, id_)
        (now,) = await charge_points.list_charge_points(connection, identity=known.id)
        told = "offline"
        if now["online"]:

            async def send(command: Command) -> Outcome:
                return await ask_one(connection, known, command, timeout_s=timeout_s)

            outcome, _ = await installed.read(connection, known.id, Protocol(now["protocol"]), send)
            told = outcome.status
        rows = await SQL.listed.fetch(connection, charge_point=known.id, site=None, latest=False, number=None, most=100)
        trusted = await SQL.installed.fetch(connection, charge_point=known.id, site=None)
    at = datetime.now(UTC)
    own = [{**listed(row, now=at), "csr": row["csr"], "chain": row["chain"]} for row in rows]
    current = next((each for each in own if each["state"] == "installed"), None)
    output.one(
        {
            "charge_point": known.id,
            "security_profile": known.security_profile,
            "number": None if current is None else current["number"],
            "valid_until": None if current is None else current["valid_until"],
            "reported": told,
            "certificates": own,
            "trusted": [{name: row[name] for name in row.keys() if name != "charge_point"} for row in trusted],  # noqa: SIM118 - a Record iterates over its values
        }
    )


class TrustedFile(click.ParamType[Trusted]):
    """A PEM file with one certificate of an authority."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Trusted:
        if isinstance(value, Trusted):
            return value
        path = click.Path(exists=True, dir_okay=False, path_type=Path).convert(str(value), param, ctx)
        try:
            return read_trusted(Path(str(path)).read_text(encoding="ascii", errors="replace"), now=datetime.now(UTC))
        except FileUnusable as wrong:
            self.fail(f"{path}: {wrong}", param, ctx)


@certificate.command()
@click.argument("given", metavar="FILE", type=TrustedFile())
@fleet_options
@click.option(
    "--use", type=click.Choice(ROOT_USES), default=str(CertificateUse.CSMS), show_default=True,
    help="What for: our own servers, the manufacturer's firmware, V2G and mobility operators' roots (OCPP 2.0.1).",
)  # fmt: skip
@timeout_option
@output_options
@click.pass_context
@async_command
async def install(context: click.Context, /, given: Trusted, use: str, output: Output, **fleet: Any) -> None:
    """Have charge points trust a certificate of an authority (PEM, one certificate).

    \b
    Examples:
      csms certificate install new-root.pem CP-001
      csms certificate install new-root.pem --all --dry-run
      csms certificate install maker.pem --site harbour --use manufacturer
    """
    actor = default_actor()

    async def work(connection: Any, charge_point: str, protocol: Protocol, send: Send) -> Row:
        outcome = await installed.install(
            connection, charge_point, protocol, send, CertificateUse(use), given, actor=actor
        )
        return {**said(outcome), "use": use, "number": given.number, "subject": given.subject}

    await ask_each(context, output, work, what="install", columns=("id", "outcome", "detail"), **fleet)


@certificate.command()
@click.argument("number")
@fleet_options
@click.option("--force", is_flag=True, help="Also the last one by which the charge point knows us.")
@timeout_option
@output_options
@click.pass_context
@async_command
async def delete(context: click.Context, /, number: str, force: bool, output: Output, **fleet: Any) -> None:
    """Have charge points trust a certificate no longer: NUMBER is its serial number, as csms certificate show has it.

    \b
    Examples:
      csms certificate delete 5A1F09C3 CP-001
      csms certificate delete 5A1F09C3 --all --dry-run
    """

    async def work(connection: Any, charge_point: str, protocol: Protocol, send: Send) -> Row:
        done = await installed.delete(connection, charge_point, protocol, send, number, force=force)
        if done.last:
            return {"outcome": "refused", "detail": "it is the last one by which it knows us: install another first, or --force"}  # fmt: skip
        if done.outcome is None:
            return {"outcome": "not_found", "detail": f"it trusts no certificate {number}"}
        return {**said(done.outcome), "deleted": done.deleted}

    await ask_each(context, output, work, what="delete", columns=("id", "outcome", "deleted", "detail"), **fleet)


@certificate.command()
@fleet_options
@click.option(
    "--purpose", type=click.Choice(PURPOSES), default=str(CertificatePurpose.CHARGE_POINT), show_default=True,
    help="Which certificate; v2g and combined are OCPP 2.0.1's.",
)  # fmt: skip
@click.option("--within", "within_days", type=click.IntRange(0), metavar="DAYS", help="Only what ends within so many days.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Until the charge point has taken its certificate, or it has failed.")
@click.option(
    "--patience", "patience_s", type=click.FloatRange(1, 86_400), default=120, show_default=True, metavar="SECONDS",
    help="How long --wait waits.",
)  # fmt: skip
@timeout_option
@output_options
@click.pass_context
@async_command
async def renew(
    context: click.Context, /, purpose: str, within_days: int | None, wait: bool, patience_s: float, output: Output,
    **fleet: Any,
) -> None:  # fmt: skip
    """Have charge points make a new key and ask for a certificate; all else follows by itself.

    \b
    Examples:
      csms certificate renew CP-001 --wait
      csms certificate renew --all --within 30
    """
    chosen = await _ending(context, purpose, within_days)
    actor = default_actor()

    async def work(connection: Any, charge_point: str, protocol: Protocol, send: Send) -> Row:
        command = renewal(protocol, CertificatePurpose(purpose))
        if command is None:
            return {"outcome": "not_supported", "detail": f"{protocol} has no certificates for {purpose}"}
        before = await _newest(connection, charge_point, purpose)
        outcome = await send(command)
        await SQL.insert_renewal.execute(
            connection, charge_point=charge_point, purpose=purpose, status=outcome.status, detail=outcome.detail,
            actor=actor, accepted=None if outcome.status in installed.UNANSWERED else outcome.accepted,
        )  # fmt: skip
        if not (wait and outcome.accepted):
            return said(outcome)
        return await _followed(connection, charge_point, purpose, before, patience_s)

    await ask_each(
        context, output, work, what="renew", columns=("id", "outcome", "state", "number", "valid_until", "detail"),
        keep=lambda each: chosen is None or each["id"] in chosen, **fleet,
    )  # fmt: skip


async def _ending(context: click.Context, purpose: str, within_days: int | None) -> frozenset[str] | None:
    """Charge points whose certificate ends within so many days; None: whoever it is."""
    if within_days is None:
        return None
    before = datetime.now(UTC) + timedelta(days=within_days)
    async with connect(context) as connection:
        rows = await SQL.in_use.fetch(connection, before=before, site=None)
    return frozenset(row["charge_point"] for row in rows if row["purpose"] == purpose)


async def _newest(connection: Any, charge_point: str, purpose: str) -> Any:
    """The newest request for a purpose; None: there is none."""
    rows = await SQL.listed.fetch(
        connection, charge_point=charge_point, site=None, latest=True, number=None, most=2 * len(PURPOSES)
    )
    return next((row for row in rows if row["purpose"] == purpose), None)


async def _followed(connection: Any, charge_point: str, purpose: str, before: Any, patience_s: float) -> Row:
    """What came of the request that follows."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        row = await _newest(connection, charge_point, purpose)
        now = datetime.now(UTC)
        if row is not None and (before is None or row["request"] != before["request"]) and state(row, now=now) in FINAL:
            shown = listed(row, now=now)
            outcome = "Accepted" if shown["state"] == "installed" else str(shown["state"])
            names = ("request", "state", "number", "valid_until")
            return {"outcome": outcome, **{name: shown[name] for name in names}, "detail": shown["problem"]}
        if asyncio.get_running_loop().time() >= deadline:
            return {"outcome": "timeout", "detail": f"nothing final within {patience_s:g} s: csms certificate list {charge_point}"}  # fmt: skip
        await asyncio.sleep(WAIT_POLL_S)


@certificate.command()
@click.argument("number")
@click.option(
    "--reason", type=click.Choice([str(each) for each in RevocationReason]),
    default=str(RevocationReason.UNSPECIFIED), show_default=True,
)  # fmt: skip
@output_options
@click.pass_context
@async_command
async def revoke(context: click.Context, number: str, reason: str, output: Output) -> None:
    """Let a certificate count no longer: NUMBER is its serial number.

    Every node refuses it at the next handshake, by the database, whatever lists it reads; a socket that came in by it is
    closed within seconds. The list is for others that check the certificate (--tls-client-crl, proxies).

    \b
    Examples:
      csms certificate revoke 5A1F09C3 --reason key-compromise
      csms certificate list CP-001
    """
    settings = settings_of(context)
    async with connect(context) as connection:
        row = await _issued(connection, number)
        if row["source"] != "own":
            raise Refused(
                f"certificate {row['number']} is of an external authority",
                "have it revoked there, and give its list to csms serve --tls-client-crl",
            )
        made = await SQL.insert_revocation.fetchval(
            connection, certificate=row["certificate"], reason=reason, actor=default_actor()
        )
        authorities = files.authorities_of(files.load_key(files.key_path(settings)), await store.roots(connection))
        written = await revocations.refresh(connection, files.list_path(settings), authorities, now=datetime.now(UTC))
    if made is None:
        output.note("it was revoked before")
    output.one(
        {
            "number": row["number"], "charge_point": row["charge_point"], "state": "revoked",
            "enforced": "every node refuses it from now on; a socket that came in by it is closed within seconds",
            "list": str(files.list_path(settings)) if authorities else None, "list_written": written,
            "next": f"csms certificate renew {row['charge_point']}",
        }
    )  # fmt: skip


async def _issued(connection: Any, number: str) -> Any:
    """The certificate of a serial number."""
    wanted = number.replace(":", "").lstrip("0").upper()
    rows = await SQL.listed.fetch(connection, charge_point=None, site=None, latest=False, number=wanted, most=2)
    if not rows:
        raise NotFound(f"no certificate {number} was made here", "see csms certificate list -o json")
    if len(rows) > 1:
        raise CliError(
            f"two authorities have given the number {number}", "revoke it at the authority", ExitCode.REFUSED
        )
    return rows[0]


@certificate.command()
@click.option("--days", type=click.IntRange(0), help="Within so many days; CSMS_CERTIFICATE_WARNING_DAYS unless said.")
@click.option("--site", help="Only charge points of this site.")
@output_options
@click.pass_context
@async_command
async def expiring(context: click.Context, days: int | None, site: str | None, output: Output) -> None:
    """List what ends soon, or has ended: certificates of charge points, of those they trust, and our authority's.

    Exit status 6: there is something.

    \b
    Examples:
      csms certificate expiring
      csms certificate expiring --days 60 -o json
    """
    within = settings_of(context).certificate_warning_days if days is None else days
    async with connect(context) as connection:
        rows = await watch.ending(connection, before=datetime.now(UTC) + timedelta(days=within), site=site)
    output.rows(rows, columns=ENDING_COLUMNS)
    if rows:
        context.exit(int(ExitCode.FINDINGS))


@certificate.command()
@click.argument("id_", metavar="[CP]", required=False)
@most_option
@output_options
@click.pass_context
@async_command
async def alarms(context: click.Context, id_: str | None, most: int, output: Output) -> None:
    """List what an operator has to look at, the newest first; each was logged and counted once.

    \b
    Examples:
      csms certificate alarms
      csms certificate alarms CP-001 -o json
    """
    async with connect(context) as connection:
        name = None if id_ is None else (await charge_points.get(connection, id_)).id
        rows = await SQL.alarms.fetch(connection, charge_point=name, most=most)
    output.rows([dict(row) for row in rows], columns=("at", "kind", "charge_point", "detail", "next"))


@certificate.command()
@click.argument("id_", metavar="[CP]", required=False)
@most_option
@output_options
@click.pass_context
@async_command
async def inquiries(context: click.Context, id_: str | None, most: int, output: Output) -> None:
    """List what charging stations had us find out: status by OCSP, contract certificates of EVs (OCPP 2.0.1).

    \b
    Example:
      csms certificate inquiries CP-001 -o json
    """
    async with connect(context) as connection:
        name = None if id_ is None else (await charge_points.get(connection, id_)).id
        rows = await SQL.inquiries.fetch(connection, charge_point=name, most=most)
    output.rows([dict(row) for row in rows], columns=("received_at", "charge_point", "message", "accepted", "reason"))
