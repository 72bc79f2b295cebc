"""What accounts come to on a day: projections, worked out from postings and from what was kept of months that are locked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from billing.ledger.entry import AccountKind, LedgerAccount
from billing.ledger.store import SQL
from billing.money import Money
from billing.sql import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What was debited and credited to an account since its begin, in the minor unit of its currency."""

    account: LedgerAccount
    currency: str
    debit_minor: int
    credit_minor: int

    @property
    def minor(self) -> int:
        """Above zero: more was debited."""
        return self.debit_minor - self.credit_minor

    def to_dict(self) -> dict[str, object]:
        return {
            "account": self.account.kind,
            "owner": self.account.owner,
            "debit": Money(self.debit_minor, self.currency).text,
            "credit": Money(self.credit_minor, self.currency).text,
            "balance": Money(self.minor, self.currency).text,
            "currency": self.currency,
        }


async def balances(
    connection: Connection, seller: str, *, as_of: date, kind: AccountKind | None = None, owner: str | None = None
) -> list[Balance]:
    """The accounts of a seller with all that is booked up to a day: all of them, or those of a kind or an owner.

    Those of one owner are worked out from their postings alone, which are few.
    """
    wanted = None if kind is None else kind.value
    if owner:
        rows = await SQL.balance_of_owner.fetch(connection, seller=seller, as_of=as_of, kind=wanted, owner=owner)
    else:
        rows = await SQL.balances.fetch(connection, seller=seller, as_of=as_of, kind=wanted, owner=owner)
    return [
        Balance(
            account=LedgerAccount(AccountKind(row["kind"]), row["owner"]),
            currency=row["currency"],
            debit_minor=row["debit_minor"],
            credit_minor=row["credit_minor"],
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """All accounts of a currency together."""

    currency: str
    accounts: int
    debit_minor: int
    credit_minor: int

    @property
    def difference_minor(self) -> int:
        """Zero, always."""
        return self.debit_minor - self.credit_minor


def sums_of(accounts: Iterable[Balance]) -> list[Sums]:
    """By currency: the trial balance's last line of each."""
    by_currency: dict[str, list[Balance]] = {}
    for each in accounts:
        by_currency.setdefault(each.currency, []).append(each)
    return [
        Sums(
            currency=currency,
            accounts=len(found),
            debit_minor=sum(each.debit_minor for each in found),
            credit_minor=sum(each.credit_minor for each in found),
        )
        for currency, found in sorted(by_currency.items())
    ]
