"""The rules of Peppol BIS Billing 3.0 that a document of ours can break. Pure.

`SHARED` are those that XRechnung has taken over. Of the national rules those of Germany, Denmark, Italy and the Netherlands
are here; those of Greece, Iceland, Norway and Sweden are left to the access point.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.e_invoices.code_lists import PEPPOL_EAS
from billing.e_invoices.lines import LINE_TOLERANCE
from billing.e_invoices.model import Invoice, InvoiceLine, MeansCode, Period, TradeParty
from billing.e_invoices.rule import Predicate, Rule, Source
from billing.e_invoices.xrechnung_rules import XRECHNUNG_RULES, as_peppol, between_germans

_DUTCH_LISTS: Final = ("0106", "0190")
_BELGIAN_LIST: Final = "0208"
_BELGIAN_MODULUS: Final = 97
_FISCAL_CODE: Final = re.compile(r"[A-Z0-9]{11,16}", re.ASCII)


def _product_is_net(line: InvoiceLine) -> bool:
    off = line.allowance.amount if line.allowance else Decimal(0)
    told = Fraction(line.quantity) * Fraction(line.price) - Fraction(off)
    return abs(told - Fraction(line.net)) <= LINE_TOLERANCE


def _begins_within(line: Period | None, whole: Period) -> bool:
    return line is None or line.start >= whole.start


def _ends_within(line: Period | None, whole: Period) -> bool:
    return line is None or line.end <= whole.end


def _mandate_named(invoice: Invoice) -> bool:
    payment = invoice.payment
    if payment is None or payment.means is not MeansCode.SEPA_DIRECT_DEBIT:
        return True
    return payment.debit is not None and bool(payment.debit.mandate)


def _is_in(party: TradeParty, country: str) -> bool:
    return party.address is not None and party.address.country == country


def _seller_in(country: str, asked: Predicate) -> Predicate:
    return lambda invoice: not _is_in(invoice.seller, country) or asked(invoice)


def _both_in(country: str, asked: Predicate) -> Predicate:
    return _seller_in(country, lambda invoice: not _is_in(invoice.buyer, country) or asked(invoice))


def _whole_address(party: TradeParty) -> bool:
    address = party.address
    return address is None or bool(address.line_1 and address.city and address.postal_code)


def _dutch_number(party: TradeParty) -> bool:
    return party.registration is None or party.registration.scheme in _DUTCH_LISTS


def _belgian_numbers(invoice: Invoice) -> bool:
    """PEPPOL-COMMON-R043: ten digits, the last two of which check the others."""
    named = [
        each
        for party in (invoice.seller, invoice.buyer)
        for each in (party.electronic_address, party.registration)
        if each is not None and each.scheme == _BELGIAN_LIST
    ]
    return all(_is_belgian(each.value) for each in named)


def _is_belgian(number: str) -> bool:
    if not re.fullmatch(r"\d{10}", number, re.ASCII):
        return False
    return int(number[8:]) == _BELGIAN_MODULUS - int(number[:8]) % _BELGIAN_MODULUS


def _in_network(party: TradeParty) -> bool:
    """One without any address is for R010 and R020, one without a scheme for BR-62 and BR-63."""
    address = party.electronic_address
    return address is None or address.scheme is None or address.scheme in PEPPOL_EAS


SHARED: Final = (
    Rule(
        id="PEPPOL-EN16931-R010",
        text="the buyer's electronic address (BT-49) is told",
        source=Source.ACCOUNT,
        holds=lambda invoice: invoice.buyer.electronic_address is not None,
    ),
    Rule(
        id="PEPPOL-EN16931-R020",
        text="the seller's electronic address (BT-34) is told",
        source=Source.SELLER,
        holds=lambda invoice: invoice.seller.electronic_address is not None,
    ),
    Rule(
        id="PEPPOL-EN16931-R061",
        text="a direct debit names its mandate (BT-89)",
        source=Source.ACCOUNT,
        holds=_mandate_named,
    ),
    Rule(
        id="PEPPOL-EN16931-R110",
        text="no line's period (BG-26) begins before that of the invoice (BT-73)",
        source=Source.DOCUMENT,
        holds=lambda invoice: all(_begins_within(line.period, invoice.period) for line in invoice.lines),
    ),
    Rule(
        id="PEPPOL-EN16931-R111",
        text="no line's period (BG-26) ends after that of the invoice (BT-74)",
        source=Source.DOCUMENT,
        holds=lambda invoice: all(_ends_within(line.period, invoice.period) for line in invoice.lines),
    ),
    Rule(
        id="PEPPOL-EN16931-R120",
        text="the net of a line (BT-131) is quantity (BT-129) times price (BT-146) less allowance (BT-136)",
        source=Source.CHARGE,
        holds=lambda invoice: all(_product_is_net(line) for line in invoice.lines),
    ),
)
_OWN: Final = (
    Rule(
        id="PEPPOL-EN16931-R002",
        text="there is at most one note (BT-22), but between German parties",
        source=Source.DOCUMENT,
        holds=lambda invoice: len(invoice.notes) <= 1 or between_germans(invoice),
    ),
    Rule(
        id="PEPPOL-EN16931-R003",
        text="a buyer reference (BT-10) or the number of an order (BT-13) is told",
        source=Source.ACCOUNT,
        holds=lambda invoice: bool(invoice.buyer_reference or invoice.order_reference),
    ),
    Rule(
        id="PEPPOL-EN16931-CL008",
        text="electronic addresses (BT-34, BT-49) are of a scheme of the Peppol network; an e-mail address is none",
        source=Source.PARTIES,
        holds=lambda invoice: all(_in_network(party) for party in (invoice.seller, invoice.buyer)),
    ),
    Rule(
        id="PEPPOL-COMMON-R043",
        text="a Belgian enterprise number (scheme 0208) has ten digits, the last two of which check the others",
        source=Source.PARTIES,
        holds=_belgian_numbers,
    ),
    Rule(
        id="DK-R-002",
        text="a Danish seller tells its CVR number (BT-30)",
        source=Source.SELLER,
        holds=_seller_in("DK", lambda invoice: invoice.seller.registration is not None),
    ),
    Rule(
        id="DK-R-014",
        text="a Danish seller's register entry (BT-30) is its CVR number, eight digits",
        source=Source.SELLER,
        holds=_seller_in(
            "DK",
            lambda invoice: invoice.seller.registration is None or invoice.seller.registration.scheme == "0184",
        ),
    ),
    Rule(
        id="IT-R-001",
        text="an Italian seller's tax number (BT-32) has 11 to 16 letters or digits",
        source=Source.SELLER,
        holds=_seller_in(
            "IT",
            lambda invoice: (
                invoice.seller.tax_number is None or _FISCAL_CODE.fullmatch(invoice.seller.tax_number) is not None
            ),
        ),
    ),
    Rule(
        id="IT-R-004",
        text="an Italian seller's address has a postal code (BT-38)",
        source=Source.SELLER,
        holds=_seller_in(
            "IT", lambda invoice: invoice.seller.address is None or bool(invoice.seller.address.postal_code)
        ),
    ),
    Rule(
        id="NL-R-001",
        text="a credit note of a Dutch seller names the invoice that it takes back (BG-3)",
        source=Source.DOCUMENT,
        holds=_seller_in("NL", lambda invoice: not invoice.type_code.is_credit_note or invoice.preceding is not None),
    ),
    Rule(
        id="NL-R-002",
        text="a Dutch seller's address has street, city and postal code",
        source=Source.SELLER,
        holds=_seller_in("NL", lambda invoice: _whole_address(invoice.seller)),
    ),
    Rule(
        id="NL-R-003",
        text="a Dutch seller's register entry (BT-30) is its KVK number, eight digits",
        source=Source.SELLER,
        holds=_seller_in("NL", lambda invoice: _dutch_number(invoice.seller)),
    ),
    Rule(
        id="NL-R-004",
        text="between Dutch parties the buyer's address has street, city and postal code",
        source=Source.ACCOUNT,
        holds=_both_in("NL", lambda invoice: _whole_address(invoice.buyer)),
    ),
    Rule(
        id="NL-R-005",
        text="between Dutch parties the buyer's register entry (BT-47) is its KVK number, eight digits",
        source=Source.ACCOUNT,
        holds=_both_in("NL", lambda invoice: _dutch_number(invoice.buyer)),
    ),
    Rule(
        id="NL-R-007",
        text="a Dutch seller says how it wants to be paid (BG-16)",
        source=Source.SELLER,
        holds=_seller_in(
            "NL",
            lambda invoice: invoice.type_code.is_credit_note or invoice.totals.due <= 0 or invoice.payment is not None,
        ),
    ),
)
PEPPOL_RULES: Final = (*SHARED, *_OWN, *(as_peppol(rule) for rule in XRECHNUNG_RULES))
