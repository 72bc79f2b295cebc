"""What sessions are worth that no document shows yet: billed and not invoiced, running, waiting or held. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from billing.ledger.store import SQL
from billing.money import Money
from billing.sql import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbilledValue:
    """The sessions of a site in one state.

    Of `final` ones it is their bills that count; of others their last interim, which `without_amount` of them do not have.
    """

    site: str
    state: str
    sessions: int
    without_amount: int
    kwh: Decimal
    excl: Money
    incl: Money

    def to_dict(self) -> dict[str, object]:
        return {
            "site": self.site,
            "state": self.state,
            "sessions": self.sessions,
            "without_amount": self.without_amount,
            "kwh": format(self.kwh, ".3f"),
            "excl_tax": self.excl.text,
            "incl_tax": self.incl.text,
            "currency": self.incl.currency,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FallenDue:
    """What contracts charge in a currency and no document shows yet. `amount` is as agreed, with tax or without."""

    charges: int
    amount: Money


async def charges_fallen_due(connection: Connection, seller: str) -> list[FallenDue]:
    """By currency, of a seller's customers; what is taken back of fees is below zero in it."""
    rows = await SQL.charges_fallen_due.fetch(connection, seller=seller)
    return [FallenDue(charges=row["charges"], amount=Money(row["minor"], row["currency"])) for row in rows]


async def unbilled_values(connection: Connection, seller: str) -> list[UnbilledValue]:
    """By site, currency and state, of a seller's sessions and those of nobody."""
    return [
        UnbilledValue(
            site=row["site"],
            state=row["state"],
            sessions=row["sessions"],
            without_amount=row["without_amount"],
            kwh=row["kwh"],
            excl=Money(row["excl_minor"], row["currency"]),
            incl=Money(row["incl_minor"], row["currency"]),
        )
        for row in await SQL.values_unbilled.fetch(connection, seller=seller)
    ]
