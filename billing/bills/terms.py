"""The terms of sessions that are about to be rated: what the tables say of them beside their tariffs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from billing.bills.billable import BillableSession
from billing.rating.terms import NO_TERMS, Terms, Undecided
from billing.sql import Connection
from billing.tariffs.tariff import Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A session with the tariff that it is priced by."""

    session: BillableSession
    tariff: Tariff


async def terms_of(connection: Connection, priced: Mapping[int, Priced]) -> dict[int, Terms | Undecided]:
    """The terms of each session as the tables stand, by session."""
    del connection
    return dict.fromkeys(priced, NO_TERMS)
