"""What third parties owe for incentives: claims that final bills and corrections made. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from billing.discounts.store import SQL
from billing.money import Money
from billing.sql import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a party owes of a bill; of a correction the difference, which may be negative."""

    party: str
    session: int
    seq: int
    kind: str
    site: str
    ended_at: datetime | None
    energy_wh: Decimal
    amount: Money
    created_at: datetime

    def to_dict(self) -> dict[str, object]:
        return {
            "party": self.party,
            "session": self.session,
            "seq": self.seq,
            "kind": self.kind,
            "site": self.site,
            "ended_at": self.ended_at,
            "kwh": self.energy_wh.scaleb(-3),
            "amount": self.amount.text,
            "currency": self.amount.currency,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSum:
    """All that a party owes in one currency. `bills`: how many claims there are."""

    party: str
    bills: int
    amount: Money

    def to_dict(self) -> dict[str, object]:
        return {"party": self.party, "bills": self.bills, "amount": self.amount.text, "currency": self.amount.currency}


async def claims_of(connection: Connection, month: date, *, party: str | None = None) -> list[Claim]:
    """The claims that bills made in the month of the first day `month`, by each site's clock; of a party or of all."""
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    rows = await SQL.claims_of.fetch(connection, party=party, first=month, next=following)
    return [
        Claim(
            party=row["party"],
            session=row["session"],
            seq=row["seq"],
            kind=row["kind"],
            site=row["site"],
            ended_at=row["ended_at"],
            energy_wh=row["energy_wh"],
            amount=Money(row["amount_minor"], row["currency"]),
            created_at=row["created_at"],
        )
        for row in rows
    ]


def sums_of(claims: Iterable[Claim]) -> list[ClaimSum]:
    """By party and currency."""
    found: dict[tuple[str, str], list[Money]] = {}
    for claim in claims:
        found.setdefault((claim.party, claim.amount.currency), []).append(claim.amount)
    return [
        ClaimSum(party=party, bills=len(amounts), amount=sum(amounts[1:], amounts[0]))
        for (party, _), amounts in sorted(found.items())
    ]
