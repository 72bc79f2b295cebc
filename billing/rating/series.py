"""Values of a price series as a rating looks at them: stretches of time with one value each. Knows no tariff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesValue:
    """`value` from `start` to before `end`: major units per kWh, or points of an index. May be below zero."""

    start: datetime
    end: datetime
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The values of one series that a session met, in time order and without overlap; a gap is a missing value."""

    name: str
    values: tuple[SeriesValue, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "values": [
                {"start": each.start.isoformat(), "end": each.end.isoformat(), "value": format(each.value, "f")}
                for each in self.values
            ],
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Series:
        """Read what `to_dict` wrote and we stored; a malformed body is a bug and raises."""
        return cls(
            name=body["name"],
            values=tuple(
                SeriesValue(
                    start=datetime.fromisoformat(each["start"]),
                    end=datetime.fromisoformat(each["end"]),
                    value=Decimal(each["value"]),
                )
                for each in body["values"]
            ),
        )
