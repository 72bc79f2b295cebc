"""Documents by an operator's Word template: the same contract, in a sandbox; PDF where LibreOffice is installed."""

from __future__ import annotations

import io
import os
import shutil
import stat
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import docx
import pypdf
import pytest

from billing.documents.brand import Brand
from billing.documents.contract import fields
from billing.documents.docx_template import UNPACKED_BYTES_MAX, docx_to_pdf, render_docx
from billing.documents.samples import SampleKind, sample, sample_brand
from billing.documents.starter import starter_template
from billing.documents.words import LANGUAGES
from billing.errors import Refused, Unavailable
from tests.billing.documents.test_brands import SVG, png
from tests.billing.documents.test_document_pdf import HOSTILE, amounts, plain

BRAND = Brand(id="b", name="Harbour Energy", footer={"en": ("At the foot",)})
needs_office = pytest.mark.skipif(
    not (shutil.which("soffice") or shutil.which("libreoffice")), reason="LibreOffice is not installed"
)


def template(*paragraphs: str) -> bytes:
    made = docx.Document()
    for text in paragraphs:
        made.add_paragraph(text)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def text_of(document: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        parts = [name for name in archive.namelist() if name.startswith(("word/document", "word/footer"))]
        tree = [archive.read(name).decode() for name in parts]
    made = docx.Document(io.BytesIO(document))
    cells = [cell.text for table in made.tables for row in table.rows for cell in row.cells]
    assert all("{{" not in part and "{%" not in part for part in tree), "a tag was left over"
    foot = [paragraph.text for paragraph in made.sections[0].footer.paragraphs]
    return plain("\n".join([*(paragraph.text for paragraph in made.paragraphs), *cells, *foot]))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(SampleKind))
def test_the_template_to_begin_with_says_everything_that_the_contract_says(kind: SampleKind, language: str) -> None:
    document, brand = sample(kind, language), sample_brand(language)
    said = fields(document, brand)
    text = text_of(render_docx(starter_template(), document, brand))

    assert [amount for amount in amounts(said) if plain(amount) not in text] == []
    lines = [line for group in said["groups"] for line in group["lines"]]
    expected = [
        *(each for line in lines for each in line["details"]),
        *(each for row in said["facts"] for each in row.values()),
        *said["recipient"]["lines"],
        *said["statements"],
        *(row["value"] for row in said["sender"]["rows"]),
        said["payment"]["text"],
    ]
    assert [each for each in expected if plain(each) not in text] == []


def test_text_of_customers_is_neither_markup_nor_template() -> None:
    name = f"{HOSTILE} {{{{ 1/0 }}}} </w:t> <b>"
    document = replace(sample(SampleKind.RECEIPT, "en"), notes=(name,))

    made = docx.Document(io.BytesIO(render_docx(template("{{ notes[0] }}"), document, BRAND)))

    assert made.paragraphs[0].text == name


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("{{ nubmer }}", "'nubmer' is undefined"),
        ("{{ totals.grand }}", "has no attribute 'grand'"),
        ("{% for line in lines %}", "does not work"),
        ("{{ number.__class__.__mro__ }}", "unsafe"),
        ("{{ groups.append(1) }}", "unsafe"),
        ("{{ number.nothing.at_all }}", "has no attribute 'nothing'"),
    ],
)
def test_a_template_that_asks_for_what_there_is_not_is_refused_by_name(tags: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        render_docx(template(tags), sample(SampleKind.INVOICE, "en"), BRAND)


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * (UNPACKED_BYTES_MAX + 1))
    return out.getvalue()


def other_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("hello.txt", "hello")
    return out.getvalue()


def hollow() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/document.xml", "<w:document/>")
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"%PDF-1.7", "no .docx"), (other_zip(), "no .docx"), (bomb(), "unpacks to more"), (hollow(), "cannot be read")],
)
def test_what_is_no_word_document_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message):
        render_docx(content, sample(SampleKind.RECEIPT, "en"), BRAND)


def test_pictures_are_there_where_there_are_any() -> None:
    def pictures(document: bytes) -> int:
        with zipfile.ZipFile(io.BytesIO(document)) as archive:
            return sum(name.startswith("word/media/") for name in archive.namelist())

    invoice, receipt = sample(SampleKind.INVOICE, "en"), sample(SampleKind.RECEIPT, "en")

    assert pictures(render_docx(starter_template(), receipt, BRAND)) == 0
    assert pictures(render_docx(starter_template(), invoice, BRAND)) == 1
    assert pictures(render_docx(starter_template(), invoice, replace(BRAND, logo=png()))) == 2
    assert pictures(render_docx(starter_template(), receipt, replace(BRAND, logo=SVG))) == 0


@needs_office
def test_libreoffice_makes_a_pdf_a_3b_of_it() -> None:
    document = sample(SampleKind.INVOICE, "de")
    pdf = pypdf.PdfReader(io.BytesIO(docx_to_pdf(render_docx(starter_template(), document, sample_brand("de")))))

    text = plain("\n".join(page.extract_text() for page in pdf.pages))
    assert [each for each in amounts(fields(document, BRAND)) if plain(each) not in text] == []
    assert pdf.xmp_metadata is not None
    assert "<pdfaid:part>3</pdfaid:part>" in pdf.xmp_metadata.stream.get_data().decode()


@needs_office
def test_libreoffice_with_nothing_to_open_is_said() -> None:
    with pytest.raises(Unavailable, match="LibreOffice made no PDF"):
        docx_to_pdf(b"PK\x03\x04")


def program(place: Path, script: str) -> None:
    place.mkdir(exist_ok=True)
    file = place / "soffice"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_without_libreoffice_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unavailable, match="LibreOffice is not installed") as refused:
        docx_to_pdf(template("x"))
    assert "libreoffice-writer-nogui" in refused.value.next_step


def test_a_libreoffice_that_hangs_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", f"sleep 600 & echo $! > {tmp_path}/child; wait")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    with pytest.raises(Unavailable, match="not done after 1 s"):
        docx_to_pdf(template("x"), timeout_s=1)

    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _runs(child):
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
