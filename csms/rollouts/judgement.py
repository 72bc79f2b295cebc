"""What has come of asking a charge point once, by all that is known: answer, statuses, boots, the file. Pure.

The acknowledgement proves nothing, and neither does a download. Firmware is proven by the version that a boot reports;
where a charge point never boots (or never says Installed: both exist), by the other of the two. A log is proven by
the file being here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from csms.firmware.transfer import SUCCESSES, State, Transfer
from csms.rollouts.plan import Plan

HOPELESS = frozenset(
    {
        "InvalidCertificate",
        "InvalidChecksum",
        "InvalidSignature",
        "NotSupportedOperation",
        "RevokedCertificate",
        "invalid",
        "invalid_answer",
        "not_supported",
        "refused",
    }
)
"""Words after which the same would come of asking again."""
NOT_REACHED = frozenset({"offline"})


class Verdict(StrEnum):
    WAIT = "nothing new"
    UNDER_WAY = "it is at it"
    DONE = "it is done"
    NOTHING_TO_DO = "there is nothing to do"
    NOT_REACHED = "it was never asked"
    ATTEMPT_FAILED = "this time it came to nothing"
    FAILED_FOR_GOOD = "nothing will come of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a charge point now. `transfer`: what came of the newest request; `received_at`: its file."""

    online: bool
    rejected: bool = False
    """Its registration is: it may be connected, and is sent nothing (OCPP 2.0.1 B03.FR.03)."""
    busy: bool = False
    time_zone: str = "UTC"
    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
    booted_at: datetime | None = None
    transfer: Transfer | None = None
    received_at: datetime | None = None
    received: str | None = None

    def runs(self, version: str | None) -> bool:
        """Whether it said so when it last booted. Case and a leading v are a matter of taste."""
        return self.firmware is not None and version is not None and _plain(self.firmware) == _plain(version)


def _plain(version: str) -> str:
    return version.strip().casefold().removeprefix("v").strip()


def judge(  # noqa: PLR0911 - one for each state of a transfer
    seen: Seen,
    plan: Plan,
    *,
    is_firmware: bool,
    version: str | None,
    now: datetime,
    answer_within_s: float,
    known_within_s: float,
) -> tuple[Verdict, str | None]:
    """What has come of it, and why we think so.

    `answer_within_s`: so long after an answer stayed away it may be under way still. `known_within_s`: so long after it
    was entered nobody may be at asking any more; whoever was has died, and may have asked.
    """
    transfer = seen.transfer
    assert transfer is not None, "only who was asked is judged"
    assert transfer.request is not None, "only who was asked is judged"
    proven = _proof(seen, version, transfer.request.asked_at) if is_firmware else seen.received
    if proven is not None:
        return Verdict.DONE, proven
    match transfer.state:
        case State.REFUSED:
            return _refused(transfer.failed or "", transfer.request.detail)
        case State.DONE:
            return _told_done(seen, plan, is_firmware=is_firmware, version=version, now=now)
        case State.FAILED:
            word = transfer.failed or "failed"
            return (Verdict.FAILED_FOR_GOOD if word in HOPELESS else Verdict.ATTEMPT_FAILED), word
        case State.SUPERSEDED:
            return Verdict.ATTEMPT_FAILED, "a newer request took its place"
        case State.ASKED | State.UNSOLICITED:
            return _unknown(now - transfer.request.asked_at, known_within_s)
        case State.UNANSWERED:
            return _silent(seen, plan, now=now, most_s=answer_within_s)
        case State.ACCEPTED | State.RUNNING:
            verdict, reason = _silent(seen, plan, now=now, most_s=plan.silence_s)
            if verdict is Verdict.WAIT:
                return Verdict.UNDER_WAY, transfer.steps[-1].status if transfer.steps else transfer.request.answer
            return verdict, reason


def _unknown(since: timedelta, known_within_s: float) -> tuple[Verdict, str | None]:
    """Nobody has entered yet what came of asking."""
    if since < timedelta(seconds=known_within_s):
        return Verdict.WAIT, None
    return Verdict.ATTEMPT_FAILED, "the server was stopped meanwhile: whether it was asked is not known"


def _proof(seen: Seen, version: str | None, asked_at: datetime) -> str | None:
    """A boot since it was asked, with the version that it was to have."""
    booted = seen.booted_at is not None and seen.booted_at > asked_at
    return f"it has booted with {seen.firmware}" if booted and seen.runs(version) else None


def _refused(word: str, detail: str | None) -> tuple[Verdict, str]:
    reason = word if detail is None else f"{word}: {detail}"
    if word in NOT_REACHED:
        return Verdict.NOT_REACHED, "it went offline"
    if word == "NoDiagnostics":
        return Verdict.NOTHING_TO_DO, "it has nothing of that time"
    return (Verdict.FAILED_FOR_GOOD if word in HOPELESS else Verdict.ATTEMPT_FAILED), reason


def _told_done(
    seen: Seen, plan: Plan, *, is_firmware: bool, version: str | None, now: datetime
) -> tuple[Verdict, str | None]:
    assert seen.transfer is not None, "see judge()"
    assert seen.transfer.request is not None, "see judge()"
    last = next(step for step in reversed(seen.transfer.steps) if step.status in SUCCESSES)
    waited_for = now - last.at >= timedelta(seconds=plan.proof_s)
    if not is_firmware:
        return (
            (Verdict.ATTEMPT_FAILED, f"it says {last.status}, and no file has come")
            if waited_for
            else (Verdict.UNDER_WAY, f"it says {last.status}")
        )
    before = seen.transfer.request.firmware
    if seen.booted_at is not None and seen.booted_at > last.at:
        if seen.firmware == before:
            return Verdict.ATTEMPT_FAILED, f"it says {last.status}, and has booted with {before} as before"
        return Verdict.DONE, f"it says {last.status} and has booted with {seen.firmware}; the image says {version}"
    if not waited_for:
        return Verdict.UNDER_WAY, f"it says {last.status}"
    return Verdict.DONE, f"it says {last.status}; it has not booted since, as far as is known"


def _silent(seen: Seen, plan: Plan, *, now: datetime, most_s: float) -> tuple[Verdict, str | None]:
    """Whether it has said nothing for too long. While it charges it may have to wait with what it was asked."""
    assert seen.transfer is not None, "see judge()"
    assert seen.transfer.request is not None, "see judge()"
    request = seen.transfer.request
    heard = [request.asked_at, *(step.last_at for step in seen.transfer.steps)]
    heard += [each for each in (request.answered_at, seen.booted_at) if each is not None]
    silence = now - max(heard)
    if now - request.asked_at >= timedelta(seconds=plan.patience_s):
        return Verdict.ATTEMPT_FAILED, f"not done within {plan.patience_s} s"
    if seen.online and not seen.busy and silence >= timedelta(seconds=most_s):
        what = "no answer" if request.accepted is None else "no word"
        return Verdict.ATTEMPT_FAILED, f"{what} for {round(silence.total_seconds())} s"
    return Verdict.WAIT, None
