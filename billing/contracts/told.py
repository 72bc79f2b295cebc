"""Contracts as commands print them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from billing.contracts.accrual import Hold
from billing.contracts.contract import Deadline
from billing.contracts.contract_charge import ContractCharge
from billing.contracts.days import DAY, Days
from billing.contracts.discount import Discount
from billing.contracts.margin import Margin
from billing.contracts.plan_json import plan_to_json
from billing.contracts.plans import PlanVersion
from billing.contracts.pricing import Flat, Indexed, Pricing, Stepped
from billing.contracts.standing import Bearer, Standing, Subscription
from billing.contracts.store import Loaded, Row
from billing.money import Money

CONTRACT_COLUMNS = ("id", "account", "title", "from", "last_day", "renewal", "currency", "subscriptions", "held")
PLAN_COLUMNS = (
    "id", "version", "name", "interval", "timing", "price", "currency", "price_with_tax", "included_kwh", "subscriptions",
)  # fmt: skip
ITEM_COLUMNS = ("id", "contract", "name", "quantity", "unit_price", "currency", "due_on", "state", "document")
MILESTONE_COLUMNS = (
    "id",
    "contract",
    "sum",
    "name",
    "percent",
    "amount",
    "currency",
    "due_on",
    "event",
    "state",
    "document",
)
ORDER_COLUMNS = (
    "source",
    "name",
    "quantity",
    "unit_price",
    "discount",
    "amount",
    "currency",
    "due_on",
    "state",
    "document",
)
REMINDER_COLUMNS = ("id", "contract", "kind", "deadline_on", "about", "remind_on", "sent_at")
TEMPLATE_COLUMNS = ("name", "version", "title", "subscriptions", "items", "actor", "created_at")


def days_row(days: Days) -> dict[str, object]:
    """With the last day, as people name it; none where no end is known."""
    return {"from": days.first, "last_day": days.last}


def charge_row(charge: ContractCharge) -> dict[str, object]:
    """What fell due, or is taken back."""
    first, last = (None, None) if charge.days is None else (charge.days.first, charge.days.last)
    return {
        "source": charge.source,
        "kind": charge.kind,
        "name": charge.name,
        "description": charge.description,
        "from": first,
        "last_day": last,
        "quantity": plain(charge.quantity),
        "unit_price": charge.unit_price,
        "discount": Money(charge.discount_minor, charge.currency).text,
        "amount": Money(charge.amount_minor, charge.currency).text,
        "currency": charge.currency,
        "price_with_tax": charge.price_with_tax,
        "due_on": charge.due_on,
        "corrects": charge.corrects,
    }


def hold_row(contract: str, hold: Hold) -> dict[str, object]:
    return {"contract": contract, "source": hold.source, "why": hold.why}


def plain(value: Decimal) -> str:
    """Without zeros behind."""
    return f"{value.normalize():f}"


def price_text(pricing: Pricing) -> str:
    """A price in a word or two."""
    match pricing:
        case Flat():
            return f"{pricing.price:f}"
        case Stepped():
            steps = (
                f"{step.price:f} from {step.on}" if step.on is not None else f"{step.price:f} after {step.after_months}m"
                for step in pricing.steps
            )  # fmt: skip
            return ", ".join([f"{pricing.price:f}", *steps])
        case Indexed():
            return f"{pricing.price:f} x {pricing.series}"


def plan_row(version: PlanVersion) -> dict[str, object]:
    plan = version.plan
    return {
        "id": version.id,
        "version": version.version,
        "name": plan.name,
        "interval": plan.interval,
        "timing": plan.timing,
        "align": plan.align,
        "price": price_text(plan.pricing),
        "currency": plan.currency,
        "price_with_tax": plan.price_with_tax,
        "included_kwh": plan.included_kwh,
        "supply": plan.supply,
        "unit": plan.unit,
        "description": plan.description,
        "pricing": plan_to_json(plan)["pricing"],
        "subscriptions": version.subscriptions,
        "actor": version.actor,
        "created_at": version.created_at,
    }


def subscription_row(contract: Standing, each: Subscription) -> dict[str, object]:
    billed = [cell.days.last for cell in each.cells if not cell.days.is_empty]
    return {
        "id": each.id,
        "line": each.line,
        "plan": each.plan_id,
        "version": each.version,
        "quantity": plain(each.quantity),
        **days_row(contract.days_of(each)),
        "price": price_text(each.plan.pricing),
        "interval": each.plan.interval,
        "billed_to": max((day for day in billed if day is not None), default=None),
    }


def discount_row(discount: Discount, currency: str) -> dict[str, object]:
    amount = None if discount.amount_minor is None else Money(discount.amount_minor, currency).text
    return {
        "id": discount.id,
        "label": discount.label,
        "on": discount.target,
        "only": discount.only,
        "percent": discount.percent,
        "amount": amount,
        "periods": discount.periods,
        **days_row(discount.days),
    }


def bearer_row(bearer: Bearer) -> dict[str, object]:
    return {"token": bearer.token, "token_group": bearer.token_group, **days_row(bearer.days)}


def deadline_row(deadline: Deadline) -> dict[str, object]:
    return {"on": deadline.on, "kind": deadline.kind, "about": deadline.about}


def contract_row(row: Row) -> dict[str, object]:
    """A contract in a list."""
    return {
        "id": row["id"],
        "account": row["account"],
        "title": row["title"],
        "from": row["starts_on"],
        "last_day": None if row["until_day"] is None else row["until_day"] - DAY,
        "term": row["term"],
        "renewal": row["renewal"],
        "renewal_length": row["renewal_length"],
        "notice": row["notice"],
        "currency": row["currency"],
        "subscriptions": row["subscriptions"],
        "held": row["holds"],
        "template": row["template"],
    }


def contract_sheet(loaded: Loaded, deadlines: list[Deadline]) -> dict[str, object]:
    """All of a contract."""
    contract, row = loaded.standing, loaded.row
    return {
        "id": contract.id,
        "account": contract.account,
        "title": contract.title,
        "reference": row["reference"],
        "currency": contract.currency,
        "price_with_tax": row["price_with_tax"],
        "country": contract.country,
        "time_zone": contract.time_zone,
        **days_row(Days(contract.terms.starts_on, contract.until)),
        "term": row["term"],
        "renewal": row["renewal"],
        "renewal_length": row["renewal_length"],
        "notice": row["notice"],
        "to_month_end": row["to_month_end"],
        "noticed_on": row["noticed_on"],
        "template": row["template"],
        "labels": json.loads(row["labels_json"]),
        "partners": json.loads(row["partners_json"]),
        "remind_before": {kind.value: list(days) for kind, days in contract.remind_before.items()},
        "subscriptions": [subscription_row(contract, each) for each in contract.subscriptions],
        "tokens": [bearer_row(each) for each in contract.bearers],
        "discounts": [discount_row(each, contract.currency) for each in contract.discounts],
        "deadlines": [deadline_row(each) for each in deadlines],
        "holds": [{"source": source, "why": why} for source, why in loaded.holds.items()],
        "next_on": loaded.next_on,
    }


def state_of(row: Row) -> str:
    """Where an item, a milestone or a charge stands."""
    if row["fate"] is not None:
        return str(row["fate"])
    if row.get("cancelled_at") is not None:
        return "cancelled"
    if row["source"] is not None:
        return "due"
    return "waiting" if row["due_on"] is None else "to come"


def item_row(row: Row) -> dict[str, object]:
    names = (
        "id",
        "contract",
        "name",
        "description",
        "unit",
        "unit_price",
        "currency",
        "price_with_tax",
        "supply",
        "country",
    )
    return {
        **{name: row[name] for name in names},
        "quantity": plain(row["quantity"]),
        "due_on": row["due_on"],
        "state": state_of(row),
        "document": row["document"],
    }


def milestone_row(row: Row) -> dict[str, object]:
    return {
        "id": row["id"],
        "contract": row["contract"],
        "sum": row["split_name"],
        "name": row["name"],
        "percent": plain(row["percent"]),
        "amount": Money(row["amount_minor"], row["currency"]).text,
        "total": Money(row["total_minor"], row["currency"]).text,
        "currency": row["currency"],
        "due_on": row["due_on"],
        "event": row["event"],
        "state": state_of(row),
        "document": row["document"],
    }


def order_row(charge: ContractCharge, row: Row) -> dict[str, object]:
    """A charge with what became of it."""
    return charge_row(charge) | {"state": state_of(row), "document": row["document"]}


def margin_row(contract: str, days: Days, margin: Margin) -> Mapping[str, object]:
    return {
        "contract": contract,
        **days_row(days),
        "currency": margin.revenue.currency,
        "revenue": margin.revenue.text,
        "revenue_contract": margin.revenue_contract.text,
        "revenue_sessions": margin.revenue_sessions.text,
        "energy_cost": None if margin.energy_cost is None else margin.energy_cost.text,
        "fees": margin.fees.text,
        "margin": None if margin.margin is None else margin.margin.text,
        "margin_percent": margin.percent,
        "sessions": margin.sessions,
        "kwh": margin.kwh,
        "kwh_without_price": margin.kwh_without_price,
    }
