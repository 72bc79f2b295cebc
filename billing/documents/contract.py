"""The one contract of fields between a document and every template of it, typst or docx. Pure.

Every field is always there: text, a list or a group of fields; what a document does not have is empty text or an empty list.
Amounts, quantities, days and instants are written as the language and the seller's country do. `fields.toml` says what each
field means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from billing.documents.brand import Brand
from billing.documents.line_fields import groups
from billing.documents.notation import DASH, clean, clean_lines
from billing.documents.payment_fields import payment
from billing.documents.writing import Writing
from billing.invoices.document import Document, DocumentForm, Party, TaxGroup

_TEXTS_GIVEN: Final = ("colon", "page")
_PLAIN_CATEGORIES: Final = frozenset({"S", "AA"})
"""UNTDID 5305: there is tax at a rate, and nothing to explain."""


def fields(document: Document, brand: Brand, language: str | None = None, *, sample: bool = False) -> dict[str, Any]:
    """What a template gets. In the document's own language unless said; `sample` marks it as none that counts.

    Raises:
        Refused: there are no words in this language.
    """
    writing = Writing.of(document, language or document.language)
    return {
        **_heading(writing, sample=sample),
        "brand": {
            "id": brand.id,
            "name": clean(brand.name),
            "accent": brand.accent,
            "sender": [clean(each) for each in brand.sender],
            "footer": [clean(each) for each in brand.footer_lines(writing.words.language)],
        },
        "sender": _party(writing, writing.sender),
        "recipient": _party(writing, writing.recipient),
        "seller": _party(writing, document.seller),
        "buyer": _party(writing, document.buyer),
        "facts": _facts(writing),
        "groups": groups(writing),
        "amount_label": writing.label("amount_gross" if writing.with_tax else "amount_net"),
        "tax_groups": [_tax_group(writing, each) for each in document.tax_groups],
        **_totals(writing),
        "payment": payment(writing),
        "notes": [line for each in document.notes for line in clean_lines(each)],
        "words": {**writing.words.table["label"], **{name: writing.words.table["text"][name] for name in _TEXTS_GIVEN}},
    }


def _heading(writing: Writing, *, sample: bool) -> dict[str, Any]:
    document, notation = writing.document, writing.notation
    corrects = document.corrects
    return {
        "kind": document.kind.value,
        "form": document.form.value,
        "language": writing.words.language,
        "region": writing.words.region,
        "currency": document.currency,
        "sample": writing.label("sample") if sample else "",
        "title": title_of(writing),
        "subtitle": writing.words.table["subtitle"].get(document.form, ""),
        "number": clean(document.number),
        "issued_on": notation.day(document.issued_on),
        "period": notation.days(document.days),
        "due_on": "" if document.due_on is None else notation.day(document.due_on),
        "account": clean(document.account),
        "buyer_reference": clean(document.buyer_reference),
        "order_reference": clean(document.order_reference),
        "contract_reference": clean(document.contract_reference),
        "corrects": {
            "number": "" if corrects is None else clean(corrects.number),
            "issued_on": "" if corrects is None else notation.day(corrects.issued_on),
        },
        "reason": clean(document.reason),
        "statements": _statements(writing),
    }


def title_of(writing: Writing) -> str:
    """What kind of document it is, in its language."""
    form = writing.document.form
    if form is DocumentForm.FULL:
        return writing.words("title", writing.document.kind)
    name = "receipt" if form is DocumentForm.SIMPLIFIED else form.value
    return writing.words("title", f"{name}_credit_note" if writing.is_credit else name)


def _statements(writing: Writing) -> list[str]:
    """Sentences that a reader must see first: what is corrected and why (Art. 219), who wrote it (Art. 226, 10a)."""
    document, said = writing.document, []
    if document.corrects is not None:
        sentence = "corrects_self_billed" if writing.self_billed else "corrects"
        number, date = clean(document.corrects.number), writing.notation.day(document.corrects.issued_on)
        said.append(writing.words("text", sentence, number=number, date=date))
    if document.reason:
        said.append(f"{writing.label('reason')}{writing.words('text', 'colon')}{clean(document.reason)}")
    if writing.self_billed:
        said.append(writing.words("text", "self_billed"))
    return said


def _party(writing: Writing, party: Party | None) -> dict[str, Any]:
    """`lines` is what goes on an envelope; the country only where it is not the sender's."""
    if party is None:
        return dict.fromkeys(_PARTY_TEXTS, "") | {"lines": [], "rows": []}
    sender = writing.sender.address
    home = None if sender is None else sender.country
    said = {name: clean(getattr(party, name)) for name in _PARTY_TEXTS}
    address = writing.notation.address(party.address, home=home)
    return {
        **said,
        "lines": [said["name"], *address],
        "rows": [writing.row(name, said[name]) for name in _PARTY_ROWS if said[name]],
    }


_PARTY_ROWS: Final = ("vat_id", "tax_number", "register", "contact", "phone", "email")
_PARTY_TEXTS: Final = ("name", *_PARTY_ROWS)


def _facts(writing: Writing) -> list[dict[str, str]]:
    """The rows beside the address: what is there of them."""
    document, recipient = writing.document, writing.recipient
    first, last = document.days
    rows = [
        ("number", document.number),
        ("issued_on", writing.notation.day(document.issued_on)),
        ("supplied_on" if first == last else "period", writing.notation.days(document.days)),
        ("due_on", None if document.due_on is None else writing.notation.day(document.due_on)),
        ("partner" if writing.self_billed else "account", document.account),
        ("vat_id", recipient and recipient.vat_id),
        ("tax_number", recipient and recipient.tax_number if writing.self_billed else None),
        ("buyer_reference", document.buyer_reference),
        ("order_reference", document.order_reference),
        ("contract_reference", document.contract_reference),
    ]
    return [writing.row(label, clean(value)) for label, value in rows if value]


def _tax_group(writing: Writing, group: TaxGroup) -> dict[str, str]:
    tax = group.tax
    name = writing.words.known("tax", tax.category)
    notes = [] if tax.category in _PLAIN_CATEGORIES else [name]
    if tax.note and clean(tax.note).casefold() != name.casefold():
        notes.append(clean(tax.note))
    return {
        "category": tax.category,
        "name": name,
        "rate": writing.notation.percent(tax.rate),
        "note": DASH.join(notes),
        "net": writing.money(group.net_minor),
        "tax": writing.money(group.tax_minor),
        "gross": writing.money(group.gross_minor),
    }


def _totals(writing: Writing) -> dict[str, Any]:
    document = writing.document
    borne = [
        {
            "party": clean(each.party),
            "label": f"{writing.words('label', 'borne', party=clean(each.party))} ({clean(each.label)})",
            "amount": writing.money(-each.amount_minor),
        }
        for each in document.borne
    ]
    due_label = writing.label(_due_label(writing))
    how = f" ({clean(document.paid_how)})" if document.paid_how else ""
    totals = {
        "net": writing.money(document.net_minor),
        "tax": writing.money(document.tax_minor),
        "gross": writing.money(document.gross_minor),
        "borne": writing.money(document.borne_minor) if borne else "",
        "paid": writing.money(document.paid_minor) if document.paid_minor else "",
        "paid_how": clean(document.paid_how),
        "due": writing.money(abs(document.due_minor)),
        "due_label": due_label,
    }
    rows = [
        writing.row("total_net", totals["net"]),
        writing.row("total_tax", totals["tax"]),
        writing.row("total_gross", totals["gross"]),
        *({"label": each["label"], "value": each["amount"]} for each in borne),
    ]
    if document.paid_minor:
        rows.append({"label": f"{writing.label('paid')}{how}", "value": writing.money(-document.paid_minor)})
    return {"totals": totals, "borne": borne, "total_rows": rows}


def _due_label(writing: Writing) -> str:
    due = writing.document.due_minor
    if due == 0:
        return "settled"
    if writing.self_billed and due > 0:
        return "deducted" if writing.is_credit else "payable"
    return "credited" if writing.is_credit or due < 0 else "due"


def paths(said: object, at: str = "") -> Iterator[str]:
    """Every field that is there, as `groups[].lines[].name`; words are one field."""
    if isinstance(said, Mapping) and at != "words":
        for name, value in said.items():
            yield from paths(value, f"{at}.{name}" if at else name)
    elif isinstance(said, list) and any(isinstance(each, Mapping) for each in said):
        for each in said:
            yield from paths(each, f"{at}[]")
    elif isinstance(said, list):
        yield f"{at}[]"
    else:
        yield at


@cache
def meanings() -> Mapping[str, str]:
    """What each field means, by its path."""
    text = (files("billing.documents") / "fields.toml").read_text(encoding="utf-8")
    return {path: str(meaning) for path, meaning in tomllib.loads(text).items()}
