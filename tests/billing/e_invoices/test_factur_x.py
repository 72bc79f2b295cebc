"""An e-invoice inside its PDF, judged by structure with a second reader: no PDF/A validator is at hand."""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO

import pikepdf
import pytest
import typst
from facturx import get_xml_from_pdf
from lxml import etree
from pypdf import PdfReader, PdfWriter

from billing.e_invoices.factur_x import FX, with_invoice
from billing.e_invoices.profiles import Profile
from billing.e_invoices.service import e_invoice
from billing.errors import Refused
from tests.billing.e_invoices.official import Schematron, cen_cii, factur_x, schema_errors
from tests.billing.e_invoices.papers import Item, credit_note, paper
from tests.billing.e_invoices.reading import read

PAGE = """
#set document(title: "Invoice R-2026-0017", author: "Example Charging GmbH", date: datetime(year: 2026, month: 4, day: 2))
#set text(lang: "en")
= Invoice R-2026-0017
#table(columns: 2, [Charging], [5.90])
"""
ATTACHED = (
    '#pdf.attach("tariff.txt", bytes("0.59"), relationship: "supplement", mime-type: "text/plain", description: "x")'
)
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IN_A_PDF = pytest.mark.parametrize("profile", [Profile.ZUGFERD, Profile.ZUGFERD_XRECHNUNG])


def typeset(text: str, standard: str | None = "a-3b") -> bytes:
    made = typst.compile(text.encode(), pdf_standards=standard or [])
    assert isinstance(made, bytes)
    return made


@pytest.fixture(scope="module")
def page() -> bytes:
    return typeset(PAGE)


def metadata_of(pdf: pikepdf.Pdf) -> etree._Element:
    return etree.fromstring(pdf.Root.Metadata.read_bytes())


@pytest.mark.parametrize(
    ("profile", "name", "level", "version"),
    [
        (Profile.ZUGFERD, "factur-x.xml", "EN 16931", "1.0"),
        (Profile.ZUGFERD_XRECHNUNG, "xrechnung.xml", "XRECHNUNG", "3.0"),
    ],
)
def test_a_reader_finds_the_invoice_under_its_name_and_is_told_its_profile(
    page: bytes, profile: Profile, name: str, level: str, version: str
) -> None:
    made = e_invoice(paper([Item()]), profile, pdf=page)

    assert (made.media_type, made.file_name) == ("application/pdf", "R-2026-0017.pdf")
    with pikepdf.open(BytesIO(made.content)) as pdf:
        assert list(pdf.attachments) == [name]
        attached = pdf.attachments[name]
        assert attached.relationship == pikepdf.Name.Alternative
        assert attached.get_file().mime_type == "text/xml"
        assert read(attached.get_file().read_bytes()).heads["number"] == "R-2026-0017"
        told = {each.tag.removeprefix(f"{{{FX}}}"): each.text for each in metadata_of(pdf).iter(f"{{{FX}}}*")}
        assert told == {
            "DocumentFileName": name,
            "DocumentType": "INVOICE",
            "Version": version,
            "ConformanceLevel": level,
        }


@IN_A_PDF
def test_the_xml_inside_is_the_one_that_official_rules_judge(
    page: bytes, profile: Profile, schematron: Schematron
) -> None:
    made = e_invoice(credit_note([Item()]), profile, pdf=page)

    [xml] = [content for [content] in PdfReader(BytesIO(made.content)).attachments.values()]
    assert schema_errors(xml) == []
    assert schematron.findings(xml, cen_cii()) == []
    if profile is Profile.ZUGFERD:
        assert schematron.findings(xml, factur_x()) == []


@IN_A_PDF
def test_a_reader_of_others_takes_the_xml_out_and_finds_it_valid(page: bytes, profile: Profile) -> None:
    made = e_invoice(paper([Item()]), profile, pdf=page)

    name, xml = get_xml_from_pdf(made.content, check_xsd=True)
    assert name == ("factur-x.xml" if profile is Profile.ZUGFERD else "xrechnung.xml")
    assert read(xml).amounts["due"] == Decimal("7.02")


@IN_A_PDF
def test_it_stays_a_pdf_a_3_with_everything_that_it_had(page: bytes, profile: Profile) -> None:
    made = e_invoice(paper([Item()]), profile, pdf=page)

    with pikepdf.open(BytesIO(page)) as before, pikepdf.open(BytesIO(made.content)) as after:
        assert after.check_pdf_syntax() == []
        assert set(after.Root.keys()) - set(before.Root.keys()) == {"/AF", "/Names"}
        assert [str(part) for part in after.trailer.ID] == [str(part) for part in before.trailer.ID]
        assert after.Root.OutputIntents[0].DestOutputProfile.read_bytes() == (
            before.Root.OutputIntents[0].DestOutputProfile.read_bytes()
        )
        assert after.Root.MarkInfo.Marked
        assert str(after.Root.Lang) == "en"
        assert dict(after.docinfo) == dict(before.docinfo)
        assert after.Root.Metadata.get("/Filter") is None
        with after.open_metadata() as told:
            assert (told.pdfa_status, told["dc:title"]) == ("3B", "Invoice R-2026-0017")
    assert PdfReader(BytesIO(made.content)).pages[0].extract_text() == PdfReader(BytesIO(page)).pages[0].extract_text()


def test_what_pdf_a_asks_of_an_attachment_is_there(page: bytes) -> None:
    made = e_invoice(paper([Item()]), Profile.ZUGFERD, pdf=page)

    with pikepdf.open(BytesIO(made.content)) as pdf:
        [specification] = pdf.Root.AF
        file = specification.EF.F
        assert str(specification.F) == str(specification.UF) == "factur-x.xml"
        assert file.Type == pikepdf.Name.EmbeddedFile
        assert file.Params.Size == len(file.read_bytes())
        assert str(file.Params.ModDate) == str(pdf.docinfo["/ModDate"])
        assert pdf.Root.Names.EmbeddedFiles.Names[1].objgen == specification.objgen


def test_the_properties_are_declared_in_the_one_list_of_extension_schemas(page: bytes) -> None:
    made = e_invoice(paper([Item()]), Profile.ZUGFERD, pdf=page)

    with pikepdf.open(BytesIO(made.content)) as pdf:
        metadata = metadata_of(pdf)
    lists = list(metadata.iter("{http://www.aiim.org/pdfa/ns/extension/}schemas"))
    ours = [
        schema
        for schema in lists[0].iter(f"{RDF}li")
        if schema.findtext("{http://www.aiim.org/pdfa/ns/schema#}namespaceURI") == FX
    ]
    assert (len(lists), len(ours)) == (1, 1)
    assert [name.text for name in ours[0].iter("{http://www.aiim.org/pdfa/ns/property#}name")] == [
        "DocumentFileName",
        "DocumentType",
        "Version",
        "ConformanceLevel",
    ]


@IN_A_PDF
def test_the_same_pdf_and_document_give_the_same_bytes(page: bytes, profile: Profile) -> None:
    assert e_invoice(paper([Item()]), profile, pdf=page) == e_invoice(paper([Item()]), profile, pdf=page)


def test_attachments_that_are_there_already_stay() -> None:
    with_one = typeset(PAGE + ATTACHED)

    made = with_invoice(with_one, b"<xml/>", Profile.ZUGFERD)

    with pikepdf.open(BytesIO(made)) as pdf:
        assert sorted(pdf.attachments) == ["factur-x.xml", "tariff.txt"]
        assert len(pdf.Root.AF) == 2
        assert [str(each) for each in pdf.Root.Names.EmbeddedFiles.Names][::2] == ["factur-x.xml", "tariff.txt"]


def bare(page: bytes) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(page)))
    del writer.root_object["/Metadata"]
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (lambda _: typeset(PAGE, None), r"its metadata do not say so"),
        (lambda _: typeset(PAGE, "a-2b"), r"its metadata do not say so"),
        (bare, r"it has no metadata"),
        (lambda _: b"no PDF at all", r"this PDF is none"),
        (lambda page: page[: len(page) // 3], r"this PDF is none"),
    ],
    ids=["plain PDF", "PDF/A-2", "without metadata", "no PDF", "cut off"],
)
def test_what_is_no_pdf_a_3_is_refused(page: bytes, spoilt, why: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Refused, match=why):
        e_invoice(paper([Item()]), Profile.ZUGFERD, pdf=spoilt(page))


def test_without_its_pdf_it_is_refused() -> None:
    with pytest.raises(Refused, match=r"cannot leave as zugferd without its PDF"):
        e_invoice(paper([Item()]), Profile.ZUGFERD)
