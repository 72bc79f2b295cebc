"""What one would pay at a place now: the resolution of RULES.md 15 ahead of a session. It freezes nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.tariffs.assignment import Assignments, Place, Resolved, TariffVersion, Versions, resolve
from billing.tariffs.tariff import Tariff, TaxIncluded
from billing.tariffs.tariff_text import TEXT_MAX, tariff_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The version of a tariff that would price a session, if it began now. `texts`: the operator's own, by language."""

    version: TariffVersion
    texts: Mapping[str, str]

    def text(self, *, length_max: int = TEXT_MAX) -> str:
        """Its prices in English, from the tariff itself."""
        return tariff_text(self.version.tariff, length_max=length_max)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """All that could price sessions at a place, as it stood when it was read."""

    assignments: Assignments
    versions: Versions

    def offer(self, place: Place) -> Offer | None:
        """By the choice that a session at this place makes; None: no tariff would price it."""
        resolved = resolve(place, self.assignments, self.versions)
        if not isinstance(resolved, Resolved):
            return None
        tariff = resolved.tariff
        version = next(each for each in self.versions[tariff.id] if each.number == tariff.version)
        return Offer(version=version, texts=_own_texts(tariff))


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
