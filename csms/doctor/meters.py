"""What meter values show: registers, contexts, units, signed data. Pure; judges no session, as the review does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from csms.doctor.chart import Chart, Found, Message, found, many, seconds
from csms.protocol.repair import INTEGER_MAX, parse_decimal

REGISTER = "Energy.Active.Import.Register"
PERIODIC = "Sample.Periodic"
EDGES = {"Transaction.Begin", "Transaction.End"}
APART = timedelta(minutes=15)
ATTEMPTS_MIN = 5
ZERO_STARTS_MIN = 2
ATTEMPTS = ("TransactionMessageAttempts", "OCPPCommCtrlr.MessageAttempts[TransactionEvent]")

Sampled = Mapping[str, Any]


def _is_register(sample: Sampled) -> bool:
    return sample.get("measurand", REGISTER) == REGISTER and not _is_signed(sample)


def _is_signed(sample: Sampled) -> bool:
    value = sample.get("value")
    is_text = sample.get("format") == "SignedData" or (isinstance(value, str) and value.startswith("OCMF|"))
    return is_text or isinstance(sample.get("signedMeterValue"), dict)


def _registers(samples: Iterable[Sampled]) -> list[Sampled]:
    return [each for each in samples if _is_register(each)]


def _unique(messages: Iterable[Message]) -> list[Message]:
    return list({id(each): each for each in messages}.values())


def unit_hertz(chart: Chart) -> Found | None:
    told = _unique(
        message
        for message, _, samples in chart.samples()
        if message.action != "TransactionEvent" and any(each.get("unit") == "Hertz" for each in samples)
    )
    return found(told, f"{many(told, 'message')}")


def signed_data_at_stop_only(chart: Chart) -> Found | None:
    signed = _unique(message for message, _, samples in chart.samples() if any(map(_is_signed, samples)))
    if not signed or any(each.action != "StopTransaction" for each in signed):
        return None
    return found(signed, f"{many(signed, 'stop')} with signed data")


def signed_data_missing(chart: Chart) -> Found | None:
    ends = _ends(chart)
    if not chart.wants_signed_data or any(map(_is_signed, _all_samples(chart))):
        return None
    return found(ends, f"{many(ends, 'session')} ended without any")


def register_not_sampled(chart: Chart) -> Found | None:
    """Samples of the vehicle's and grid's state, and none of the register, in whole messages."""
    told = [(message, samples) for message, _, samples in chart.samples() if samples]
    if not told or any(_registers(samples) or any(map(_is_signed, samples)) for _, samples in told):
        return None
    measured = sorted({str(each.get("measurand")) for _, samples in told for each in samples})
    return found(_unique(message for message, _ in told), f"only {', '.join(measured)}")


def samples_far_apart(chart: Chart) -> Found | None:
    """Within one transaction, its start and stop included where their times are in sight."""
    late: list[Message] = []
    widest = timedelta()
    for told in _times_by_transaction(chart).values():
        for (earlier, _), (later, message) in pairwise(sorted(told, key=lambda each: each[0])):
            if later - earlier > APART:
                late.append(message)
                widest = max(widest, later - earlier)
    return found(_unique(sorted(late, key=lambda each: each.at)), f"up to {seconds(widest)} s without a sample")


def register_per_session(chart: Chart) -> Found | None:
    zero = [
        each
        for each in chart.sessions
        if each.register_begin_wh == 0 and each.register_end_wh is not None and each.register_end_wh > 0
    ]
    if len(zero) < ZERO_STARTS_MIN:
        return None
    evidence = f"sessions {', '.join(str(each.id) for each in zero[-5:])} began at register 0"
    starts = [each for each in chart.told("StartTransaction") if each.payload.get("meterStart") in (0, "0", 0.0)]
    return found(starts, evidence) or Found(
        evidence=evidence, frame=evidence, count=len(zero), first_at=zero[0].heard_at, last_at=zero[-1].heard_at
    )


def register_beyond_32_bits(chart: Chart) -> Found | None:
    large: list[Message] = []
    for message, _, samples in chart.samples():
        if any(_is_large(each.get("value")) for each in _registers(samples)):
            large.append(message)
    large += [each for each in chart.told("StartTransaction") if _is_large(each.payload.get("meterStart"))]
    large += [each for each in chart.told("StopTransaction") if _is_large(each.payload.get("meterStop"))]
    return found(_unique(sorted(large, key=lambda each: each.at)), f"registers above {INTEGER_MAX}")


def _is_large(value: object) -> bool:
    number = parse_decimal(value, set())
    return number is not None and number > INTEGER_MAX


def values_of_connector_zero(chart: Chart) -> Found | None:
    told = [each for each in chart.told("MeterValues") if each.payload.get("connectorId") == 0]
    return found(told, f"{many(told, 'message')}")


def context_mixed(chart: Chart) -> Found | None:
    told = _unique(message for message, _, samples in chart.samples() if len(_contexts(samples)) > 1)
    return found(told, f"{many(told, 'message')}")


def context_missing(chart: Chart) -> Found | None:
    told: dict[int, tuple[Message, set[str]]] = {}
    for message, _, samples in chart.samples():
        if message.action == "StopTransaction" and _registers(samples):
            told.setdefault(id(message), (message, set()))[1].update(_contexts(samples))
    bare = [message for message, contexts in told.values() if not contexts & EDGES]
    return found(bare, f"{len(bare)} of {many(told, 'stop')} with data")


def _contexts(samples: Iterable[Sampled]) -> set[str]:
    return {str(each.get("context", PERIODIC)) for each in _registers(samples) if each.get("phase") is None}


def clock_samples_only(chart: Chart) -> Found | None:
    told = [
        (message, _contexts(samples))
        for message, _, samples in chart.samples()
        if message.action != "StopTransaction" and _registers(samples)
    ]
    if not told or any(contexts != {"Sample.Clock"} for _, contexts in told):
        return None
    return found(_unique(message for message, _ in told), f"{many(told, 'reading')}")


def phases_beside_total(chart: Chart) -> Found | None:
    told = _unique(message for message, _, samples in chart.samples() if _has_both(samples))
    return found(told, f"{many(told, 'message')}")


def _has_both(samples: Iterable[Sampled]) -> bool:
    phases: dict[str, set[bool]] = defaultdict(set)
    for each in samples:
        phases[str(each.get("measurand", REGISTER))].add(each.get("phase") is None)
    return any(len(kinds) > 1 for kinds in phases.values())


def attempts_few(chart: Chart) -> Found | None:
    few = {name: value for name in ATTEMPTS if (value := chart.settings.get(name)) is not None and _is_few(value)}
    if not few:
        return None
    evidence = ", ".join(f"{name} = {value}" for name, value in few.items())
    asked = [each for each in chart.answers if each.action in {"GetConfiguration", "GetVariables"}]
    told = [each for each in asked if any(name.partition(".")[0] in each.body for name in few)]
    return found(told, evidence) or Found(
        evidence=evidence, frame=evidence, count=1, first_at=chart.now, last_at=chart.now
    )


def _is_few(value: str) -> bool:
    return value.strip().isdecimal() and int(value) < ATTEMPTS_MIN


def stop_data_dropped(chart: Chart) -> Found | None:
    wanted = (chart.settings.get("StopTxnSampledData") or "").strip()
    bare = [each for each in chart.told("StopTransaction") if not each.payload.get("transactionData")]
    return found(bare, f"StopTxnSampledData = {wanted}") if wanted else None


def _ends(chart: Chart) -> list[Message]:
    ended = [each for each in chart.told("TransactionEvent") if each.payload.get("eventType") == "Ended"]
    return [*chart.told("StopTransaction"), *ended]


def _all_samples(chart: Chart) -> list[Sampled]:
    return [each for _, _, samples in chart.samples() for each in samples]


def _times_by_transaction(chart: Chart) -> dict[str, list[tuple[datetime, Message]]]:
    told: dict[str, list[tuple[datetime, Message]]] = defaultdict(list)
    for message, element, samples in chart.samples():
        at = chart.read_time(element.get("timestamp"))
        transaction = transaction_id(message)
        if at is not None and transaction is not None and samples:
            told[transaction].append((at, message))
    for message in chart.told("StartTransaction", "StopTransaction"):
        at, transaction = chart.time(message), chart.transaction_of(message) or transaction_id(message)
        if at is not None and transaction is not None:
            told[transaction].append((at, message))
    return told


def transaction_id(message: Message) -> str | None:
    """The transaction id that a call names, in either version."""
    info = message.payload.get("transactionInfo")
    value = info.get("transactionId") if isinstance(info, dict) else message.payload.get("transactionId")
    return None if value is None else str(value)
