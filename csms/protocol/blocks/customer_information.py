"""The command about what a charging station knows of a customer (OCPP 2.0.1 N09, N10)."""

from __future__ import annotations

from dataclasses import dataclass

from csms.protocol.vocabulary import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerInformation(Command):
    """Tell what is known of the holder of a token (`report`), forget it (`clear`), or both in this order.

    What is told comes under the number `request` (NotifyCustomerInformation).
    """

    request: int
    token: str
    report: bool = False
    clear: bool = False
