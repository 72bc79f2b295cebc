"""The terms of bills, filled up with what a draft asks and the tariff that they were made by did not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from billing.bills.bill import BillInputs
from billing.bills.store import SQL
from billing.bills.terms import other_currency, parts_of, series_names, span_of, values_met
from billing.bills.volumes import month_start
from billing.price_series import store as price_series
from billing.rating.rating import AppliedTax, ComponentName
from billing.rating.terms import Terms, Undecided
from billing.sql import Connection
from billing.tariffs.tariff import Tariff
from billing.taxes.service import Taxable, taxes_of
from billing.taxes.store import Bearer
from billing.taxes.tax_decision import TAX_UNDECIDED, priced_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """A session with the inputs of its bill. `tax_applied` false: its tariff was of a kind to which no tax applies."""

    session: int
    inputs: BillInputs
    country: str
    bearer: Bearer
    started_at: datetime
    as_of: datetime
    tax_applied: bool


async def terms_for(connection: Connection, draft: Tariff, billed: Collection[Billed]) -> dict[int, Terms | Undecided]:
    """What each bill keeps, and beside it what only the draft asks, as the tables stand, by session. Nobody waits for it."""
    terms = {each.session: each.inputs.terms for each in billed}
    await _add_volumes(connection, draft, billed, terms)
    wrong = await _add_series(connection, draft, billed, terms)
    if wrong is not None:
        return dict.fromkeys(terms, wrong)
    return await _with_taxes(connection, draft, billed, terms)


async def _add_volumes(
    connection: Connection, draft: Tariff, billed: Collection[Billed], terms: dict[int, Terms]
) -> None:
    if not any(part.extensions.tiers for part in parts_of(draft)):
        return
    asked = [each for each in billed if terms[each.session].volume_wh is None]
    known = [each for each in asked if each.bearer.token is not None]
    rows = await SQL.volumes_before.fetch(
        connection,
        sessions=[each.session for each in known],
        tokens=[each.bearer.token for each in known],
        groups=[each.bearer.token_group for each in known],
        sinces=[month_start(each.started_at, each.inputs.usage.time_zone) for each in known],
        untils=[each.started_at for each in known],
    )
    for row in rows:
        terms[row["session"]] = replace(terms[row["session"]], volume_wh=row["wh"])


async def _add_series(
    connection: Connection, draft: Tariff, billed: Collection[Billed], terms: dict[int, Terms]
) -> Undecided | None:
    """What is wrong with a series of the draft; None: nothing, and the values are there."""
    names = series_names(draft)
    spans = {each.session: span_of(each.inputs.usage.periods) for each in billed if each.inputs.usage.periods}
    if not names or not spans:
        return None
    wrong = other_currency(draft, await price_series.currencies(connection, names))
    if wrong is not None:
        return wrong
    known = await price_series.between(
        connection, names, min(since for since, _ in spans.values()), max(until for _, until in spans.values())
    )
    for session, span in spans.items():
        kept = terms[session].series
        own = {each.name for each in kept}
        met = (values_met(each, *span) for each in known if each.name not in own)
        terms[session] = replace(terms[session], series=(*kept, *(each for each in met if each.values)))
    return None


async def _with_taxes(
    connection: Connection, draft: Tariff, billed: Collection[Billed], terms: dict[int, Terms]
) -> dict[int, Terms | Undecided]:
    asked = {each.session: _taxable(each, _unanswered(draft, each, terms[each.session])) for each in billed}
    asked = {session: each for session, each in asked.items() if each.parts}
    answers = await taxes_of(connection, asked, to_bill=False)
    return {
        session: found if (answer := answers.get(session)) is None else _added(found, answer)
        for session, found in terms.items()
    }


def _unanswered(draft: Tariff, billed: Billed, terms: Terms) -> tuple[ComponentName, ...]:
    """The parts of which the bill's rules say nothing; none where it was made by a tariff's own rates."""
    if not terms.taxes and billed.tax_applied:
        return ()
    return tuple(part for part in priced_parts(draft, terms.concessions) if terms.tax_of(part) is None)


def _taxable(billed: Billed, parts: tuple[ComponentName, ...]) -> Taxable:
    return Taxable(
        country=billed.country,
        time_zone=billed.inputs.usage.time_zone,
        bearer=billed.bearer,
        starts_at=billed.started_at,
        ends_at=billed.as_of,
        parts=parts,
    )


def _added(terms: Terms, answer: tuple[AppliedTax, ...] | Undecided) -> Terms | Undecided:
    if isinstance(answer, Undecided):
        return answer
    if terms.taxes and not answer:
        return Undecided(hold=TAX_UNDECIDED, why="no tax rule is left for what the draft prices and the bill did not")
    return replace(terms, taxes=(*terms.taxes, *answer))
