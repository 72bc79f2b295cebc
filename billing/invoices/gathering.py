"""What customers have to pay, found for many of them at once. Callers hold the connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

from billing.accounts import service as accounts
from billing.accounts.account import Account
from billing.contracts.handover import due_charges
from billing.invoices import store
from billing.invoices.bill_charge import charge_of
from billing.invoices.charge import BilledCharge, PricedCharge
from billing.invoices.composition import TaxedCharge
from billing.invoices.document import LineKind, Tax
from billing.invoices.drafting import Charge, first_day
from billing.invoices.store import SQL
from billing.invoices.taking_back import TakenBack, invoiced_before
from billing.sql import Connection
from billing.taxes.service import ProductSold, taxes_of_products
from billing.taxes.tax_decision import TaxedCustomer
from billing.time_zones import zone_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What an account pays for in one currency, its own and that of those whose payer it is. `draft`: one is open.

    `undecided`: what fell due of contracts and waits for a tax rule, with the reason. `taken_back`: what is no longer owed
    of what was invoiced, for credit notes.
    """

    account: Account
    currency: str
    charges: tuple[Charge, ...]
    draft: int | None = None
    undecided: tuple[str, ...] = ()
    taken_back: tuple[TakenBack, ...] = ()

    @property
    def orders(self) -> tuple[str, ...]:
        """The sources of what fell due of contracts."""
        return tuple(
            each.charge.source
            for each in self.charges
            if isinstance(each, TaxedCharge) and each.charge.kind is not LineKind.BORNE
        )


async def owed_by(connection: Connection, ids: Sequence[str], *, until: date) -> list[Owed]:
    """What these accounts have to pay of what ended up to a day of their calendars; by account and currency."""
    rows = await SQL.accounts_with_dependants.fetch(connection, ids=list(ids))
    payers = {row["id"]: row["payer"] for row in rows}
    known = {account.id: account for account in await accounts.find(connection, ids=list(payers))}
    drafts = {
        (row["account"], row["currency"]): row["id"]
        for row in await SQL.open_drafts_of.fetch(connection, accounts=list(ids))
    }
    found: dict[tuple[str, str], list[Charge]] = {}
    for row in await SQL.billed_sessions.fetch(connection, accounts=list(payers), until=until):
        payer = known[payers[row["account"]]]
        charge = charge_of(store.read_session(row), language=payer.language, late_before=_begin(payer, until))
        found.setdefault((payer.id, charge.currency), []).append(_told_whose(charge, payer, known[row["account"]]))
    orders = await _orders(connection, payers, known, until)
    for order in orders.charges:
        found.setdefault((payers[order.charge.account], order.charge.currency), []).append(order)
    told: dict[tuple[str, str], list[str]] = {}
    for fee, why in orders.undecided:
        told.setdefault((payers[fee.account], fee.currency), []).append(f"{fee.source}: {why}")
    back: dict[tuple[str, str], list[TakenBack]] = {}
    for taken in orders.taken_back:
        back.setdefault((payers[taken.account], taken.currency), []).append(taken)
    return [
        Owed(
            account=known[key[0]], currency=key[1], charges=tuple(found.get(key, ())), draft=drafts.get(key),
            undecided=tuple(told.get(key, ())), taken_back=tuple(back.get(key, ())),
        )
        for key in sorted(found.keys() | told.keys() | back.keys())
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Orders:
    charges: list[TaxedCharge]
    undecided: list[tuple[PricedCharge, str]]
    taken_back: list[TakenBack]


async def _orders(
    connection: Connection, payers: Mapping[str, str], known: Mapping[str, Account], until: date
) -> _Orders:
    """What fell due of contracts, under the taxes that rules find for the payer, and what no rule decides."""
    due = await due_charges(connection, until=until, accounts=list(payers))
    taken_back = await invoiced_before(connection, due)
    due = [each for each in due if each.source not in taken_back]
    sold = [
        ProductSold(
            country=each.country, day=each.tax_point, supply=each.supply, customer=_taxed(known[payers[each.account]])
        )
        for each in due
    ]
    found = _Orders([], [], list(taken_back.values()))
    for charge, rule in zip(due, await taxes_of_products(connection, sold), strict=True):
        if isinstance(rule, str):
            found.undecided.append((charge, rule))
            continue
        tax = Tax(rule.category.value, rule.rate, rule.note, charge.country)
        found.charges.append(TaxedCharge(charge=charge, tax=tax))
    return found


def _taxed(account: Account) -> TaxedCustomer:
    return TaxedCustomer(kind=account.kind.taxed_as, vat_id=account.details.party.vat_id)


def _begin(account: Account, until: date) -> datetime | None:
    first = first_day(account.rhythm, until)
    if first is None:
        return None
    return datetime.combine(first, time(), tzinfo=zone_named(account.time_zone)).astimezone(UTC)


def _told_whose(charge: BilledCharge, payer: Account, holder: Account) -> BilledCharge:
    """On a document for several accounts each line says whose it is, unless the token's label does."""
    if holder.id == payer.id or "driver" in charge.labels:
        return charge
    return replace(charge, labels={**charge.labels, "driver": holder.name})


async def unclaimed(
    connection: Connection, seller: str, *, until: datetime, after: int, language: str, limit: int
) -> list[BilledCharge]:
    """The next sessions whose token nobody's account pays for, where a seller sells; ended before an instant."""
    rows = await SQL.unclaimed_sessions.fetch(connection, seller=seller, until=until, after=after, limit=limit)
    return [charge_of(store.read_session(row), language=language) for row in rows]


async def owed_for(connection: Connection, sessions: Sequence[int]) -> dict[int, Owed]:
    """What is to be paid for each of these sessions by whoever pays for its token; none of those on a document already."""
    rows = await SQL.billed_sessions_of_customers.fetch(connection, sessions=list(sessions))
    holders = {each.id: each for each in await accounts.find(connection, ids=sorted({row["account"] for row in rows}))}
    named = sorted({each.payer for each in holders.values() if each.payer is not None})
    known = holders | {each.id: each for each in await accounts.find(connection, ids=named)}
    drafts = {
        (row["account"], row["currency"]): row["id"]
        for row in await SQL.open_drafts_of.fetch(connection, accounts=list(known))
    }
    found: dict[int, Owed] = {}
    for row in rows:
        holder = holders[row["account"]]
        payer = holder if holder.payer is None else known[holder.payer]
        charge = _told_whose(charge_of(store.read_session(row), language=payer.language), payer, holder)
        draft = drafts.get((payer.id, charge.currency))
        found[row["session"]] = Owed(account=payer, currency=charge.currency, charges=(charge,), draft=draft)
    return found
