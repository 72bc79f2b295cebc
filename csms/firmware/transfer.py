"""What became of a request for firmware or logs: its statuses put together. Pure.

Many statuses carry no request id (all those of plain OCPP 1.6): they belong to the newest request that is still open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby


class TransferKind(StrEnum):
    FIRMWARE = "firmware"
    PUBLICATION = "publication"
    LOG = "log"


class State(StrEnum):
    """Where a request stands."""

    ASKED = "asked"
    """No answer yet."""
    UNANSWERED = "unanswered"
    """No answer in time; nobody knows whether the charge point has it."""
    REFUSED = "refused"
    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    UNSOLICITED = "unsolicited"
    """Statuses that belong to no request of ours."""


ENDED = frozenset({State.REFUSED, State.DONE, State.FAILED, State.SUPERSEDED})
SUCCESSES = frozenset({"Installed", "Published", "Uploaded"})
FAILURES = frozenset(
    {
        "BadMessage",
        "InstallationFailed",
        "InstallVerificationFailed",
        "InvalidChecksum",
        "InvalidSignature",
        "NotSupportedOperation",
        "PermissionDenied",
        "PublishFailed",
    }
)
ATTEMPTS_FAILED = frozenset({"DownloadFailed", "UploadFailed", "UploadFailure"})
"""One attempt has failed; whether another follows is said by the retries asked for, or shown by what comes next."""
CANCELLED = "AcceptedCanceled"
"""A log status of 2.0.1: the charge point gave the upload up for a newer one."""
_IDLE = "Idle"
_CLOSING = SUCCESSES | FAILURES | {CANCELLED}

NEXT_STEPS = {
    "AcceptedCanceled": "nothing: the charge point gave up what it was at for this request",
    "Rejected": "the charge point's: it may be busy or charging; ask again later, or read csms cp trace",
    "InvalidCertificate": "yours: take the certificate that the manufacturer signed this firmware with, and see that "
    "the charge point trusts its root",
    "RevokedCertificate": "the manufacturer's: ask for firmware that is signed with a certificate in force",
    "NoDiagnostics": "yours: widen --since and --until",
    "not_supported": "the manufacturer's: this firmware does not know the message",
    "NoFirmware": "yours: the checksum is of no file that it offers; see csms firmware status",
    "DownloadOngoing": "the charge point's: ask again when the charge points behind it have downloaded",
    "DownloadFailed": "yours: see that the URL can be reached from where the charge point stands, and its credentials",
    "InvalidSignature": "yours: the file is not the one that was signed; take signature and file from one release",
    "InstallVerificationFailed": "the manufacturer's: the file is damaged or for another model",
    "InstallationFailed": "the manufacturer's: ask with csms log get what went wrong, and try again",
    "InvalidChecksum": "yours: give the MD5 of the very file that the URL serves",
    "PublishFailed": "the charge point's: ask with csms log get what went wrong",
    "UploadFailed": "yours: see that the URL takes uploads from where the charge point stands, and its credentials",
    "UploadFailure": "yours: see that the URL takes uploads from where the charge point stands, and its credentials",
    "PermissionDenied": "yours: the server at the URL does not take uploads with these credentials",
    "BadMessage": "yours: the server at the URL did not understand the upload",
    "NotSupportedOperation": "yours: use a URL of a scheme that the charge point can upload to",
}
"""Whose move it is after a refusal or a failure, by the charge point's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked. `accepted` None: not answered. `url` is without credentials."""

    id: int
    charge_point: str
    kind: TransferKind
    message: str
    url: str
    asked_at: datetime
    retries: int | None = None
    accepted: bool | None = None
    answer: str | None = None
    detail: str | None = None
    file: str | None = None
    answered_at: datetime | None = None
    firmware: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One status as it came; `request` as the charge point told it."""

    charge_point: str
    kind: TransferKind
    status: str
    at: datetime
    request: int | None = None
    locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A status that was told once or `times` times on end."""

    status: str
    at: datetime
    last_at: datetime
    times: int = 1
    request: int | None = None
    locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A request with what was told of it; `request` None: what belongs to none."""

    charge_point: str
    state: State
    request: Request | None
    steps: tuple[Step, ...]

    @property
    def failed(self) -> str | None:
        """The charge point's word for what went wrong."""
        match self.state:
            case State.REFUSED:
                return None if self.request is None else self.request.answer
            case State.FAILED:
                words = FAILURES | ATTEMPTS_FAILED
                return next((step.status for step in reversed(self.steps) if step.status in words), None)
            case _:
                return None

    @property
    def next_step(self) -> str | None:
        """Whose move it is, where something went wrong."""
        failed = self.failed
        return None if failed is None else NEXT_STEPS.get(failed, "the charge point's: read csms cp trace")


def put_together(requests: Sequence[Request], told: Sequence[Told]) -> list[Transfer]:
    """Requests, newest first, each with its statuses in order; then what belongs to none, by charge point."""
    ordered = sorted(requests, key=lambda request: request.asked_at)
    of: dict[int, list[Told]] = {request.id: [] for request in ordered}
    loose: dict[str, list[Told]] = {}
    for status in sorted(told, key=lambda each: each.at):
        owner = _owner(status, ordered, of)
        (loose.setdefault(status.charge_point, []) if owner is None else of[owner.id]).append(status)
    known = [
        Transfer(
            charge_point=request.charge_point,
            state=_state(request, of[request.id], ordered),
            request=request,
            steps=_steps(of[request.id]),
        )
        for request in reversed(ordered)
    ]
    return known + [
        Transfer(charge_point=charge_point, state=State.UNSOLICITED, request=None, steps=_steps(statuses))
        for charge_point, statuses in sorted(loose.items())
    ]


def _owner(status: Told, requests: Sequence[Request], of: dict[int, list[Told]]) -> Request | None:
    """By its id; without one the newest request that was open then. A last word may be said twice (after a reboot)."""
    own = [each for each in requests if each.charge_point == status.charge_point and each.kind is status.kind]
    if status.request is not None:
        return next((each for each in own if each.id == status.request), None)
    asked = [each for each in own if each.asked_at <= status.at and each.accepted is not False]
    if not asked:
        return None
    newest = asked[-1]
    closing = next((each.status for each in of[newest.id] if each.status in _CLOSING), None)
    return newest if closing in (None, status.status) else None


def _state(request: Request, told: Sequence[Told], requests: Sequence[Request]) -> State:
    closing = next((each.status for each in told if each.status in _CLOSING), None)
    if closing is not None:
        return State.DONE if closing in SUCCESSES else State.SUPERSEDED if closing == CANCELLED else State.FAILED
    if request.accepted is False:
        return State.REFUSED
    said = [each.status for each in told if each.status != _IDLE]
    attempts_failed = sum(status in ATTEMPTS_FAILED for status in said)
    if said and said[-1] in ATTEMPTS_FAILED and attempts_failed > (request.retries or 0):
        return State.FAILED
    if any(_supersedes(each, request) for each in requests):
        return State.SUPERSEDED
    if said:
        return State.RUNNING
    unanswered = State.ASKED if request.answer is None else State.UNANSWERED
    return State.ACCEPTED if request.accepted else unanswered


def _supersedes(newer: Request, older: Request) -> bool:
    same = (newer.charge_point, newer.kind) == (older.charge_point, older.kind)
    return same and newer.accepted is True and newer.asked_at > older.asked_at


def _steps(told: Sequence[Told]) -> tuple[Step, ...]:
    """Some charge points tell "Uploading" every second: equal statuses in a row are one step."""
    groups = [list(group) for _, group in groupby(told, key=lambda each: (each.status, each.request, each.locations))]
    return tuple(
        Step(
            status=group[0].status,
            at=group[0].at,
            last_at=group[-1].at,
            times=len(group),
            request=group[0].request,
            locations=group[0].locations,
        )
        for group in groups
    )


def log_messages(*, has_get_log_only: bool, knows: frozenset[str], lacks: frozenset[str]) -> tuple[str, ...]:
    """By which messages to ask for a log, in the order to try them.

    `has_get_log_only`: the version, or the kind of log, has nothing else. `knows` and `lacks`: what the charge point has
    answered or announced. GetLog came to 1.6 with the security white paper, and real charge points may know either.
    """
    if has_get_log_only:
        return ("GetLog",)
    order = ("GetLog", "GetDiagnostics") if "GetLog" in knows else ("GetDiagnostics", "GetLog")
    return tuple(each for each in order if each not in lacks) or order
