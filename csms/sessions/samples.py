"""What one reading says about energy, power and current. Knows no session."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from decimal import Context as Arithmetic
from typing import NamedTuple

from csms.protocol.vocabulary import Context, Measurand
from csms.sessions.facts import StoredReading

DIGITS_MAX = 13  # before the point: thousands of GWh, beyond any charge point's meter, and within numeric(20,3)
WH_STEP = Decimal("0.001")
_EXACT = Arithmetic(prec=40, rounding=ROUND_HALF_UP)
_OUTLET = "Outlet"
_REGISTER = Measurand.ENERGY_IMPORT_REGISTER.value
_POWER = Measurand.POWER_IMPORT.value
_CURRENT = Measurand.CURRENT_IMPORT.value
DECISIVE = (_REGISTER, _POWER, _CURRENT)
"""The measurands that folds look at."""
_BEGIN, _END = Context.BEGIN.value, Context.END.value
_EDGES = frozenset({_BEGIN, _END})
_ZERO = Decimal(0)
_Valued = tuple[str, str | None, Decimal]
"""Context, phase, usable value."""
_ONE_PHASE = frozenset({"L1", "L2", "L3", "L1-N", "L2-N", "L3-N"})
"""Phases that add up to the whole, of those that nearly everybody sends."""


class MeterSample(NamedTuple):
    """A reading reduced to what rules look at. Only values at the outlet count: others include losses.

    `register_wh` is the newest total in the reading; a `Transaction.Begin` value beside it stands in `begin_wh` alone.
    `phases_wh` are registers per phase where there is no total. `conflict`: one context gave two totals; the lower
    one is kept. `unusable`: a register that is no number, or beyond any meter.
    """

    at: datetime
    received_at: datetime
    key: bytes
    carried_by: str
    register_wh: Decimal | None
    begin_wh: Decimal | None
    end_wh: Decimal | None
    phases_wh: tuple[Decimal, ...]
    signed: bool
    power_w: Decimal | None
    current_a: Decimal | None
    conflict: bool
    unusable: bool


def usable(value: Decimal | None) -> Decimal | None:
    """The register in three decimals, None where it is no number or beyond any meter (P11)."""
    if value is None or not value.is_finite() or value.adjusted() >= DIGITS_MAX:
        return None
    return value.quantize(WH_STEP, None, _EXACT)


def read_meter(stored: StoredReading) -> MeterSample:
    """What `stored` says, independent of the order of its samples. The hot loop of every fold."""
    registers: list[_Valued] = []
    powers: list[_Valued] = []
    currents: list[_Valued] = []
    unusable = signed = False
    for told, measurand, _, context, phase, location, proof in stored.reading.samples:
        if location != _OUTLET or measurand not in DECISIVE:
            continue
        value = usable(told)
        if measurand == _REGISTER:
            signed = signed or proof is not None
            unusable = unusable or (value is None and told is not None)
        if value is not None:
            row = registers if measurand == _REGISTER else powers if measurand == _POWER else currents
            row.append((context, phase, value))
    totals, conflict = _totals(registers)
    other = [value for context, value in totals.items() if context not in _EDGES]
    begin, end = totals.get(_BEGIN), totals.get(_END)
    return MeterSample(
        at=stored.reading.at,
        received_at=stored.received_at,
        key=stored.reading.key,
        carried_by=stored.carried_by,
        register_wh=min(other) if other else end if end is not None else begin,
        begin_wh=begin,
        end_wh=end,
        phases_wh=() if totals else _phases(registers),
        signed=signed,
        power_w=_sum_over_phases(powers, totals_first=True),
        current_a=_sum_over_phases(currents, totals_first=False),
        conflict=conflict,
        unusable=unusable,
    )


def _totals(registers: list[_Valued]) -> tuple[dict[str, Decimal], bool]:
    """The total register per context; True where a context gave two different ones."""
    if len(registers) == 1 and registers[0][1] is None:
        [(only, _, wh)] = registers
        return {only: wh}, False
    totals: dict[str, Decimal] = {}
    conflict = False
    for context, phase, value in registers:
        if phase is None:
            known = totals.get(context, value)
            conflict = conflict or known != value
            totals[context] = min(known, value)
    return totals, conflict


def _phases(registers: list[_Valued]) -> tuple[Decimal, ...]:
    """Registers per phase (L1, L2-N ...), in the order of the phases; of a phase named twice the lower one."""
    found: dict[str, Decimal] = {}
    for _, phase, value in registers:
        if phase is not None and phase.startswith("L"):
            found[phase] = min(found.get(phase, value), value)
    return tuple(found[phase] for phase in sorted(found))


def _sum_over_phases(samples: list[_Valued], *, totals_first: bool) -> Decimal | None:
    """One figure for all phases, None where nothing usable was measured.

    Begin and end samples are left out: they are taken before power flows and after it has stopped. OCPI wants the sum of
    the phases' currents, but a power without phase is the total.
    """
    if not samples:
        return None
    if len(samples) == 1:
        [(context, phase, value)] = samples
        if phase is None:
            return None if value < 0 or context in _EDGES else _ZERO + value
    totals: dict[str, Decimal] = {}
    phases: dict[str, Decimal] = {}
    for context, phase, value in samples:
        if value < 0 or context in _EDGES:
            continue
        if phase is None:
            totals[""] = min(totals.get("", value), value)
        elif phase in _ONE_PHASE or (phase.startswith("L") and phase.count("L") == 1):
            phases[phase] = min(phases[phase], value) if phase in phases else value
    for found in (totals, phases) if totals_first else (phases, totals):
        if found:
            return sum(found.values(), _ZERO)
    return None
