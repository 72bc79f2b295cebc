"""What the firmware room counts."""

from __future__ import annotations

from prometheus_client import Counter

STATUSES = Counter("csms_transfer_statuses", "Firmware and log statuses told by charge points", ["kind", "status"])
