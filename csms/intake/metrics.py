"""What the intake counts."""

from __future__ import annotations

from prometheus_client import Counter

duplicates = Counter("csms_duplicate_facts_total", "Repeats of charging events that were absorbed")
orphans = Counter("csms_orphan_facts_total", "Charging events that fit no session when they came")
status_repeats = Counter(
    "csms_status_repeats_total", "Statuses that said again what had just been stored, and were not stored once more"
)
