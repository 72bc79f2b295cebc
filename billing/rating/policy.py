"""The stored choices that turn exact amounts into billed ones. A policy is data with a version; it never changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from billing.money import Rounding
from billing.tariffs.ocpi_json import ObjectReader
from billing.tariffs.problem import DocumentInvalid, Problem


class PolicyInvalid(DocumentInvalid):
    """This rating policy cannot be used; `problems` says where and why."""

    subject = "rating policy"


class TaxRounding(StrEnum):
    """Where tax is computed and rounded."""

    PER_GROUP_ON_SUM = "per_group_on_sum"
    """Exact tax per rate on the sum of exact nets; net and gross totals are rounded once, their difference is the tax."""


class TaxPoint(StrEnum):
    """The instant of a session whose day, by the calendar of its site, decides which tax rules hold."""

    END = "end"
    START = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingPolicy:
    """How a session is rounded and when it is waived, and the instant at which it is taxed.

    A session with less energy than `waive_below_wh` is rated 0.00 (None: never waived); its reservation is still due.
    With `waive_occupancy` false, TIME and PARKING_TIME stay due even then.
    """

    version: int
    rounding: Rounding = Rounding.HALF_UP
    tax: TaxRounding = TaxRounding.PER_GROUP_ON_SUM
    waive_below_wh: Decimal | None = None
    waive_occupancy: bool = True
    tax_point: TaxPoint = TaxPoint.END

    def to_dict(self) -> dict[str, Any]:
        """The policy as JSON values; amounts are text. The usual tax point is left out, as in bills of before there was one."""
        below = self.waive_below_wh
        return {
            "version": self.version,
            "rounding": self.rounding.value,
            "tax": self.tax.value,
            "waive_below_wh": None if below is None else format(below, "f"),
            "waive_occupancy": self.waive_occupancy,
            **({} if self.tax_point is TaxPoint.END else {"tax_point": self.tax_point.value}),
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> RatingPolicy:
        """Read what `to_dict` wrote; raises PolicyInvalid with every mistake."""
        problems: list[Problem] = []
        reader = ObjectReader(body, "$", problems)
        reader.refuse_unknown(_KEYS, "this engine would ignore it")
        version = reader.integer("version", required=True)
        rounding, tax = reader.choice("rounding", Rounding), reader.choice("tax", TaxRounding)
        below, point = reader.number("waive_below_wh"), reader.choice("tax_point", TaxPoint)
        occupancy = body.get("waive_occupancy", True)
        if not isinstance(occupancy, bool):
            reader.blame("waive_occupancy", "must be true or false", "write true")
        if problems or version is None:
            raise PolicyInvalid(problems)
        return cls(
            version=version,
            rounding=rounding or Rounding.HALF_UP,
            tax=tax or TaxRounding.PER_GROUP_ON_SUM,
            waive_below_wh=below,
            waive_occupancy=occupancy is True,
            tax_point=point or TaxPoint.END,
        )


_KEYS: Final = frozenset({"version", "rounding", "tax", "waive_below_wh", "waive_occupancy", "tax_point"})

DEFAULT_POLICY: Final = RatingPolicy(version=1, waive_below_wh=Decimal(100))
"""Sessions: below 0.1 kWh nothing is due."""

PRICE_POLICY: Final = RatingPolicy(version=0)
"""`tariff price`: the tariff and nothing else; waives nothing."""
