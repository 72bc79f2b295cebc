"""How much is measured: the usual set within a quarter of an hour, or everything at full size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`seconds`: the length of each measurement; `connections`: charge points with one call open each.

    `rounds`: how often throughput is measured. `idle`: connections whose memory is measured; `crowd`: how many are idle
    with TLS at once. `storm`: charge points that come back at once. `backlog`: charge points, and the readings that each
    has queued. `connected`, `connected_per_s`: charge points among which the same rate of messages is divided.
    `readings`: how many are stored already; `registered`: charge points that a start-up finds. `workers`: processes.
    """

    seconds: float = 5
    connections: int = 100
    rounds: int = 3
    idle: int = 2000
    crowd: int = 1000
    storm: int = 1000
    backlog: tuple[int, int] = (100, 50)
    connected: tuple[int, ...] = (100, 1000)
    connected_per_s: float = 1000
    readings: tuple[int, ...] = (0, 1_000_000)
    registered: int = 1000
    workers: tuple[int, ...] = (1, 2, 4)


USUAL = Plan()
FULL = Plan(
    crowd=10_000,
    storm=5000,
    backlog=(500, 480),
    connected=(100, 1000, 10_000),
    readings=(0, 50_000_000),
    registered=10_000,
)
