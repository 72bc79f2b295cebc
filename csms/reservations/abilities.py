"""What a charge point says that it can do with reservations, out of its settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from csms.protocol.vocabulary import Protocol

PROFILE_V16 = "reservation"
FEATURES_V16 = "SupportedFeatureProfiles"
ANY_EVSE = {
    Protocol.V16: "ReserveConnectorZeroSupported",
    Protocol.V201: "ReservationCtrlr.NonEvseSpecific",
    Protocol.V21: "ReservationCtrlr.NonEvseSpecific",
}
"""The setting that says whether a reservation may leave the EVSE open."""
AVAILABLE_V201 = "ReservationCtrlr.Available"
ENABLED_V201 = "ReservationCtrlr.Enabled"


def settings_for(protocol: Protocol, *, evse: int | None) -> tuple[str, ...]:
    """What decides about a reservation of this EVSE (None: of any)."""
    offered = (FEATURES_V16,) if protocol is Protocol.V16 else (AVAILABLE_V201, ENABLED_V201)
    return offered if evse is not None else (*offered, ANY_EVSE[protocol])


def obstacle(
    protocol: Protocol, settings: Mapping[str, str | None], *, charge_point: str, evse: int | None
) -> tuple[str, str] | None:
    """Why it takes no such reservation by its own word, and what to do about it. What it did not say forbids nothing.

    `settings` by names in lower case.
    """
    name = None if evse is not None else ANY_EVSE[protocol]
    if protocol is Protocol.V16:
        profiles = _words(settings.get(FEATURES_V16.lower()))
        if profiles and PROFILE_V16 not in profiles:
            return (
                f"{charge_point} knows no reservations: its {FEATURES_V16} do not name Reservation",
                "reserve at another charge point; some have to be switched to it",
            )
    elif _is_false(settings, AVAILABLE_V201):
        return f"{charge_point} knows no reservations: its {AVAILABLE_V201} is false", "reserve at another charge point"
    elif _is_false(settings, ENABLED_V201):
        return (
            f"{charge_point} takes no reservations: its {ENABLED_V201} is false",
            f"switch them on: csms cp config set {charge_point} {ENABLED_V201} true",
        )
    if name is not None and _is_false(settings, name):
        return f"{charge_point} reserves only EVSEs that are named: its {name} is false", "name one with --evse"
    return None


def _words(value: str | None) -> frozenset[str]:
    return frozenset(word.strip().casefold() for word in (value or "").split(",") if word.strip())


def _is_false(settings: Mapping[str, str | None], name: str) -> bool:
    return (settings.get(name.lower()) or "").strip().casefold() == "false"
