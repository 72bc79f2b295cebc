"""The world of bills, for what is conceded in it."""

from __future__ import annotations

from tests.billing.bills.conftest import announced, billing, clock, source, world

__all__ = ["announced", "billing", "clock", "source", "world"]
