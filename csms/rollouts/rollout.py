"""A roll-out: what becomes of it and of each charge point in it, given what is known now. Pure: decides, does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from csms.firmware.transfer import State as Progress
from csms.rollouts.judgement import Seen, Verdict, judge
from csms.rollouts.plan import Plan


class Kind(StrEnum):
    FIRMWARE = "firmware"
    LOG = "log"


class State(StrEnum):
    """Of the roll-out as a whole."""

    RUNNING = "running"
    PAUSED = "paused"
    """By an operator. What was asked goes on, nobody else is asked."""
    STOPPED = "stopped"
    """By itself: too many have failed."""
    ABORTED = "aborted"
    """By an operator, for good."""
    DONE = "done"


class Standing(StrEnum):
    """Of one charge point."""

    WAITING = "waiting"
    ASKED = "asked"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    """There is nothing to do for it."""
    WITHDRAWN = "withdrawn"
    """The roll-out was aborted before its turn came."""


ANSWER_SLACK_S = 5.0
"""So much longer than a charge point may take to answer, its answer may take to be known here."""
NOT_REACHED_PAUSE_S = 5.0
"""Between two attempts to reach one at least, whatever the plan says: each makes a request and an address."""
UNANSWERED_CALLS = 2
"""Where another node asks, we give up waiting after one time-out; there the call may still wait for its turn, and then for
its answer."""
ASKING_CALLS = 9
"""It is sent within one time-out or not at all, and by two messages at most. Each may wait for a way to its node, for the
boot, for the call before it, and for its answer: one time-out each."""
OVER = frozenset({Standing.DONE, Standing.FAILED, Standing.SKIPPED, Standing.WITHDRAWN})
UNDER_WAY = frozenset({Standing.ASKED, Standing.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A charge point in a roll-out. `asked`: how often; `failures`: how many of these times came to nothing."""

    charge_point: str
    wave: int
    standing: Standing = Standing.WAITING
    reason: str | None = None
    asked: int = 0
    failures: int = 0
    not_before: datetime | None = None
    changed_at: datetime
    forgiven: bool = False
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    id: int
    kind: Kind
    plan: Plan
    state: State
    wave: int
    wave_at: datetime
    version: str | None = None
    vendor: str | None = None
    model: str | None = None
    call_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A step of one charge point, or (charge_point None) of the roll-out, as it is kept."""

    charge_point: str | None
    kind: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a roll-out now. `asks`: who is asked; they stand as asked already."""

    rollout: Rollout
    members: tuple[Member, ...]
    changes: tuple[Change, ...]
    asks: tuple[str, ...]


def decide(rollout: Rollout, members: Sequence[Member], *, now: datetime) -> Decision:
    """First what has come of those that were asked, then whether it goes on, then who is next."""
    changes: list[Change] = []
    judged = [_judged(rollout, each, changes, now=now) for each in members]
    if rollout.state is State.RUNNING:
        rollout = _go_on(rollout, judged, changes, now=now)
    asks: list[str] = []
    if rollout.state is State.RUNNING:
        judged = _choose(rollout, judged, changes, asks, now=now)
    if rollout.state in {State.RUNNING, State.PAUSED, State.STOPPED} and all(each.standing in OVER for each in judged):
        rollout = replace(rollout, state=State.DONE)
        changes.append(Change(charge_point=None, kind="done", reason=summary(judged)))
    return Decision(rollout=rollout, members=tuple(judged), changes=tuple(changes), asks=tuple(asks))


# --- what has come of those that were asked


def _judged(  # noqa: PLR0911 - one for each verdict
    rollout: Rollout, member: Member, changes: list[Change], *, now: datetime
) -> Member:
    if member.standing not in UNDER_WAY and not _has_come_round(member):
        return member
    verdict, reason = judge(
        member.seen, rollout.plan, is_firmware=rollout.kind is Kind.FIRMWARE, version=rollout.version, now=now,
        answer_within_s=UNANSWERED_CALLS * rollout.call_timeout_s + ANSWER_SLACK_S,
        known_within_s=ASKING_CALLS * rollout.call_timeout_s + ANSWER_SLACK_S,
    )  # fmt: skip
    match verdict:
        case Verdict.WAIT:
            return member
        case Verdict.UNDER_WAY if member.standing is Standing.RUNNING:
            return replace(member, reason=reason)  # its own words are kept as they come
        case Verdict.UNDER_WAY:
            return _step(member, changes, Standing.RUNNING, "accepted", reason, now=now)
        case Verdict.DONE:
            return _step(member, changes, Standing.DONE, "done", reason, now=now)
        case Verdict.NOTHING_TO_DO:
            return _step(member, changes, Standing.SKIPPED, "skipped", reason, now=now)
        case Verdict.NOT_REACHED:
            back = Standing.WITHDRAWN if rollout.state is State.ABORTED else Standing.WAITING
            later = replace(member, not_before=now + timedelta(seconds=_pause_s(rollout)))
            return _step(later, changes, back, "not_reached", reason, now=now)
        case Verdict.FAILED_FOR_GOOD:
            failed = replace(member, failures=member.failures + 1)
            return _step(failed, changes, Standing.FAILED, "failed", reason, now=now)
        case Verdict.ATTEMPT_FAILED:
            return _attempt_failed(rollout, member, changes, reason, now=now)


def _pause_s(rollout: Rollout) -> float:
    return max(rollout.plan.retry_wait_s, NOT_REACHED_PAUSE_S)


def _has_come_round(member: Member) -> bool:
    """Whether one that was given up, and waits to be asked again, has told something since."""
    transfer = member.seen.transfer
    if member.standing is not Standing.WAITING or transfer is None or not transfer.steps:
        return False
    return transfer.steps[-1].last_at > member.changed_at and transfer.state in {Progress.RUNNING, Progress.DONE}


def _attempt_failed(
    rollout: Rollout, member: Member, changes: list[Change], reason: str | None, *, now: datetime
) -> Member:
    failed = replace(member, failures=member.failures + 1)
    if failed.failures >= rollout.plan.attempts_max or rollout.state is State.ABORTED:
        return _step(failed, changes, Standing.FAILED, "failed", reason, now=now)
    later = replace(failed, not_before=now + timedelta(seconds=rollout.plan.retry_wait_s))
    return _step(later, changes, Standing.WAITING, "attempt_failed", reason, now=now)


def _step(
    member: Member, changes: list[Change], standing: Standing, kind: str, reason: str | None, *, now: datetime
) -> Member:
    """Stand elsewhere, or for another reason; nothing where neither has changed."""
    if (member.standing, member.reason) == (standing, reason):
        return member
    changes.append(Change(charge_point=member.charge_point, kind=kind, reason=reason))
    return replace(member, standing=standing, reason=reason, changed_at=now)


# --- whether it goes on


def _go_on(rollout: Rollout, members: Sequence[Member], changes: list[Change], *, now: datetime) -> Rollout:
    """Stop where a wave has too many failures; begin the next where it is through."""
    while True:
        wave = [each for each in members if each.wave == rollout.wave]
        failed = [each for each in wave if each.standing is Standing.FAILED and not each.forgiven]
        limit = None if rollout.plan.stop_at is None else rollout.plan.stop_at.of(len(wave))
        if limit is not None and failed and len(failed) >= limit:
            names = ", ".join(each.charge_point for each in failed[:5])
            reason = f"{len(failed)} of {len(wave)} in wave {rollout.wave} have failed: {names}"
            changes.append(Change(charge_point=None, kind="stopped", reason=reason))
            return replace(rollout, state=State.STOPPED)
        last = max((each.wave for each in members), default=rollout.wave)
        if rollout.wave >= last or not _is_through(rollout, wave, now=now):
            return rollout
        changes.append(
            Change(charge_point=None, kind="wave", reason=f"wave {rollout.wave + 1}: {summary(wave)} before")
        )
        rollout = replace(rollout, wave=rollout.wave + 1, wave_at=now)


def _is_through(rollout: Rollout, wave: Sequence[Member], *, now: datetime) -> bool:
    """Whether the next wave may begin: all that can be reached are over, and not only by not being there."""
    open_ = [each for each in wave if each.standing not in OVER]
    if not open_:
        return True
    if now - rollout.wave_at < timedelta(seconds=rollout.plan.offline_s):
        return False
    away = all(each.standing is Standing.WAITING and not _can_be_asked(each.seen) for each in open_)
    return away and any(each.standing is Standing.DONE for each in wave)


def _can_be_asked(seen: Seen) -> bool:
    return seen.online and not seen.rejected


def summary(members: Iterable[Member]) -> str:
    """`3 done, 1 failed`."""
    standings = [each.standing for each in members]
    counts = [(each, standings.count(each)) for each in Standing]
    return ", ".join(f"{count} {standing}" for standing, count in counts if count) or "nobody"


# --- who is next


def _choose(
    rollout: Rollout, members: Sequence[Member], changes: list[Change], asks: list[str], *, now: datetime
) -> list[Member]:
    room = rollout.plan.parallel - sum(each.standing in UNDER_WAY for each in members)
    chosen = []
    for each in members:
        member = each
        if each.standing is Standing.WAITING and each.wave <= rollout.wave:
            skip = _nothing_to_do(rollout, each)
            wait = _waits_for(rollout, each, now=now)
            if skip is not None:
                member = _step(each, changes, Standing.SKIPPED, "skipped", skip, now=now)
            elif wait is not None:
                member = _step(each, changes, Standing.WAITING, "waits", wait, now=now)
            elif room > 0:
                room -= 1
                asks.append(each.charge_point)
                member = replace(
                    each, standing=Standing.ASKED, reason=None, asked=each.asked + 1, not_before=None, changed_at=now
                )
        chosen.append(member)
    return chosen


def _nothing_to_do(rollout: Rollout, member: Member) -> str | None:
    if rollout.kind is not Kind.FIRMWARE:
        return None
    for ours, theirs, what in (
        (rollout.vendor, member.seen.vendor, "vendor"),
        (rollout.model, member.seen.model, "model"),
    ):
        if ours is not None and theirs is not None and ours.casefold() != theirs.casefold():
            return f"its {what} is {theirs}, this firmware is for {ours}"
    if member.seen.runs(rollout.version) and not rollout.plan.even_if_current and not member.asked:
        return f"it runs {member.seen.firmware} already"
    return None


def _waits_for(rollout: Rollout, member: Member, *, now: datetime) -> str | None:
    """Why it is not asked now, in words that stay the same while it waits."""
    seen, plan = member.seen, rollout.plan
    if seen.rejected:
        return "its registration is Rejected"
    if not seen.online:
        return "it is offline"
    if plan.window is not None and not plan.window.holds(now, seen.time_zone):
        return f"outside {plan.window} ({seen.time_zone})"
    if member.not_before is not None and now < member.not_before:
        return member.reason  # what went wrong the last time stays in sight
    if plan.wait_for_sessions and seen.busy:
        return "a session is under way"
    return None
