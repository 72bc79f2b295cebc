"""What the order and content of transaction messages show. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from csms.doctor.chart import CALL, Chart, Found, Message, found, many
from csms.doctor.meters import REGISTER, transaction_id
from csms.protocol.translator import TRANSACTION_ACTIONS
from csms.protocol.v16.words import REASONS

DOUBLED_WITHIN = timedelta(minutes=1)
QUEUE_MIN, QUEUE_WITHIN, QUEUE_AGE = 10, timedelta(minutes=1), timedelta(minutes=5)


def transaction_id_missing(chart: Chart) -> Found | None:
    """Registers of a connector on which a transaction of ours runs, that name none."""
    told = [
        message
        for message, running in _walk(chart)
        if message.action == "MeterValues"
        and "connectorId" in message.payload
        and message.payload.get("transactionId") is None
        and str(message.payload["connectorId"]) in running.values()
        and REGISTER in message.body
    ]
    return found(told, f"{many(told, 'message')} while a transaction ran on the connector")


def start_repeated(chart: Chart) -> Found | None:
    repeated = _repeated(chart.told("StartTransaction"))
    return found(repeated, f"{many(repeated, 'start')} came again")


def message_retried(chart: Chart) -> Found | None:
    retried = _repeated(chart.told(*(TRANSACTION_ACTIONS - {"StartTransaction"})))
    kinds = sorted({each.action or "" for each in retried})
    return found(retried, f"{many(retried, 'time')}: {', '.join(kinds)}")


def _repeated(messages: list[Message]) -> list[Message]:
    seen: set[tuple[str | None, str]] = set()
    repeated = []
    for each in messages:
        if each.kind == CALL and each.content in seen:
            repeated.append(each)
        seen.add(each.content)
    return repeated


def start_doubled(chart: Chart) -> Found | None:
    doubled = [
        later
        for earlier, later in pairwise(chart.told("StartTransaction", "StopTransaction"))
        if earlier.action == later.action == "StartTransaction"
        and earlier.content != later.content
        and _place(earlier) == _place(later)
        and _are_close(chart, earlier, later)
    ]
    return found(doubled, f"{many(doubled, 'start')} within a minute of another one of the same token and connector")


def _place(start: Message) -> tuple[str, str]:
    return str(start.payload.get("connectorId")), str(start.payload.get("idTag")).casefold()


def _are_close(chart: Chart, earlier: Message, later: Message) -> bool:
    first, second = chart.time(earlier), chart.time(later)
    return first is not None and second is not None and abs(second - first) <= DOUBLED_WITHIN


def transaction_id_invalid(chart: Chart) -> Found | None:
    told = [
        each
        for each in chart.told("StopTransaction", "MeterValues")
        if (name := transaction_id(each)) is not None and (name == "0" or name.startswith("-"))
    ]
    return found(told, f"ids {', '.join(sorted({str(transaction_id(each)) for each in told})[:10])}")


def stop_unknown(chart: Chart) -> Found | None:
    unknown = {each.what for each in chart.orphans if each.what != "0" and not each.what.startswith("-")}
    told = [each for each in chart.told("StopTransaction") if transaction_id(each) in unknown]
    return found(told, f"ids {', '.join(sorted(unknown)[:10])}")


def stop_without_token(chart: Chart) -> Found | None:
    bare = [each for each in chart.told("StopTransaction") if each.kind == CALL and "idTag" not in each.payload]
    return found(bare, f"{many(bare, 'stop')}")


def pseudo_token(chart: Chart) -> Found | None:
    words = {word.casefold() for word in REASONS}
    told = [
        each
        for each in chart.told("StartTransaction", "StopTransaction")
        if str(each.payload.get("idTag")).casefold() in words
    ]
    return found(told, ", ".join(sorted({str(each.payload["idTag"]) for each in told})))


def start_without_authorize(chart: Chart) -> Found | None:
    """Neither asked before, nor started by us."""
    asked: set[str] = set()
    bare = []
    for each in chart.messages:
        token = str(each.payload.get("idTag")).casefold()
        if each.kind == CALL and (each.action == "Authorize" or not each.is_theirs):
            asked.add(token)
        elif each.is_theirs and each.kind == CALL and each.action == "StartTransaction" and token not in asked:
            bare.append(each)
    return found(bare, f"{many(bare, 'start')}")


def stop_after_boot(chart: Chart) -> Found | None:
    late = []
    booted_at = None
    for each in chart.calls:
        if each.action == "BootNotification":
            booted_at = each.at
        elif booted_at is not None and _is_power_loss(each):
            at = chart.time(each)
            if at is not None and at < booted_at:
                late.append(each)
    return found(late, f"{many(late, 'stop')} by PowerLoss came after the boot")


def _is_power_loss(message: Message) -> bool:
    info = message.payload.get("transactionInfo")
    reason = info.get("stoppedReason") if isinstance(info, dict) else message.payload.get("reason")
    return message.action in {"StopTransaction", "TransactionEvent"} and reason == "PowerLoss"


def available_before_stop(chart: Chart) -> Found | None:
    early: dict[str, Message] = {}
    told = []
    for message, running in _walk(chart):
        if message.action == "StatusNotification" and message.payload.get("status") == "Available":
            connector = str(message.payload.get("connectorId"))
            early |= {each: message for each, place in running.items() if place == connector}
        elif message.action == "StopTransaction":
            before = early.pop(str(transaction_id(message)), None)
            if before is not None:
                told.append(before)
    return found(told, f"{many(told, 'time')}")


def preparing_timed_out(chart: Chart) -> Found | None:
    status: dict[str, str] = {}
    told = []
    for each in chart.told("StatusNotification", "StartTransaction"):
        connector = str(each.payload.get("connectorId"))
        if each.action == "StartTransaction":
            status.pop(connector, None)
            continue
        now = str(each.payload.get("status"))
        if now == "Available" and status.get(connector) == "Preparing":
            told.append(each)
        status[connector] = now
    return found(told, f"{many(told, 'time')}")


def queue_flushed(chart: Chart) -> Found | None:
    """Messages that were written long before they came, many of them at once."""
    late = []
    for each in chart.told(*TRANSACTION_ACTIONS):
        at = chart.time(each) or _reading_time(chart, each)
        if at is not None and each.at - at >= QUEUE_AGE:
            late.append(each)
    for first, last in zip(late, late[QUEUE_MIN - 1 :], strict=False):
        if last.at - first.at <= QUEUE_WITHIN and first.socket == last.socket:
            burst = [each for each in late if first.at <= each.at <= first.at + QUEUE_WITHIN]
            return found(burst, f"{many(burst, 'message')} within a minute")
    return None


def _reading_time(chart: Chart, message: Message) -> datetime | None:
    elements = message.payload.get("meterValue")
    first = elements[0] if isinstance(elements, list) and elements and isinstance(elements[0], dict) else {}
    return chart.read_time(first.get("timestamp"))


def _walk(chart: Chart) -> Iterator[tuple[Message, dict[str, str]]]:
    """The charge point's calls in order, each with the 1.6 transactions that ran before it: id -> connector."""
    running: dict[str, str] = {}
    for each in chart.calls:
        yield each, running
        if each.action == "StartTransaction":
            transaction = chart.transaction_of(each)
            if transaction is not None:
                running[transaction] = str(each.payload.get("connectorId"))
        elif each.action == "StopTransaction":
            running.pop(str(transaction_id(each)), None)
