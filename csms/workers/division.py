"""What a server's workers share, divided among them: connections to the database, and patience with guessers. Pure."""

from __future__ import annotations

import math
from typing import Any

from csms.settings import Settings

BESIDE_POOL = 16
"""Connections of a node beyond its pool: 8 to hear outcomes from other nodes, 4 for files, listening, health,
housekeeping.
"""
FOR_OTHERS = 20
"""Left to commands, backups and the administrator."""


def connections_needed(settings: Settings) -> int:
    """How many connections the database must take when all workers are busy."""
    return settings.workers * (settings.database_pool_size + BESIDE_POOL) + FOR_OTHERS


def pool_size(settings: Settings, *, connections_max: int) -> int:
    """Of each worker: as set, or less where the database takes no more. Below 2 no worker can work."""
    return min(settings.database_pool_size, (connections_max - FOR_OTHERS) // settings.workers - BESIDE_POOL)


def of_each(settings: Settings, *, connections_max: int, ports: dict[str, int]) -> Settings:
    """The settings of one worker; ports are fixed by then, and what it answers by HTTP is for its supervisor.

    A guesser's sockets are spread over all workers, so each has a share of the failures that are borne.
    """
    shares: dict[str, Any] = {
        name: math.ceil(getattr(settings, name) / settings.workers)
        for name in ("auth_failures_max_per_identity", "auth_failures_max_per_address")
    }
    return settings.model_copy(
        update={
            **shares,
            **ports,
            "workers": 1,
            "reuse_port": True,
            "http_host": "127.0.0.1",
            "http_port": 0,
            "database_pool_size": pool_size(settings, connections_max=connections_max),
        }
    )
