"""What became of the stops of sessions that came to what they may cost."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

asked = Counter("csms_cost_stops_asked", "Stops asked for at a cost limit, by what came of it", ["outcome"])
waiting = Gauge("csms_cost_stops_waiting", "Running sessions that are to be stopped at a cost limit")
not_obeyed = Gauge("csms_cost_limits_not_obeyed", "Of these, those that go on although the charge point was asked")
