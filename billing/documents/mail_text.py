"""What a mail says with which a document goes out: ours by language, or a brand's own with the same named places. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Final

from billing.documents.brand import Brand
from billing.documents.contract import title_of
from billing.documents.notation import clean
from billing.documents.payment_fields import payment
from billing.documents.writing import Writing
from billing.invoices.document import Document

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


def mail_text(document: Document, brand: Brand, own: Mapping[str, MailText]) -> MailText:
    """Subject and body for a document in its language, by the brand's own text (checked when it was entered) or ours.

    Raises:
        Refused: there are no words in this language.
    """
    writing = Writing.of(document, document.language)
    text = own.get(document.language)
    if text is None:
        table = writing.words.table["mail"]
        text = MailText(subject=table["subject"], body=table["body"])
    said = _said(writing, brand)
    return MailText(subject=text.subject.format_map(said), body=text.body.format_map(said).strip() + "\n")


def _said(writing: Writing, brand: Brand) -> dict[str, str]:
    document, notation = writing.document, writing.notation
    recipient, sender = writing.recipient, writing.sender
    said = {
        "kind": title_of(writing),
        "number": document.number,
        "issued_on": notation.day(document.issued_on),
        "period": notation.days(document.days),
        "due_on": "" if document.due_on is None else notation.day(document.due_on),
        "amount": writing.money(abs(document.due_minor)),
        "payment": _payment(writing),
        "customer": "" if recipient is None else clean(recipient.name),
        "seller": clean(document.seller.name),
        "sender": "\n".join([clean(sender.name), *notation.address(sender.address, home=None)]),
        "brand": clean(brand.name),
    }
    assert said.keys() == PLACES.keys(), "each place has what comes there"
    return said


def _payment(writing: Writing) -> str:
    """As the document says it, with where to pay below."""
    said = payment(writing)
    colon = writing.words("text", "colon")
    rows = [f"{row['label']}{colon}{row['value']}" for row in said["rows"]]
    return "\n".join([line for line in (said["text"], *said["terms"]) if line] + rows)
