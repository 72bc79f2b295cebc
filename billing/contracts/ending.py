"""How contracts end: notice, for cause, and notice that is taken back."""

from __future__ import annotations

from datetime import date
from itertools import takewhile

from billing.contracts.changes import Act
from billing.contracts.contract import Renewal, Terms
from billing.contracts.days import DAY, LAST_DAY
from billing.contracts.keeping import locked, plain, today_of
from billing.contracts.store import SQL, Loaded
from billing.errors import AlreadyDone, Refused
from billing.sql import Connection


async def terminate(
    connection: Connection,
    contract: str,
    act: Act,
    *,
    noticed_on: date | None = None,
    until: date | None = None,
    for_cause: bool = False,
) -> Loaded:
    """Let a contract end. `until`: the first day on which it is to be no more, the earliest by its terms unless said.

    `noticed_on`: when notice was received, today in the customer's calendar unless said. `for_cause`: its terms do not
    bind, any day will do. What was billed beyond the end is taken back when the end has come.

    Raises:
        NotFound: no such contract.
        Refused: its terms do not let it end so.
        AlreadyDone: it ends by then.
    """
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        today = today_of(loaded, act)
        noticed = noticed_on or today
        if noticed > today:
            raise Refused(
                f"{noticed} has not come where the customer is", "say when notice was received: --noticed DAY"
            )
        end = _end(loaded, noticed, until, for_cause=for_cause)
        known = loaded.standing.until
        if known is not None and known <= end and not (for_cause and known != end):
            raise AlreadyDone(f"contract {contract} ends on {known - DAY}", f"see csms contract show {contract}")
        await SQL.set_end.execute(connection, id=contract, until_day=end, noticed_on=noticed)
        await act.tell(
            connection, "terminate", contract, before={"until_day": plain(known)},
            after={"until_day": end.isoformat(), "noticed_on": noticed.isoformat(), "for_cause": for_cause},
        )  # fmt: skip
        return await locked(connection, contract, act)


def _end(loaded: Loaded, noticed: date, until: date | None, *, for_cause: bool) -> date:
    contract, terms = loaded.standing.id, loaded.standing.terms
    if until is not None and not terms.starts_on <= until <= LAST_DAY:
        raise Refused(f"contract {contract} begins on {terms.starts_on}", "let it end on that day or later")
    if for_cause:
        return noticed + DAY if until is None else until
    known = loaded.standing.until
    if terms.renewal is Renewal.ENDS and known is not None:
        if until not in (None, known):
            raise Refused(
                f"contract {contract} ends by itself on {known - DAY}, and not before",
                "where there is cause: --for-cause",
            )
        return known
    earliest = terms.earliest_end(noticed)
    if until is None:
        return earliest
    if until < earliest:
        raise Refused(
            f"by notice of {noticed} contract {contract} ends on {earliest - DAY} at the earliest",
            "choose that day or a later one, or where there is cause: --for-cause",
        )
    _require_possible(contract, terms, until)
    return until


def _require_possible(contract: str, terms: Terms, until: date) -> None:
    ends = list(takewhile(lambda end: end <= until, terms.ends()))
    if terms.renewal is Renewal.RENEWS and until not in ends:
        last = ends[-1] - DAY if ends else None
        raise Refused(f"contract {contract} ends with a term, such as on {last}", "choose the last day of a term")
    if terms.to_month_end and until.day != 1:
        raise Refused(f"contract {contract} ends with a calendar month", "choose the last day of one")


async def prolong(connection: Connection, contract: str, act: Act, *, until: date | None = None) -> Loaded:
    """A contract that would end goes on: to before `until`, or as if nobody had given notice, or for good where its term
    would have ended by itself.

    Raises:
        NotFound: no such contract.
        Refused: it has ended, or would end sooner.
        AlreadyDone: it has no end.
    """
    async with connection.transaction():
        loaded = await locked(connection, contract, act)
        known = loaded.standing.until
        if known is None:
            raise AlreadyDone(f"contract {contract} has no end", f"see csms contract show {contract}")
        if known <= today_of(loaded, act):
            raise Refused(f"contract {contract} ended on {known - DAY}", "make another one: csms contract create")
        if until is not None and not known < until <= LAST_DAY:
            raise Refused(f"contract {contract} ends on {known - DAY}", "choose a later last day")
        if until is None and loaded.standing.terms.renewal is Renewal.ENDS:
            await SQL.set_open_terms.execute(connection, id=contract)
        else:
            await SQL.set_end.execute(connection, id=contract, until_day=until, noticed_on=None)
        await act.tell(
            connection, "prolong", contract, before={"until_day": plain(known)}, after={"until_day": plain(until)}
        )
        return await locked(connection, contract, act)
