"""An issued document as the e-invoice that its receiver asked for. Reads and writes nothing: bytes in, bytes out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from billing.e_invoices.cii import cii
from billing.e_invoices.factur_x import with_invoice
from billing.e_invoices.from_document import invoice_of
from billing.e_invoices.model import Invoice
from billing.e_invoices.profiles import Profile, specification
from billing.e_invoices.rule import Rule
from billing.e_invoices.rules import findings, fitted, refuse_broken
from billing.e_invoices.ubl import ubl
from billing.errors import Refused
from billing.invoices.document import Document

_XML: Final = "application/xml"
_PDF: Final = "application/pdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class EInvoice:
    """A file to be sent. `warnings`: rules whose breach a receiver takes note of but does not turn it down for."""

    profile: Profile
    content: bytes
    media_type: str
    file_name: str
    warnings: tuple[Rule, ...] = ()


def e_invoice(document: Document, profile: Profile, *, pdf: bytes | None = None) -> EInvoice:
    """Make it, or refuse with every rule that the document breaks. `pdf`: its PDF/A-3, for profiles that are a PDF."""
    invoice = fitted(invoice_of(document), profile)
    warnings = refuse_broken(invoice, profile)
    xml = written(invoice, profile)
    if not profile.is_pdf:
        return EInvoice(
            profile=profile,
            content=xml,
            media_type=_XML,
            file_name=f"{_stem(invoice)}.xml",
            warnings=warnings,
        )
    if pdf is None:
        raise Refused(
            f"document {document.number} cannot leave as {profile.value} without its PDF",
            next_step="make its PDF first, as PDF/A-3b",
        )
    return EInvoice(
        profile=profile,
        content=with_invoice(pdf, xml, profile),
        media_type=_PDF,
        file_name=f"{_stem(invoice)}.pdf",
        warnings=warnings,
    )


def e_invoice_findings(document: Document, profile: Profile) -> tuple[Rule, ...]:
    """What stands against an e-invoice of it, to be asked before it has its number: an issued document stays as it is."""
    return findings(fitted(invoice_of(document), profile), profile)


def written(invoice: Invoice, profile: Profile) -> bytes:
    """The XML of an invoice that fits its profile."""
    head = specification(profile, invoice.type_code)
    return ubl(invoice, head) if profile.is_ubl else cii(invoice, head)


def _stem(invoice: Invoice) -> str:
    """Its number as the name of a file, on any system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", invoice.number).strip("-.") or "document"
