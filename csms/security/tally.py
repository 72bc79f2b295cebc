"""What this side saw, added up: however many packets an attacker sends, few rows come of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from csms.security.event import OwnKind

WINDOW = timedelta(hours=1)
PLACES_MAX = 100
"""Of one kind within an hour; what comes from more charge points or addresses is counted together."""
TEXT_LENGTH_MAX = 255  # as techInfo of the charge points' own


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """`count` times the same between `first_at` and `last_at`; `window` names its hour. '' : unknown, or several."""

    kind: OwnKind
    charge_point: str
    remote: str
    window: datetime
    first_at: datetime
    last_at: datetime
    count: int
    info: str


@dataclass(slots=True)
class Tally:
    """Between two `take()` it holds at most `PLACES_MAX` + 1 sightings of each kind."""

    _window: datetime | None = None
    _places: dict[OwnKind, set[tuple[str, str]]] = field(default_factory=dict)
    _seen: dict[tuple[OwnKind, str, str], Sighting] = field(default_factory=dict)

    def add(self, kind: OwnKind, *, charge_point: str, remote: str, info: str, now: datetime, count: int = 1) -> bool:
        """Count one; True if it is the first of its place within this hour."""
        window = now.replace(minute=0, second=0, microsecond=0)
        if window != self._window:
            self._window, self._places = window, {}
        places = self._places.setdefault(kind, set())
        is_first = (charge_point, remote) not in places
        if is_first and len(places) >= PLACES_MAX:
            charge_point, remote, is_first = "", "", ("", "") not in places
        places.add((charge_point, remote))
        key = (kind, charge_point, remote)
        known = self._seen.get(key)
        if known is None or known.window != window:
            if known is not None:  # the hour ended before anybody took it: it counts with the new one
                count += known.count
            first_at = now if known is None else known.first_at
            known = Sighting(
                kind=kind, charge_point=charge_point, remote=remote, window=window, first_at=first_at, last_at=now,
                count=0, info=info[:TEXT_LENGTH_MAX],
            )  # fmt: skip
        self._seen[key] = replace(known, last_at=max(now, known.last_at), count=known.count + count)
        return is_first

    def take(self) -> list[Sighting]:
        """What was counted since the last time."""
        seen, self._seen = list(self._seen.values()), {}
        return seen

    def give_back(self, sightings: list[Sighting]) -> None:
        """They could not be stored: count them with what comes."""
        for each in sightings:
            key = (each.kind, each.charge_point, each.remote)
            later = self._seen.get(key)
            if later is None:
                self._seen[key] = each
            else:
                self._seen[key] = replace(later, first_at=each.first_at, count=later.count + each.count)
