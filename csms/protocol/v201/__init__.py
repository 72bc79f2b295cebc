"""OCPP 2.0.1: its calls read, its answers and calls written."""

from csms.protocol.v201.answers import ANSWERS
from csms.protocol.v201.commands import CALLS
from csms.protocol.v201.facts import READERS
from csms.protocol.v201.outcomes import OUTCOMES

__all__ = ["ANSWERS", "CALLS", "MARKS", "OUTCOMES", "READERS"]

# Fields that tell a 2.0.1 shape from a 1.6 shape in actions that both versions have.
MARKS = {
    "Authorize": frozenset({"idToken"}),
    "BootNotification": frozenset({"chargingStation"}),
    "MeterValues": frozenset({"evseId"}),
    "StatusNotification": frozenset({"connectorStatus", "evseId"}),
}
