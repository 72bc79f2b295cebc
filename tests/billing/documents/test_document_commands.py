"""csms document as operators use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pypdf
import pytest
from click.testing import CliRunner, Result

from billing import CommandGroup
from billing.documents.brand import Brand
from billing.documents.cli import SAMPLES, document_group
from billing.documents.samples import SampleKind, sample
from billing.errors import NotFound
from billing.invoices.document import Document
from tests.billing.documents.test_brands import SVG

Run = Callable[..., Result]


@asynccontextmanager
async def connect(_context: click.Context) -> AsyncIterator[Any]:
    yield None


async def find(_connection: Any, number: str) -> tuple[Document, Brand]:
    if number != "RE-7":
        raise NotFound(f"no document {number}", "see csms invoice list")
    return replace(sample(SampleKind.INVOICE, "nl"), number=number), Brand(id="b", name="Books")


@pytest.fixture
def run() -> Run:
    root = CommandGroup("csms", commands=[document_group(connect, find)])

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(root, [str(each) for each in arguments])

    return run


def text(file: Path) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(file).pages)


def failure(result: Result) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(result.stderr)
    return body


def test_the_samples_that_the_command_names_are_those_that_there_are() -> None:
    assert list(SAMPLES) == [each.value for each in SampleKind]


@pytest.mark.parametrize(
    ("language", "title"), [("de", "Rechnung"), ("en", "Invoice"), ("fr", "Facture"), ("nl", "Factuur")]
)
def test_a_sample_is_written_in_a_language(run: Run, tmp_path: Path, language: str, title: str) -> None:
    out = tmp_path / "x.pdf"
    result = run("document", "preview", "--language", language, "--out", out, "-o", "json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == [{"file": str(out), "size_bytes": out.stat().st_size}]
    assert title in text(out)
    assert [each.name for each in tmp_path.iterdir()] == ["x.pdf"]


def test_a_template_to_begin_with_can_be_previewed_at_once(run: Run, tmp_path: Path) -> None:
    word, typ = tmp_path / "own.docx", tmp_path / "own.typ"
    assert run("document", "template", word).exit_code == 0
    assert run("document", "template", typ).exit_code == 0

    by_word = run("document", "preview", "--template", word, "--out", tmp_path / "a.docx", "--sample", "receipt")
    by_typst = run("document", "preview", "--template", typ, "--out", tmp_path / "a.pdf", "--sample", "receipt")

    assert (by_word.exit_code, by_typst.exit_code) == (0, 0)
    assert (tmp_path / "a.docx").read_bytes().startswith(b"PK")
    assert "Simplified invoice" in text(tmp_path / "a.pdf")


def test_pages_become_pictures(run: Run, tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_bytes(SVG)
    one = run("document", "preview", "--sample", "receipt", "--logo", logo, "--out", tmp_path / "one.png", "-o", "json")
    many = run("document", "preview", "--sample", "fleet", "--out", tmp_path / "many.png", "-o", "json")

    assert [Path(each["file"]).name for each in json.loads(one.stdout)] == ["one.png"]
    assert [Path(each["file"]).name for each in json.loads(many.stdout)][:2] == ["many-1.png", "many-2.png"]
    assert (tmp_path / "many-1.png").read_bytes().startswith(b"\x89PNG")


def test_a_document_of_the_books_is_shown_by_its_number_and_is_no_sample(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.pdf"
    result = run("document", "preview", "--number", "RE-7", "--out", out)
    missing = run("document", "preview", "--number", "RE-8", "--out", tmp_path / "y.pdf")

    assert result.exit_code == 0, result.stderr
    assert "Factuur RE-7" in text(out)
    assert "Voorbeeld \N{EN DASH} geen factuur" not in text(out)
    assert (missing.exit_code, failure(missing)["message"]) == (3, "no document RE-8")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--out", "x.txt"), 5, "x.txt is none of .pdf, .docx, .png"),
        (("--out", "x.docx"), 5, "a .docx is made of a .docx"),
        (("--out", "x.pdf", "--language", "tlh"), 5, "no words for documents in the language 'tlh'"),
        (("--out", "x.pdf", "--accent", "red"), 5, "'red' is no colour"),
        (("--out", "there.pdf"), 7, "there.pdf is there already"),
        (("--out", "x.pdf", "--template", "note.txt"), 5, "note.txt is neither .docx nor .typ"),
        (("--out", "x.png", "--template", "own.docx"), 5, "of a .docx there are no pictures"),
        (("--out", "x.pdf", "--template", "wrong.typ"), 5, "template wrong.typ does not work"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_leaves_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("there.pdf", "note.txt", "own.docx", "wrong.typ"):
        (tmp_path / name).write_text("#let")
    before = sorted(tmp_path.iterdir())

    result = run("document", "preview", *arguments)

    assert (result.exit_code, message in failure(result)["message"]) == (code, True)
    assert sorted(tmp_path.iterdir()) == before


def test_force_writes_over_what_is_there(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.typ"
    out.write_text("old")

    assert run("document", "template", out).exit_code == 7
    assert run("document", "template", out, "--force").exit_code == 0
    assert out.read_text().startswith("// A letter")
    assert run("document", "template", tmp_path / "x.odt").exit_code == 5


def test_the_fields_of_templates_are_listed_with_their_meaning(run: Run) -> None:
    rows = json.loads(run("document", "fields", "-o", "json").stdout)

    assert {"field": "number", "meaning": "The document's number"} in rows
    assert len(rows) > 130


async def test_it_works_beside_a_loop(run: Run, tmp_path: Path) -> None:
    result = await asyncio.to_thread(run, "document", "preview", "--sample", "receipt", "--out", tmp_path / "x.pdf")

    assert result.exit_code == 0
