"""PDFs by typst: what was read back is what the contract says, in every language; PDF/A-3b; the same bytes each time."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdf
import pytest

from billing.documents.brand import Brand
from billing.documents.contract import fields
from billing.documents.samples import SampleKind, sample, sample_brand
from billing.documents.typst_pdf import OWN_TEMPLATES, QR_VERSION_MAX, Typesetter, qr_of, qr_svg
from billing.documents.words import LANGUAGES
from billing.errors import NotFound, Refused
from billing.invoices.document import Document
from tests.billing.documents.test_brands import SVG, png

BRAND = Brand(id="b", name="Harbour Energy")
HOSTILE = '#panic("x") *b* _i_ $x$ @ref <l> \\ // /* `raw` #{1+1} [c] & "q" \'a\''


@pytest.fixture(scope="module")
def typesetter() -> Typesetter:
    return Typesetter()


def read(pdf: bytes) -> tuple[pypdf.PdfReader, str]:
    """The text of all pages, spaces as they are on paper made equal."""
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    return reader, plain("\n".join(page.extract_text() for page in reader.pages))


def plain(text: str) -> str:
    return " ".join(text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ").split())


def amounts(said: dict[str, Any]) -> Iterator[str]:
    for group in said["groups"]:
        for line in group["lines"]:
            yield from (line["amount"], line["quantity"], line["unit_price"], line["discount"]["amount"])
            yield from (component["amount"] for component in line["components"])
        yield from (total["amount"] for total in group["subtotals"])
    for tax in said["tax_groups"]:
        yield from (tax["net"], tax["tax"], tax["gross"], tax["rate"], tax["note"])
    yield from (row["value"] for row in said["total_rows"])
    yield said["totals"]["due"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(SampleKind))
def test_everything_that_the_contract_says_stands_on_paper(
    typesetter: Typesetter, kind: SampleKind, language: str
) -> None:
    document, brand = sample(kind, language), sample_brand(language)
    said = fields(document, brand)
    reader, text = read(typesetter.pdf(document, brand).pdf)

    assert [amount for amount in amounts(said) if plain(amount) not in text] == []
    sessions = [line for group in said["groups"] for line in group["lines"]]
    expected = [
        *(line["name"] for line in sessions),
        *(each for line in sessions for name, each in line["session"].items() if name not in {"id", "bill", "late"}),
        *(each for row in said["facts"] for each in row.values()),
        *said["recipient"]["lines"],
        *said["sender"]["lines"],
        *(row["value"] for row in [*said["sender"]["rows"], *said["payment"]["rows"]]),
        *said["statements"],
        said["title"],
        said["subtitle"],
        said["payment"]["text"],
    ]
    assert [each for each in expected if plain(each) not in text] == []
    pages = len(reader.pages)
    word = said["words"]["page"]
    assert all(word.format(page=n, pages=pages) in text for n in range(1, pages + 1))


def test_a_pdf_says_that_it_is_pdf_a_3b_and_has_what_that_needs(typesetter: Typesetter) -> None:
    reader, _ = read(typesetter.pdf(sample(SampleKind.INVOICE, "de"), BRAND).pdf)
    xmp = reader.xmp_metadata
    assert xmp is not None

    text = xmp.stream.get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in text
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in text
    assert "/OutputIntents" in reader.root_object
    assert reader.root_object["/Lang"] == "de-DE"
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert reader.metadata is not None
    assert reader.metadata.title == "Rechnung RE-2026-000123"
    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]
    assert all("SourceSansPro" in font["/BaseFont"] for font in fonts)
    assert all(font["/DescendantFonts"][0].get_object()["/FontDescriptor"] for font in fonts)


def test_the_same_document_gives_the_same_bytes(typesetter: Typesetter) -> None:
    document = sample(SampleKind.FLEET, "nl")

    first = typesetter.pdf(document, BRAND)
    typesetter.pdf(sample(SampleKind.RECEIPT, "fr"), BRAND)

    assert typesetter.pdf(document, BRAND) == first
    assert Typesetter().pdf(document, BRAND) == first
    assert typesetter.pdf(replace(document, number="RE-9"), BRAND) != first


def test_text_of_customers_is_never_source_and_never_stops_a_document(typesetter: Typesetter) -> None:
    document = sample(SampleKind.INVOICE, "en")
    hostile = tuple(replace(line, name=HOSTILE, description=HOSTILE) for line in document.lines)

    made = typesetter.pdf(replace(document, lines=hostile, notes=(HOSTILE,)), BRAND)

    assert read(made.pdf)[1].count(plain(HOSTILE)) == 2 * len(hostile) + 1
    assert made.replaced == ()


def test_what_no_font_has_is_replaced_and_said(typesetter: Typesetter) -> None:
    document = sample(SampleKind.RECEIPT, "en")

    made = typesetter.pdf(replace(document, notes=("Li \u738b\u5c0f 👋 \u202eXYZ\x00 שלום",)), BRAND)

    assert made.replaced == ("王", "小", "👋")
    text = read(made.pdf)[1]
    assert "Li �� � XYZ�" in text
    assert "שלום" in text
    assert typesetter.pdf(document, BRAND).replaced == ()


@pytest.mark.parametrize("word", ["X" * 300, "ש" * 300, "中" * 300, "a\u0301" * 300])
def test_a_word_without_end_is_broken_and_stays_on_the_sheet(typesetter: Typesetter, word: str) -> None:
    document = sample(SampleKind.RECEIPT, "en")
    line = replace(document.lines[0], name=word, description=word)

    reader, _ = read(typesetter.pdf(replace(document, lines=(line,), number="N" * 90), BRAND).pdf)

    rightmost: list[float] = []

    def seen(text: str, _cm: list[float], tm: list[float], _font: object, _size: float) -> None:
        if text.strip():
            rightmost.append(tm[4])

    reader.pages[0].extract_text(visitor_text=seen)
    assert max(rightmost) < reader.pages[0].mediabox.width
    assert "\u200b" not in "".join(page.extract_text() for page in reader.pages)


def test_pages_after_the_first_repeat_the_head_of_the_table_and_name_the_document(typesetter: Typesetter) -> None:
    document = sample(SampleKind.FLEET, "en")
    said = fields(document, BRAND)
    reader, _ = read(typesetter.pdf(document, BRAND).pdf)

    assert len(reader.pages) > 4
    for n, page in enumerate(reader.pages):
        text = plain(page.extract_text())
        assert said["words"]["unit_price"] in text
        assert said["amount_label"] in text
        assert n == 0 or f"Invoice {document.number}" in text


def test_a_line_and_what_it_is_made_of_stay_on_one_page(typesetter: Typesetter) -> None:
    document = sample(SampleKind.FLEET, "en")
    lines = [line for group in fields(document, BRAND)["groups"] for line in group["lines"]]
    pages = [plain(page.extract_text()) for page in read(typesetter.pdf(document, BRAND).pdf)[0].pages]

    for line in lines:
        if line["session"]["id"]:
            about = f"{line['session']['started_at']}", line["details"][3]
            assert sum(all(plain(each) in page for each in about) for page in pages) >= 1, line["position"]


def test_a_logo_stands_in_place_of_the_name(typesetter: Typesetter) -> None:
    document = sample(SampleKind.RECEIPT, "en")
    for logo in (SVG, png()):
        brand = replace(BRAND, logo=logo)
        assert "Harbour Energy" in read(typesetter.pdf(document, BRAND).pdf)[1]
        assert "Harbour Energy" not in read(typesetter.pdf(document, brand).pdf)[1]


def test_the_code_of_a_payment_is_drawn_unless_it_would_be_too_large() -> None:
    payload = fields(sample(SampleKind.INVOICE, "de"), BRAND)["payment"]["qr"]
    code = qr_of(payload)
    assert code is not None

    assert (code.error, int(code.version) <= QR_VERSION_MAX) == ("M", True)
    assert qr_svg(payload).startswith("<svg")
    assert qr_of("") is None
    assert qr_of("ü" * 400) is None


def test_a_sample_says_on_every_page_that_it_is_one(typesetter: Typesetter) -> None:
    document = sample(SampleKind.FLEET, "de")
    marked = read(typesetter.pdf(document, BRAND, sample=True).pdf)[0]

    assert all("Muster \N{EN DASH} keine Rechnung" in plain(page.extract_text()) for page in marked.pages)
    assert "Muster" not in read(typesetter.pdf(document, BRAND).pdf)[1].replace("Muster" + "strom", "").replace(
        "Musterstraße", ""
    ).replace("Musterstadt", "")


def test_an_operators_template_goes_before_ours_and_that_of_the_language_before_all(tmp_path: Path) -> None:
    head = "#let d = json(bytes(sys.inputs.fields))\n#set document(title: d.title, date: auto)\n"
    (tmp_path / "standard.typ").write_text(head + "Ours: #d.number")
    (tmp_path / "standard.fr.typ").write_text(head + "La notre : #d.number")
    own, document = Typesetter(tmp_path), sample(SampleKind.RECEIPT, "en")

    assert read(own.pdf(document, BRAND).pdf)[1] == "Ours: B-2026-004711"
    assert read(own.pdf(document, BRAND, language="fr").pdf)[1] == "La notre : B-2026-004711"
    with pytest.raises(NotFound, match=r"no template letter\.typ"):
        own.pdf(document, replace(BRAND, template="letter"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("#let x = ", "template broken.typ does not work"),
        ('#read("/etc/passwd")', "template broken.typ does not work"),
        ('#read("../secret.txt")', "template broken.typ does not work"),
        ("#set document(date: auto)\n\u738b", "writes characters that no font has"),
    ],
)
def test_a_template_that_does_not_work_is_refused_and_hurts_no_other(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    room = tmp_path / "templates"
    room.mkdir()
    (room / "broken.typ").write_text(source)
    own, document = Typesetter(room), sample(SampleKind.RECEIPT, "en")

    with pytest.raises(Refused, match=message):
        own.pdf(document, replace(BRAND, template="broken"))
    assert own.pdf(document, BRAND) == Typesetter().pdf(document, BRAND)


def test_threads_take_turns(typesetter: Typesetter) -> None:
    documents = [replace(sample(SampleKind.RECEIPT, "en"), number=f"B-{n}") for n in range(6)]
    expected = [typesetter.pdf(each, BRAND) for each in documents]
    made: dict[int, object] = {}

    def make(n: int, document: Document) -> None:
        made[n] = typesetter.pdf(document, BRAND)

    threads = [threading.Thread(target=make, args=(n, each)) for n, each in enumerate(documents)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert [made[n] for n in range(6)] == expected


def test_a_copy_of_our_template_to_begin_with_is_ours() -> None:
    assert [file.name for file in OWN_TEMPLATES.glob("*.typ")] == ["standard.typ"]
