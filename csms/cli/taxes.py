"""csms tax: billing's commands on our connection."""

from __future__ import annotations

from billing import tax_group
from csms.cli.context import connect, default_actor
from csms.cli.tariffs import place_of

tax = tax_group(connect, place_of=place_of, actor=default_actor)
