"""An entry of double-entry bookkeeping before it is in the books: accounts, postings and what must hold of them. Pure.

Amounts are minor units: a debit is above zero, a credit below.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from billing.money import minor_digits

REVERSAL: Final = "reversal"
"""The fact of an entry that takes another one back."""


class Side(StrEnum):
    """On which side of its account a posting stands."""

    DEBIT = "debit"
    CREDIT = "credit"

    @property
    def sign(self) -> int:
        return 1 if self is Side.DEBIT else -1

    @property
    def other(self) -> Side:
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


class Nature(StrEnum):
    """What a balance of an account is, by the words of plain-text accounting."""

    ASSETS = "Assets"
    LIABILITIES = "Liabilities"
    INCOME = "Income"
    EXPENSES = "Expenses"


class AccountKind(StrEnum):
    """What accounts are for. Of most there is one for each owner: a customer, a partner, a tax, a bank account."""

    RECEIVABLE = "receivable"
    """What a customer owes, by its account; '' for those without one."""
    INCENTIVE_RECEIVABLE = "incentive_receivable"
    """What a third party pays in customers' place, by its name."""
    BANK = "bank"
    PSP_CLEARING = "psp_clearing"
    """What a payment service provider has taken for us and not yet paid out, by its name."""
    INPUT_TAX = "input_tax"
    """Tax that the tax office owes us back, as DE:S:19: country, category, rate."""
    PAYABLE = "payable"
    """What we owe a partner, by its account."""
    TAX_PAYABLE = "tax_payable"
    """Tax that we owe, as DE:S:19: country, category, rate."""
    WALLET = "wallet"
    """What a customer has paid ahead, by its account."""
    REVENUE = "revenue"
    """By what is sold and its tax: session:DE:S:19."""
    PLATFORM_FEE = "platform_fee"
    """What a partner pays for our services, by its account."""
    ROUNDING = "rounding"
    """Cents between what was displayed and what documents add up to (RULES.md 21)."""
    REVENUE_SHARE = "revenue_share"
    """What partners get of what we sell, by what it is for and its tax."""
    BAD_DEBT = "bad_debt"
    PAYMENT_FEE = "payment_fee"
    """What payments cost us, by the provider's name."""

    @property
    def nature(self) -> Nature:
        return NATURES[self]


NATURES: Final = {
    AccountKind.RECEIVABLE: Nature.ASSETS,
    AccountKind.INCENTIVE_RECEIVABLE: Nature.ASSETS,
    AccountKind.BANK: Nature.ASSETS,
    AccountKind.PSP_CLEARING: Nature.ASSETS,
    AccountKind.INPUT_TAX: Nature.ASSETS,
    AccountKind.PAYABLE: Nature.LIABILITIES,
    AccountKind.TAX_PAYABLE: Nature.LIABILITIES,
    AccountKind.WALLET: Nature.LIABILITIES,
    AccountKind.REVENUE: Nature.INCOME,
    AccountKind.PLATFORM_FEE: Nature.INCOME,
    AccountKind.ROUNDING: Nature.INCOME,
    AccountKind.REVENUE_SHARE: Nature.EXPENSES,
    AccountKind.BAD_DEBT: Nature.EXPENSES,
    AccountKind.PAYMENT_FEE: Nature.EXPENSES,
}
OPEN_ITEM_KINDS: Final = (AccountKind.RECEIVABLE, AccountKind.INCENTIVE_RECEIVABLE)
"""What others owe us: reported by document with its age."""


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """An account of a seller. In the books there is one for each currency."""

    kind: AccountKind
    owner: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.owner}" if self.owner else self.kind.value


@dataclass(frozen=True, slots=True)
class Posting:
    """So much on an account. `document`: the open item that it makes larger or smaller, which is to be paid on `due_on`."""

    account: LedgerAccount
    amount_minor: int
    currency: str
    document: str | None = None
    due_on: date | None = None

    def __neg__(self) -> Posting:
        return replace(self, amount_minor=-self.amount_minor)

    @property
    def side(self) -> Side:
        return Side.DEBIT if self.amount_minor > 0 else Side.CREDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftEntry:
    """What is to be entered of a fact. Without postings where the fact moves no money, such as an invoice of 0.00.

    `key` names the fact for ever: it is entered once. `document` is the number of the document that the fact is. Two
    drafts with the same postings in another order are the same. `reverses` is the entry that it takes back.
    """

    seller: str
    fact: str
    key: str
    fact_on: date
    postings: tuple[Posting, ...]
    text: str = ""
    document: str | None = None
    reverses: int | None = None

    def __post_init__(self) -> None:
        """A draft that does not add up is a bug of whoever made it."""
        sums = sums_by_currency(self.postings)
        assert not any(sums.values()), f"entry {self.key} does not sum to zero: {sums}"
        assert all(each.amount_minor for each in self.postings), f"entry {self.key} has a posting of nothing"
        for currency in sums:
            minor_digits(currency)

    @property
    def body(self) -> list[object]:
        """All that makes it this fact and no other, in one order."""
        postings = sorted(
            (
                each.account.kind.value,
                each.account.owner,
                each.currency,
                each.amount_minor,
                each.document or "",
                each.due_on.isoformat() if each.due_on else "",
            )
            for each in self.postings
        )
        return [self.fact, self.fact_on.isoformat(), self.document, self.text, self.reverses, postings]

    @property
    def body_hash(self) -> bytes:
        """SHA-256 of its body as JSON."""
        return sha256(json.dumps(self.body, separators=(",", ":")).encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedEntry:
    """An entry as it stands in the books. `number` is its place in them."""

    number: int
    booked_on: date
    entry: DraftEntry
    actor: str
    at: datetime

    @property
    def is_late(self) -> bool:
        """The month of its fact was locked when it came to be known."""
        return self.booked_on != self.entry.fact_on


BODY_NAMES: Final = ("fact", "fact_on", "document", "text", "reverses", "postings")
"""What stands where in a body."""


def sums_by_currency(postings: Iterable[Posting]) -> dict[str, int]:
    """What postings come to; of an entry zero in every currency."""
    sums: dict[str, int] = {}
    for each in postings:
        sums[each.currency] = sums.get(each.currency, 0) + each.amount_minor
    return sums


def reversal_of(entry: DraftEntry, id_: int, *, on: date, reason: str) -> DraftEntry:
    """The exact negative of the entry with this id, which happens on a day of its own."""
    return DraftEntry(
        seller=entry.seller,
        fact=REVERSAL,
        key=f"{REVERSAL}:{id_}",
        fact_on=on,
        postings=tuple(-each for each in entry.postings),
        text=reason,
        document=entry.document,
        reverses=id_,
    )


def differences(first: DraftEntry, other: DraftEntry) -> dict[str, tuple[object, object]]:
    """What two drafts of one key say differently, by name: what the first has and the other."""
    pairs = zip(BODY_NAMES, first.body, other.body, strict=True)
    return {name: (was, becomes) for name, was, becomes in pairs if was != becomes}
