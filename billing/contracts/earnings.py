"""What a contract has earned, from what is stored: its charges, the bills of its tokens, and what the operator says of costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction

from billing.contracts.accruing import midnight
from billing.contracts.changes import Act
from billing.contracts.contract_charge import ContractCharge
from billing.contracts.days import DAY, Days
from billing.contracts.keeping import require
from billing.contracts.margin import Earned, EnergyPrice, Fees, Margin, Sold, margin_of, net_minor
from billing.contracts.store import SQL, Row, charge_of
from billing.errors import Refused
from billing.invoices.bill_charge import source_of
from billing.price_series import store as series
from billing.sql import Connection


async def margin(
    connection: Connection,
    contract: str,
    days: Days,
    act: Act,
    *,
    fees: Fees,
    per_kwh: Decimal | None = None,
    series_name: str | None = None,
    tax_percent: Decimal | None = None,
) -> Margin:
    """Revenue, energy cost, fees and margin of a contract in a stretch of days of its customer's calendar.

    What is on a document counts with the net that it has there, less what credit notes took back of it; the rest as it is
    charged or billed. A kWh costs what `series_name` says of its time, else `per_kwh`. `tax_percent` is what is in prices
    with tax that are on no document.

    Raises:
        NotFound: no such contract or series.
        Refused: prices are with tax, on no document, and nobody said how much; sessions or the series are in another
            currency.
    """
    assert days.until is not None, "a margin is asked for up to a day"
    standing = (await require(connection, contract, act)).standing
    rows = await SQL.charges_of.fetch(connection, contract=contract)
    charges = [charge_of(row) for row in rows if row["fate"] != "cancelled"]
    nets = await _nets_on_documents(connection, (each.source for each in charges))
    taken = await _taken_back(connection, contract, nets)
    earned = [_earned(each, taken, tax_percent) for each in charges]
    since, until = midnight(days.first, standing.time_zone), midnight(days.until, standing.time_zone)
    rows = await SQL.sessions_of.fetch(
        connection, contract=contract, account=standing.account, since=since, until=until, time_zone=standing.time_zone
    )
    others = sorted({row["currency"] for row in rows} - {standing.currency})
    if others:
        raise Refused(
            f"contract {contract} is in {standing.currency}, sessions of its tokens in {', '.join(others)}",
            "ask for days on which there are none: amounts of two currencies are not added",
        )
    nets = await _nets_on_documents(connection, (source_of(row["id"], row["seq"]) for row in rows))
    sold = [_sold(row, nets) for row in rows]
    energy = await _energy(connection, standing.currency, sold, per_kwh, series_name)
    return margin_of(earned, sold, days, currency=standing.currency, energy=energy, fees=fees)


async def _taken_back(connection: Connection, contract: str, nets: Mapping[str, int]) -> dict[str, Fraction]:
    """The same where what a charge takes back was credited on its line: it counts on the days that are taken back."""
    found = {source: Fraction(net) for source, net in nets.items()}
    for row in await SQL.taken_back_on_documents.fetch(connection, contract=contract):
        net = Fraction(row["net_minor"] * row["taken"], row["together"])
        found[row["source"]] = -net
        found[row["corrects"]] += net
    return found


async def _nets_on_documents(connection: Connection, sources: Iterable[str]) -> dict[str, int]:
    """By source, of those that are on a document."""
    rows = await SQL.nets_on_documents.fetch(connection, sources=list(sources))
    return {row["source"]: row["net_minor"] for row in rows}


def _earned(charge: ContractCharge, nets: Mapping[str, Fraction], tax_percent: Decimal | None) -> Earned:
    net = nets.get(charge.source)
    if net is None and charge.price_with_tax and tax_percent is None:
        raise Refused(
            f"charge {charge.source} is with tax and on no document, a margin is without",
            "say how much tax is in it: --tax-percent",
        )
    return Earned(
        kind=charge.kind.value,
        net_minor=net_minor(charge.amount_minor, with_tax=charge.price_with_tax, rate_percent=tax_percent)
        if net is None
        else net,
        days=charge.days or Days(charge.tax_point, charge.tax_point + DAY),
    )


def _sold(row: Row, nets: Mapping[str, int]) -> Sold:
    return Sold(
        session=row["id"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        energy_wh=row["energy_wh"],
        net_minor=nets.get(source_of(row["id"], row["seq"]), row["total_excl_minor"]),
    )


async def _energy(
    connection: Connection, currency: str, sold: list[Sold], per_kwh: Decimal | None, name: str | None
) -> EnergyPrice:
    if name is None:
        return EnergyPrice(per_kwh=per_kwh)
    of_series = await series.require(connection, name)
    if of_series != currency:
        what = "an index" if of_series is None else f"in {of_series}"
        raise Refused(f"series {name} is {what}, the contract is in {currency}", "name one in its currency")
    if not sold:
        return EnergyPrice(per_kwh=per_kwh)
    found = await series.between(
        connection, [name], min(each.started_at for each in sold), max(each.ended_at for each in sold)
    )
    return EnergyPrice(per_kwh=per_kwh, series=found[0].values if found else ())


def month_of(day: date) -> Days:
    """The calendar month in which a day lies."""
    first = day.replace(day=1)
    return Days(first, (first + 31 * DAY).replace(day=1))
