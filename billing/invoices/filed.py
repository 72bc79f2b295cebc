"""The files that a document has: which forms there are, and what each is called. Pure; what makes and keeps them is elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from billing.e_invoices.profiles import Profile

PDF: Final = "application/pdf"
ARCHIVED: Final = "archive:"
"""How a reference to a content of the archive begins; its SHA-256 follows."""
PDF_FORM: Final = "pdf"
"""What the form of a plain PDF is called; the others are called as their profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFile:
    """A file that is not in the archive yet. `form`: pdf, or a profile."""

    form: str
    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledFile:
    """A file of a document in the archive."""

    form: str
    entry: int
    sha256: bytes
    media_type: str


def forms_for(profile: Profile | None) -> tuple[str, ...]:
    """The files that a customer gets: a PDF, beside it the e-invoice that it asked for, or one file that is both."""
    if profile is None:
        return (PDF_FORM,)
    return (profile.value,) if profile.is_pdf else (PDF_FORM, profile.value)


def file_name(number: str, filed: FiledFile) -> str:
    """Its number as the name of a file, on any system."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", number).strip("-.") or "document"
    return f"{stem}.{'pdf' if filed.media_type == PDF else 'xml'}"
