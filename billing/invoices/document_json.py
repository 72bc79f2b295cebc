"""A document as JSON and back, losing nothing: what the books keep, what its hash is of, what templates are given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from billing.bills.bill import canonical_json
from billing.invoices.document import Document, Line

_DOCUMENT: Final = TypeAdapter(Document)
_LINES: Final = TypeAdapter(tuple[Line, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """A document as the books keep it: canonical JSON of its head, and of each of its lines."""

    head: str
    lines: tuple[str, ...]

    @property
    def hash(self) -> bytes:
        """SHA-256 over the head and the lines, each followed by a line feed."""
        digest = hashlib.sha256()
        for text in (self.head, *self.lines):
            digest.update(text.encode())
            digest.update(b"\n")
        return digest.digest()


def document_to_json(document: Document) -> dict[str, Any]:
    """JSON values: quantities, prices and rates are text, times RFC 3339 with the offset of their site."""
    body: dict[str, Any] = _DOCUMENT.dump_python(document, mode="json")
    return body


def document_from_json(body: dict[str, Any]) -> Document:
    """Read what `document_to_json` wrote and we stored; a malformed body is a bug and raises."""
    return _DOCUMENT.validate_python(body)


def line_texts(lines: Sequence[Line]) -> tuple[str, ...]:
    """The lines of a document as they are kept, before the rest of it is known."""
    return tuple(map(canonical_json, _LINES.dump_python(tuple(lines), mode="json")))


def texts_of(document: Document, lines: tuple[str, ...] | None = None) -> Texts:
    """A document as it is kept; `lines` where their texts are known already."""
    head: dict[str, Any] = _DOCUMENT.dump_python(document, mode="json", exclude={"lines"})
    return Texts(head=canonical_json(head), lines=line_texts(document.lines) if lines is None else lines)


def document_hash(document: Document) -> bytes:
    """What `Texts.hash` is of this document."""
    return texts_of(document).hash
