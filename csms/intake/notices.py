"""Facts that no session is folded from: security events, firmware and log statuses, notices, settings, quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from csms.charge_points.device_model import VARIABLES_MAX, note_left_out, store_descriptions
from csms.firmware.store import store_statuses
from csms.intake.arrival import Arrival, StorableFact
from csms.intake.frames import storable
from csms.intake.statements import SQL
from csms.protocol.redaction import evidence
from csms.protocol.vocabulary import (
    ChargingEvent,
    ReadingsReported,
    SecurityEventReported,
    SettingsReported,
    VendorDataReceived,
)
from csms.security.service import keep_told
from csms.security.told import Told


async def store_notices(connection: Any, arrivals: Sequence[Arrival]) -> None:
    security = [_told(a, a.fact) for a in arrivals if isinstance(a.fact, SecurityEventReported)]
    if security:
        await keep_told(connection, security)
    await store_statuses(connection, arrivals)
    notices = [(a, *_notice(a.fact)) for a in arrivals if _notice(a.fact)[0]]
    if notices:
        await SQL.insert_notices.execute(
            connection,
            charge_points=[arrival.charge_point for arrival, _, _ in notices],
            kinds=[kind for _, kind, _ in notices],
            bodies=[body for _, _, body in notices],
            received_ats=[arrival.received_at for arrival, _, _ in notices],
        )
    settings = {
        (a.charge_point, name): (value, mutability, a.received_at)
        for a in arrivals
        if isinstance(a.fact, SettingsReported)
        for name, value, mutability in a.fact.settings
    }
    if settings:
        await store_settings(connection, settings)
        await store_descriptions(connection, arrivals)


def _told(arrival: Arrival, event: SecurityEventReported) -> Told:
    return Told(
        charge_point=arrival.charge_point, key=event.key, type=event.type, at=event.at, tech_info=event.tech_info,
        received_at=arrival.received_at,
    )  # fmt: skip


def _notice(fact: StorableFact) -> tuple[str, dict[str, Any]]:
    match fact:
        case VendorDataReceived():
            return "vendor_data", {"vendor": fact.vendor, "message": fact.message, "data": fact.data}
        case _:
            return "", {}


async def store_settings(
    connection: Any, settings: dict[tuple[str, str], tuple[str | None, str | None, datetime]]
) -> None:
    """Settings by charge point and name: value, mutability, when read."""
    keys = sorted(settings)
    kept = await SQL.upsert_settings.fetch(
        connection,
        charge_points=[charge_point for charge_point, _ in keys],
        names=[name for _, name in keys],
        values=[settings[key][0] for key in keys],
        mutabilities=[settings[key][1] for key in keys],
        read_ats=[settings[key][2] for key in keys],
        most=VARIABLES_MAX,
    )
    note_left_out(Counter(charge_point for charge_point, _ in keys) - Counter(row["charge_point"] for row in kept))


async def store_quarantine(connection: Any, arrivals: Sequence[Arrival]) -> None:
    broken = [a for a in arrivals if isinstance(a.fact, (ChargingEvent, ReadingsReported)) and a.fact.malformed]
    if broken:
        await SQL.insert_quarantine.execute(
            connection,
            charge_points=[a.charge_point for a in broken],
            frames=[storable(evidence(a.frame)) for a in broken],
            reasons=[",".join(getattr(a.fact, "quirks", ())) or "malformed" for a in broken],
            sockets=[a.socket for a in broken],
            received_ats=[a.received_at for a in broken],
        )
