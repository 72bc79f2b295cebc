"""csms tariff and csms bill: billing's commands on our connection."""

from __future__ import annotations

from billing import bill_group, tariff_group
from csms.cli.context import connect

tariff = tariff_group(connect)
bill = bill_group(connect)
