"""What has been billed: for lists, for explanations, and to recompute a bill from what it stored. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from billing.bills import store
from billing.bills.bill import BillSummary, canonical_json
from billing.bills.cdr import cdr_of, credit_cdr_of, is_cdr
from billing.bills.recomputation import Named
from billing.bills.store import SQL
from billing.errors import NotFound, Refused
from billing.money import Money
from billing.rating.explanation import ExplainedLine, explain, recompute
from billing.rating.outlook import Outlook, outlook
from billing.rating.rating import Rating
from billing.rating.rating_json import rating_from_json, rating_to_json
from billing.rating.receipt import Receipt, receipt
from billing.sql import Connection
from billing.tariffs.store import TariffCache


class BillContradicted(Exception):
    """A stored bill does not follow from its stored inputs: somebody changed one of them, or the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRating:
    """Where billing stands with a session: what it waits for, what is remarkable, and the bill that counts."""

    session: int
    bill: BillSummary | None
    tariff: str | None
    tariff_version: int | None
    holds: tuple[str, ...]
    flags: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How the bill that counts came about, and that its lines alone give its totals."""

    bill: BillSummary
    rating: Rating
    lines: tuple[ExplainedLine, ...]


async def bills_of(connection: Connection, session: int) -> list[BillSummary]:
    """All bills of a session, in order.

    Raises:
        NotFound: there is no such session.
    """
    rows = await SQL.bills_of.fetch(connection, session=session)
    if not rows and not await SQL.session_exists.fetchval(connection, session=session):
        raise NotFound(f"no session {session}", "list them with csms session list")
    return [store.summary_of(row) for row in rows]


async def newest_of_all(connection: Connection, *, limit: int) -> list[BillSummary]:
    """The bill that counts of each of the newest `limit` sessions that have one."""
    return [store.summary_of(row) for row in await SQL.newest_bills_of_all.fetch(connection, limit=limit)]


async def newest_bills(connection: Connection, sessions: Collection[int]) -> dict[int, BillSummary]:
    """The bill that counts of each session that has one: correction or final, else the newest interim."""
    found = await store.newest_bills(connection, sessions)
    return {session: each.counting for session, each in found.items() if each.counting is not None}


async def session_ratings(connection: Connection, sessions: Collection[int]) -> dict[int, SessionRating]:
    """Where billing stands with those sessions that it has looked at."""
    bills = await newest_bills(connection, sessions)
    return {
        row["session"]: SessionRating(
            session=row["session"],
            bill=bills.get(row["session"]),
            tariff=row["tariff"],
            tariff_version=row["tariff_version"],
            holds=tuple(row["holds"]),
            flags=tuple(row["flags"]),
            notes=tuple(row["notes"]),
        )
        for row in await SQL.rating_states.fetch(connection, sessions=list(sessions))
    }


async def receipt_of(connection: Connection, session: int, seq: int) -> Receipt:
    """What a driver reads of a bill, from what it stored."""
    _, detail = await store.bill_body(connection, session, seq)
    return receipt(rating_from_json(detail))


async def outlook_of(connection: Connection, session: int, seq: int, tariffs: TariffCache) -> Outlook:
    """What applies to a session from its bill's end on, by the tariff version and the terms of that bill."""
    inputs, detail = await store.bill_body(connection, session, seq)
    rating = rating_from_json(detail)
    assert rating.tariff_version is not None, "a bill names a stored tariff"
    key = (rating.tariff_id, rating.tariff_version)
    tariff = (await tariffs.get(connection, [key]))[key].tariff
    return outlook(inputs.usage, tariff, terms=inputs.terms)


async def reratings_of(connection: Connection, session: int) -> list[dict[str, object]]:
    """The acts by which a session was rated anew: the bill that came of each, the one it corrects, who and why."""
    return [dict(row) for row in await SQL.reratings_of.fetch(connection, session=session)]


async def recalculations_of(connection: Connection, session: int) -> list[dict[str, object]]:
    """The acts by which a session was given another tariff while it had no final bill."""
    return [_with_amounts(dict(row)) for row in await SQL.recalculations_of.fetch(connection, session=session)]


async def trail_of_tariff(connection: Connection, tariff: str) -> list[dict[str, object]]:
    """What was published of a tariff, and which open sessions were given it or another in its place."""
    rows = [_with_amounts(dict(row)) for row in await SQL.trail_of_tariff.fetch(connection, tariff=tariff)]
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def _with_amounts(row: dict[str, Any]) -> dict[str, object]:
    """Minor units as amounts."""
    before, after = row.pop("before_minor"), row.pop("after_minor")
    for name, minor in (("before_incl_tax", before), ("after_incl_tax", after)):
        row[name] = None if minor is None else Money(minor, row["currency"]).text
    return row


async def explain_bill(connection: Connection, session: int, seq: int | None) -> Explanation:
    """How a bill came about: the one numbered `seq`, or the one that counts.

    Raises:
        NotFound: there is no such session, or it has no such bill.
        BillContradicted: the bill does not follow from what it stored.
    """
    bill = await _find(connection, session, seq)
    rating = await require_recomputable(connection, bill)
    again = recompute(rating)
    if (again.total_excl, again.total_incl, again.payable) != (bill.total_excl, bill.total_incl, bill.payable):
        raise BillContradicted(f"the lines of bill {bill.seq} of session {session} do not give its totals")
    return Explanation(bill=bill, rating=rating, lines=explain(rating))


async def _find(connection: Connection, session: int, seq: int | None) -> BillSummary:
    bills = await bills_of(connection, session)
    if not bills:
        raise NotFound(f"session {session} has no bill yet", f"see csms session show {session} for what it waits for")
    if seq is None:
        return (await newest_bills(connection, [session]))[session]
    for bill in bills:
        if bill.seq == seq:
            return bill
    raise NotFound(f"session {session} has no bill {seq}", f"list them with csms bill list --session {session}")


async def recompute_bill(connection: Connection, bill: BillSummary) -> Rating:
    """Rate again what the bill stored, by the tariff and policy versions that it names."""
    inputs, _ = await store.bill_body(connection, bill.session, bill.seq)
    return await Named().rate(connection, bill, inputs)


async def require_recomputable(connection: Connection, bill: BillSummary) -> Rating:
    """The rating again, having checked that it and the inputs' hash are what the bill stored, to the byte.

    Raises:
        BillContradicted: they are not.
    """
    inputs, detail = await store.bill_body(connection, bill.session, bill.seq)
    rating = await recompute_bill(connection, bill)
    if inputs.hash != bill.inputs_hash:
        raise BillContradicted(f"the inputs of bill {bill.seq} of session {bill.session} are not those it was made of")
    if canonical_json(rating_to_json(rating)) != canonical_json(detail):
        raise BillContradicted(f"bill {bill.seq} of session {bill.session} does not follow from its inputs")
    return rating


async def cdrs_of(connection: Connection, session: int) -> list[dict[str, Any]]:
    """What partners are told of a session, in order: its final bill, and for each correction a credit and the new CDR.

    Raises:
        NotFound: there is no such session, or it has no final bill.
        Refused: somebody else pays a part of it, for which OCPI has no words: the partner would pay that part again.
    """
    told: list[dict[str, Any]] = []
    for bill in [each for each in await bills_of(connection, session) if is_cdr(each)]:
        inputs, detail = await store.bill_body(connection, session, bill.seq)
        if bill.incentives.minor:
            raise Refused(
                f"of bill {bill.seq} of session {session} {bill.incentives} is paid by others, which no CDR can say",
                f"see csms session explain {session}",
            )
        if told:
            told.append(credit_cdr_of(told[-1], at=bill.created_at))
        told.append(cdr_of(bill, rating_from_json(detail), inputs))
    if not told:
        raise NotFound(f"session {session} has no final bill", f"see csms session show {session} for what it waits for")
    return told


def lines_to_dicts(lines: Collection[ExplainedLine]) -> list[dict[str, object]]:
    """Explained lines as rows for printing."""
    names = ("what", "since", "until", "quantity", "unit_price", "tariff", "rule", "tax", "excl_tax", "incl_tax")
    return [{name: getattr(line, name) for name in names} for line in lines]
