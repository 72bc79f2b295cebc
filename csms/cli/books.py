"""csms ledger, csms close and csms report: billing's commands on our connection."""

from __future__ import annotations

from billing import CLOSE_STEPS, add_document_reports, close_group, ledger_group, report_group
from csms.cli.context import connect, default_actor

ledger = ledger_group(connect, actor=default_actor)
close = close_group(connect, actor=default_actor, steps=CLOSE_STEPS)
report = report_group(connect)
add_document_reports(report, connect)
