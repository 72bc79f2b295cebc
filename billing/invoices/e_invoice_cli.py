"""csms invoice validate and csms invoice einvoice: a document in the form that its receiver's machine reads."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import Connect
from billing.e_invoices.profiles import Profile
from billing.errors import ExitCode
from billing.invoices import service
from billing.invoices.cli_words import WHOSE
from billing.invoices.render_cli import Directory, write_new
from billing.invoices.store import Issued
from billing.sql import Connection

RULE_COLUMNS = ("rule", "severity", "text", "who")
_PROFILE = click.option(
    "--profile", required=True, type=click.Choice([each.value for each in Profile]), help="The form."
)


def add_e_invoices(group: click.Group, connect: Connect, directory: Directory) -> None:
    @group.command("validate")
    @click.argument("number", metavar="NUMBER")
    @_PROFILE
    @WHOSE
    @output_options
    @click.pass_context
    @async_command
    async def validate(context: click.Context, number: str, profile: str, seller: str | None, output: Output) -> None:
        """Look at a document by the rules of a form of e-invoice: EN 16931, XRechnung, Peppol. Our own reading of them.

        Silent where it keeps them all; else exit status 6.

        \b
        Example:
          csms invoice validate R2026-000001 --profile xrechnung-ubl
        """
        from billing.e_invoices.service import e_invoice_findings  # noqa: PLC0415 - only these two commands need it

        async with connect(context) as connection:
            found = await service.get(connection, number, seller=seller)
        rules = e_invoice_findings(found.document, Profile(profile))
        if rules:
            output.rows(
                [{"rule": each.id, "severity": each.severity, "text": each.text, "who": each.source} for each in rules],
                columns=RULE_COLUMNS,
            )
            context.exit(ExitCode.FINDINGS)

    _add_einvoice(group, connect, directory)


def _add_einvoice(group: click.Group, connect: Connect, directory: Directory) -> None:
    @group.command("einvoice")
    @click.argument("number", metavar="NUMBER")
    @_PROFILE
    @click.option(
        "--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to; standard output unless said."
    )
    @WHOSE
    @click.pass_context
    @async_command
    async def einvoice(context: click.Context, number: str, profile: str, out: Path | None, seller: str | None) -> None:
        """Write a document as an e-invoice: the file that went out where one did. Refused with the rules' own ids where its
        receiver would turn it down.

        \b
        Examples:
          csms invoice einvoice R2026-000001 --profile xrechnung-ubl --out R2026-000001.xml
          csms invoice einvoice R2026-000001 --profile zugferd --out R2026-000001.pdf
          csms invoice einvoice R2026-000001 --profile peppol > R2026-000001.xml
        """
        from billing.e_invoices.service import e_invoice  # noqa: PLC0415 - lxml and drafthorse take long to load

        async with connect(context) as connection:
            found = await service.get(connection, number, seller=seller)
            sent = await _archived(connection, found, profile, directory(context))
            pdf = await _pdf(connection, found) if sent is None and Profile(profile).is_pdf else None
        if sent is not None:
            _write(sent, out)
            return
        made = e_invoice(found.document, Profile(profile), pdf=pdf)
        _write(made.content, out)
        for rule in made.warnings:
            click.echo(f"[{rule.id}] {rule.text} ({rule.source.value})", err=True)


async def _archived(connection: Connection, issued: Issued, profile: str, directory: Path) -> bytes | None:
    from billing.archive.service import Archive  # noqa: PLC0415 - only this command needs them
    from billing.invoices.paper import files_of  # noqa: PLC0415

    filed = (await files_of(connection, issued)).get(profile)
    return None if filed is None else (await Archive(directory).fetch(connection, filed.entry))[1]


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(content)
        return
    write_new(content, out)


async def _pdf(connection: Connection, issued: Issued) -> bytes:
    from billing.documents.press import Press  # noqa: PLC0415 - typst takes long to load
    from billing.invoices.paper import typeset  # noqa: PLC0415

    return await typeset(connection, issued, Press())
