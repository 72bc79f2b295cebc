"""OCPP 2.0.1: what a charging station knows of a customer (N09, N10)."""

from __future__ import annotations

from collections.abc import Callable

from csms.protocol.blocks.customer_facts import CustomerInformationReported
from csms.protocol.blocks.customer_information import CustomerInformation
from csms.protocol.outgoing import Call, Writers, require
from csms.protocol.repair import Message, storable_text
from csms.protocol.v16.answers import acknowledgement
from csms.protocol.v201.local_lists import token_type
from csms.protocol.vocabulary import Decision, Fact

NOBODYS = 0
"""The number of a request that was never made: our requests count from 1."""
_DATA_LENGTH_MAX = 10_000  # the schema says 512; what is told beyond it is still the customer's


def customer_information(command: CustomerInformation) -> Call:
    action = "CustomerInformation"
    require(action, command.report or command.clear, "neither report nor clear is asked for")
    require(action, command.token != "", "the token is empty")  # an id token, no secret
    return action, {
        "requestId": command.request,
        "report": command.report,
        "clear": command.clear,
        "idToken": {"idToken": command.token, "type": token_type(command.token)},
    }


def notify_customer_information(message: Message) -> Fact:
    """Always a fact: what became none would be kept as it came, and this must not be."""
    fields = message.fields
    data = fields.raw("data")
    request, seq_no = fields.integer("requestId"), fields.integer("seqNo")
    return CustomerInformationReported(
        request=NOBODYS if request is None else request,
        seq_no=seq_no or 0,
        more=fields.boolean("tbc") or False,
        data=storable_text(data, _DATA_LENGTH_MAX, message.quirks) if isinstance(data, str) else "",
        quirks=message.noted(),
    )


CALLS: Writers = {CustomerInformation: customer_information}
READERS: dict[str, Callable[[Message], Fact | None]] = {"NotifyCustomerInformation": notify_customer_information}
ANSWERS: dict[str, Callable[[Decision], dict[str, object]]] = {"NotifyCustomerInformation": acknowledgement}
