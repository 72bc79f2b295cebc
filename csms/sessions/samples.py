"""What one reading says about energy, power and current. Knows no session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from decimal import Context as Arithmetic

from csms.protocol.vocabulary import Context, Measurand, Sample
from csms.sessions.facts import StoredReading

REGISTER_WH_MAX = Decimal(10) ** 13  # ten thousand GWh: beyond any charge point's meter, and within numeric(20,3)
WH_STEP = Decimal("0.001")
_EXACT = Arithmetic(prec=40, rounding=ROUND_HALF_UP)
_OUTLET = "Outlet"
_DECISIVE = frozenset({Measurand.ENERGY_IMPORT_REGISTER, Measurand.POWER_IMPORT, Measurand.CURRENT_IMPORT})


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSample:
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
    if value is None or not value.is_finite() or abs(value) > REGISTER_WH_MAX:
        return None
    return value.quantize(WH_STEP, context=_EXACT)


def read_meter(stored: StoredReading) -> MeterSample:
    """What `stored` says, independent of the order of its samples."""
    registers: list[Sample] = []
    powers: list[Sample] = []
    currents: list[Sample] = []
    lists = {
        Measurand.ENERGY_IMPORT_REGISTER.value: registers,
        Measurand.POWER_IMPORT.value: powers,
        Measurand.CURRENT_IMPORT.value: currents,
    }
    for sample in stored.reading.samples:
        if sample.measurand in _DECISIVE and sample.location == _OUTLET:
            lists[str(sample.measurand)].append(sample)
    totals, conflict = _totals(registers)
    other = [value for context, value in totals.items() if context not in {Context.BEGIN, Context.END}]
    begin, end = totals.get(Context.BEGIN), totals.get(Context.END)
    register = min(other) if other else end if end is not None else begin
    return MeterSample(
        at=stored.reading.at,
        received_at=stored.received_at,
        key=stored.reading.key,
        carried_by=stored.carried_by,
        register_wh=register,
        begin_wh=begin,
        end_wh=end,
        phases_wh=() if totals else _phases(registers),
        signed=any(sample.signed is not None for sample in registers),
        power_w=_sum_over_phases(powers, totals_first=True),
        current_a=_sum_over_phases(currents, totals_first=False),
        conflict=conflict,
        unusable=any(sample.value is not None and usable(sample.value) is None for sample in registers),
    )


def _totals(registers: list[Sample]) -> tuple[dict[str, Decimal], bool]:
    """The total register per context; True where a context gave two different ones."""
    totals: dict[str, Decimal] = {}
    conflict = False
    for sample in registers:
        value = usable(sample.value)
        if sample.phase is not None or value is None:
            continue
        known = totals.get(sample.context, value)
        conflict = conflict or known != value
        totals[sample.context] = min(known, value)
    return totals, conflict


def _phases(registers: list[Sample]) -> tuple[Decimal, ...]:
    """Registers per phase (L1, L2-N ...), in the order of the phases; of a phase named twice the lower one."""
    found: dict[str, Decimal] = {}
    for sample in registers:
        value = usable(sample.value)
        if sample.phase is not None and sample.phase.startswith("L") and value is not None:
            found[sample.phase] = min(found.get(sample.phase, value), value)
    return tuple(found[phase] for phase in sorted(found))


def _sum_over_phases(samples: list[Sample], *, totals_first: bool) -> Decimal | None:
    """One figure for all phases, None where nothing usable was measured.

    Begin and end samples are left out: they are taken before power flows and after it has stopped. OCPI wants the sum of
    the phases' currents, but a power without phase is the total.
    """
    totals: dict[str, Decimal] = {}
    phases: dict[str, Decimal] = {}
    for sample in samples:
        value = usable(sample.value)
        if value is None or value < 0 or sample.context in {Context.BEGIN, Context.END}:
            continue
        if sample.phase is None:
            totals[""] = min(totals.get("", value), value)
        elif sample.phase.startswith("L") and sample.phase.count("L") == 1:
            phases[sample.phase] = min(phases.get(sample.phase, value), value)
    for found in (totals, phases) if totals_first else (phases, totals):
        if found:
            return sum(found.values(), Decimal(0))
    return None
