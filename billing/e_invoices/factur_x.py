"""An e-invoice inside its PDF: ZUGFeRD 2 / Factur-X 1.0. Takes a PDF/A-3 and gives back the same with the XML attached.

Everything of the PDF stays as it is, its tags, colours and identifier too. What is added is the file with its relationship
to the document (ISO 19005-3, 6.8), and what the metadata say of it. Nothing depends on the clock: the attachment has the dates
of the PDF, so the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from lxml import etree
from pypdf import PdfReader, PdfWriter
from pypdf.errors import PyPdfError
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DecodedStreamObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

from billing.e_invoices.profiles import Profile
from billing.errors import Refused

FX: Final = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PDFA_ID: Final = "http://www.aiim.org/pdfa/ns/id/"
_EXTENSION: Final = "http://www.aiim.org/pdfa/ns/extension/"
_SCHEMA: Final = "http://www.aiim.org/pdfa/ns/schema#"
_PROPERTY: Final = "http://www.aiim.org/pdfa/ns/property#"
_PART: Final = "3"
_DATE_UNKNOWN: Final = "D:20000101000000Z"
"""PDF/A-3 wants a date of every attachment; a PDF without one of its own has none to give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What readers are told of the file inside: its name, and the profile with its version (ZUGFeRD 2.3, table of XMP)."""

    file_name: str
    level: str
    version: str


_ATTACHMENTS: Final = {
    Profile.ZUGFERD: Attachment(file_name="factur-x.xml", level="EN 16931", version="1.0"),
    Profile.ZUGFERD_XRECHNUNG: Attachment(file_name="xrechnung.xml", level="XRECHNUNG", version="3.0"),
}
_PROPERTIES: Final = (
    ("DocumentFileName", "Name of the embedded XML invoice"),
    ("DocumentType", "Kind of the embedded document, INVOICE also for credit notes"),
    ("Version", "Version of the format of the embedded XML invoice"),
    ("ConformanceLevel", "Profile of the embedded XML invoice"),
)


def with_invoice(pdf: bytes, xml: bytes, profile: Profile) -> bytes:
    """The PDF with the XML inside; refuses a PDF that is no PDF/A-3."""
    attachment = _ATTACHMENTS[profile]
    try:
        writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf)))
        metadata = _metadata(writer)
    except (PyPdfError, etree.XMLSyntaxError) as trouble:
        raise _no_pdf_a_3(str(trouble)) from trouble
    _attach(writer, xml, attachment)
    _describe(metadata, attachment)
    stream = DecodedStreamObject()
    stream.set_data(etree.tostring(metadata.getroottree(), encoding="UTF-8"))
    stream[NameObject("/Type")] = NameObject("/Metadata")
    stream[NameObject("/Subtype")] = NameObject("/XML")
    writer.root_object[NameObject("/Metadata")] = writer._add_object(stream)  # noqa: SLF001 - pypdf has no public name for it
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def _no_pdf_a_3(why: str) -> Refused:
    return Refused(
        f"an e-invoice can be put only into a PDF/A-3, and this PDF is none: {why}",
        next_step="make the document's PDF as PDF/A-3b, or send the e-invoice as XML",
    )


def _metadata(writer: PdfWriter) -> etree._Element:
    """Its XMP; refuses a PDF that does not say that it is PDF/A-3."""
    stream = writer.root_object.get("/Metadata")
    if stream is None:
        raise _no_pdf_a_3("it has no metadata")
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    metadata = etree.fromstring(stream.get_object().get_data(), parser)
    elements = [node.text for node in metadata.iter(f"{{{_PDFA_ID}}}part")]
    attributes = [node.get(f"{{{_PDFA_ID}}}part") for node in metadata.iter(f"{{{_RDF}}}Description")]
    if _PART not in (*elements, *attributes):
        raise _no_pdf_a_3("its metadata do not say so")
    return metadata


def _attach(writer: PdfWriter, xml: bytes, attachment: Attachment) -> None:
    date = TextStringObject(_date_of(writer))
    file = DecodedStreamObject()
    file.set_data(xml)
    file[NameObject("/Type")] = NameObject("/EmbeddedFile")
    file[NameObject("/Subtype")] = NameObject("/text/xml")
    file[NameObject("/Params")] = _dictionary(CreationDate=date, ModDate=date, Size=NumberObject(len(xml)))
    held = writer._add_object(file)  # noqa: SLF001
    name = TextStringObject(attachment.file_name)
    specification = writer._add_object(  # noqa: SLF001
        _dictionary(
            Type=NameObject("/Filespec"),
            F=name,
            UF=name,
            Desc=TextStringObject("The invoice as data (EN 16931)"),
            AFRelationship=NameObject("/Alternative"),
            EF=_dictionary(F=held, UF=held),
        )
    )
    _name(writer.root_object, name, specification)
    _array(writer.root_object, "/AF").append(specification)


def _date_of(writer: PdfWriter) -> str:
    information: Any = writer.metadata or {}
    return str(information.get("/ModDate") or information.get("/CreationDate") or _DATE_UNKNOWN)


def _dictionary(**entries: Any) -> DictionaryObject:
    return DictionaryObject({NameObject(f"/{key}"): value for key, value in entries.items()})


def _entry(parent: DictionaryObject, key: str, empty: Any) -> Any:
    """What stands under a key, put there if nothing does."""
    found = parent.get(key)
    if found is None:
        parent[NameObject(key)] = empty
        return empty
    return found.get_object()


def _array(parent: DictionaryObject, key: str) -> ArrayObject:
    found: ArrayObject = _entry(parent, key, ArrayObject())
    return found


def _name(root: DictionaryObject, name: TextStringObject, specification: IndirectObject) -> None:
    """Enter the file into the tree of names, whose leaf is sorted by name (ISO 32000-1, 7.9.6)."""
    tree = _entry(_entry(root, "/Names", DictionaryObject()), "/EmbeddedFiles", DictionaryObject())
    if "/Kids" in tree:
        raise _no_pdf_a_3("it has so many attachments that their names are a tree, and one more cannot be entered")
    names = _array(tree, "/Names")
    pairs = [*zip(names[::2], names[1::2], strict=True), (name, specification)]
    names[:] = [each for pair in sorted(pairs, key=lambda pair: _bytes(pair[0])) for each in pair]


def _bytes(name: Any) -> bytes:
    return bytes(name) if isinstance(name, ByteStringObject) else str(name).encode()


def _describe(metadata: etree._Element, attachment: Attachment) -> None:
    """Say of the file what readers look for, and declare these properties, as PDF/A asks of those that XMP does not know."""
    rdf = metadata if metadata.tag == f"{{{_RDF}}}RDF" else metadata.find(f"{{{_RDF}}}RDF")
    if rdf is None:
        raise _no_pdf_a_3("its metadata hold no RDF")
    description = _add(rdf, _RDF, "Description", nsmap={"fx": FX})
    description.set(f"{{{_RDF}}}about", "")
    told = (attachment.file_name, "INVOICE", attachment.version, attachment.level)
    for (name, _), value in zip(_PROPERTIES, told, strict=True):
        _add(description, FX, name, value)
    _declare(_declarations(rdf))


def _add(
    parent: etree._Element, namespace: str, name: str, text: str | None = None, nsmap: dict[str, str] | None = None
) -> etree._Element:
    child = etree.SubElement(parent, f"{{{namespace}}}{name}", nsmap=nsmap)
    child.text = text
    return child


def _declarations(rdf: etree._Element) -> etree._Element:
    """Where schemas are declared: there may be one such list only."""
    found = rdf.find(f".//{{{_EXTENSION}}}schemas/{{{_RDF}}}Bag")
    if found is not None:
        return found
    names = {"pdfaExtension": _EXTENSION, "pdfaSchema": _SCHEMA, "pdfaProperty": _PROPERTY}
    description = _add(rdf, _RDF, "Description", nsmap=names)
    description.set(f"{{{_RDF}}}about", "")
    return _add(_add(description, _EXTENSION, "schemas"), _RDF, "Bag")


def _resource(parent: etree._Element) -> etree._Element:
    item = _add(parent, _RDF, "li")
    item.set(f"{{{_RDF}}}parseType", "Resource")
    return item


def _declare(declarations: etree._Element) -> None:
    schema = _resource(declarations)
    _fields(schema, _SCHEMA, (("schema", "Factur-X PDFA Extension Schema"), ("namespaceURI", FX), ("prefix", "fx")))
    listed = _add(_add(schema, _SCHEMA, "property"), _RDF, "Seq")
    for name, description in _PROPERTIES:
        fields = (("name", name), ("valueType", "Text"), ("category", "external"), ("description", description))
        _fields(_resource(listed), _PROPERTY, fields)


def _fields(parent: etree._Element, namespace: str, fields: Iterable[tuple[str, str]]) -> None:
    for name, text in fields:
        _add(parent, namespace, name, text)
