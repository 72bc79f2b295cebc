"""What grows is told from what only moves."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.bench.flatness import Sample, growing, settled, slope_per_s


def a_soak(*, rss_mb_per_hour: float = 0, tasks_per_hour: float = 0, noise: float = 0.5) -> list[Sample]:
    chance = random.Random(5)
    return [
        Sample(
            at_s=at_s,
            rss_mb=100 + rss_mb_per_hour * at_s / 3600 + chance.uniform(-noise, noise),
            files=200 + chance.randint(-8, 8),
            tasks=int(450 + tasks_per_hour * at_s / 3600 + chance.randint(-15, 15)),
            per_s=1000,
            postgres_mb=200,
        )
        for at_s in range(10, 1810, 10)
    ]


def test_what_moves_but_does_not_rise_is_flat() -> None:
    assert growing(settled(a_soak())) == {}


def test_the_slope_is_that_of_the_line_through_all_samples() -> None:
    found = slope_per_s(a_soak(rss_mb_per_hour=30, noise=0), "rss_mb")

    assert found * 3600 == pytest.approx(30)


def test_memory_that_each_message_leaves_behind_is_named_with_what_it_rose_by() -> None:
    found = growing(settled(a_soak(rss_mb_per_hour=30)))

    assert found == {"rss_mb": pytest.approx(10, rel=0.1)}


def test_a_task_that_each_socket_leaves_behind_is_named() -> None:
    assert "tasks" in growing(settled(a_soak(tasks_per_hour=12_000)))


def test_what_fills_in_the_first_third_is_no_growth() -> None:
    samples = a_soak(noise=0)
    warm = [each if each.at_s >= 600 else replace(each, rss_mb=80.0) for each in samples]

    assert growing(settled(warm)) == {}
