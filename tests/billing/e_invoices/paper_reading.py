"""What a typeset document says, read back from the text of its PDF without our words and our notation."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pypdf import PdfReader

from tests.billing.e_invoices.reading import Told

Rates = Mapping[Decimal, tuple[Decimal, Decimal]]
"""Net and tax by rate: a paper has a row for each reason why a rate is charged, an e-invoice one for all of them."""

_SUMMARY: Final = {
    "de": "Umsatzsteuer Netto USt. Brutto",
    "de-CH": "Mehrwertsteuer Netto MWST Brutto",
    "en": "VAT summary Net VAT Gross",
    "fr": "Récapitulatif TVA HT TVA TTC",
    "nl": "Btw-overzicht Netto Btw Bruto",
}
_TOTALS: Final = {
    "de": ("Summe netto", "Umsatzsteuer", "Gesamtbetrag"),
    "de-CH": ("Summe netto", "Mehrwertsteuer", "Gesamtbetrag"),
    "en": ("Total excl. VAT", "VAT", "Total incl. VAT"),
    "fr": ("Total HT", "TVA", "Total TTC"),
    "nl": ("Totaal excl. btw", "Btw", "Totaal incl. btw"),
}
_DUE: Final = {
    "de": ("Zu zahlen", "Betrag zu Ihren Gunsten", "Auszahlungsbetrag", "Abzugsbetrag", "Nichts mehr zu zahlen"),
    "en": (
        "Amount due", "Amount in your favour", "Amount payable to you", "Amount deducted", "Nothing left to pay",
    ),
    "fr": ("Net à payer", "Montant en votre faveur", "Montant à vous verser", "Montant déduit", "Rien à payer"),
    "nl": (
        "Te betalen", "Bedrag in uw voordeel", "Aan u uit te betalen", "In mindering gebracht", "Niets meer te betalen",
    ),
}  # fmt: skip
_POINT: Final = frozenset({"en-GB", "de-CH"})
"""Where decimals stand behind a point; elsewhere behind a comma."""
_AMOUNT: Final = r"(-?(?:€|[A-Z]{3}|¥)?[\xa0\u202f]?-?[\d.,\u2019\xa0\u202f]*\d(?:[\xa0\u202f](?:€|[A-Z]{3}|¥))?)"
"""An amount with its currency before or behind it; within it there are no-break spaces only."""
_GROUP: Final = re.compile(rf"^([\d.,]+)\xa0?% {_AMOUNT} {_AMOUNT} {_AMOUNT}$", re.MULTILINE)


@dataclass(frozen=True)
class Paper:
    """What a reader adds up. Amounts of credit notes are above zero, as on the document."""

    net: Decimal
    tax: Decimal
    gross: Decimal
    due: Decimal
    rates: Rates


def read_paper(pdf: bytes) -> Paper:
    """The totals of a PDF of ours; fails where they do not stand on it."""
    reader = PdfReader(io.BytesIO(pdf))
    region = str(reader.root_object["/Lang"])
    language = region if region in _SUMMARY else region[:2]
    text = "\n".join(page.extract_text() for page in reader.pages)
    _, found, after = text.rpartition(_SUMMARY[language])
    assert found, f"no summary of taxes on {text}"
    rates = _by_rate(tuple(_number(each, region) for each in row[:3]) for row in _GROUP.findall(after))
    net, tax, gross = (_amount_beside(after, label, region) for label in _TOTALS[language])
    [due] = [label for label in _DUE[region[:2]] if re.search(rf"^{label} {_AMOUNT}$", after, re.MULTILINE)]
    return Paper(net=net, tax=tax, gross=gross, due=_amount_beside(after, due, region), rates=rates)


def told_paper(told: Told) -> Paper:
    """The same of an e-invoice."""
    amounts = told.amounts
    return Paper(
        net=amounts["net"],
        tax=amounts["tax"],
        gross=amounts["gross"],
        due=abs(amounts["due"]),
        rates=_by_rate(group[1:4] for group in told.groups),
    )


def _by_rate(rows: Iterable[tuple[Decimal, ...]]) -> Rates:
    found: dict[Decimal, tuple[Decimal, Decimal]] = {}
    for rate, net, tax in rows:
        before = found.get(rate, (Decimal(0), Decimal(0)))
        found[rate] = (before[0] + net, before[1] + tax)
    return found


def _amount_beside(text: str, label: str, region: str) -> Decimal:
    found = re.search(rf"^{re.escape(label)} {_AMOUNT}$", text, re.MULTILINE)
    assert found is not None, f"no {label} in {text}"
    return _number(found[1], region)


def _number(text: str, region: str) -> Decimal:
    point = "." if region in _POINT else ","
    kept = "".join(each for each in text if each.isdigit() or each in (point, "-"))
    return Decimal(kept.replace(point, "."))
