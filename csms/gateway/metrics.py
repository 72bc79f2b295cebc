"""What the gateway counts."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS = Gauge("csms_connections", "Charge points connected to this node")
HANDSHAKES = Counter("csms_handshakes", "Handshakes by result", ["result"])
MESSAGES = Counter("csms_messages", "OCPP messages by action, direction and result", ["action", "direction", "result"])
ANSWER_SECONDS = Histogram(
    "csms_answer_seconds",
    "Seconds from reading a call to writing its answer",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
REPLACED = Counter("csms_connections_replaced", "Sockets closed because their charge point opened another one")
ANSWERS_DROPPED = Counter("csms_answers_dropped", "Answers that nobody waited for", ["why"])
ADMISSION_WAITING = Gauge("csms_admission_waiting", "Handshakes that wait for their turn at the database")
ADMISSION_WAIT_SECONDS = Histogram(
    "csms_admission_wait_seconds",
    "Seconds that handshakes have waited for their turn at the database",
    buckets=(0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
SEND_TIMEOUTS = Counter("csms_send_timeouts", "Sockets aborted because the charge point did not read")


@lru_cache(maxsize=1024)
def message(action: str, direction: str, result: str) -> Counter:
    """The child to count one message with. `action` is one that we know, or `other`: peers must not make time series."""
    return MESSAGES.labels(action, direction, result)
