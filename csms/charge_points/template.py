"""The metering template: what a charge point must report so that a bill can be explained (rules of boot). Pure.

Never "all measurands": some charge points reboot in a loop when asked for everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from csms.charge_points.setting_value import same_value
from csms.protocol.v16.cost_messages import ANNOUNCED_BY
from csms.protocol.vocabulary import Protocol

VERSION = 1
ENERGY = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
SAMPLE_INTERVAL_S = 60
ATTEMPTS_MIN = 10
"""A message that billing needs must outlive an outage; three attempts are gone in two minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A setting and the values that will do: the first is what we set, `at_least` compares as a number instead."""

    name: str
    value: str
    at_least: bool = False

    def satisfied_by(self, present: str | None) -> bool:
        """Whether the value read needs no change."""
        if present is None:
            return False
        if not self.at_least:
            return same_value(present, self.value)
        try:
            return int(present) >= int(self.value)
        except ValueError:
            return False


_V16 = (
    Wanted(name="MeterValueSampleInterval", value=str(SAMPLE_INTERVAL_S)),
    Wanted(name="MeterValuesSampledData", value=f"{ENERGY},{POWER}"),
    Wanted(name="ClockAlignedDataInterval", value="0"),
    Wanted(name="TransactionMessageAttempts", value=str(ATTEMPTS_MIN), at_least=True),
    Wanted(name="WebSocketPingInterval", value="60"),
)
_V201 = (
    Wanted(name="SampledDataCtrlr.TxStartedMeasurands", value=ENERGY),
    Wanted(name="SampledDataCtrlr.TxUpdatedMeasurands", value=f"{ENERGY},{POWER}"),
    Wanted(name="SampledDataCtrlr.TxEndedMeasurands", value=ENERGY),
    Wanted(name="SampledDataCtrlr.TxUpdatedInterval", value=str(SAMPLE_INTERVAL_S)),
    Wanted(name="OCPPCommCtrlr.MessageAttempts[TransactionEvent]", value=str(ATTEMPTS_MIN), at_least=True),
)
READ_ONLY_V16 = (ANNOUNCED_BY,)
"""Read and stored, never set: whether the charge point shows costs."""
READ_ONLY_V201 = ("TxCtrlr.TxStartPoint", "TxCtrlr.TxStopPoint")
"""Read and stored, never set: they decide what a transaction is on this charge point."""


def template(protocol: Protocol, *, energy_only: bool = False) -> tuple[Wanted, ...]:
    """`energy_only`: for makes that restart in a loop when asked for more than the energy register."""
    usual = _V16 if protocol is Protocol.V16 else _V201
    return tuple(fallback(wanted) or wanted for wanted in usual) if energy_only else usual


def fallback(wanted: Wanted) -> Wanted | None:
    """What to try when a charge point rejects a list of measurands: the energy register alone."""
    if wanted.value == f"{ENERGY},{POWER}":
        return Wanted(name=wanted.name, value=ENERGY)
    return None


def to_change(protocol: Protocol, present: Mapping[str, str | None], *, energy_only: bool = False) -> list[Wanted]:
    """The wanted settings whose value read differs; one that the charge point does not know is left alone."""
    return [
        wanted
        for wanted in template(protocol, energy_only=energy_only)
        if wanted.name in present and not wanted.satisfied_by(present[wanted.name])
    ]
