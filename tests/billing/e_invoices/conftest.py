"""One worker for all tests of a run: its sheets are compiled once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.billing.e_invoices.official import Schematron


@pytest.fixture(scope="session")
def schematron() -> Iterator[Schematron]:
    worker = Schematron()
    yield worker
    worker.close()
