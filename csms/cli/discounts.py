"""csms discount, surcharge and incentive: billing's commands on our connection."""

from __future__ import annotations

from billing import discount_group, incentive_group, surcharge_group
from csms.cli.context import connect, default_actor
from csms.cli.tariffs import place_of

discount = discount_group(connect, place_of=place_of, default_actor=default_actor)
surcharge = surcharge_group(connect, default_actor=default_actor)
incentive = incentive_group(connect, default_actor=default_actor)
