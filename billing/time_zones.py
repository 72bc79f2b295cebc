"""Time zones by their IANA names. What was read once is kept: a machine that can open no more files must change no price."""

from __future__ import annotations

import errno
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

KEPT_MAX: Final = 1000
"""More than there are names."""
_OF_MOST: Final = {"DE": "Europe/Berlin", "ES": "Europe/Madrid", "PT": "Europe/Lisbon", "CY": "Asia/Nicosia"}
"""Of countries with several zones, that in which nearly everybody lives."""
_MACHINE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})

_kept: dict[str, ZoneInfo] = {}


class NoSuchZone(ValueError):
    """There is no time zone of this name."""


def zone_named(name: str) -> ZoneInfo:
    """The zone of a name such as Europe/Berlin.

    Raises:
        NoSuchZone: there is none, as far as this machine knows.
        OSError: the machine cannot look now; what needs the zone has to wait, not to go on without.
    """
    zone = _kept.get(name)
    if zone is None:
        zone = _read(name)
        if len(_kept) < KEPT_MAX:
            _kept[name] = zone
    return zone


def _read(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError):
        raise NoSuchZone(name) from None
    except OSError as trouble:  # such as the name of a directory among the zones
        if trouble.errno in _MACHINE:
            raise
        raise NoSuchZone(name) from None


@cache
def zone_of_country(country: str) -> str | None:
    """The zone of a country (ISO 3166) by CLDR; None where it has several, and one who lives there has to say which."""
    from babel.core import get_global  # noqa: PLC0415 - takes long to load, and only new files ask

    if country in _OF_MOST:
        return _OF_MOST[country]
    known = available_timezones()
    zones = [zone for zone, of in get_global("zone_territories").items() if of == country and zone in known]
    return zones[0] if len(zones) == 1 else None
