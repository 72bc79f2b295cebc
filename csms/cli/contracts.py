"""csms contract, csms plan and csms item: billing's commands on our connection, their changes in the audit log."""

from __future__ import annotations

from billing import contract_group, item_group, plan_group, record_contract_change
from csms.cli.context import connect, default_actor

contract = contract_group(connect, actor=default_actor, record=record_contract_change)
plan = plan_group(connect, actor=default_actor, record=record_contract_change)
item = item_group(connect, actor=default_actor, record=record_contract_change)
