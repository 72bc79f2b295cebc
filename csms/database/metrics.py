"""What group commit counts."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import Gauge, Histogram

ITEMS = Histogram(
    "csms_commit_items", "How many items one commit has stored", ["of"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
WAITING = Gauge("csms_commit_waiting", "Items that waited for the next commit when the last one was done", ["of"])
WAIT_SECONDS = Histogram(
    "csms_commit_wait_seconds",
    "Seconds from its arrival to its commit, of the item of each commit and rank that waited longest; rank 0 goes first",
    ["of", "rank"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


@lru_cache(maxsize=16)
def commit_items(of: str) -> Histogram:
    """The child for one kind of items."""
    return ITEMS.labels(of)


@lru_cache(maxsize=16)
def commit_waiting(of: str) -> Gauge:
    """The child for one kind of items."""
    return WAITING.labels(of)


@lru_cache(maxsize=16)
def commit_wait(of: str, rank: int) -> Histogram:
    """The child for one kind of items and a rank."""
    return WAIT_SECONDS.labels(of, str(rank))
