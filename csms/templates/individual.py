"""Settings that must differ between charge points, or say what is rather than what shall be. Pure."""

from __future__ import annotations

import re

# What is matched is the 1.6 key, or the variable of a 2.x name without its component and instance, in any case.
INDIVIDUAL: tuple[tuple[str, str], ...] = (
    ("serial number", r".*serial(number|no)?"),
    ("identity", r"identity|(charge(box|point)|station|cp)_?(id|identity|name)|seccid|evse_?id|connector_?id|hostname"),
    ("modem", r"iccid|imsi|imei|msisdn"),
    ("network address", r".*(mac|ip)_?address"),
    ("time", r"datetime|(current|local|utc)_?time|.*transitiondatetime|clock|.*_?timestamp"),
    ("state", r"availabilitystate|problem|tripped|active|fallback|complete|count|authenticationstatus"),
    ("measured", r"power|current|voltage|dcvoltage|dccurrent|temperature|fanspeed|energy(im|ex)port.*|chargingtime"),
    (
        "what it holds",
        r"entries|storage|certificateentries|displaymessages|pendingmessages|activemonitoring(base|level)",
    ),
    ("what it is", r"model|vendorname|ecvariant|firmwareversion|versionnumber|manufacturer|protocolsupported(byev)?"),
    ("how it is wired", r"numberofconnectors|connectorphaserotation|phaserotation|supplyphases|acphases"),
    ("network profile in use", r"activenetworkprofile"),
)
"""Why -> which; the first that fits is said."""
_PATTERNS = tuple((why, re.compile(pattern, re.IGNORECASE | re.ASCII)) for why, pattern in INDIVIDUAL)


def why_individual(name: str) -> str | None:
    """Why this setting is each charge point's own, None where it is not."""
    variable = name.rpartition(".")[2].partition("[")[0]
    return next((why for why, pattern in _PATTERNS if pattern.fullmatch(variable)), None)
