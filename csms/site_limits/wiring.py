"""How an EVSE hangs on a site's connection: its most amperes, its phases, and how it can be told a limit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from csms.protocol.blocks.charging_profile import RateUnit
from csms.protocol.blocks.charging_profile_rules import Abilities
from csms.site_limits.grid import PHASES_MAX, SiteLimit

AC_A = 32
"""What an EVSE can draw of which nobody told the power: the most that a domestic or public AC outlet usually has."""
DC_A = 125
DC_EFFICIENCY = Decimal("0.9")
"""A rectifier draws more than it hands out; limits in W speak of what it hands out."""
ROTATION_LINES = {"RST": 1, "RTS": 1, "SRT": 2, "STR": 2, "TRS": 3, "TSR": 3}
"""ConnectorPhaseRotation: the phase of the connection on which the first, and only, conductor of the outlet hangs."""
_ROTATION = "connectorphaserotation"
_EITHER = ("phaserotation", "supplyphases")


class Via(StrEnum):
    """The profiles by which an EVSE is told its limit.

    TX: a default of the offline share, and one for the running transaction, which goes with it. The other two serve
    charge points that know no profile of a transaction: there, the limit that was told last stays.
    """

    TX = "tx"
    TX_DEFAULT = "tx_default"
    CHARGE_POINT_MAX = "charge_point_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What an operator said of an EVSE; None: not said. `absent`: it does not hang on this connection."""

    amps: int | None = None
    phases: int | None = None
    rotation: str | None = None
    via: Via = Via.TX
    absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """An EVSE on the connection: the phases that it counts on, the most it can draw on each of them."""

    lines: frozenset[int]
    amps_max: int
    phases: int
    is_dc: bool
    via: Via = Via.TX


def outlet_of(
    wiring: Wiring,
    limit: SiteLimit,
    *,
    evse: int,
    is_dc: bool,
    power_max_w: Decimal | None,
    settings: Mapping[str, str | None],
) -> Outlet:
    """What the operator said counts before what the charge point told. An unknown phase counts on all of them."""
    told_phases, told_rotation = _told(evse, settings)
    phases = min(wiring.phases or told_phases or PHASES_MAX, limit.phases)
    rotation = wiring.rotation or told_rotation or ""
    line = ROTATION_LINES.get(rotation.strip().upper())
    lines = frozenset({line}) if phases == 1 and line in limit.lines and line is not None else limit.lines
    return Outlet(
        lines=lines,
        amps_max=wiring.amps if wiring.amps is not None else _amps_max(power_max_w, is_dc, phases, limit.voltage_v),
        phases=phases,
        is_dc=is_dc,
        via=wiring.via,
    )


def _told(evse: int, settings: Mapping[str, str | None]) -> tuple[int | None, str | None]:
    """Phases and rotation out of ConnectorPhaseRotation (1.6: `0.RST,1.RST`) or the device model (2.0.1)."""
    told = {name.casefold(): (value or "").strip() for name, value in settings.items()}
    rotations = dict(each.strip().split(".", 1) for each in told.get(_ROTATION, "").split(",") if "." in each)
    rotation, phases = (
        next((told[name] for name in (f"evse#{evse}.{word}", f"chargingstation.{word}") if told.get(name)), None)
        for word in _EITHER
    )
    known = int(phases) if phases is not None and phases in {"1", "2", "3"} else None
    return known, rotations.get(str(evse), rotations.get("0", rotation))


def _amps_max(power_max_w: Decimal | None, is_dc: bool, phases: int, voltage_v: int) -> int:
    if power_max_w is None:
        return DC_A if is_dc else AC_A
    drawn_w = power_max_w / DC_EFFICIENCY if is_dc else power_max_w
    return int((drawn_w / (voltage_v * phases)).to_integral_value(ROUND_CEILING))


def unit_for(outlet: Outlet, abilities: Abilities) -> RateUnit | None:
    """The unit in which a limit of amperes on each phase can be told, None where there is none.

    Watts do not say how they divide among phases: a vehicle on one phase of three could draw all of them there. So
    they serve where there is one phase, or a rectifier, which loads all three alike.
    """
    units = abilities.units
    watts_divide = outlet.is_dc or outlet.phases == 1
    if outlet.is_dc and (units is None or RateUnit.W in units):
        return RateUnit.W
    if units is None or RateUnit.A in units:
        return RateUnit.A
    return RateUnit.W if watts_divide else None


def rate_of(amps: int, unit: RateUnit, outlet: Outlet, voltage_v: int) -> Decimal:
    """The limit as a profile says it; watts are rounded down."""
    if unit is RateUnit.A:
        return Decimal(amps)
    power_w = Decimal(amps * voltage_v * outlet.phases) * (DC_EFFICIENCY if outlet.is_dc else 1)
    return power_w.to_integral_value(ROUND_FLOOR)
