"""A published rule that an invoice can break, as data: its id, what it asks for, who can mend it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billing.e_invoices.model import Invoice

Predicate = Callable[[Invoice], bool]


class Severity(StrEnum):
    """What the publisher says of an invoice that breaks the rule."""

    FATAL = "fatal"
    """Its receiver turns it down."""
    WARNING = "warning"


class Source(StrEnum):
    """Where what the rule asks for is entered, on a document that we write as its seller."""

    SELLER = "enter it with the seller"
    ACCOUNT = "enter it with the account"
    PARTIES = "enter it with the seller or the account"
    TAX_RULE = "enter it with the tax rule"
    CHARGE = "enter it with the item, contract or tariff that the line is from"
    DOCUMENT = "it is decided when the document is made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`text` says what it asks for, in our words; `holds` whether an invoice keeps it."""

    id: str
    text: str
    source: Source
    holds: Predicate
    severity: Severity = Severity.FATAL

    def told(self, invoice: Invoice) -> str:
        """The rule with who can mend it: where the buyer writes the document, the seller is the account."""
        source = _SWAPPED.get(self.source, self.source) if invoice.type_code.is_self_billed else self.source
        return f"[{self.id}] {self.text} ({source.value})"


_SWAPPED: Final = {Source.SELLER: Source.ACCOUNT, Source.ACCOUNT: Source.SELLER}


def broken(rules: tuple[Rule, ...], invoice: Invoice) -> tuple[Rule, ...]:
    """All rules that an invoice breaks, in their order; never only the first."""
    return tuple(rule for rule in rules if not rule.holds(invoice))
