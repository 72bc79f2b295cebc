"""A document as JSON and back, losing nothing: what the books keep, what its hash is of, what templates are given."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from pydantic import TypeAdapter

from billing.bills.bill import canonical_json
from billing.invoices.document import Document

_DOCUMENT: Final = TypeAdapter(Document)


def document_to_json(document: Document) -> dict[str, Any]:
    """JSON values: quantities, prices and rates are text, times RFC 3339 with the offset of their site."""
    body: dict[str, Any] = _DOCUMENT.dump_python(document, mode="json")
    return body


def document_from_json(body: dict[str, Any]) -> Document:
    """Read what `document_to_json` wrote and we stored; a malformed body is a bug and raises."""
    return _DOCUMENT.validate_python(body)


def document_hash(document: Document) -> bytes:
    """SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical_json(document_to_json(document)).encode()).digest()
