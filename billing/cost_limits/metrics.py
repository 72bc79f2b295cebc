"""What cost limits did, for /metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

REACHED: Final = Counter("csms_cost_limits_reached", "Sessions that came to what they may cost and are to be stopped")
OVERSHOT: Final = Counter("csms_cost_limits_overshot", "Final bills above what the session might cost")
