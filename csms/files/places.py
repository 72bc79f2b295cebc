"""How many connections the file endpoint holds at once, in all and of each address. They count from before TLS on."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field

from csms.gateway.throttle import network
from csms.settings import Settings

POOL_SIZE = 4
"""Connections to the database, of its own: facts never wait behind files."""
OPEN_FILES_DIVISOR = 20
"""Of the files that may be open, no more than a twentieth are connections here; each may hold a copy open besides."""


def connections_max(settings: Settings) -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(settings.files_connections_max, limit // OPEN_FILES_DIVISOR))


def open_files_max(settings: Settings) -> int:
    """What the endpoint may have open: the OCPP port leaves it so much."""
    return 2 * connections_max(settings) + POOL_SIZE if settings.files_are_served else 0


@dataclass(slots=True, kw_only=True)
class Places:
    """`address` None: not known yet, or a proxy's, which comes for many."""

    most: int
    most_per_address: int
    taken: int = 0
    _of_address: dict[str, int] = field(default_factory=dict)

    def has_room(self, address: str | None) -> bool:
        return self.taken < self.most and self.has_room_for(address)

    def has_room_for(self, address: str | None) -> bool:
        """Whether one that has a place may come from there."""
        return address is None or self._of_address.get(network(address), 0) < self.most_per_address

    def take(self, address: str | None) -> None:
        self.taken += 1
        self.name(address)

    def name(self, address: str | None) -> None:
        """It has turned out where the holder of a place comes from."""
        if address is not None:
            key = network(address)
            self._of_address[key] = self._of_address.get(key, 0) + 1

    def give_back(self, address: str | None) -> None:
        self.taken -= 1
        assert self.taken >= 0, "each place is given back once"
        if address is None:
            return
        key = network(address)
        self._of_address[key] -= 1
        if not self._of_address[key]:
            del self._of_address[key]
