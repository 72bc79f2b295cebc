"""What status reports show. Pure."""

from __future__ import annotations

from datetime import timedelta

from csms.doctor.chart import Chart, Found, found

FLOOD_MIN, FLOOD_WITHIN = 30, timedelta(minutes=1)
_REPORTS = (
    "StatusNotification", "FirmwareStatusNotification", "DiagnosticsStatusNotification", "LogStatusNotification",
)  # fmt: skip


def status_flood(chart: Chart) -> Found | None:
    for action in _REPORTS:
        told = chart.told(action)
        for first, last in zip(told, told[FLOOD_MIN - 1 :], strict=False):
            if last.at - first.at <= FLOOD_WITHIN:
                flood = [each for each in told if first.at <= each.at <= first.at + FLOOD_WITHIN]
                return found(flood, f"{len(flood)} {action} within a minute")
    return None


def error_code_without_fault(chart: Chart) -> Found | None:
    odd = [
        each
        for each in chart.told("StatusNotification")
        if each.payload.get("status") not in (None, "Faulted")
        and str(each.payload.get("errorCode", "NoError")) not in {"NoError", "OK", ""}
    ]
    words = sorted({f"{each.payload.get('status')} with {each.payload.get('errorCode')}" for each in odd})
    return found(odd, ", ".join(words[:5]))
