"""What one reading says about energy, power and current. Knows no session."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from decimal import Context as Arithmetic
from typing import NamedTuple

from csms.protocol.vocabulary import Context, Measurand, Sample
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
_EDGES = frozenset({Context.BEGIN.value, Context.END.value})


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
    return value.quantize(WH_STEP, context=_EXACT)


def read_meter(stored: StoredReading) -> MeterSample:
    """What `stored` says, independent of the order of its samples. The hot loop of every fold."""
    found: dict[str, list[tuple[Sample, Decimal]]] = {measurand: [] for measurand in DECISIVE}
    unusable = signed = False
    for sample in stored.reading.samples:
        row = found.get(sample.measurand) if sample.location == _OUTLET else None
        if row is None:
            continue
        value = usable(sample.value)
        if value is not None:
            row.append((sample, value))
        if sample.measurand == _REGISTER:
            signed = signed or sample.signed is not None
            unusable = unusable or (value is None and sample.value is not None)
    registers = found[_REGISTER]
    totals, conflict = _totals(registers)
    other = [totals[context] for context in totals.keys() - _EDGES]
    begin, end = totals.get(Context.BEGIN), totals.get(Context.END)
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
        power_w=_sum_over_phases(found[_POWER], totals_first=True),
        current_a=_sum_over_phases(found[_CURRENT], totals_first=False),
        conflict=conflict,
        unusable=unusable,
    )


def _totals(registers: list[tuple[Sample, Decimal]]) -> tuple[dict[str, Decimal], bool]:
    """The total register per context; True where a context gave two different ones."""
    totals: dict[str, Decimal] = {}
    conflict = False
    for sample, value in registers:
        if sample.phase is None:
            known = totals.get(sample.context, value)
            conflict = conflict or known != value
            totals[sample.context] = min(known, value)
    return totals, conflict


def _phases(registers: list[tuple[Sample, Decimal]]) -> tuple[Decimal, ...]:
    """Registers per phase (L1, L2-N ...), in the order of the phases; of a phase named twice the lower one."""
    found: dict[str, Decimal] = {}
    for sample, value in registers:
        if sample.phase is not None and sample.phase.startswith("L"):
            found[sample.phase] = min(found.get(sample.phase, value), value)
    return tuple(found[phase] for phase in sorted(found))


def _sum_over_phases(samples: list[tuple[Sample, Decimal]], *, totals_first: bool) -> Decimal | None:
    """One figure for all phases, None where nothing usable was measured.

    Begin and end samples are left out: they are taken before power flows and after it has stopped. OCPI wants the sum of
    the phases' currents, but a power without phase is the total.
    """
    if not samples:
        return None
    totals: dict[str, Decimal] = {}
    phases: dict[str, Decimal] = {}
    for sample, value in samples:
        if value < 0 or sample.context in _EDGES:
            continue
        if sample.phase is None:
            totals[""] = min(totals.get("", value), value)
        elif sample.phase.startswith("L") and sample.phase.count("L") == 1:
            phases[sample.phase] = min(phases.get(sample.phase, value), value)
    for found in (totals, phases) if totals_first else (phases, totals):
        if found:
            return sum(found.values(), Decimal(0))
    return None
