"""Charging profiles between us and charge points: what was asked and answered, what was told, what holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, assert_never

from asyncpg import Record
from pydantic import TypeAdapter

from billing import Queries
from csms.nodes.routing import command_from_json, command_to_json
from csms.protocol.blocks.charging_profile import (
    ChargingLimitCleared,
    ChargingLimitReported,
    ChargingNeedsReported,
    ChargingProfilesReported,
    EvScheduleReported,
    SmartChargingAnswer,
    SmartChargingFact,
)
from csms.protocol.blocks.smart_charging import ClearChargingProfile, SetChargingProfile
from csms.protocol.schedules import schedule_to_json
from csms.protocol.vocabulary import Acknowledged, Command, Decision, Outcome
from csms.smart_charging.installed import Installed, installed
from csms.smart_charging.limits import limits_in_force

SQL = Queries.load(__package__)
POLL_S = 0.2
REQUESTS_SHOWN = 20

_KINDS: Mapping[type[SmartChargingFact], str] = {
    ChargingLimitReported: "limit",
    ChargingLimitCleared: "limit_cleared",
    ChargingNeedsReported: "needs",
    EvScheduleReported: "ev_schedule",
    ChargingProfilesReported: "profiles",
}


_ADAPTERS: dict[type[SmartChargingFact], TypeAdapter[Any]] = {}


def _adapter(kind: type[SmartChargingFact]) -> TypeAdapter[Any]:
    """Made when it is first needed: commands that show nothing of this start without."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


# --- what charge points tell -----------------------------------------------------------------------------------------


async def record(connection: Any, charge_point: str, fact: SmartChargingFact, *, at: datetime) -> Decision:
    """Keep what was told, and decide what to answer once it is kept."""
    body = _adapter(type(fact)).dump_python(fact, mode="json", exclude={"quirks"})
    await SQL.insert_fact.execute(
        connection, charge_point=charge_point, kind=_KINDS[type(fact)], evse=fact.evse,
        request=fact.request if isinstance(fact, ChargingProfilesReported) else None,
        body=body, quirks=",".join(fact.quirks), received_at=at,
    )  # fmt: skip
    return answer_to(fact)


def answer_to(fact: SmartChargingFact) -> Decision:
    """Nobody here makes a schedule out of an EV's needs, so that the station is told at once to go on by the profiles
    that it has (K15); how an EV then means to charge is fine with us (K17).
    """
    match fact:
        case ChargingNeedsReported():
            return SmartChargingAnswer(status="Rejected")
        case EvScheduleReported():
            return SmartChargingAnswer(status="Accepted")
        case ChargingLimitReported() | ChargingLimitCleared() | ChargingProfilesReported():
            return Acknowledged()
        case _:
            assert_never(fact)


# --- what we ask -----------------------------------------------------------------------------------------------------


async def record_request(connection: Any, charge_point: str, command: Command, *, actor: str) -> int:
    """What is about to be sent; its number."""
    request: int = await SQL.insert_request.fetchval(
        connection, charge_point=charge_point, command=type(command).__name__,
        body=command_to_json(command.kept()), actor=actor,
    )  # fmt: skip
    return request


async def record_answer(connection: Any, request: int, outcome: Outcome) -> None:
    await SQL.insert_answer.execute(
        connection, request=request, accepted=outcome.accepted, status=outcome.status, detail=outcome.detail,
        data=outcome.data,
    )  # fmt: skip


async def known_settings(connection: Any, charge_point: str, names: tuple[str, ...]) -> dict[str, str | None]:
    """Settings that were read since the charge point booted last."""
    rows = await SQL.known_settings.fetch(connection, charge_point=charge_point, names=list(names))
    return {row["name"]: row["value"] for row in rows}


# --- what holds ------------------------------------------------------------------------------------------------------


async def accepted_profiles(connection: Any, charge_point: str) -> list[Installed]:
    """Profiles that the charge point should hold, by what it has accepted."""
    rows = await SQL.accepted_changes.fetch(connection, charge_point=charge_point)
    changes: list[tuple[datetime, SetChargingProfile | ClearChargingProfile]] = []
    for row in rows:
        command = command_from_json(row["body"])
        assert isinstance(command, SetChargingProfile | ClearChargingProfile), "the query names these two"
        changes.append((row["at"], command))
    named = {change.profile.transaction for _, change in changes if isinstance(change, SetChargingProfile)}
    ended = await SQL.ended_transactions.fetch(
        connection, charge_point=charge_point, transactions=sorted(each for each in named if each is not None)
    )
    return installed(changes, now=datetime.now(UTC), ended={row["transaction"] for row in ended})


@dataclass(slots=True)
class ProfileReport:
    """What has come of a report so far. Its parts carry no numbers; they come one after the other, the last says so."""

    parts: int = 0
    complete: bool = False
    profiles: dict[tuple[int, str, int], Installed] = field(default_factory=dict)

    def take(self, part: ChargingProfilesReported) -> None:
        self.parts += 1
        self.complete = self.complete or not part.more
        for profile in part.profiles:
            self.profiles[part.evse, part.source, profile.id] = Installed(
                evse=part.evse, profile=profile, source=part.source
            )


async def collect(connection: Any, charge_point: str, *, request: int, timeout_s: float) -> ProfileReport:
    """The report that answers a request, complete, or what had come of it when time was over."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        report = ProfileReport()
        for row in await SQL.report_parts.fetch(connection, charge_point=charge_point, request=request):
            report.take(_adapter(ChargingProfilesReported).validate_python(row["body"]))
        left_s = deadline - asyncio.get_running_loop().time()
        if report.complete or left_s <= 0:
            return report
        await asyncio.sleep(min(POLL_S, left_s))


async def show(connection: Any, charge_point: str) -> dict[str, object]:
    """Limits of others that are in force, what vehicles asked for last, and what we asked and were answered last."""
    told = await SQL.limit_facts.fetch(connection, charge_point=charge_point)
    limits = limits_in_force((row["received_at"], _limit_fact(row["kind"], row["body"])) for row in told)
    vehicles = await SQL.newest_of_evses.fetch(connection, charge_point=charge_point)
    requests = await SQL.newest_requests.fetch(connection, charge_point=charge_point, most=REQUESTS_SHOWN)
    return {
        "charge_point": charge_point,
        "limits": [
            {
                "source": each.limit.source,
                "evse": each.limit.evse,
                "since": each.since,
                "grid_critical": each.limit.grid_critical,
                "schedules": [schedule_to_json(schedule) for schedule in each.limit.schedules],
            }
            for each in limits
        ],
        "needs": [_told(row) for row in vehicles if row["kind"] == "needs"],
        "ev_schedules": [_told(row) for row in vehicles if row["kind"] == "ev_schedule"],
        "requests": [dict(row) for row in requests],
    }


def _limit_fact(kind: str, body: Mapping[str, Any]) -> ChargingLimitReported | ChargingLimitCleared:
    fact = _adapter(ChargingLimitReported if kind == "limit" else ChargingLimitCleared).validate_python(body)
    assert isinstance(fact, ChargingLimitReported | ChargingLimitCleared), "the kind names the type"
    return fact


def _told(row: Record) -> dict[str, object]:
    return {"told_at": row["received_at"], **{name: value for name, value in row["body"].items() if value is not None}}
