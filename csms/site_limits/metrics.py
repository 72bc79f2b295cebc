"""What the site limits count."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

steps = Counter("csms_site_limit_steps_total", "Limits told to charge points, by what they answered", ["outcome"])
counted_a = Gauge(
    "csms_site_limit_counted_amperes", "What may flow at a site, as this node saw it last", ["site", "phase"]
)
