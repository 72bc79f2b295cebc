"""What one would pay at a place now: the resolution of RULES.md 15 ahead of a session. It freezes nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.rating.rating import AppliedTax
from billing.rating.terms import Undecided
from billing.tariffs.assignment import Assignments, Place, Resolved, TariffVersion, Versions, resolve
from billing.tariffs.tariff import Tariff, TaxIncluded
from billing.tariffs.tariff_text import TEXT_MAX, tariff_text
from billing.taxes.tax_decision import Supply, day_of, priced_parts, taxes_for
from billing.taxes.tax_rule import TaxRule
from billing.taxes.told_taxes import with_taxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The version of a tariff that would price a session, if it began now. `texts`: the operator's own, by language.

    `taxes`: what the rules of the country say for a private customer on that day.
    """

    version: TariffVersion
    texts: Mapping[str, str]
    taxes: tuple[AppliedTax, ...] | Undecided = ()

    @property
    def tariff(self) -> Tariff:
        """As a driver is told it: with the rates that a bill would have."""
        return with_taxes(self.version.tariff, self.taxes)

    @property
    def prices_known(self) -> bool:
        """Whether a number can be told: not where tax comes on top and no rule decides how much."""
        return not (isinstance(self.taxes, Undecided) and self.version.tariff.tax_included is TaxIncluded.NO)

    def text(self, *, length_max: int = TEXT_MAX) -> str:
        """Its prices in English, from the tariff itself."""
        return tariff_text(self.tariff, length_max=length_max)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """All that could price sessions at a place, as it stood when it was read. `tax_rules`: those of its country."""

    assignments: Assignments
    versions: Versions
    country: str
    time_zone: str
    tax_rules: Sequence[TaxRule]

    def offer(self, place: Place) -> Offer | None:
        """By the choice that a session at this place makes; None: no tariff would price it."""
        resolved = resolve(place, self.assignments, self.versions)
        if not isinstance(resolved, Resolved):
            return None
        tariff = resolved.tariff
        version = next(each for each in self.versions[tariff.id] if each.number == tariff.version)
        supply = Supply(country=self.country, day=day_of(place.at, self.time_zone))
        taxes = taxes_for(self.tax_rules, supply, priced_parts(version.tariff))
        return Offer(version=version, texts=_own_texts(tariff), taxes=taxes)


def taxed(price: Decimal, vat: Decimal | None, tax_included: TaxIncluded) -> Decimal:
    """A tariff's price as a driver pays it."""
    return price * (1 + (vat or Decimal(0)) / 100) if tax_included is TaxIncluded.NO else price


def _own_texts(tariff: Tariff) -> dict[str, str]:
    """`tariff_alt_text` of OCPI: what the operator says of the tariff, in each language once."""
    told: Any = tariff.other.get("tariff_alt_text")
    texts: dict[str, str] = {}
    for each in told if isinstance(told, list) else ():
        if isinstance(each, Mapping) and isinstance(each.get("language"), str) and isinstance(each.get("text"), str):
            texts.setdefault(each["language"], each["text"])
    return texts
