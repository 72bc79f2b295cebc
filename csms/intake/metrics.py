"""What the intake counts."""

from __future__ import annotations

from prometheus_client import Counter

duplicates = Counter("csms_duplicate_facts_total", "Repeats of charging events that were absorbed")
orphans = Counter("csms_orphan_facts_total", "Charging events that fit no session when they came")
