"""The rules of XRechnung 3.0 that a document of ours can break; those of direct debits in Peppol's words are `peppol_rules`'s. Pure.

Where seller and buyer are German, Peppol asks for the same under the ids DE-R-001 to DE-R-031: see `as_peppol`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from billing.e_invoices.iban import is_iban
from billing.e_invoices.model import Contact, Debit, Invoice, MeansCode, PostalAddress
from billing.e_invoices.rule import Predicate, Rule, Severity, Source

GERMANY: Final = "DE"
_DIGITS_MIN: Final = 3
_EMAIL: Final = re.compile(r"[^@\s]+@([^@.\s]+\.)+[^@.\s]+")
_SKONTO: Final = re.compile(r"#SKONTO#TAGE=[0-9]+#PROZENT=[0-9]+\.[0-9]{2}(#BASISBETRAG=-?[0-9]+\.[0-9]{2})?#")
_KNOWN_TYPES: Final = frozenset({"380", "381", "389"})
"""Of the codes that BR-DE-17 lists those that we use."""
_TRANSFERS: Final = (MeansCode.CREDIT_TRANSFER, MeansCode.SEPA_CREDIT_TRANSFER)


def _contact(told: Callable[[Contact], bool]) -> Predicate:
    """Of the seller's contact; that there is none is for BR-DE-2."""
    return lambda invoice: invoice.seller.contact is None or told(invoice.seller.contact)


def _address(pick: Callable[[Invoice], PostalAddress | None], told: Callable[[PostalAddress], bool]) -> Predicate:
    """Of an address, where there is one."""

    def holds(invoice: Invoice) -> bool:
        address = pick(invoice)
        return address is None or told(address)

    return holds


def _of_seller(invoice: Invoice) -> PostalAddress | None:
    return invoice.seller.address


def _of_buyer(invoice: Invoice) -> PostalAddress | None:
    return invoice.buyer.address


def _of_delivery(invoice: Invoice) -> PostalAddress | None:
    return invoice.deliver_to


def _city(address: PostalAddress) -> bool:
    return bool(address.city)


def _postal_code(address: PostalAddress) -> bool:
    return bool(address.postal_code)


def _debit(told: Callable[[Debit], bool]) -> Predicate:
    """Of a direct debit, where there is one."""

    def holds(invoice: Invoice) -> bool:
        debit = invoice.payment.debit if invoice.payment else None
        return debit is None or told(debit)

    return holds


def _taxed_seller(invoice: Invoice) -> bool:
    in_scope = any(line.vat.category != "O" for line in invoice.lines)
    return not in_scope or bool(invoice.seller.vat_id or invoice.seller.tax_number)


def _skonto_lines(invoice: Invoice) -> bool:
    """A line of the terms that begins with # is meant for machines, and ends with a line break."""
    terms = (invoice.payment_terms or "").split("\n")
    meant = [line for line in terms if line.strip().startswith("#")]
    return all(_SKONTO.fullmatch(line.strip()) for line in meant) and (not meant or terms[-1].strip() == "")


def _has_debit(invoice: Invoice) -> bool:
    payment = invoice.payment
    return payment is None or payment.means is not MeansCode.SEPA_DIRECT_DEBIT or payment.debit is not None


def _has_transfer(invoice: Invoice) -> bool:
    payment = invoice.payment
    return payment is None or payment.means not in _TRANSFERS or payment.transfer is not None


def _right_account(invoice: Invoice) -> bool:
    payment = invoice.payment
    if payment is None or payment.means is not MeansCode.SEPA_CREDIT_TRANSFER or payment.transfer is None:
        return True
    return is_iban(payment.transfer.account)


_OF_THE_DOCUMENT: Final = (
    Rule(
        id="BR-DE-1",
        text="an invoice says how it is to be paid (BG-16): the seller's bank account, or a direct debit",
        source=Source.SELLER,
        holds=lambda invoice: invoice.payment is not None,
    ),
    Rule(
        id="BR-DE-15",
        text="the buyer reference (BT-10), in the public sector the Leitweg-ID, is told",
        source=Source.ACCOUNT,
        holds=lambda invoice: bool(invoice.buyer_reference),
    ),
    Rule(
        id="BR-DE-16",
        text="the seller's VAT id (BT-31) or tax number (BT-32) is told",
        source=Source.SELLER,
        holds=_taxed_seller,
    ),
    Rule(
        id="BR-DE-17",
        text="the type (BT-3) should be one that XRechnung knows; a self-billed credit note (261) has none",
        source=Source.DOCUMENT,
        holds=lambda invoice: invoice.type_code.value in _KNOWN_TYPES,
        severity=Severity.WARNING,
    ),
    Rule(
        id="BR-DE-18",
        text="a line of the payment terms (BT-20) that begins with # is a discount for early payment, such as "
        "#SKONTO#TAGE=7#PROZENT=2.00#, and the last one ends with a line break",
        source=Source.ACCOUNT,
        holds=_skonto_lines,
    ),
)
_OF_PARTIES: Final = (
    Rule(
        id="BR-DE-2",
        text="the seller names a contact (BG-6)",
        source=Source.SELLER,
        holds=lambda invoice: invoice.seller.contact is not None,
    ),
    Rule(
        id="BR-DE-3",
        text="the seller's address has a city (BT-37)",
        source=Source.SELLER,
        holds=_address(_of_seller, _city),
    ),
    Rule(
        id="BR-DE-4",
        text="the seller's address has a postal code (BT-38)",
        source=Source.SELLER,
        holds=_address(_of_seller, _postal_code),
    ),
    Rule(
        id="BR-DE-5",
        text="the seller's contact has a name (BT-41)",
        source=Source.SELLER,
        holds=_contact(lambda contact: bool(contact.name)),
    ),
    Rule(
        id="BR-DE-6",
        text="the seller's contact has a telephone number (BT-42)",
        source=Source.SELLER,
        holds=_contact(lambda contact: bool(contact.phone)),
    ),
    Rule(
        id="BR-DE-7",
        text="the seller's contact has an e-mail address (BT-43)",
        source=Source.SELLER,
        holds=_contact(lambda contact: bool(contact.email)),
    ),
    Rule(
        id="BR-DE-27",
        text="a telephone number (BT-42) should have at least three digits",
        source=Source.SELLER,
        holds=_contact(lambda contact: sum(character.isdigit() for character in contact.phone or "") >= _DIGITS_MIN),
        severity=Severity.WARNING,
    ),
    Rule(
        id="BR-DE-28",
        text="an e-mail address (BT-43) should have one @ and a domain with a dot",
        source=Source.SELLER,
        holds=_contact(lambda contact: _EMAIL.fullmatch(contact.email or "") is not None),
        severity=Severity.WARNING,
    ),
    Rule(
        id="BR-DE-8",
        text="the buyer's address has a city (BT-52)",
        source=Source.ACCOUNT,
        holds=_address(_of_buyer, _city),
    ),
    Rule(
        id="BR-DE-9",
        text="the buyer's address has a postal code (BT-53)",
        source=Source.ACCOUNT,
        holds=_address(_of_buyer, _postal_code),
    ),
    Rule(
        id="BR-DE-10",
        text="the address of delivery (BG-15), which is the buyer's, has a city (BT-77)",
        source=Source.ACCOUNT,
        holds=_address(_of_delivery, _city),
    ),
    Rule(
        id="BR-DE-11",
        text="the address of delivery (BG-15), which is the buyer's, has a postal code (BT-78)",
        source=Source.ACCOUNT,
        holds=_address(_of_delivery, _postal_code),
    ),
)
_OF_PAYMENTS: Final = (
    Rule(
        id="BR-DE-19",
        text="the account of a SEPA transfer (BT-84) should be a right IBAN",
        source=Source.SELLER,
        holds=_right_account,
        severity=Severity.WARNING,
    ),
    Rule(
        id="BR-DE-20",
        text="the account that a SEPA direct debit debits (BT-91) should be a right IBAN",
        source=Source.ACCOUNT,
        holds=_debit(lambda debit: is_iban(debit.account or "")),
        severity=Severity.WARNING,
    ),
    Rule(
        id="BR-DE-23-a",
        text="a credit transfer (BT-81: 30, 58) names its account (BG-17)",
        source=Source.SELLER,
        holds=_has_transfer,
    ),
    Rule(
        id="BR-DE-25-a",
        text="a direct debit (BT-81: 59) names its mandate (BG-19)",
        source=Source.ACCOUNT,
        holds=_has_debit,
    ),
    Rule(
        id="BR-DE-30",
        text="a direct debit (BG-19) names the creditor id (BT-90)",
        source=Source.SELLER,
        holds=_debit(lambda debit: bool(debit.creditor)),
    ),
    Rule(
        id="BR-DE-31",
        text="a direct debit (BG-19) names the account that is debited (BT-91)",
        source=Source.ACCOUNT,
        holds=_debit(lambda debit: bool(debit.account)),
    ),
)
XRECHNUNG_RULES: Final = (*_OF_THE_DOCUMENT, *_OF_PARTIES, *_OF_PAYMENTS)


def between_germans(invoice: Invoice) -> bool:
    """Whether both have a German address: then Peppol has rules of its own."""
    return all(
        party.address is not None and party.address.country == GERMANY for party in (invoice.seller, invoice.buyer)
    )


def as_peppol(rule: Rule) -> Rule:
    """The same rule of Peppol, which asks only where both parties are German: DE-R-015 is BR-DE-15, DE-R-023-1 is BR-DE-23-a."""
    number, _, part = rule.id.removeprefix("BR-DE-").partition("-")
    suffix = {"": "", "a": "-1", "b": "-2"}[part]
    return replace(
        rule,
        id=f"DE-R-{int(number):03d}{suffix}",
        text=f"between German parties {rule.text}",
        holds=lambda invoice: not between_germans(invoice) or rule.holds(invoice),
    )
