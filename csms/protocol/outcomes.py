"""What charge points answer to commands, read leniently; the parts that both versions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from csms.protocol.repair import Fields, clean_data
from csms.protocol.vocabulary import Command, Outcome

AnswerReaders = Mapping[type[Command], Callable[[Any, dict[str, object]], Outcome]]
"""How one version reads the answers to commands; those that are not named carry a status and no more."""

INVALID_ANSWER = "invalid_answer"
_STATUS_LENGTH_MAX = 50
_REASON_LENGTH_MAX = 600
_FILE_NAME_LENGTH_MAX = 255

# A command is accepted if the charge point does it now, or will as soon as it can.
ACCEPTED = frozenset({"Accepted", "AcceptedCanceled", "RebootRequired", "Scheduled", "Unlocked", "Unpublished"})


def status_outcome(payload: object, data: Mapping[str, object] | None = None) -> Outcome:
    """The outcome of an answer that carries `status`, and statusInfo in 2.0.1."""
    fields = Fields(payload, set())
    status = status_word(fields, "status")
    if status is None:
        return invalid_answer("the answer has no status")
    return Outcome(
        accepted=status in ACCEPTED,
        status=status,
        data=dict(data or {}),
        detail=status_detail(fields.child("statusInfo")),
    )


def status_word(fields: Fields, name: str) -> str | None:
    """A status as the charge point says it, the accepting ones in whatever case; None where there is none."""
    status = fields.text(name, _STATUS_LENGTH_MAX)
    return next((word for word in ACCEPTED if word.casefold() == (status or "").casefold()), status or None)


def status_detail(info: Fields | None) -> str | None:
    """StatusInfoType in one line."""
    if info is None:
        return None
    words = (info.description("reasonCode", _STATUS_LENGTH_MAX), info.description("additionalInfo", _REASON_LENGTH_MAX))
    return ": ".join(word for word in words if word) or None


def invalid_answer(detail: str) -> Outcome:
    return Outcome(accepted=False, status=INVALID_ANSWER, detail=detail)


def statuses_outcome(
    statuses: Mapping[str, str], data: Mapping[str, object], reasons: Mapping[str, str | None] | None = None
) -> Outcome:
    """The outcome of an answer with one status for each setting: accepted if every one is.

    `reasons` are what StatusInfoType says of some of them.
    """
    if not statuses:
        return invalid_answer("the answer has no results")
    refused = [status for status in statuses.values() if status not in ACCEPTED]
    pending = [status for status in statuses.values() if status != "Accepted"]
    status = next(iter([*refused, *pending]), "Accepted")
    told = {name: f" ({reason})" for name, reason in (reasons or {}).items() if reason}
    named = [
        f"{name}: {word}{told.get(name, '')}" for name, word in statuses.items() if word != "Accepted" or name in told
    ]
    return Outcome(
        accepted=not refused, status=status, data=dict(data), detail=", ".join(named)[:_REASON_LENGTH_MAX] or None
    )


def vendor_data_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    return status_outcome(payload, {"data": clean_data(payload["data"])} if "data" in payload else None)


def log_outcome(_command: object, payload: dict[str, object]) -> Outcome:
    """The name of the file that will be uploaded, where the charge point says it."""
    name = Fields(payload, set()).description("filename", _FILE_NAME_LENGTH_MAX)
    return status_outcome(payload, {"file": name} if name else None)
