"""What the sessions room counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

open_sessions = Gauge("csms_open_sessions", "Sessions that run")
held_sessions = Gauge("csms_held_sessions", "Ended sessions that wait for a person")
folds = Counter("csms_session_folds_total", "Sessions folded from their facts")
