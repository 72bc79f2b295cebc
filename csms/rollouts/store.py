"""Rows of roll-outs, and the values that they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncpg import Record

from billing import Queries
from csms.firmware import service as firmware
from csms.firmware.transfer import Transfer, TransferKind
from csms.protocol.blocks.firmware import LogKind
from csms.protocol.vocabulary import Protocol
from csms.rollouts.judgement import Seen
from csms.rollouts.plan import plan_from_json
from csms.rollouts.rollout import Change, Decision, Kind, Member, Rollout, Standing, State

SQL = Queries.load(__package__)
KINDS = {Kind.FIRMWARE: TransferKind.FIRMWARE, Kind.LOG: TransferKind.LOG}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWish:
    """Which logs are collected."""

    kind: LogKind
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A roll-out with everything that is decided by, and what asking needs. `protocols`: of those that are online."""

    rollout: Rollout
    members: tuple[Member, ...]
    protocols: Mapping[str, Protocol]
    image: int | None
    file: int | None
    file_name: str
    log: LogWish | None
    actor: str


async def load(connection: Any, rollout: int, *, call_timeout_s: float) -> View:
    row = await SQL.rollout.fetchrow(connection, rollout=rollout)
    assert row is not None, "roll-outs are never deleted"
    rows = await SQL.members.fetch(connection, rollout=rollout, charge_point=None)
    kind = Kind(row["kind"])
    transfers = await _transfers(connection, KINDS[kind], rows)
    log = row["plan"].get("log")
    return View(
        rollout=Rollout(
            id=row["id"], kind=kind, plan=plan_from_json(row["plan"]), state=State(row["state"]), wave=row["wave"],
            wave_at=row["wave_at"], version=row["version"], vendor=row["vendor"], model=row["model"],
            call_timeout_s=call_timeout_s,
        ),
        members=tuple(_member(each, transfers.get(each["request"] or 0)) for each in rows),
        protocols={each["charge_point"]: Protocol(each["spoken"]) for each in rows if each["spoken"] is not None},
        image=row["image"],
        file=row["file"],
        file_name=row["file_name"] or "",
        log=None if log is None else log_from_json(log),
        actor=row["actor"],
    )  # fmt: skip


async def _transfers(connection: Any, kind: TransferKind, rows: Sequence[Record]) -> dict[int, Transfer]:
    open_ = [
        (row["charge_point"], row["request_asked_at"])
        for row in rows
        if row["request"] is not None and Standing(row["state"]) in {Standing.WAITING, Standing.ASKED, Standing.RUNNING}
    ]
    return await firmware.transfers_since(connection, kind, open_) if open_ else {}


def _member(row: Record, transfer: Transfer | None) -> Member:
    received = None
    if row["received_file"] is not None:
        received = f"file {row['received_file']} is here, {row['received_bytes']} bytes"
    return Member(
        charge_point=row["charge_point"], wave=row["wave"], standing=Standing(row["state"]), reason=row["reason"],
        asked=row["asked"], failures=row["failures"], not_before=row["not_before"], changed_at=row["changed_at"],
        forgiven=row["forgiven"],
        seen=Seen(
            online=row["spoken"] is not None, rejected=row["registration"] == "Rejected", busy=row["busy"],
            time_zone=row["time_zone"], vendor=row["vendor"], model=row["model"], firmware=row["firmware"], booted_at=row["booted_at"], transfer=transfer,
            received_at=row["received_at"], received=received,
        ),
    )  # fmt: skip


async def keep(
    connection: Any, before: View, decision: Decision, requests: Mapping[str, int], *, now: datetime
) -> None:
    """Enter what was decided: every step, and where everybody stands by it. `requests`: of those who are asked."""
    rollout = before.rollout.id
    if decision.rollout != before.rollout or any(each.charge_point is None for each in decision.changes):
        why = next((each.reason for each in reversed(decision.changes) if each.charge_point is None), None)
        await SQL.store_rollout.execute(
            connection, rollout=rollout, state=str(decision.rollout.state), wave=decision.rollout.wave,
            wave_at=decision.rollout.wave_at, reason=why, now=now,
        )  # fmt: skip
    was = {each.charge_point: each for each in before.members}
    moved = [each for each in decision.members if each != was[each.charge_point]]
    if moved:
        await SQL.store_members.execute(
            connection, rollout=rollout, charge_points=[each.charge_point for each in moved],
            states=[str(each.standing) for each in moved], reasons=[each.reason for each in moved],
            asked=[each.asked for each in moved], failures=[each.failures for each in moved],
            not_befores=[each.not_before for each in moved], requests=[requests.get(each.charge_point) for each in moved],
            changed_ats=[each.changed_at for each in moved],
        )  # fmt: skip
    asked = [Change(charge_point=each, kind="asked") for each in requests]
    attempts = {each.charge_point: each.asked for each in decision.members}
    await keep_events(
        connection, rollout, [*decision.changes, *asked], actor=None, now=now, attempts=attempts, requests=requests
    )


async def keep_events(
    connection: Any,
    rollout: int,
    changes: Sequence[Change],
    *,
    actor: str | None,
    now: datetime,
    attempts: Mapping[str, int] | None = None,
    requests: Mapping[str, int] | None = None,
) -> None:
    """Enter steps; those that ask somebody with the number of the attempt and of the request."""
    if not changes:
        return
    numbers, named = attempts or {}, requests or {}
    await SQL.insert_events.execute(
        connection, rollout=rollout, charge_points=[each.charge_point for each in changes],
        kinds=[each.kind for each in changes], reasons=[each.reason for each in changes],
        attempts=[None if each.charge_point is None else numbers.get(each.charge_point) for each in changes],
        requests=[named.get(each.charge_point or "") if each.kind == "asked" else None for each in changes],
        actor=actor, at=now,
    )  # fmt: skip


def log_to_json(log: LogWish) -> dict[str, Any]:
    return {
        "kind": str(log.kind),
        "since": None if log.since is None else log.since.isoformat(),
        "until": None if log.until is None else log.until.isoformat(),
    }


def log_from_json(body: Mapping[str, Any]) -> LogWish:
    since, until = body["since"], body["until"]
    return LogWish(
        kind=LogKind(body["kind"]),
        since=None if since is None else datetime.fromisoformat(since),
        until=None if until is None else datetime.fromisoformat(until),
    )
