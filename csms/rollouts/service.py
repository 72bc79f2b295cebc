"""Roll-outs as operators have them: created, looked at, paused, taken up again, given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from billing import AlreadyDone, NotFound, Refused
from csms.charge_points import service as charge_points
from csms.firmware import images
from csms.rollouts.plan import Plan, plan_to_json, wave_of_each
from csms.rollouts.rollout import OVER, Change, Kind, Standing, State
from csms.rollouts.store import KINDS, SQL, LogWish, keep_events, log_to_json

OPEN = frozenset({State.RUNNING, State.PAUSED, State.STOPPED})
MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which charge points: those named, or those of a site or model (both: of that model at that site), or all."""

    named: tuple[str, ...] = ()
    site: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Who will be in a roll-out, wave by wave, and who not and why."""

    members: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[str, str], ...] = ()


async def choose(connection: Any, choice: Choice, plan: Plan, *, image: int | None) -> Chosen:
    """Who it would be.

    Raises:
        NotFound: a charge point that was named, or anybody at all.
        Refused: one that was named cannot be in it.
    """
    for name in choice.named:
        await charge_points.get(connection, name)
    rows = await SQL.candidates.fetch(
        connection, site=choice.site, model=choice.model, named=list(choice.named) or None
    )
    left_out = await _left_out(connection, rows, image)
    unfit = [(name, why) for name, why in left_out.items() if choice.named]
    if unfit:
        raise Refused(f"{unfit[0][0]}: {unfit[0][1]}", "leave it out, or take other firmware")
    names = [row["id"] for row in rows if row["id"] not in left_out]
    if not names:
        raise NotFound(
            "no charge point to ask", "see csms cp list", details={"left_out": left_out} if left_out else None
        )
    waves = wave_of_each(len(names), plan.waves)
    return Chosen(members=tuple(zip(names, waves, strict=True)), left_out=tuple(left_out.items()))


async def _left_out(connection: Any, rows: Sequence[Any], image: int | None) -> dict[str, str]:
    """Who cannot be in it, by what is known now: another make, or in another roll-out."""
    if image is None:
        return {}
    wanted = await images.get(connection, image)
    if wanted["withdrawn_at"] is not None:
        raise Refused(f"firmware {image} was withdrawn", "see csms firmware list")
    found = {}
    for row in rows:
        for name in ("vendor", "model"):
            ours, theirs = wanted[name], row[name]
            if ours is not None and theirs is not None and ours.casefold() != theirs.casefold():
                found[row["id"]] = f"its {name} is {theirs}, this firmware is for {ours}"
    taken = await SQL.taken.fetch(connection, charge_points=[row["id"] for row in rows])
    return found | {row["charge_point"]: f"it is in roll-out {row['rollout']}" for row in taken}


async def create(
    connection: Any, chosen: Chosen, plan: Plan, *, image: int | None = None, log: LogWish | None = None, actor: str
) -> int:
    """Enter it; the server takes it from there. Its number.

    Raises:
        Refused: somebody has been taken into another roll-out this very moment.
    """
    kind = Kind.LOG if image is None else Kind.FIRMWARE
    body = plan_to_json(plan) | {"log": None if log is None else log_to_json(log)}
    try:
        async with connection.transaction():
            rollout: int = await SQL.insert_rollout.fetchval(
                connection, kind=str(kind), image=image, plan=body, actor=actor
            )
            await SQL.insert_members.execute(
                connection, rollout=rollout, exclusive=kind is Kind.FIRMWARE,
                charge_points=[name for name, _ in chosen.members], waves=[wave for _, wave in chosen.members],
            )  # fmt: skip
            reason = f"{len(chosen.members)} charge points in {chosen.members[-1][1]} waves"
            await keep_events(
                connection, rollout, [Change(charge_point=None, kind="created", reason=reason)], actor=actor,
                now=datetime.now(UTC),
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise Refused("some of them are in another roll-out", "see csms firmware rollout list") from None
    return rollout


# --- looking


async def overview(connection: Any, kind: Kind, *, rollout: int | None = None) -> list[dict[str, Any]]:
    """Roll-outs with how far they are, newest first."""
    rows = await SQL.rollouts.fetch(connection, kind=str(kind), rollout=rollout, most=MOST)
    return [dict(row) for row in rows]


async def get(connection: Any, kind: Kind, rollout: int) -> dict[str, Any]:
    """One of them.

    Raises:
        NotFound: there is none with this number.
    """
    found = await overview(connection, kind, rollout=rollout)
    if not found:
        noun = "firmware rollout list" if kind is Kind.FIRMWARE else "log list"
        raise NotFound(f"no {'roll-out' if kind is Kind.FIRMWARE else 'collection'} {rollout}", f"see csms {noun}")
    return found[0]


async def members_of(connection: Any, rollout: int) -> list[dict[str, Any]]:
    """Where each charge point stands, and why."""
    rows = await SQL.members.fetch(connection, rollout=rollout, charge_point=None)
    return [_standing(row) for row in rows]


def _standing(row: Any) -> dict[str, Any]:
    return {
        "charge_point": row["charge_point"],
        "wave": row["wave"],
        "state": row["state"],
        "reason": row["reason"],
        "asked": row["asked"],
        "failures": row["failures"],
        "firmware": row["firmware"],
        "online": None if Standing(row["state"]) in OVER else row["spoken"] is not None,
        "next_try_at": row["not_before"],
        "changed_at": row["changed_at"],
    }


async def steps_of(connection: Any, rollout: int) -> list[dict[str, Any]]:
    """What became of the roll-out as a whole, step by step."""
    return [_step(row) for row in await SQL.events.fetch(connection, rollout=rollout, charge_point=None)]


def _step(row: Any) -> dict[str, Any]:
    return {"at": row["at"], "step": row["kind"], "reason": row["reason"], "actor": row["actor"]}


async def story_of(connection: Any, kind: Kind, rollout: int, charge_point: str) -> dict[str, Any]:
    """One charge point in a roll-out: where it stands, and every step with its time, ours and its own.

    Raises:
        NotFound: it is not in it.
    """
    known = await charge_points.get(connection, charge_point)
    row = await SQL.members.fetchrow(connection, rollout=rollout, charge_point=known.id)
    if row is None:
        raise NotFound(f"{known.id} is not in {rollout}", f"see csms firmware rollout show {rollout}")
    events = await SQL.events.fetch(connection, rollout=rollout, charge_point=known.id)
    steps = [
        {"at": each["at"], "step": each["kind"], "reason": each["reason"], "attempt": each["attempt"],
         "request": each["request"], "actor": each["actor"]}
        for each in events
    ]  # fmt: skip
    asked = [each["at"] for each in events if each["kind"] == "asked"]
    told = []
    if asked:
        told = await SQL.told.fetch(
            connection, rollout=rollout, charge_point=known.id, kind=str(KINDS[kind]), since=min(asked)
        )
    steps += [
        {"at": each["at"], "step": "told" if each["file"] is None else "transferred",
         "reason": each["what"] if each["file"] is None else f"{each['what']}, file {each['file']}, {each['bytes']} bytes",
         "attempt": None, "request": each["request"], "actor": None}
        for each in told
    ]  # fmt: skip
    return {**_standing(row), "steps": sorted(steps, key=lambda each: each["at"])}


# --- the operator's word


async def pause(connection: Any, kind: Kind, rollout: int, *, actor: str, reason: str | None) -> dict[str, Any]:
    """Ask nobody else; what was asked goes on."""
    return await _turn(connection, kind, rollout, State.PAUSED, "paused", {State.RUNNING}, actor=actor, reason=reason)


async def resume(connection: Any, kind: Kind, rollout: int, *, actor: str, reason: str | None) -> dict[str, Any]:
    """Go on, also after a stop: the failures up to now stop it no more."""
    from_ = {State.PAUSED, State.STOPPED}
    return await _turn(connection, kind, rollout, State.RUNNING, "resumed", from_, actor=actor, reason=reason)


async def abort(connection: Any, kind: Kind, rollout: int, *, actor: str, reason: str | None) -> dict[str, Any]:
    """End it. Those whose turn has not come are left as they are; what was asked goes on, and is watched."""
    return await _turn(connection, kind, rollout, State.ABORTED, "aborted", set(OPEN), actor=actor, reason=reason)


async def retry(
    connection: Any, kind: Kind, rollout: int, names: Sequence[str], *, actor: str, reason: str | None
) -> list[str]:
    """Ask failed ones again from the beginning: those named, or all of them.

    Raises:
        NotFound: nobody (of them) has failed.
        Refused: the roll-out was aborted, or one of them is in another one by now.
    """
    known = await get(connection, kind, rollout)
    if known["state"] == State.ABORTED:
        raise Refused(f"{rollout} was aborted", "create a new one with --cp for each of them")
    ids = [(await charge_points.get(connection, each)).id for each in names]
    now = datetime.now(UTC)
    try:
        async with connection.transaction():
            await SQL.wait_for_rollout.execute(connection, rollout=rollout)
            rows = await SQL.try_again.fetch(connection, rollout=rollout, charge_points=ids or None)
            again = sorted(row["charge_point"] for row in rows)
            if not again:
                raise NotFound("nobody of them has failed", f"see csms firmware rollout show {rollout}")
            events = [Change(charge_point=each, kind="retried", reason=reason) for each in again]
            if known["state"] == State.DONE:
                await _set_state(connection, rollout, State.RUNNING, reason, now=now)
                events.append(Change(charge_point=None, kind="resumed", reason=reason))
            await keep_events(connection, rollout, events, actor=actor, now=now)
    except asyncpg.UniqueViolationError:
        raise Refused("some of them are in another roll-out by now", "name the others with --cp") from None
    return again


async def _turn(
    connection: Any, kind: Kind, rollout: int, to: State, word: str, from_: set[State], *, actor: str,
    reason: str | None,
) -> dict[str, Any]:  # fmt: skip
    async with connection.transaction():
        await SQL.wait_for_rollout.execute(connection, rollout=rollout)
        known = await get(connection, kind, rollout)
        if State(known["state"]) not in from_:
            raise AlreadyDone(f"{rollout} is {known['state']}", f"it can be {word} while {', '.join(sorted(from_))}")
        now = datetime.now(UTC)
        await _set_state(connection, rollout, to, reason, now=now)
        events = [Change(charge_point=None, kind=word, reason=reason)]
        if to is State.RUNNING:
            await SQL.forgive.execute(connection, rollout=rollout)
        if to is State.ABORTED:
            gone = await SQL.withdraw_waiting.fetch(connection, rollout=rollout, reason=reason or "aborted")
            events += [Change(charge_point=row["charge_point"], kind="withdrawn", reason=reason) for row in gone]
        await keep_events(connection, rollout, events, actor=actor, now=now)
    return await get(connection, kind, rollout)


async def _set_state(connection: Any, rollout: int, to: State, reason: str | None, *, now: datetime) -> None:
    row = await SQL.rollout.fetchrow(connection, rollout=rollout)
    assert row is not None, "roll-outs are never deleted"
    await SQL.store_rollout.execute(
        connection, rollout=rollout, state=str(to), wave=row["wave"], wave_at=row["wave_at"], reason=reason, now=now
    )


async def received_files(connection: Any, rollout: int) -> list[dict[str, Any]]:
    """What has come of a collection of logs."""
    return [dict(row) for row in await SQL.received_files.fetch(connection, rollout=rollout)]
