"""When a dead worker is started again, and when no more."""

from __future__ import annotations

import itertools

from csms.workers.restarts import DEATHS_MAX, PAUSE_S_MAX, STEADY_S, Restarts


def test_a_worker_that_dies_at_once_again_and_again_is_waited_for_longer_and_longer_and_then_given_up() -> None:
    restarts = Restarts()
    pauses = [restarts.died(lived_s=1) for _ in range(DEATHS_MAX)]

    *waited, last = pauses
    assert last is None
    assert None not in waited
    assert all(later == 2 * earlier for earlier, later in itertools.pairwise(waited) if earlier and later)
    assert all(each <= PAUSE_S_MAX for each in waited if each)


def test_one_that_lived_for_a_while_is_always_started_again_and_soon() -> None:
    restarts = Restarts()
    steady = [restarts.died(lived_s=STEADY_S) for _ in range(100)]
    for _ in range(DEATHS_MAX - 2):
        assert restarts.died(lived_s=0) is not None
    recovered = restarts.died(lived_s=STEADY_S)

    assert set(steady) == {steady[0]}
    assert recovered == steady[0]
