"""What an operator has to look at: kept once, logged, counted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from csms.certificates import metrics
from csms.certificates.store import SQL

log = structlog.get_logger()


class AlarmKind(StrEnum):
    """They stand in the database and in metrics, so they never change."""

    REQUEST_REFUSED = "request_refused"
    TOO_MANY_REQUESTS = "too_many_requests"
    AUTHORITY_UNREACHABLE = "authority_unreachable"
    AUTHORITY_REFUSED = "authority_refused"
    REQUEST_WAITS = "request_waits"
    NOT_INSTALLED = "not_installed"
    CERTIFICATE_ENDS = "certificate_ends"
    CERTIFICATE_ENDED = "certificate_ended"
    AUTHORITY_ENDS = "authority_ends"
    INSTALLED_ENDS = "installed_ends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """`key` says what makes it the same alarm; it is raised once."""

    kind: AlarmKind
    key: str
    detail: str
    next_step: str
    charge_point: str | None = None


async def raise_alarm(connection: Any, alarm: Alarm) -> bool:
    """Keep and tell it, unless that was done before."""
    metrics.ALARMS.labels(str(alarm.kind)).inc()
    made = await SQL.insert_alarm.fetchval(
        connection, kind=str(alarm.kind), key=alarm.key, charge_point=alarm.charge_point, detail=alarm.detail,
        next_step=alarm.next_step,
    )  # fmt: skip
    if made is None:
        return False
    log.warning(
        "certificate_alarm",
        kind=str(alarm.kind),
        charge_point=alarm.charge_point,
        detail=alarm.detail,
        next_step=alarm.next_step,
    )
    return True
