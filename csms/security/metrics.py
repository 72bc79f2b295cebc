"""What the security room counts."""

from __future__ import annotations

from prometheus_client import Counter

EVENTS = Counter(
    "csms_security_events", "Security events by source, type and criticality", ["source", "type", "critical"]
)
EVENTS_NOT_KEPT = Counter("csms_security_events_not_kept", "Events of charge points beyond what is kept of each kind")
