"""Decisions that OCPP 2.1 wants written otherwise than 2.0.1: an IdToken may have 255 characters, so a group may too."""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol.v201.answers import authorized, transaction_event_answer
from csms.protocol.vocabulary import Decision

TOKEN_LENGTH_MAX = 255
"""IdTokenType.idToken."""


def token_answer(decision: Decision) -> dict[str, object]:
    return authorized(decision, group_length_max=TOKEN_LENGTH_MAX)


def transaction_answer(decision: Decision) -> dict[str, object]:
    return transaction_event_answer(decision, group_length_max=TOKEN_LENGTH_MAX)


ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {
    "Authorize": token_answer,
    "TransactionEvent": transaction_answer,
}
