"""A promise to the driver: where an operator gave a session another tariff, it never costs more than it would have by the
ones before (RULES.md 15), unless a legal basis was stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from billing.bills import store
from billing.bills.billable import BillableSession
from billing.bills.stay import with_stay
from billing.bills.terms import Priced, terms_of
from billing.money import Money
from billing.policies.policies import Policies
from billing.rating.engine import rate
from billing.rating.terms import Terms, Undecided
from billing.rating.usage_check import UsageInvalid
from billing.sql import Connection
from billing.tariffs.assignment import TariffVersion
from billing.tariffs.store import Key, TariffCache

log = structlog.get_logger(__name__)


class NoAmount(Exception):
    """It cannot be said what the session costs by this tariff; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A tariff version that may price a session, with the session and the terms as they are by it."""

    version: TariffVersion
    session: BillableSession
    terms: Terms | Undecided

    def amount(self, policies: Policies) -> Money:
        """What the customer pays, by now; of one that has ended as in its final bill.

        Raises:
            NoAmount: it cannot be rated.
        """
        if isinstance(self.terms, Undecided):
            raise NoAmount(self.terms.why)
        final, used = self.session.closed, self.session.usage
        try:
            return rate(used, self.version.tariff, policies.rating, final=final, terms=self.terms).payable
        except UsageInvalid as wrong:
            raise NoAmount(str(wrong.problems[0])) from wrong


def cheapest(candidates: Sequence[Candidate], policies: Policies) -> Candidate:
    """By which of these the customer pays least; of equals the first.

    Where one says no amount, that one: the session is held for what it lacks, as another might cost more.
    """
    assert candidates, "a session that was given another tariff has one"
    if len(candidates) == 1:
        return candidates[0]
    amounts: list[int] = []
    for each in candidates:
        try:
            amounts.append(each.amount(policies).minor)
        except NoAmount:
            return each
        except Exception:  # the decision on this session meets it again and holds it, and no other
            log.exception("session_not_compared", session=each.session.id)
            return each
    return candidates[amounts.index(min(amounts))]


async def candidates_of(
    connection: Connection,
    versions: Mapping[int, Sequence[TariffVersion]],
    sessions: Mapping[int, BillableSession],
    now: datetime,
) -> dict[int, list[Candidate]]:
    """Each session by each of its versions, in their order."""
    found: dict[int, list[Candidate]] = {session: [] for session in versions if session in sessions}
    for place in range(max((len(each) for each in versions.values()), default=0)):
        priced = {
            session: Priced(
                session=with_stay(sessions[session], versions[session][place].idle, now),
                tariff=versions[session][place].tariff,
            )
            for session in found
            if place < len(versions[session])
        }
        terms = await terms_of(connection, priced, to_bill=False)
        for session, each in priced.items():
            candidate = Candidate(version=versions[session][place], session=each.session, terms=terms[session])
            found[session].append(candidate)
    return found


async def versions_of(
    connection: Connection, states: Iterable[store.RatingState], cache: TariffCache
) -> dict[int, list[TariffVersion]]:
    """The tariffs by which sessions may be billed: theirs first, then what they had before an operator's act."""
    known = [each for each in states if each.tariff is not None]
    keys: dict[int, list[Key]] = {each.session: [each.tariff] for each in known if each.tariff is not None}
    changed = sorted(each.session for each in known if each.recalculated)
    for row in await store.SQL.ceilings_of.fetch(connection, sessions=changed) if changed else ():
        keys[row["session"]].append((row["tariff_before"], row["version_before"]))
    versions = await cache.get(connection, {key for of_session in keys.values() for key in of_session})
    return {session: [versions[key] for key in dict.fromkeys(found)] for session, found in keys.items()}


async def billed_by(
    connection: Connection,
    states: Sequence[store.RatingState],
    sessions: Mapping[int, BillableSession],
    cache: TariffCache,
    policies: Policies,
    now: datetime,
) -> dict[int, TariffVersion]:
    """The tariff that prices each session now. `states` without a tariff are in no result."""
    versions = await versions_of(connection, states, cache)
    several = {session: each for session, each in versions.items() if len(each) > 1}
    candidates = await candidates_of(connection, several, sessions, now) if several else {}
    chosen = {session: cheapest(each, policies).version for session, each in candidates.items()}
    return {session: each[0] for session, each in versions.items()} | chosen
