"""A session as billing sees it, and where it comes from. Knows neither OCPP nor csms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from billing.bills.measuring import Measured
from billing.rating.usage import Usage
from billing.tariffs.assignment import NOBODY, Customer, Place
from billing.tariffs.idle import IdleAfterStop


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """What is proven of a vehicle's stay after the transaction's end; `since` None: nothing, `until` None: it goes on."""

    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillableSession:
    """What is known of a session at `as_of`.

    `priced_from` is the instant at which token and EVSE were first both known (RULES.md 15), None while they are not:
    then there is nothing to rate yet. `complete_at` is when the facts count as complete (RULES.md 14), None while
    nobody can say. `holds` are the plausibility rules that fire and were not released; `released` those that were.
    `closed`: the transaction's end is known. The times of `usage`, `stay` and `as_of` are corrected; the charge point's clock
    may be `clock_uncertainty_s` off from that. `usage` reaches to `as_of`; `energy_wh` is the energy in it. `idle` is what
    its charge point says of the `stay` after the end. `customer`, `location_groups` and `product` are what the choice of
    a tariff looks at, as they stood at `priced_from`. `measured` is what a session proves that ended under measuring law,
    None where no such law holds.
    """

    id: int
    charge_point: str
    site: str
    country: str
    currency: str
    time_zone: str
    token: str | None
    priced_from: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    complete_at: datetime | None
    closed: bool
    dropped: bool
    holds: frozenset[str]
    released: frozenset[str]
    energy_wh: Decimal
    as_of: datetime
    usage: Usage
    inputs_hash: bytes
    clock_uncertainty_s: Decimal = Decimal(0)
    stay: Stay | None = None
    idle: IdleAfterStop | None = None
    customer: Customer = NOBODY
    location_groups: frozenset[str] = frozenset()
    product: str | None = None
    measured: Measured | None = None

    @property
    def place(self) -> Place | None:
        """Where, when and for whom it is priced; None while that is not known, and where nothing is to be priced."""
        if self.priced_from is None or self.dropped:
            return None
        return Place(
            charge_point=self.charge_point,
            site=self.site,
            currency=self.currency,
            at=self.priced_from,
            location_groups=self.location_groups,
            customer=self.customer,
            product=self.product,
        )


class SessionSource(Protocol):
    """Gives sessions as they stand now, read through the caller's own connection and transaction."""

    async def load(self, connection: Any, sessions: Sequence[int], *, now: datetime) -> Mapping[int, BillableSession]:
        """The sessions that exist, by id, folded from the facts that the connection sees."""
        ...
