"""OCPP 2.0.1: its calls read, its answers and calls written."""

from csms.protocol.outcomes import AnswerReaders
from csms.protocol.outgoing import Writers
from csms.protocol.v201 import commands, local_lists, outcomes
from csms.protocol.v201.answers import ANSWERS
from csms.protocol.v201.facts import READERS

__all__ = ["ANSWERS", "CALLS", "MARKS", "OUTCOMES", "READERS"]

# Fields that tell a 2.0.1 shape from a 1.6 shape in actions that both versions have.
MARKS = {
    "Authorize": frozenset({"idToken"}),
    "BootNotification": frozenset({"chargingStation"}),
    "MeterValues": frozenset({"evseId"}),
    "StatusNotification": frozenset({"connectorStatus", "evseId"}),
}

CALLS: Writers = {
    **commands.CALLS,
    **local_lists.CALLS,
}
OUTCOMES: AnswerReaders = {
    **outcomes.OUTCOMES,
    **local_lists.OUTCOMES,
}
