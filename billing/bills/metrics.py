"""What billing counts, for /metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

BILLS: Final = Counter("csms_bills", "Bills committed", ["kind"])
HELD: Final = Gauge("csms_billing_held_sessions", "Sessions that billing itself holds", ["reason"])
UNBILLED_KWH: Final = Gauge("csms_unbilled_kwh", "Energy of sessions without a final bill, held ones included")
LATE_FACTS: Final = Counter("csms_late_facts", "Sessions of which facts came after their final bill")
FAILURES: Final = Counter("csms_billing_failures", "Sweeps or sessions that failed; the log says why", ["what"])
