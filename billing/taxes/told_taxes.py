"""A tariff as drivers are told it before anybody knows who is billed: with the taxes that a private customer pays. Pure."""

from __future__ import annotations

from dataclasses import replace

from billing.rating.matching import Phase
from billing.rating.rating import AppliedTax, component_of
from billing.rating.terms import Undecided
from billing.tariffs.tariff import Component, Element, Tariff


def with_taxes(tariff: Tariff, taxes: tuple[AppliedTax, ...] | Undecided) -> Tariff:
    """The tariff with the rates of these rules in the place of its own (RULES.md 21).

    None at all: its own rates hold. Undecided: it names no rate then, as any that it named could be too low.
    """
    if taxes == ():
        return tariff
    rates = {} if isinstance(taxes, Undecided) else {tax.component: tax.rate for tax in taxes}

    def taxed(part: Component, element: Element) -> Component:
        phase = Phase.SESSION if element.restrictions.reservation is None else Phase.RESERVATION
        return replace(part, vat=rates.get(component_of(phase, part.type)))

    return replace(
        tariff,
        elements=tuple(
            replace(each, components=tuple(taxed(part, each) for part in each.components)) for each in tariff.elements
        ),
    )
