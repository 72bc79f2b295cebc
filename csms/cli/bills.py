"""csms bill: billing's commands on our connection, and the closing of a period, which needs our sessions."""

from __future__ import annotations

from billing import bill_group
from csms.cli.context import connect
from csms.sessions.bill_run_cli import bill_run
from csms.sessions.dropped import why_dropped

bill = bill_group(connect, never_billed=why_dropped)
bill.add_command(bill_run)
