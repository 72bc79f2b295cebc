"""What prices a session beside its tariff: taxes that rules decide. Frozen with the bill, so that it can be rated again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from billing.rating.rating import AppliedTax, ComponentName
from billing.rating.rating_json import tax_from_json, tax_to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`taxes`: none where no rule decides, and then the tariff's own rates hold; else one for each part that may be priced."""

    taxes: tuple[AppliedTax, ...] = ()

    def tax_of(self, component: ComponentName) -> AppliedTax | None:
        """The rule's word on a part of the total."""
        return next((tax for tax in self.taxes if tax.component is component), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; what is not there is left out, so that a bill without terms reads as it always did."""
        body: dict[str, Any] = {}
        if self.taxes:
            body["taxes"] = [tax_to_json(tax) for tax in self.taxes]
        return body

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Terms:
        """Read what `to_dict` wrote and we stored; a malformed body is a bug and raises."""
        return cls(taxes=tuple(tax_from_json(tax) for tax in body.get("taxes", ())))


NO_TERMS: Final = Terms()
"""The tariff alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """The session cannot be priced until an operator says more: `hold` names what is missing, `why` tells it."""

    hold: str
    why: str
