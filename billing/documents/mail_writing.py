"""What a mail says with which a document goes out: ours by language, or its brand's own text, the places filled. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from billing.documents.brand import Brand
from billing.documents.contract import title_of
from billing.documents.mail_text import PLACES, MailText
from billing.documents.notation import clean
from billing.documents.payment_fields import payment
from billing.documents.writing import Writing
from billing.invoices.document import Document


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
