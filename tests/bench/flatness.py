"""Whether something grows: a line through what was sampled, and how much it says of the time that was watched. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

SETTLED_SHARE = 1 / 3
"""Of the time: caches fill and pools open before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the server. `per_s`: messages answered since the one before."""

    at_s: float
    rss_mb: float
    files: int
    tasks: int
    per_s: float
    postgres_mb: float


LIMITS = {"rss_mb": (2.0, 0.02), "files": (10.0, 0.05), "tasks": (50.0, 0.1)}
"""How much the line may rise over the time watched: so much, or such a share of the middle, whatever is more.

Charge points come and go meanwhile, so that files and tasks move at any time. What is forgotten with each of thousands of
sockets rises by far more.
"""


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """What slopes are of."""
    begin = samples[-1].at_s * SETTLED_SHARE
    return [each for each in samples if each.at_s >= begin]


def slope_per_s(samples: Sequence[Sample], name: str) -> float:
    """Of the line of least squares; 0 of a single sample."""
    times, values = [each.at_s for each in samples], [float(getattr(each, name)) for each in samples]
    time, value = fmean(times), fmean(values)
    spread = sum((at - time) ** 2 for at in times)
    return sum((at - time) * (each - value) for at, each in zip(times, values, strict=True)) / spread if spread else 0.0


def growing(samples: Sequence[Sample]) -> dict[str, float]:
    """What rises by more than its limit over the time watched, and by how much; empty: all is flat."""
    found = {}
    span_s = samples[-1].at_s - samples[0].at_s
    for name, (least, share) in LIMITS.items():
        rise = slope_per_s(samples, name) * span_s
        if rise > max(least, share * fmean(float(getattr(each, name)) for each in samples)):
            found[name] = rise
    return found
