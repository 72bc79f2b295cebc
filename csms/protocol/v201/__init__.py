"""OCPP 2.0.1: its calls read, its answers and calls written."""

from csms.protocol.outcomes import AnswerReaders
from csms.protocol.outgoing import Writers
from csms.protocol.v201 import (
    answers,
    certificates,
    commands,
    credentials,
    customer_information,
    displays,
    facts,
    firmware,
    local_lists,
    monitoring,
    outcomes,
    reservations,
    smart_charging,
)

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
    **certificates.CALLS,
    **credentials.CALLS,
    **customer_information.CALLS,
    **displays.CALLS,
    **firmware.CALLS,
    **local_lists.CALLS,
    **monitoring.CALLS,
    **reservations.CALLS,
    **smart_charging.CALLS,
}
OUTCOMES: AnswerReaders = {
    **outcomes.OUTCOMES,
    **certificates.OUTCOMES,
    **credentials.OUTCOMES,
    **firmware.OUTCOMES,
    **local_lists.OUTCOMES,
    **monitoring.OUTCOMES,
    **smart_charging.OUTCOMES,
}
READERS = {
    **facts.READERS,
    **certificates.READERS,
    **customer_information.READERS,
    **displays.READERS,
    **firmware.READERS,
    **monitoring.READERS,
    **reservations.READERS,
    **smart_charging.READERS,
}
ANSWERS = {
    **answers.ANSWERS,
    **certificates.ANSWERS,
    **customer_information.ANSWERS,
    **displays.ANSWERS,
    **firmware.ANSWERS,
    **monitoring.ANSWERS,
    **reservations.ANSWERS,
    **smart_charging.ANSWERS,
}
