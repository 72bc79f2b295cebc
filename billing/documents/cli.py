"""csms document: what documents look like, before any goes out."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from billing.cli_output import Output, async_command, output_options
from billing.cli_parameters import Connect
from billing.documents.brand import TemplateForm
from billing.errors import AlreadyDone, Refused
from billing.sql import Connection

if TYPE_CHECKING:
    from billing.documents.brand import Brand
    from billing.invoices.document import Document

Find = Callable[[Connection, str], "Awaitable[tuple[Document, Brand]]"]
"""A document of the books by its number, with the brand that it went out under."""

HELP: Final = """Documents as people see them: PDF by typst, or by a Word template of your own.

\b
Examples:
  csms document preview --language fr --out invoice.pdf
  csms document template invoice.docx
  csms document preview --template invoice.docx --out invoice.pdf
  csms document fields
"""
SAMPLES: Final = ("invoice", "debit", "reverse-charge", "credit-note", "receipt", "self-billing", "fleet")
FORMS: Final = (".pdf", ".docx", ".png")
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT: Final = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File: .pdf, .png or .docx."
)
FORCE: Final = click.option("--force", is_flag=True, help="Over a file that is there.")


def document_group(connect: Connect, find: Find | None = None) -> click.Group:
    """The command group; `find` knows the documents of the books: without it there are samples only."""
    group = click.Group("document", help=HELP)
    _add_preview(group, connect, find)
    _add_template(group)
    _add_fields(group)
    return group


def _add_preview(group: click.Group, connect: Connect, find: Find | None) -> None:
    @group.command()
    @click.option("--number", hidden=find is None, help="A document of the books instead of a sample.")
    @click.option("--sample", "kind", type=click.Choice(SAMPLES), default=SAMPLES[0], show_default=True)
    @click.option("--language", metavar="CODE", help="Of words, numbers and days; English unless said.")
    @click.option("--template", type=FILE, help="A .docx or .typ of your own; ours unless said.")
    @click.option("--name", "brand_name", help="Of the brand.")
    @click.option("--accent", metavar="#RRGGBB", help="Colour of the brand.")
    @click.option("--logo", type=FILE, help="SVG or PNG.")
    @OUT
    @FORCE
    @output_options
    @click.pass_context
    @async_command
    async def preview(
        context: click.Context,
        /,
        number: str | None,
        kind: str,
        language: str | None,
        template: Path | None,
        out: Path,
        force: bool,
        output: Output,
        **looks: Any,
    ) -> None:
        """Write a document as it would go out. Nothing is issued, sent or stored.

        A sample says on every page that it is one. A PDF of a .docx needs LibreOffice.

        \b
        Examples:
          csms document preview --sample fleet --language de --out fleet.pdf
          csms document preview --template our.docx --out our.pdf
          csms document preview --accent '#8b1f3a' --logo logo.svg --out invoice.png
        """
        _require_place(out, force=force)
        if number is not None and find is not None:
            async with connect(context) as connection:
                document, brand = await find(connection, number)
        else:
            document, brand = _sample(kind, language or "en")
        brand = _dressed(brand, **looks)
        files = _rendered(document, brand, language, template, out, sample=number is None)
        for path, content in files:
            _require_place(path, force=force)
            _write(path, content)
        output.rows(
            [{"file": str(path), "size_bytes": len(content)} for path, content in files], columns=("file", "size_bytes")
        )


def _sample(kind: str, language: str) -> tuple[Document, Brand]:
    from billing.documents.samples import SampleKind, sample, sample_brand  # noqa: PLC0415 - Babel takes long to import

    document = sample(SampleKind(kind), language)
    return document, sample_brand(language)


def _dressed(brand: Brand, *, brand_name: str | None, accent: str | None, logo: Path | None) -> Brand:
    return replace(
        brand,
        name=brand_name or brand.name,
        accent=accent or brand.accent,
        logo=brand.logo if logo is None else logo.read_bytes(),
    )


def _rendered(
    document: Document, brand: Brand, language: str | None, template: Path | None, out: Path, *, sample: bool
) -> list[tuple[Path, bytes]]:
    """What is to be written: one file, or of pictures one for each page."""
    form = out.suffix.lower()
    if form not in FORMS:
        raise Refused(f"{out.name} is none of {', '.join(FORMS)}", "name a file that ends so")
    if template is not None and template.suffix.lower() == ".docx":
        return [(out, _by_docx(template.read_bytes(), document, brand, language, form, sample=sample))]
    if template is None and brand.own is not None and brand.own.form is TemplateForm.WORD:
        return [(out, _by_docx(brand.own.content, document, brand, language, form, sample=sample))]
    if template is not None and template.suffix.lower() != ".typ":
        raise Refused(f"{template.name} is neither .docx nor .typ", "name a template")
    if form == ".docx":
        raise Refused("a .docx is made of a .docx", "name one with --template")
    from billing.documents.typst_pdf import Typesetter  # noqa: PLC0415 - typst takes long to import

    typesetter = Typesetter() if template is None else Typesetter(template.absolute().parent)
    dressed = brand if template is None else replace(brand, template=template.stem, own=None)
    if form == ".pdf":
        return [(out, typesetter.pdf(document, dressed, language=language, sample=sample).pdf)]
    pages = typesetter.pictures(document, dressed, language=language, sample=sample)
    if len(pages) == 1:
        return [(out, pages[0])]
    return [(out.with_stem(f"{out.stem}-{n}"), page) for n, page in enumerate(pages, start=1)]


def _by_docx(
    template: bytes, document: Document, brand: Brand, language: str | None, form: str, *, sample: bool
) -> bytes:
    from billing.documents.docx_template import docx_to_pdf, render_docx  # noqa: PLC0415 - as above

    if form == ".png":
        raise Refused("of a .docx there are no pictures", "name a .pdf or .docx file with --out")
    made = render_docx(template, document, brand, language=language, sample=sample)
    return docx_to_pdf(made) if form == ".pdf" else made


def _add_template(group: click.Group) -> None:
    @group.command()
    @click.argument("out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
    @FORCE
    @output_options
    def template(out: Path, force: bool, output: Output) -> None:
        """Write a template to begin with: a .docx, or the .typ of our own letter.

        \b
        Examples:
          csms document template invoice.docx
          csms document template invoice.typ
        """
        _require_place(out, force=force)
        match out.suffix.lower():
            case ".docx":
                from billing.documents.starter import starter_template  # noqa: PLC0415 - as above

                content = starter_template()
            case ".typ":
                from billing.documents.typst_pdf import OWN_TEMPLATES  # noqa: PLC0415 - as above

                content = (OWN_TEMPLATES / "standard.typ").read_bytes()
            case _:
                raise Refused(f"{out.name} is neither .docx nor .typ", "name a file that ends so")
        _write(out, content)
        output.one({"file": str(out), "size_bytes": len(content)})


def _add_fields(group: click.Group) -> None:
    @group.command()
    @output_options
    def fields(output: Output) -> None:
        """List the fields that templates get, and what each means.

        \b
        Example:
          csms document fields -o csv
        """
        from billing.documents.contract import meanings  # noqa: PLC0415 - as above

        rows = [{"field": path, "meaning": meaning} for path, meaning in meanings().items()]
        output.rows(rows, columns=("field", "meaning"))


def _require_place(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise AlreadyDone(f"{path} is there already", "name another one, or --force")


def _write(path: Path, content: bytes) -> None:
    """The file appears when it is complete."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
