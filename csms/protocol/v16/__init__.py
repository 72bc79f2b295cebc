"""OCPP 1.6J: its calls read, its answers and calls written."""

from csms.protocol.outcomes import AnswerReaders
from csms.protocol.outgoing import Writers
from csms.protocol.v16 import (
    answers,
    certificates,
    commands,
    credentials,
    facts,
    firmware,
    local_lists,
    outcomes,
    reservations,
    smart_charging,
)

__all__ = ["ANSWERS", "CALLS", "MARKS", "OUTCOMES", "READERS"]

# Fields that tell a 1.6 shape from a 2.0.1 shape in actions that both versions have.
MARKS = {
    "Authorize": frozenset({"idTag"}),
    "BootNotification": frozenset({"chargePointVendor", "chargePointModel"}),
    "MeterValues": frozenset({"connectorId"}),
    "StatusNotification": frozenset({"status", "errorCode"}),
}

CALLS: Writers = {
    **commands.CALLS,
    **certificates.CALLS,
    **credentials.CALLS,
    **firmware.CALLS,
    **local_lists.CALLS,
    **reservations.CALLS,
    **smart_charging.CALLS,
}
OUTCOMES: AnswerReaders = {
    **outcomes.OUTCOMES,
    **certificates.OUTCOMES,
    **firmware.OUTCOMES,
    **local_lists.OUTCOMES,
    **smart_charging.OUTCOMES,
}
READERS = {**facts.READERS, **certificates.READERS}
ANSWERS = {**answers.ANSWERS, **certificates.ANSWERS}
