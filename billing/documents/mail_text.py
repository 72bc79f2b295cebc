"""What a brand has its mails say with which documents go out: text with named places, checked when it is entered. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter
from typing import Final

SUBJECT_LENGTH_MAX: Final = 200
BODY_LENGTH_MAX: Final = 20_000
PLACES: Final = {
    "kind": "Invoice, credit note ..., in the language of the document",
    "number": "its number",
    "issued_on": "the day of issue",
    "period": "the days that it is for",
    "due_on": "the day by which it is to be paid; empty where there is none",
    "amount": "what is to be paid, or is given back",
    "payment": "how it is paid, as sentences",
    "customer": "the name of whoever gets it",
    "seller": "the name of the seller",
    "sender": "name and address of whoever writes, as lines",
    "brand": "the name of the brand, else of the seller",
}
"""What may stand in braces, and what comes there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailText:
    """Subject and body, with places in braces: {number}."""

    subject: str
    body: str


def mistakes_in_text(text: MailText) -> list[str]:
    """Why no mail can say this; all of it."""
    found = []
    if not text.subject.strip() or not text.subject.isprintable() or len(text.subject) > SUBJECT_LENGTH_MAX:
        found.append(f"a subject is one line of at most {SUBJECT_LENGTH_MAX} characters, and not empty")
    if not text.body.strip() or len(text.body) > BODY_LENGTH_MAX:
        found.append(f"a body has at most {BODY_LENGTH_MAX} characters, and is not empty")
    for part in (text.subject, text.body):
        found += _mistakes_in_places(part)
    return found


def _mistakes_in_places(text: str) -> Iterator[str]:
    """Formats and attributes would let a text reach behind what it is given; nobody needs them."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        yield "a brace stands alone: write {{ or }} for one that is meant"
        return
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLACES or form or conversion):
            yield f"{{{name[:40]}}} is none of {', '.join(f'{{{each}}}' for each in PLACES)}"
