"""The page on which the figures of all workers stand."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from csms.workers.exposition import LABEL, merged


def page(connections: int) -> str:
    registry = CollectorRegistry()
    Gauge("csms_connections", "Charge points", registry=registry).set(connections)
    Counter("csms_messages", 'With "quotes" and \\', ["action"], registry=registry).labels('a "b" \n c').inc(3)
    Histogram("csms_answer_seconds", "Seconds", registry=registry).observe(0.2)
    return generate_latest(registry).decode()


def samples(text: str) -> list[tuple[str, tuple[tuple[str, str], ...], float, str]]:
    """Name, labels without the worker, value, worker."""
    return sorted(
        (
            each.name,
            tuple(sorted((name, value) for name, value in each.labels.items() if name != LABEL)),
            each.value,
            each.labels.get(LABEL, ""),
        )
        for family in text_string_to_metric_families(text)
        for each in family.samples
    )


def test_each_figure_stands_there_as_its_worker_gave_it_and_nothing_is_added_up() -> None:
    pages = {"1": page(7), "2": page(5)}

    told = samples(merged(pages).decode())

    assert told == sorted((*each[:3], worker) for worker, text in pages.items() for each in samples(text))


def test_each_family_is_described_once() -> None:
    lines = merged({"1": page(1), "2": page(2), "3": page(3)}).decode().splitlines()
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]

    assert len(described) == len(set(described))


def test_without_workers_the_page_is_empty() -> None:
    assert merged({}) == b""
