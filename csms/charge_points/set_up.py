"""Brings a charge point's metering settings to the template after its boot was accepted."""

from __future__ import annotations

from typing import Any

import asyncpg
import structlog

from csms.charge_points.device_settings import DeviceSettings, Send, settings_of
from csms.charge_points.service import SQL
from csms.charge_points.template import READ_ONLY_V16, READ_ONLY_V201, VERSION, Wanted, fallback, template, to_change
from csms.protocol.vocabulary import Protocol

log = structlog.get_logger()


async def apply_template(
    pool: asyncpg.Pool[Any], charge_point: str, protocol: Protocol, send: Send, *, energy_only: bool = False
) -> None:
    """Read what is set, change only what differs, and store what the charge point said to each."""
    device = DeviceSettings(charge_point=charge_point, protocol=protocol, send=send, books=pool.acquire)
    names = tuple(wanted.name for wanted in template(protocol))
    names += READ_ONLY_V201 if protocol.has_device_model else READ_ONLY_V16
    read = await device.read(names)
    present = settings_of(read)
    if not present:
        log.info("template_not_read", charge_point=charge_point, status=read.status, detail=read.detail)
        return
    values = {name: value for name, (value, _) in present.items()}
    for wanted in to_change(protocol, values, energy_only=energy_only):
        await _set(device, wanted)


async def _set(device: DeviceSettings, wanted: Wanted) -> None:
    outcome = await device.change(wanted.name, wanted.value)
    simpler = fallback(wanted)
    if outcome.status == "Rejected" and simpler is not None:
        wanted = simpler
        outcome = await device.change(wanted.name, wanted.value)
    async with device.books() as connection:
        await SQL.store_template_result.execute(
            connection, charge_point=device.charge_point, name=wanted.name, wanted=wanted.value, status=outcome.status,
            version=VERSION,
        )  # fmt: skip
    log.info("template_set", charge_point=device.charge_point, name=wanted.name, status=outcome.status)
