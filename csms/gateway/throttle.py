"""Slows those who guess credentials, and only them: who presents the right ones is never asked here. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

WINDOW_S = 60.0
KEYS_MAX = 10_000
KEY_LENGTH_MAX = 64  # an identity has 48; whatever else stands in a path is cut
IPV6_NETWORK_BITS = 64  # one customer's line has a whole /64 to come from


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, an IPv6 /64, else the text itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
    return str(parsed)


@dataclass(slots=True)
class _Counter:
    since: float
    failures: int = 0


@dataclass(slots=True, kw_only=True)
class Throttle:
    """Failed handshakes per minute, per (identity, address) and per address; `now` is monotonic seconds."""

    per_identity_max: int
    per_address_max: int
    _counters: dict[tuple[str, str], _Counter] = field(default_factory=dict)

    def failed(self, identity: str, address: str, *, now: float) -> bool:
        """Count one failure; True if this one is over a limit and should be told to wait (429)."""
        address = network(address)
        of_identity = self._count((identity[:KEY_LENGTH_MAX].casefold(), address), now)
        of_address = self._count(("", address), now)
        return of_identity > self.per_identity_max or of_address > self.per_address_max

    def _count(self, key: tuple[str, str], now: float) -> int:
        counter = self._counters.pop(key, None)
        if counter is None or now - counter.since >= WINDOW_S:
            counter = _Counter(now)
        counter.failures += 1
        self._counters[key] = counter  # the youngest stands last
        if len(self._counters) > KEYS_MAX:
            del self._counters[next(iter(self._counters))]
        return counter.failures
