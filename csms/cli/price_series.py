"""csms price-series: billing's commands on our connection."""

from billing import price_series_group
from csms.cli.context import connect

price_series = price_series_group(connect)
