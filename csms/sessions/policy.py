"""The review limits: a versioned choice, stored as data. Knows no session and no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any

WAITS = ("settle_delay_s", "complete_timeout_online_s", "complete_timeout_offline_s", "available_patience_s")
"""Limits that a running installation takes from its settings of the same names."""


class PolicyInvalid(ValueError):
    """A review policy is wrong; the message names the limit, the rule and the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPolicy:
    """What is plausible, and how long to wait. Energies are Wh, powers W, spans seconds unless the name says days.

    The AC power is assumed where nobody told the charge point's (`cp create --max-kw`). A session above it may well be
    an undeclared fast charger: then `power_w_unknown` is the limit, and the session is flagged `power_unknown`.
    """

    version: int = 1
    power_factor: Decimal = Decimal("1.1")
    power_w_assumed_ac: Decimal = Decimal(22_000)
    power_w_unknown: Decimal = Decimal(400_000)
    time_resolution_s: Decimal = Decimal(1)
    """Charge points write whole seconds: so much longer a span may have been than its stamps say."""
    register_resolution_wh: Decimal = Decimal(100)
    """Meters that count in steps of 0.1 kWh step all at once; a single step of this size is no jump."""
    clamp_wh: Decimal = Decimal(10)
    """A register that runs back no further than this counts as standing still."""
    energy_wh_max: Decimal = Decimal(500_000)
    energy_wh_min: Decimal = Decimal(100)
    """Below: zero energy, the session is waived; without a token it is dropped."""
    baseline_wh: Decimal = Decimal(1_000)
    """A register above this is no fresh one."""
    register_gap_wh: Decimal = Decimal(100)
    price_max: Decimal = Decimal(150)
    """Major units of the site's currency, tax included."""
    unit_ratio_min: Decimal = Decimal("0.01")
    unit_ratio_max: Decimal = Decimal(50)
    unit_energy_wh_min: Decimal = Decimal(1_000)
    """Below, meters that count in whole kWh cannot be told from those in another unit."""
    duration_s_max_ac: Decimal = Decimal(24 * 3600)
    duration_s_max_dc: Decimal = Decimal(4 * 3600)
    late_days_flag: int = 7
    late_days_hold: int = 90
    year_min: int = 2015
    future_s_max: Decimal = Decimal(300)
    clock_offset_s_max: Decimal = Decimal(60)
    band_tolerance_s: Decimal = Decimal(60)
    """A price that depends on the time of day is believed if the clock is surer than this. No clock that is a minute off is
    corrected, so none is surer than that.
    """
    live_s_max: Decimal = Decimal(300)
    """A fact that comes later than this after its stamp was kept in a queue: it says nothing of now."""
    settle_delay_s: Decimal = Decimal(60)
    complete_timeout_online_s: Decimal = Decimal(3600)
    complete_timeout_offline_s: Decimal = Decimal(72 * 3600)
    available_patience_s: Decimal = Decimal(600)

    def to_dict(self) -> dict[str, int | str]:
        """JSON-able; decimals as text, so that none becomes a float on the way."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value if isinstance(value, int) else str(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> ReviewPolicy:
        """The policy that `to_dict` wrote; limits that a body does not name have their defaults.

        Raises:
            PolicyInvalid: a name nobody knows, or a value that is no number of its kind, zero or more.
        """
        known = {each.name: each for each in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in body.items():
            if name not in known:
                raise PolicyInvalid(f"review policy: no limit is called {name!r}; known are {', '.join(sorted(known))}")
            values[name] = _number(name, value, whole=known[name].type == "int")
        return cls(**values)


def _number(name: str, value: object, *, whole: bool) -> int | Decimal:
    if isinstance(value, float) or not isinstance(value, int | str | Decimal):
        raise PolicyInvalid(f"review policy: {name} must be a number written as text or whole, not {value!r}")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise PolicyInvalid(f"review policy: {name} must be a number, not {value!r}") from None
    if not number.is_finite() or number < 0 or (whole and number != number.to_integral_value()):
        raise PolicyInvalid(f"review policy: {name} must be zero or more{' and whole' if whole else ''}, not {value}")
    return int(number) if whole else number
