"""The terms of sessions that are about to be rated: what the tables say of them beside their tariffs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from billing.bills.billable import BillableSession
from billing.bills.volumes import volumes_before
from billing.discounts.rule import Subject
from billing.discounts.service import concessions_of
from billing.price_series import store as price_series
from billing.rating.series import Series
from billing.rating.terms import NO_TERMS, Terms, Undecided
from billing.rating.usage import Period
from billing.sql import Connection
from billing.tariffs.assignment import CURRENCY_MISMATCH
from billing.tariffs.tariff import Component, Tariff
from billing.taxes.service import Taxable, taxes_of
from billing.taxes.store import Bearer
from billing.taxes.tax_decision import priced_parts

_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A session with the tariff that it is priced by."""

    session: BillableSession
    tariff: Tariff


async def terms_of(
    connection: Connection, priced: Mapping[int, Priced], *, to_bill: bool = True
) -> dict[int, Terms | Undecided]:
    """The terms of each session as the tables stand, by session.

    One is left out if it must wait for the bill of another that is in the result (RULES.md 32): ask for it again then.
    Not so where they are only compared (`to_bill` false): then nobody waits, and what they share may be used meanwhile.
    """
    terms = await _with_concessions(connection, priced, to_bill=to_bill)
    priced = {key: each for key, each in priced.items() if key in terms}
    terms = await _with_volumes(connection, priced, terms)
    terms, unusable = await _with_series(connection, priced, terms)
    priced = {key: each for key, each in priced.items() if key not in unusable}
    return {**unusable, **await _with_taxes(connection, priced, terms)}


async def _with_taxes(
    connection: Connection, priced: Mapping[int, Priced], terms: dict[int, Terms]
) -> dict[int, Terms | Undecided]:
    """What tax rules say of the parts that the tariff and the other terms may price; the last, as it asks these."""
    taxes = await taxes_of(connection, {key: _taxable(each, terms[key]) for key, each in priced.items()})
    return {
        key: found if isinstance(found, Undecided) else replace(terms[key], taxes=found) if found else terms[key]
        for key, found in taxes.items()
    }


def _taxable(priced: Priced, terms: Terms) -> Taxable:
    """Its end is `as_of`: of a running session so far, of one that stays after the stop the end of what is billed."""
    session = priced.session
    return Taxable(
        country=session.country,
        time_zone=session.time_zone,
        bearer=Bearer(token=session.token, token_group=session.customer.token_group),
        starts_at=session.usage.periods[0].start if session.usage.periods else session.as_of,
        ends_at=session.as_of,
        parts=priced_parts(priced.tariff, terms.concessions),
    )


async def _with_concessions(connection: Connection, priced: Mapping[int, Priced], *, to_bill: bool) -> dict[int, Terms]:
    """What rules beside the tariff add and take, of those sessions that need not wait."""
    subjects = {key: subject for key, each in priced.items() if (subject := subject_of(each.session, each.tariff.id))}
    if not to_bill:
        subjects = {key: replace(each, ended=False) for key, each in subjects.items()}
    conceded = await concessions_of(connection, subjects)
    terms = dict.fromkeys(priced.keys() - subjects.keys(), NO_TERMS)
    return terms | {key: replace(NO_TERMS, concessions=concessions) for key, concessions in conceded.items()}


async def _with_volumes(
    connection: Connection, priced: Mapping[int, Priced], terms: dict[int, Terms]
) -> dict[int, Terms]:
    """What tiers look at, where the tariff has any."""
    tiered = [each.session for each in priced.values() if any(part.extensions.tiers for part in parts_of(each.tariff))]
    if not tiered:
        return terms
    volumes = await volumes_before(connection, tiered)
    return terms | {key: replace(terms[key], volume_wh=volume) for key, volume in volumes.items()}


async def _with_series(
    connection: Connection, priced: Mapping[int, Priced], terms: dict[int, Terms]
) -> tuple[dict[int, Terms], dict[int, Undecided]]:
    """The values that each session meets of the series that its tariff follows; those of one batch are read at once."""
    following = {key: each for key, each in priced.items() if series_names(each.tariff) and each.session.usage.periods}
    if not following:
        return terms, {}
    spans = {key: span_of(each.session.usage.periods) for key, each in following.items()}
    names = {name for each in following.values() for name in series_names(each.tariff)}
    currencies = await price_series.currencies(connection, names)
    known = await price_series.between(
        connection, names, min(since for since, _ in spans.values()), max(until for _, until in spans.values())
    )
    found, unusable = dict(terms), {}
    for key, each in following.items():
        wrong = other_currency(each.tariff, currencies)
        if wrong is not None:
            unusable[key] = wrong
        met = [values_met(series, *spans[key]) for series in known if series.name in series_names(each.tariff)]
        found[key] = replace(terms[key], series=tuple(series for series in met if series.values))
    return found, unusable


def other_currency(tariff: Tariff, currencies: Mapping[str, str | None]) -> Undecided | None:
    """A value in another currency would be billed as if it were in the tariff's."""
    for name in sorted(series_names(tariff)):
        currency = currencies.get(name)
        if currency not in (None, tariff.currency):
            why = f"tariff {tariff.id} is in {tariff.currency}, the price series {name} that it follows in {currency}"
            return Undecided(hold=CURRENCY_MISMATCH, why=why)
    return None


def parts_of(tariff: Tariff) -> Iterator[Component]:
    """Every price of a tariff."""
    return (part for element in tariff.elements for part in element.components)


def series_names(tariff: Tariff) -> frozenset[str]:
    """The price series that a tariff follows."""
    return frozenset(part.extensions.series.name for part in parts_of(tariff) if part.extensions.series is not None)


def span_of(periods: Sequence[Period]) -> tuple[datetime, datetime]:
    """From the begin of a session's periods to their end, and at least an instant."""
    return periods[0].start, max(periods[-1].end, periods[0].start + _INSTANT)


def values_met(series: Series, since: datetime, until: datetime) -> Series:
    """The values that hold within the span, whatever else was read with them."""
    return replace(series, values=tuple(each for each in series.values if each.end > since and each.start < until))


def subject_of(session: BillableSession, tariff: str) -> Subject | None:
    """The session as rules of concessions look at it; None where nothing is to be priced."""
    place = session.place
    if place is None:
        return None
    return Subject(
        session=session.id,
        place=place,
        token=session.token,
        tariff=tariff,
        time_zone=session.time_zone,
        ended=session.closed,
    )
