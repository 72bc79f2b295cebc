"""The profile of measuring law that a site sells energy under, and the keys that its meters are known by. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from csms.evidence.obis import IMPORT_TOTAL, Register
from csms.evidence.signatures import PublicKey

DE_EICHRECHT = "de-eichrecht"
"""German measuring law: kWh are sold between signed readings or not at all (RULES.md 23)."""
PROFILES = (DE_EICHRECHT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterKey:
    """A public key that an operator registered: which meter it belongs to, and which of its registers is billed.

    `evse` None: any of the charge point's. `serial` None: any meter's. `measures_time`: the meter is approved for time.
    """

    id: int
    key: PublicKey
    evse: int | None = None
    serial: str | None = None
    register: Register = IMPORT_TOTAL
    measures_time: bool = False
    valid_from: datetime | None = None

    def fits(self, *, evse: int | None, serials: frozenset[str]) -> bool:
        """It may have signed what bears these serial numbers."""
        return self.evse in {None, evse} and (self.serial is None or self.serial in serials)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringLaw:
    """What held for a session when it began: the site's profile, and the keys of its charge point."""

    profile: str
    keys: tuple[MeterKey, ...] = ()
