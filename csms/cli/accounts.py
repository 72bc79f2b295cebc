"""csms account, csms seller and csms audit: billing's commands on our connection."""

from __future__ import annotations

from billing import account_group, audit_group, seller_group
from csms.cli.context import connect, default_actor

account = account_group(connect, actor=default_actor)
seller = seller_group(connect, actor=default_actor)
audit = audit_group(connect)
