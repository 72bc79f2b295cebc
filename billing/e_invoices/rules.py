"""Which rules hold for which form of e-invoice, and what an invoice breaks of them. Our own checks, no official validator. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from billing.e_invoices.core_rules import CORE_RULES
from billing.e_invoices.model import Invoice, MeansCode
from billing.e_invoices.peppol_rules import PEPPOL_RULES, SHARED
from billing.e_invoices.profiles import Profile
from billing.e_invoices.rule import Rule, Severity, broken
from billing.e_invoices.xrechnung_rules import XRECHNUNG_RULES, between_germans
from billing.errors import Refused

_OF_XRECHNUNG: Final = (*CORE_RULES, *XRECHNUNG_RULES, *SHARED)
_OF_PEPPOL: Final = (*CORE_RULES, *PEPPOL_RULES)


def rules_of(profile: Profile) -> tuple[Rule, ...]:
    """All rules that we check of this form."""
    if profile.is_xrechnung:
        return _OF_XRECHNUNG
    return _OF_PEPPOL if profile is Profile.PEPPOL else CORE_RULES


def fitted(invoice: Invoice, profile: Profile) -> Invoice:
    """The same invoice in the room that a form has for it.

    Peppol has one note, so several become paragraphs of one; and an instruction to pay that instructs nobody is left out,
    since some of its countries list the codes that they take. Between German parties it is as XRechnung.
    """
    if profile is not Profile.PEPPOL or between_germans(invoice):
        return invoice
    notes = ("\n".join(invoice.notes),) if invoice.notes else ()
    empty = invoice.payment is not None and invoice.payment.means in (MeansCode.NOT_DEFINED, MeansCode.CLEARING)
    return replace(invoice, notes=notes, payment=None if empty else invoice.payment)


def findings(invoice: Invoice, profile: Profile) -> tuple[Rule, ...]:
    """Every rule that it breaks, warnings too."""
    return broken(rules_of(profile), invoice)


def refuse_broken(invoice: Invoice, profile: Profile) -> tuple[Rule, ...]:
    """Refuse an invoice that its receiver would turn down, with all rules that it breaks. Answers the warnings."""
    found = findings(invoice, profile)
    fatal = [rule for rule in found if rule.severity is Severity.FATAL]
    if fatal:
        told = "; ".join(rule.told(invoice) for rule in fatal)
        raise Refused(
            f"document {invoice.number} cannot leave as {profile.value}: {told}",
            next_step="a document that is issued stays as it is: enter what is missing, then"
            f" csms credit reissue {invoice.number}",
            details={"document": invoice.number, "profile": profile.value, "rules": [rule.id for rule in fatal]},
        )
    return found
