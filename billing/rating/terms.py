"""What prices a session beside its tariff: tax rules, concessions, the month's volume, price series. Frozen with the bill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from billing.rating.rating import AppliedTax, ComponentName, Concession
from billing.rating.rating_json import concession_from_json, concession_to_json, tax_from_json, tax_to_json
from billing.rating.series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was looked up once, so that the bill can be rated again.

    `taxes`: none where no rule decides, and then the tariff's own rates hold; else one for each part that may be priced.
    `concessions`: surcharges, discounts and incentives in the order in which they act.
    `volume_wh`: what the customer charged in this calendar month before this session; None: nobody asked, which is 0.
    `series`: the values of the price series that the tariff names.
    """

    taxes: tuple[AppliedTax, ...] = ()
    concessions: tuple[Concession, ...] = ()
    volume_wh: Decimal | None = None
    series: tuple[Series, ...] = ()

    def tax_of(self, component: ComponentName) -> AppliedTax | None:
        """The rule's word on a part of the total."""
        return next((tax for tax in self.taxes if tax.component is component), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; what is not there is left out, so that a bill without terms reads as it always did."""
        body: dict[str, Any] = {}
        if self.taxes:
            body["taxes"] = [tax_to_json(tax) for tax in self.taxes]
        if self.concessions:
            body["concessions"] = [concession_to_json(each) for each in self.concessions]
        if self.volume_wh is not None:
            body["volume_wh"] = format(self.volume_wh, "f")
        if self.series:
            body["series"] = [each.to_dict() for each in self.series]
        return body

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Terms:
        """Read what `to_dict` wrote and we stored; a malformed body is a bug and raises."""
        volume = body.get("volume_wh")
        return cls(
            taxes=tuple(tax_from_json(tax) for tax in body.get("taxes", ())),
            concessions=tuple(concession_from_json(each) for each in body.get("concessions", ())),
            volume_wh=None if volume is None else Decimal(volume),
            series=tuple(Series.from_dict(each) for each in body.get("series", ())),
        )


NO_TERMS: Final = Terms()
"""The tariff alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """The session cannot be priced until an operator says more: `hold` names what is missing, `why` tells it."""

    hold: str
    why: str
