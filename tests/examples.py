"""How many examples a property is tried with: few in everybody's run, a thousand or more in the long one."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

LONG: Final = os.environ.get("CSMS_TEST_LONG") == "1"
LONG_COUNT: Final = 1000


def tried(few: int) -> settings:
    """`few` examples, or at least a thousand with CSMS_TEST_LONG=1; how long one takes is not what is tested."""
    count = max(few, LONG_COUNT) if LONG else few
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])
