"""A password on its way into a charge point, and what shows whether it has got there (OCPP 2.0.1 A01). Pure."""

from __future__ import annotations

from enum import StrEnum

from csms.protocol.vocabulary import Outcome

WAITING_MAX = 5
"""Passwords of one charge point that it may hold for all we know; each costs a hash at every handshake."""

_SAYS_NOTHING = frozenset({"timeout", "offline", "call_error", "invalid_answer"})


class ChangeState(StrEnum):
    """Waiting ones open the door beside the present password; the others open nothing or are the present one."""

    SENT = "sent"
    """Under way, or whoever sent it never heard what became of it."""
    UNKNOWN = "unknown"
    """No answer, or none that says whether the charge point has stored it."""
    AFTER_RESTART = "after_restart"
    """Accepted; in use after the charge point's next restart, the present one until then."""
    IN_USE = "in_use"
    REFUSED = "refused"
    NOT_TAKEN = "not_taken"
    """The charge point came back with the present one after a change without an answer."""
    SUPERSEDED = "superseded"

    @property
    def is_waiting(self) -> bool:
        return self in {ChangeState.SENT, ChangeState.UNKNOWN, ChangeState.AFTER_RESTART}


def state_after(outcome: Outcome) -> ChangeState:
    """What an answer says of a change.

    A01.FR.03, A01.FR.04: accepted, the former one is over; rejected, it stays. A CALLERROR may come of a failure after
    the password was stored, so it says nothing; neither does a socket that ends before the answer.
    """
    if outcome.accepted:
        return ChangeState.AFTER_RESTART if outcome.status == "RebootRequired" else ChangeState.IN_USE
    return ChangeState.UNKNOWN if outcome.status in _SAYS_NOTHING else ChangeState.REFUSED
