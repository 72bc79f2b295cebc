"""What the office counts, for /metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

INVOICES: Final = Counter("csms_session_invoices", "Invoices made at the end of sessions")
WAITING: Final = Gauge("csms_office_waiting", "What cannot be invoiced or sent as things are; the log says why", ["what"])  # fmt: skip
FAILURES: Final = Counter("csms_office_failures", "Work that failed for a reason of ours; the log says why", ["what"])  # fmt: skip
FOUND: Final = Gauge("csms_books_findings", "Where books are not what they were when last looked at, by what was looked at", ["check"])  # fmt: skip
FINDING: Final = Gauge("csms_books_finding", "A document, row or file that is not what it was", ["check", "subject"])  # fmt: skip
CHECKED: Final = Gauge("csms_books_checked_timestamp_seconds", "When the books were last looked through to the end, by this node")  # fmt: skip
