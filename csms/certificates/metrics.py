"""What the certificates room counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

REQUESTS = Counter("csms_certificate_requests", "Signing requests of charge points by answer", ["answer"])
ISSUED = Counter("csms_certificates_issued", "Certificates made for charge points", ["source"])
DELIVERIES = Counter("csms_certificate_deliveries", "Certificates sent to charge points by outcome", ["outcome"])
ALARMS = Counter("csms_certificate_alarms", "What an operator has to look at", ["kind"])
ENDING = Gauge(
    "csms_certificates_ending", "Certificates in use that end within certificate_warning_days, or have ended"
)
WAITING = Gauge("csms_certificate_requests_waiting", "Accepted requests that have no certificate yet")
