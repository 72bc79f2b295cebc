"""A simulated charge point that speaks OCPP 1.6 and 2.0.1 through the `ocpp` package, and keeps the truth."""

from simulators.charge_point.battery import Battery, SteadyLoad
from simulators.charge_point.evse import Evse, Meter, Phase, Transaction
from simulators.charge_point.link import (
    Connection,
    Credentials,
    HandshakeRefusedError,
    NotConnectedError,
    ReconnectPolicy,
    only_loopback,
)
from simulators.charge_point.outbox import LinkDown, Message, RetryPolicy
from simulators.charge_point.signing import Signing, SigningMeter
from simulators.charge_point.station import BootRefusedError, Build, SimulatedChargePoint
from simulators.charge_point.truth import Discarded, Displayed, Happening, Told, TrueSession, Truth
from simulators.clock import ModelClock, stamp

__all__ = [
    "Battery",
    "BootRefusedError",
    "Build",
    "Connection",
    "Credentials",
    "Discarded",
    "Displayed",
    "Evse",
    "HandshakeRefusedError",
    "Happening",
    "LinkDown",
    "Message",
    "Meter",
    "ModelClock",
    "NotConnectedError",
    "Phase",
    "ReconnectPolicy",
    "RetryPolicy",
    "Signing",
    "SigningMeter",
    "SimulatedChargePoint",
    "SteadyLoad",
    "Told",
    "Transaction",
    "TrueSession",
    "Truth",
    "only_loopback",
    "stamp",
]
