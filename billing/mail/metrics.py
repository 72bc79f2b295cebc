"""What the sending of mail counts, for /metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

TRIES: Final = Counter("csms_mail_tries", "Tries to deliver a mail, by how they ended", ["event"])
DELIVERIES: Final = Gauge("csms_mail_deliveries", "Deliveries of mails that have not ended; doubtful ones wait for a person", ["state"])  # fmt: skip
LATE_S: Final = Gauge("csms_mail_late_seconds", "For how long the first mail that is due has been")
SUPPRESSED: Final = Gauge("csms_mail_suppressed_addresses", "Addresses that are not written to")
SERVER_UP: Final = Gauge("csms_mail_server_up", "Whether the mail server let us in when it was last asked")
FAILURES: Final = Counter("csms_mail_failures", "Sweeps or mails that failed for a reason of ours; the log says why", ["what"])  # fmt: skip
