"""A rating as JSON values and back, losing nothing: amounts and quantities are text, fractions such as `1/3` included."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.money import Money, exact_text
from billing.rating.matching import Phase
from billing.rating.policy import RatingPolicy
from billing.rating.rating import (
    Adjustment,
    AppliedTax,
    Basis,
    ComponentAmount,
    ComponentName,
    Concession,
    Effect,
    Incentive,
    Note,
    Rating,
    Segment,
    TaxGroup,
)
from billing.tariffs.tariff import Dimension, TaxIncluded


def rating_to_json(rating: Rating) -> dict[str, Any]:
    """The rating as JSON values; what only some ratings have is left out of the others."""
    return {
        "engine_version": rating.engine_version,
        "policy": rating.policy.to_dict(),
        "tariff_id": rating.tariff_id,
        "tariff_version": rating.tariff_version,
        "tax_included": rating.tax_included.value,
        "currency": rating.currency,
        "final": rating.final,
        "energy_wh": _decimal_text(rating.energy_wh),
        "segments": [_segment_to_json(segment) for segment in rating.segments],
        "adjustments": [_adjustment_to_json(line) for line in rating.adjustments],
        "components": {
            part.name.value: {"excl_tax": part.excl_tax.text, "excl_tax_exact": exact_text(part.excl_tax_exact)}
            for part in rating.components
        },
        "tax_groups": [
            {
                "vat": _decimal_text(group.vat),
                "net": group.net.text,
                "tax": group.tax.text,
                "net_exact": exact_text(group.net_exact),
                "tax_exact": exact_text(group.tax_exact),
            }
            for group in rating.tax_groups
        ],
        "excl_tax": exact_text(rating.excl_tax),
        "incl_tax": exact_text(rating.incl_tax),
        "total_excl": rating.total_excl.text,
        "total_tax": rating.total_tax.text,
        "total_incl": rating.total_incl.text,
        "notes": [note.value for note in rating.notes],
        **({"taxes": [tax_to_json(tax) for tax in rating.taxes]} if rating.taxes else {}),
        **({"concessions": [concession_to_json(each) for each in rating.concessions]} if rating.concessions else {}),
        **(_incentives_to_json(rating) if rating.incentives else {}),
    }


def tax_to_json(tax: AppliedTax) -> dict[str, Any]:
    """A tax rule's word as JSON values."""
    return {
        "component": tax.component.value,
        "rate": _decimal_text(tax.rate),
        "rule": tax.rule,
        "category": tax.category,
        "note": tax.note,
    }


def tax_from_json(body: Mapping[str, Any]) -> AppliedTax:
    """The tax that `tax_to_json` wrote."""
    return AppliedTax(
        component=ComponentName(body["component"]),
        rate=Decimal(body["rate"]),
        rule=body["rule"],
        category=body["category"],
        note=body["note"],
    )


def concession_to_json(concession: Concession) -> dict[str, Any]:
    """A concession as JSON values."""
    return {
        "id": concession.id,
        "label": concession.label,
        "effect": concession.effect.value,
        "basis": concession.basis.value,
        "value": _decimal_text(concession.value),
        "order": concession.order,
        "component": None if concession.component is None else concession.component.value,
        "vat": _decimal_text(concession.vat),
        "party": concession.party,
        "used_kwh": _decimal_text(concession.used_kwh),
    }


def concession_from_json(body: Mapping[str, Any]) -> Concession:
    """The concession that `concession_to_json` wrote."""
    return Concession(
        id=body["id"],
        label=body["label"],
        effect=Effect(body["effect"]),
        basis=Basis(body["basis"]),
        value=Decimal(body["value"]),
        order=body["order"],
        component=None if body["component"] is None else ComponentName(body["component"]),
        vat=_decimal(body["vat"]),
        party=body["party"],
        used_kwh=Decimal(body["used_kwh"]),
    )


def _adjustment_to_json(line: Adjustment) -> dict[str, Any]:
    return {
        "note": line.note.value,
        "vat": _decimal_text(line.vat),
        "excl_tax": exact_text(line.excl_tax),
        "incl_tax": exact_text(line.incl_tax),
        **({} if line.concession is None else {"concession": line.concession, "label": line.label}),
    }


def _adjustment_from_json(body: Mapping[str, Any]) -> Adjustment:
    return Adjustment(
        note=Note(body["note"]),
        vat=_decimal(body["vat"]),
        excl_tax=Fraction(body["excl_tax"]),
        incl_tax=Fraction(body["incl_tax"]),
        concession=body.get("concession"),
        label=body.get("label"),
    )


def _incentives_to_json(rating: Rating) -> dict[str, Any]:
    return {
        "incentives": [
            {
                "concession": each.concession,
                "label": each.label,
                "party": each.party,
                "amount": each.amount.text,
                "exact": exact_text(each.exact),
            }
            for each in rating.incentives
        ],
        "payable": rating.payable.text,
    }


def _incentive_from_json(body: Mapping[str, Any], currency: str) -> Incentive:
    return Incentive(
        concession=body["concession"],
        label=body["label"],
        party=body["party"],
        amount=_money(body["amount"], currency),
        exact=Fraction(body["exact"]),
    )


def _segment_to_json(segment: Segment) -> dict[str, Any]:
    return {
        "phase": segment.phase.value,
        "dimension": segment.dimension.value,
        "element": segment.element,
        "start": time_text(segment.start),
        "end": time_text(segment.end),
        "quantity_used": _decimal_text(segment.quantity_used),
        "quantity_billed": _decimal_text(segment.quantity_billed),
        "unit": segment.unit.value,
        "unit_price": _decimal_text(segment.unit_price),
        "vat": _decimal_text(segment.vat),
        "excl_tax": exact_text(segment.excl_tax),
        "incl_tax": exact_text(segment.incl_tax),
        "note": None if segment.note is None else segment.note.value,
    }


def rating_from_json(body: Mapping[str, Any]) -> Rating:
    """The rating that `rating_to_json` wrote. It reads what we stored, so a malformed body is a bug and raises."""
    currency = body["currency"]
    return Rating(
        engine_version=body["engine_version"],
        policy=RatingPolicy.from_dict(body["policy"]),
        tariff_id=body["tariff_id"],
        tariff_version=body["tariff_version"],
        tax_included=TaxIncluded(body["tax_included"]),
        currency=currency,
        final=body["final"],
        energy_wh=Decimal(body["energy_wh"]),
        segments=tuple(_segment_from_json(segment) for segment in body["segments"]),
        adjustments=tuple(_adjustment_from_json(line) for line in body["adjustments"]),
        components=tuple(
            ComponentAmount(
                name=name,
                excl_tax=_money(body["components"][name.value]["excl_tax"], currency),
                excl_tax_exact=Fraction(body["components"][name.value]["excl_tax_exact"]),
            )
            for name in ComponentName
        ),
        tax_groups=tuple(_tax_group_from_json(group, currency) for group in body["tax_groups"]),
        excl_tax=Fraction(body["excl_tax"]),
        incl_tax=Fraction(body["incl_tax"]),
        total_excl=_money(body["total_excl"], currency),
        total_tax=_money(body["total_tax"], currency),
        total_incl=_money(body["total_incl"], currency),
        notes=tuple(Note(note) for note in body["notes"]),
        taxes=tuple(tax_from_json(tax) for tax in body.get("taxes", ())),
        concessions=tuple(concession_from_json(each) for each in body.get("concessions", ())),
        incentives=tuple(_incentive_from_json(each, currency) for each in body.get("incentives", ())),
    )


def _money(text: str, currency: str) -> Money:
    return Money.round_from(Decimal(text), currency)


def _tax_group_from_json(body: Mapping[str, Any], currency: str) -> TaxGroup:
    return TaxGroup(
        vat=_decimal(body["vat"]),
        net=_money(body["net"], currency),
        tax=_money(body["tax"], currency),
        net_exact=Fraction(body["net_exact"]),
        tax_exact=Fraction(body["tax_exact"]),
    )


def _segment_from_json(body: Mapping[str, Any]) -> Segment:
    return Segment(
        phase=Phase(body["phase"]),
        dimension=Dimension(body["dimension"]),
        element=body["element"],
        start=datetime.fromisoformat(body["start"]),
        end=datetime.fromisoformat(body["end"]),
        quantity_used=Decimal(body["quantity_used"]),
        quantity_billed=Decimal(body["quantity_billed"]),
        unit_price=_decimal(body["unit_price"]),
        vat=_decimal(body["vat"]),
        excl_tax=Fraction(body["excl_tax"]),
        incl_tax=Fraction(body["incl_tax"]),
        note=None if body["note"] is None else Note(body["note"]),
    )


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC: `2026-03-01T20:00:00Z`."""
    return f"{moment.astimezone(UTC).isoformat()[:-6]}Z"


def _decimal_text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
