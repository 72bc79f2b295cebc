"""Requests and certificates as they are listed, and whose move it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from csms.certificates.signing_request import NEXT_STEPS, RequestFault, reason_of

LIST_COLUMNS = ("request", "charge_point", "purpose", "state", "number", "valid_until", "problem", "next")
_STATES = {"due": "waiting", "issued": "made"}
_NEXT = {
    "waiting": "nothing: it is signed as soon as the authority answers",
    "made": "nothing: it is sent as soon as the charge point is online",
    "ended": "csms certificate renew {0}",
    "revoked": "csms certificate renew {0}",
    "refused": "see csms cp trace {0}, then: csms certificate renew {0}",
    "failed": "see csms certificate alarms {0}, then: csms certificate renew {0}",
}


def state(row: Any, *, now: datetime) -> str:
    """Rejected (the request), waiting, made, installed, refused (the certificate), failed, superseded, revoked, ended."""
    if row["fault"] is not None:
        return "rejected"
    if row["revoked_at"] is not None:
        return "revoked"
    if row["valid_until"] is not None and row["valid_until"] <= now:
        return "ended"
    kept = str(row["state"])
    return _STATES.get(kept, kept)


def listed(row: Any, *, now: datetime) -> dict[str, object]:
    """One request with all that came of it."""
    is_ = state(row, now=now)
    fault = None if row["fault"] is None else RequestFault(row["fault"])
    return {
        "request": row["request"],
        "charge_point": row["charge_point"],
        "purpose": row["purpose"],
        "state": is_,
        "number": row["number"],
        "valid_from": row["valid_from"],
        "valid_until": row["valid_until"],
        "subject": row["subject"],
        "issuer": row["issuer"],
        "source": row["source"],
        "fingerprint": row["fingerprint"],
        "requested_at": row["received_at"],
        "issued_at": row["issued_at"],
        "answered_at": row["answered_at"],
        "outcome": row["outcome"],
        "detail": row["detail"],
        "revoked_at": row["revoked_at"],
        "revoked_for": row["revoked_for"],
        "revoked_by": row["revoked_by"],
        "problem": row["problem"] if fault is None else reason_of(fault).text,
        "next": NEXT_STEPS[fault] if fault is not None else _NEXT.get(is_, "").format(row["charge_point"]) or None,
    }
