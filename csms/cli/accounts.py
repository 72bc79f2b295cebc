"""csms account, csms seller, csms brand and csms audit: billing's commands on our connection."""

from __future__ import annotations

from billing import account_group, audit_group, brand_group, seller_group
from csms.cli.context import connect, default_actor

account = account_group(connect, actor=default_actor)
brand = brand_group(connect, actor=default_actor)
seller = seller_group(connect, actor=default_actor)
audit = audit_group(connect)
