"""What workers share: connections of the database, patience with guessers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from csms.settings import Settings, load_settings
from csms.workers.division import BESIDE_POOL, FOR_OTHERS, connections_needed, of_each, pool_size


@given(st.integers(1, 64), st.integers(2, 200), st.integers(1, 5000))
def test_all_workers_together_never_take_more_connections_than_there_are(
    workers: int, wanted: int, connections_max: int
) -> None:
    settings = Settings(workers=workers, database_pool_size=wanted)
    size = pool_size(settings, connections_max=connections_max)

    assert size <= wanted
    assert size < 2 or workers * (size + BESIDE_POOL) + FOR_OTHERS <= connections_max
    if connections_max >= connections_needed(settings):
        assert size == wanted


def test_one_process_needs_no_more_of_the_embedded_database_than_before() -> None:
    assert connections_needed(load_settings({})) <= 100


def test_a_worker_has_fixed_ports_shares_them_and_bears_its_share_of_failures() -> None:
    settings = load_settings({}, workers=4, ocpp_port=0, http_port=9080, http_host="0.0.0.0")  # noqa: S104 - compared
    each = of_each(settings, connections_max=200, ports={"ocpp_port": 9123})

    assert (each.workers, each.ocpp_port, each.reuse_port) == (1, 9123, True)
    assert (each.http_host, each.http_port) == ("127.0.0.1", 0)  # the supervisor asks it, nobody else
    assert (each.auth_failures_max_per_identity, each.auth_failures_max_per_address) == (3, 25)
