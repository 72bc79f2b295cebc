"""What the files room counts."""

from __future__ import annotations

from prometheus_client import Counter

REQUESTS = Counter("csms_file_requests", "Requests to the file endpoint", ["direction", "outcome"])
BYTES = Counter("csms_file_bytes", "Bytes of files over the wire", ["direction"])
