"""What is answered to a transaction message that nobody here can read. Pure."""

from __future__ import annotations

import secrets

from csms.protocol.vocabulary import Acknowledged, ChargingAnswer, Decision, TokenStatus, TokenVerdict


def answer_unread(action: str) -> Decision:
    """A valid answer that keeps the charge point going; the message itself is kept elsewhere.

    A start gets a number far beyond those that sessions get, so that what follows becomes an orphan to reconcile
    instead of a stranger's session; the vehicle charges on.
    """
    match action:
        case "StartTransaction":
            number = 2**30 + secrets.randbelow(2**30)
            return ChargingAnswer(transaction=number, verdict=TokenVerdict(status=TokenStatus.ACCEPTED))
        case "MeterValues":
            return Acknowledged()
        case _:
            return ChargingAnswer()
