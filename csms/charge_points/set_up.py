"""Brings a charge point's metering settings to the template after its boot was accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
import structlog

from csms.charge_points.service import SQL
from csms.charge_points.template import READ_ONLY_V201, VERSION, Wanted, fallback, template, to_change
from csms.protocol.vocabulary import Command, GetSettings, Outcome, Protocol, SetSettings

log = structlog.get_logger()

Send = Callable[[Command], Awaitable[Outcome]]


async def apply_template(pool: asyncpg.Pool[Any], charge_point: str, protocol: Protocol, send: Send) -> None:
    """Read what is set, change only what differs, and store what the charge point said to each."""
    names = tuple(wanted.name for wanted in template(protocol))
    if protocol.has_device_model:
        names += READ_ONLY_V201
    read = await send(GetSettings(names=names))
    present = settings_of(read)
    if not present:
        log.info("template_not_read", charge_point=charge_point, status=read.status, detail=read.detail)
        return
    async with pool.acquire() as connection:
        await remember(connection, charge_point, present)
    for wanted in to_change(protocol, {name: value for name, (value, _) in present.items()}):
        await _set(pool, charge_point, wanted, send)


async def _set(pool: asyncpg.Pool[Any], charge_point: str, wanted: Wanted, send: Send) -> None:
    outcome = await send(SetSettings(values=((wanted.name, wanted.value),)))
    simpler = fallback(wanted)
    if outcome.status == "Rejected" and simpler is not None:
        wanted = simpler
        outcome = await send(SetSettings(values=((wanted.name, wanted.value),)))
    async with pool.acquire() as connection:
        await SQL.store_template_result.execute(
            connection, charge_point=charge_point, name=wanted.name, wanted=wanted.value, status=outcome.status,
            version=VERSION,
        )  # fmt: skip
        if outcome.accepted:
            await SQL.store_setting.execute(
                connection, charge_point=charge_point, name=wanted.name, value=wanted.value, mutability=None
            )
    log.info("template_set", charge_point=charge_point, name=wanted.name, status=outcome.status)


async def remember(connection: Any, charge_point: str, settings: Mapping[str, tuple[str | None, str | None]]) -> None:
    """Keep settings, as `settings_of` gives them, as just read: other commands look what a charge point can do."""
    for name, (value, mutability) in sorted(settings.items()):
        await SQL.store_setting.execute(
            connection, charge_point=charge_point, name=name, value=value, mutability=mutability
        )


def settings_of(outcome: Outcome) -> dict[str, tuple[str | None, str | None]]:
    """Name -> (value, mutability) of a GetSettings outcome; what the charge point does not know is not in it."""
    read_only = set(outcome.data.get("readonly", []))
    settings = outcome.data.get("settings", {})
    return {name: (value, "ReadOnly" if name in read_only else None) for name, value in settings.items()}
