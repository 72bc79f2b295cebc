"""Rules as commands print them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from billing.discounts.rule import Rule, Verdict
from billing.rating.explanation import concession_price
from billing.rating.rating import Basis

LIST_COLUMNS: Final = (
    "id", "label", "kind", "value", "component", "order", "scope", "target", "for", "limits", "valid_from", "valid_to",
)  # fmt: skip
WHICH_COLUMNS: Final = ("applies", "order", "id", "kind", "value", "label", "why")
_FOREVER: Final = datetime.max.replace(tzinfo=UTC)


def rule_row(rule: Rule) -> dict[str, object]:
    """All of a rule; what it does not say is left out of `for` and `limits`."""
    audience = rule.audience
    asked = {
        "token": rule.token,
        "token_group": audience.token_group,
        "class": None if audience.user_class is None else audience.user_class.value,
        "product": audience.product,
        "tariff": rule.tariff,
        "coupon": rule.coupon,
        "kwh_last_month": rule.last_month_kwh_min,
    }
    limits = {"redemptions": rule.redemptions_max, "uses": rule.uses_max, "uses_each": rule.uses_each_max}
    counted = rule.counts_each or rule.last_month_kwh_min is not None
    return {
        "id": rule.id,
        "label": rule.label,
        "kind": rule.effect,
        "value": value_text(rule),
        "component": rule.component,
        "vat": rule.vat,
        "party": rule.party,
        "order": rule.turn,
        "scope": rule.scope,
        "target": rule.target,
        "for": _told(asked),
        "limits": _told({**limits, "each": rule.bearer.value if counted else None}),
        "valid_from": rule.valid_from,
        "valid_to": rule.ended_at(_FOREVER),
        "entered_at": rule.entered_at,
    }


def value_text(rule: Rule) -> str:
    """Its value with unit and sign: what lowers a bill is negative."""
    if rule.basis is Basis.FREE_KWH:
        return f"{rule.value:f} kWh free" if rule.whole_life else f"{rule.value:f} kWh free a month"
    return concession_price(rule.concession(), rule.currency or "")


def verdict_row(each: Verdict) -> dict[str, object]:
    """What a rule means for a session."""
    rule = each.rule
    return {
        "applies": each.concession is not None,
        "order": rule.turn,
        "id": rule.id,
        "kind": rule.effect,
        "value": value_text(rule),
        "label": rule.label,
        "why": each.why,
    }


def _told(named: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)
