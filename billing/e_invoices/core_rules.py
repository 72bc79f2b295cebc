"""The rules of EN 16931-1 that a document of ours can break, mostly through master data that nobody entered. Pure.

Many rules of the standard are not here: what `model` cannot express is not checked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.e_invoices.code_lists import COUNTRIES, EAS, VAT_PREFIXES, is_unit
from billing.e_invoices.model import Identifier, Invoice, MeansCode, Period, PostalAddress, TradeParty
from billing.e_invoices.rule import Predicate, Rule, Severity, Source

_TOLERANCE: Final = 1
"""One unit of the currency: so far may tax and net of a group be from what lines and rate give."""
_ZERO_RATED: Final = ("Z", "E", "AE", "K", "G")
_TAXED: Final = ("S", "L", "M")
_PREFIXES: Final = {"S": "S", "Z": "Z", "E": "E", "AE": "AE", "K": "IC", "G": "G", "O": "O", "L": "AF", "M": "AG"}
"""How rules call each category."""
_NAMES: Final = {
    "S": "standard rate",
    "Z": "zero rate",
    "E": "exempt from VAT",
    "AE": "reverse charge",
    "K": "intra-community supply",
    "G": "export outside the EU",
    "O": "not subject to VAT",
    "L": "IGIC, Canary Islands",
    "M": "IPSI, Ceuta and Melilla",
}


def _uses(invoice: Invoice, category: str) -> bool:
    return any(line.vat.category == category for line in invoice.lines)


def _where(category: str, asked: Predicate) -> Predicate:
    """The rule asks only where a line is of this category."""
    return lambda invoice: not _uses(invoice, category) or asked(invoice)


def _seller_is_registered(invoice: Invoice) -> bool:
    return bool(invoice.seller.vat_id or invoice.seller.tax_number)


def _parties(invoice: Invoice) -> tuple[TradeParty, TradeParty]:
    return invoice.seller, invoice.buyer


def _known_scheme(address: Identifier | None) -> bool:
    """One without a scheme is for BR-62 and BR-63."""
    return address is None or address.scheme is None or address.scheme in EAS


def _known_country(*addresses: PostalAddress | None) -> bool:
    return all(not address.country or address.country in COUNTRIES for address in addresses if address)


def _in_order(period: Period | None) -> bool:
    return period is None or period.start <= period.end


def _total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def _near(amount: Decimal, other: Decimal | Fraction) -> bool:
    return abs(Fraction(amount) - Fraction(other)) < _TOLERANCE


def _taxed_by_rate(invoice: Invoice) -> bool:
    """BR-CO-17. Under `TaxMode.KEEP_GROSS` the tax may be a cent off: the published check allows one unit."""
    return all(
        _near(group.tax, Fraction(group.taxable) * Fraction(group.vat.rate or 0) / 100) for group in invoice.breakdown
    )


def _summed_by_group(invoice: Invoice) -> bool:
    """BR-S-08 and its like for each category: exactly those groups, each about the sum of its lines."""
    of_lines = {line.vat for line in invoice.lines}
    groups = [group.vat for group in invoice.breakdown]
    return (
        len(groups) == len(set(groups))
        and set(groups) == of_lines
        and all(
            _near(group.taxable, _total(line.net for line in invoice.lines if line.vat == group.vat))
            for group in invoice.breakdown
        )
    )


def _account_told(invoice: Invoice) -> bool:
    payment = invoice.payment
    if payment is None or payment.means not in (MeansCode.CREDIT_TRANSFER, MeansCode.SEPA_CREDIT_TRANSFER):
        return True
    return payment.transfer is not None and bool(payment.transfer.account)


_OF_THE_DOCUMENT: Final = (
    Rule(
        id="BR-02",
        text="an invoice has a number (BT-1)",
        source=Source.DOCUMENT,
        holds=lambda invoice: bool(invoice.number),
    ),
    Rule(
        id="BR-16",
        text="an invoice has at least one line (BG-25)",
        source=Source.DOCUMENT,
        holds=lambda invoice: bool(invoice.lines),
    ),
    Rule(
        id="BR-29",
        text="the invoice's period (BG-14) does not end before it begins",
        source=Source.DOCUMENT,
        holds=lambda invoice: _in_order(invoice.period),
    ),
    Rule(
        id="BR-CO-25",
        text="where an amount is due (BT-115), the day on which it is due (BT-9) or the terms (BT-20) are told",
        source=Source.ACCOUNT,
        holds=lambda invoice: invoice.totals.due <= 0 or bool(invoice.due_on or invoice.payment_terms),
        severity=Severity.WARNING,  # CEN took it out of its checks with 1.3.16; receivers with older ones turn it down
    ),
    Rule(
        id="BR-61",
        text="a credit transfer (BT-81) names the account to which it goes (BT-84)",
        source=Source.SELLER,
        holds=_account_told,
    ),
)
_OF_PARTIES: Final = (
    Rule(
        id="BR-06",
        text="an invoice has the name of the seller (BT-27)",
        source=Source.SELLER,
        holds=lambda invoice: bool(invoice.seller.name),
    ),
    Rule(
        id="BR-07",
        text="an invoice has the name of the buyer (BT-44)",
        source=Source.ACCOUNT,
        holds=lambda invoice: bool(invoice.buyer.name),
    ),
    Rule(
        id="BR-08",
        text="an invoice has the seller's postal address (BG-5)",
        source=Source.SELLER,
        holds=lambda invoice: invoice.seller.address is not None,
    ),
    Rule(
        id="BR-09",
        text="the seller's address has a country (BT-40)",
        source=Source.SELLER,
        holds=lambda invoice: invoice.seller.address is None or bool(invoice.seller.address.country),
    ),
    Rule(
        id="BR-10",
        text="an invoice has the buyer's postal address (BG-8)",
        source=Source.ACCOUNT,
        holds=lambda invoice: invoice.buyer.address is not None,
    ),
    Rule(
        id="BR-11",
        text="the buyer's address has a country (BT-55)",
        source=Source.ACCOUNT,
        holds=lambda invoice: invoice.buyer.address is None or bool(invoice.buyer.address.country),
    ),
    Rule(
        id="BR-62",
        text="the seller's electronic address (BT-34) tells the scheme that it is of",
        source=Source.SELLER,
        holds=lambda invoice: (
            invoice.seller.electronic_address is None or bool(invoice.seller.electronic_address.scheme)
        ),
    ),
    Rule(
        id="BR-63",
        text="the buyer's electronic address (BT-49) tells the scheme that it is of",
        source=Source.ACCOUNT,
        holds=lambda invoice: invoice.buyer.electronic_address is None or bool(invoice.buyer.electronic_address.scheme),
    ),
    Rule(
        id="BR-CL-14",
        text="countries are those of ISO 3166-1, as two letters",
        source=Source.PARTIES,
        holds=lambda invoice: _known_country(invoice.seller.address, invoice.buyer.address),
    ),
    Rule(
        id="BR-CL-25",
        text="the scheme of an electronic address (BT-34, BT-49) is one of the EAS code list, such as 9930 or EM",
        source=Source.PARTIES,
        holds=lambda invoice: all(_known_scheme(party.electronic_address) for party in _parties(invoice)),
    ),
    Rule(
        id="BR-CO-09",
        text="a VAT id (BT-31, BT-48) begins with the letters of its country; that of Greece with EL",
        source=Source.PARTIES,
        holds=lambda invoice: all(
            party.vat_id is None or party.vat_id[:2] in VAT_PREFIXES for party in _parties(invoice)
        ),
    ),
    Rule(
        id="BR-CO-26",
        text="the seller is told by its entry in the register of companies (BT-30) or its VAT id (BT-31)",
        source=Source.SELLER,
        holds=lambda invoice: bool(invoice.seller.registration or invoice.seller.vat_id),
    ),
)
_OF_LINES: Final = (
    Rule(
        id="BR-25",
        text="each line names what was supplied (BT-153)",
        source=Source.CHARGE,
        holds=lambda invoice: all(line.name for line in invoice.lines),
    ),
    Rule(
        id="BR-27",
        text="no price (BT-146) is below zero",
        source=Source.CHARGE,
        holds=lambda invoice: all(line.price >= 0 for line in invoice.lines),
    ),
    Rule(
        id="BR-30",
        text="the period of a line (BG-26) does not end before it begins",
        source=Source.CHARGE,
        holds=lambda invoice: all(_in_order(line.period) for line in invoice.lines),
    ),
    Rule(
        id="BR-CL-23",
        text="units (BT-130) are codes of UN/ECE recommendation 20, such as KWH, C62 or MON",
        source=Source.CHARGE,
        holds=lambda invoice: all(is_unit(line.unit) for line in invoice.lines),
    ),
)
_OF_TOTALS: Final = (
    Rule(
        id="BR-CO-10",
        text="the sum of lines (BT-106) is the sum of their nets (BT-131)",
        source=Source.DOCUMENT,
        holds=lambda invoice: invoice.totals.lines == _total(line.net for line in invoice.lines),
    ),
    Rule(
        id="BR-CO-13",
        text="the total without VAT (BT-109) is the sum of lines (BT-106)",
        source=Source.DOCUMENT,
        holds=lambda invoice: invoice.totals.net == invoice.totals.lines,
    ),
    Rule(
        id="BR-CO-14",
        text="the total of VAT (BT-110) is the sum of its groups (BT-117)",
        source=Source.DOCUMENT,
        holds=lambda invoice: invoice.totals.tax == _total(group.tax for group in invoice.breakdown),
    ),
    Rule(
        id="BR-CO-15",
        text="the total with VAT (BT-112) is that without VAT (BT-109) and the VAT (BT-110)",
        source=Source.DOCUMENT,
        holds=lambda invoice: invoice.totals.gross == invoice.totals.net + invoice.totals.tax,
    ),
    Rule(
        id="BR-CO-16",
        text="the amount due (BT-115) is the total with VAT (BT-112) less what is paid (BT-113)",
        source=Source.DOCUMENT,
        holds=lambda invoice: invoice.totals.due == invoice.totals.gross - invoice.totals.paid,
    ),
    Rule(
        id="BR-CO-17",
        text="the VAT of a group (BT-117) is its net (BT-116) times its rate (BT-119)",
        source=Source.DOCUMENT,
        holds=_taxed_by_rate,
    ),
    Rule(
        id="BR-CO-18",
        text="an invoice has at least one group of VAT (BG-23)",
        source=Source.DOCUMENT,
        holds=lambda invoice: bool(invoice.breakdown),
    ),
    Rule(
        id="BR-S-08",
        text="each category and rate has one group (BG-23), whose net (BT-116) is the sum of its lines",
        source=Source.DOCUMENT,
        holds=_summed_by_group,
    ),
)


def _has_rate(category: str) -> Rule:
    zero = category in _ZERO_RATED

    def holds(invoice: Invoice) -> bool:
        rates = [line.vat.rate for line in invoice.lines if line.vat.category == category]
        return all(rate is not None and (rate == 0 if zero else rate > 0) for rate in rates)

    return Rule(
        id=f"BR-{_PREFIXES[category]}-05",
        text=f"the rate (BT-152) of a line of category {category}, {_NAMES[category]}, is {'0' if zero else 'above 0'}",
        source=Source.TAX_RULE,
        holds=holds,
    )


def _has_registered_seller(category: str) -> Rule:
    return Rule(
        id=f"BR-{_PREFIXES[category]}-02",
        text=f"with a line of category {category}, {_NAMES[category]}, the seller's VAT id (BT-31) "
        "or tax number (BT-32) is told",
        source=Source.SELLER,
        holds=_where(category, _seller_is_registered),
    )


def _has_reason(category: str) -> Rule:
    def holds(invoice: Invoice) -> bool:
        return all(group.reason or group.code for group in invoice.breakdown if group.vat.category == category)

    return Rule(
        id=f"BR-{_PREFIXES[category]}-10",
        text=f"a group of category {category}, {_NAMES[category]}, says why no VAT is charged (BT-120 or BT-121)",
        source=Source.TAX_RULE,
        holds=holds,
    )


_OF_CATEGORIES: Final = (
    *(_has_rate(category) for category in ("S", *_ZERO_RATED)),
    *(_has_registered_seller(category) for category in ("Z", "E", *_TAXED)),
    *(_has_reason(category) for category in ("E", "AE", "K", "G", "O")),
    Rule(
        id="BR-AE-02",
        text="with reverse charge (AE) the VAT id or tax number of the seller (BT-31, BT-32) and the VAT id or register "
        "entry of the buyer (BT-48, BT-47) are told",
        source=Source.PARTIES,
        holds=_where(
            "AE",
            lambda invoice: _seller_is_registered(invoice) and bool(invoice.buyer.vat_id or invoice.buyer.registration),
        ),
    ),
    Rule(
        id="BR-IC-02",
        text="with an intra-community supply (K) the VAT ids of seller and buyer (BT-31, BT-48) are told",
        source=Source.PARTIES,
        holds=_where("K", lambda invoice: bool(invoice.seller.vat_id and invoice.buyer.vat_id)),
    ),
    Rule(
        id="BR-IC-12",
        text="with an intra-community supply (K) the country of delivery (BT-80) is told: that of the buyer's address",
        source=Source.ACCOUNT,
        holds=_where("K", lambda invoice: invoice.deliver_to is not None and bool(invoice.deliver_to.country)),
    ),
    Rule(
        id="BR-G-02",
        text="with an export outside the EU (G) the seller's VAT id (BT-31) is told",
        source=Source.SELLER,
        holds=_where("G", lambda invoice: bool(invoice.seller.vat_id)),
    ),
    Rule(
        id="BR-O-11",
        text="what is not subject to VAT (O) stands on an invoice of its own, without any other category",
        source=Source.DOCUMENT,
        holds=lambda invoice: (
            len({group.vat.category for group in invoice.breakdown}) <= 1
            or all(group.vat.category != "O" for group in invoice.breakdown)
        ),
    ),
)
CORE_RULES: Final = (*_OF_THE_DOCUMENT, *_OF_PARTIES, *_OF_LINES, *_OF_TOTALS, *_OF_CATEGORIES)
