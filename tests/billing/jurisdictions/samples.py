"""Tariffs for these tests: parts and elements as OCPI writes them, valid by default."""

from __future__ import annotations

from typing import Any

from billing.tariffs.tariff import Tariff, parse_tariff

Parts = list[dict[str, Any]]


def part(kind: str = "ENERGY", price: str = "0.50", **more: Any) -> dict[str, Any]:
    return {"type": kind, "price": price, "vat": "20", "step_size": 1} | more


def tariff(*elements: tuple[Parts, dict[str, Any]], **more: Any) -> Tariff:
    return parse_tariff(
        {
            "id": "LAW",
            "currency": "EUR",
            "tax_included": "YES",
            "elements": [{"price_components": parts, "restrictions": rules} for parts, rules in elements],
        }
        | more
    )


def plain(*parts: dict[str, Any], **more: Any) -> Tariff:
    """One element that always holds: a price per kWh and what is given."""
    return tariff(([part(), *parts], {}), **more)
