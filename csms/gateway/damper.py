"""Keeps one kind of event from filling the log: the first is told at once, then one a minute with a count. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

INTERVAL_S = 60.0
KINDS_MAX = 1000


@dataclass(slots=True)
class _Kind:
    told_at: float
    since: int = 0


@dataclass(slots=True)
class Damper:
    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def admit(self, kind: str, *, now: float) -> int | None:
        """How many of `kind` happened since the last one told, this one included; None: say nothing now."""
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= KINDS_MAX:
                del self._kinds[next(iter(self._kinds))]
            self._kinds[kind] = _Kind(now)
            return 1
        known.since += 1
        if now - known.told_at < INTERVAL_S:
            return None
        count, known.since, known.told_at = known.since, 0, now
        return count
