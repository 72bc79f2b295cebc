"""A site's grid connection as its operator wants it kept: amperes of each phase, for vehicles and for the building. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

PHASES_MAX = 3
AMPS_MAX = 10_000
MIN_A = 6
"""IEC 61851-1: a control pilot can tell a vehicle nothing between 0 A and 6 A."""
AHEAD = timedelta(minutes=5)
"""So long before the building's share rises, vehicles give way: their charge points must have confirmed it by then."""
_STEP = timedelta(minutes=1)
_RESERVE = re.compile(r"(?:(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)=)?(?P<amps>\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What other load of the building may draw on each phase, from `begin` to `end` by the site's clock; None: always."""

    amps: int
    begin: time | None = None
    end: time | None = None

    def __str__(self) -> str:
        if self.begin is None or self.end is None:
            return str(self.amps)
        return f"{self.begin:%H:%M}-{self.end:%H:%M}={self.amps}"

    @classmethod
    def read(cls, text: str) -> Self:
        """`20`, or `07:00-19:00=40`; one that ends before it begins goes over midnight.

        Raises:
            ValueError: it is neither.
        """
        found = _RESERVE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no reserve: write AMPS, or HH:MM-HH:MM=AMPS")
        if found["begin"] is None:
            return cls(amps=int(found["amps"]))
        begin, end = time.fromisoformat(found["begin"]), time.fromisoformat(found["end"])
        if begin == end:
            raise ValueError(f"{text!r} begins when it ends: write AMPS alone for the whole day")
        return cls(amps=int(found["amps"]), begin=begin, end=end)

    def holds_at(self, wall: time) -> bool:
        if self.begin is None or self.end is None:
            return True
        if self.begin < self.end:
            return self.begin <= wall < self.end
        return wall >= self.begin or wall < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLimit:
    """`amps` may flow on each of `phases`. A vehicle gets at least `min_a` or nothing.

    `offline_a` is what each EVSE may draw for a vehicle of which we have not heard. Where vehicles wait, a turn takes
    `rotate`. Of several reserves that hold at an instant, the highest counts.
    """

    amps: int
    phases: int = PHASES_MAX
    min_a: int = MIN_A
    offline_a: int = 0
    rotate: timedelta = timedelta(minutes=15)
    voltage_v: int = 230
    reserves: tuple[Reserve, ...] = ()

    @property
    def lines(self) -> frozenset[int]:
        """The phases of the connection, by number."""
        return frozenset(range(1, self.phases + 1))

    def reserved_a(self, at: datetime, zone: ZoneInfo) -> int:
        """What is the building's at an instant."""
        wall = at.astimezone(zone).time().replace(tzinfo=None)
        return max((each.amps for each in self.reserves if each.holds_at(wall)), default=0)

    def budget_a(self, now: datetime, zone: ZoneInfo) -> int:
        """What vehicles may draw on each phase, now and for a little while."""
        instants = [now + _STEP * n for n in range(AHEAD // _STEP + 1)]
        return max(0, self.amps - max(self.reserved_a(each, zone) for each in instants))

    @property
    def budget_least_a(self) -> int:
        """What is left for vehicles when the building draws most."""
        return max(0, self.amps - max((each.amps for each in self.reserves), default=0))

    def reserves_to_json(self) -> list[str]:
        return [str(each) for each in self.reserves]


def limit_from_row(row: Mapping[str, Any]) -> SiteLimit | None:
    """None where the newest word is that there is no limit any more."""
    if row["amps"] is None:
        return None
    return SiteLimit(
        amps=row["amps"],
        phases=row["phases"],
        min_a=row["min_a"],
        offline_a=row["offline_a"],
        rotate=row["rotate"],
        voltage_v=row["voltage_v"],
        reserves=tuple(Reserve.read(each) for each in row["reserves"]),
    )


def problems(limit: SiteLimit, evses_max_a: Iterable[int]) -> list[str]:
    """Everything that makes the limit one that cannot be kept, given what the EVSEs of the site can draw."""
    found = []
    least_a = limit.budget_least_a
    if least_a < limit.min_a:
        found.append(f"{least_a} A are left when the building draws most, a vehicle needs {limit.min_a} A")
    if 0 < limit.offline_a < limit.min_a:
        found.append(f"what an EVSE may draw unheard is 0 A, or at least the minimum of {limit.min_a} A")
    shares = [min(limit.offline_a, each) for each in evses_max_a]
    if sum(shares) > least_a:
        found.append(f"{len(shares)} EVSEs that draw {limit.offline_a} A each unheard are more than {least_a} A")
    return found
