"""What was measured: figures by case and name, one of each round."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from tests.bench.load import Run
from tests.bench.processes import Cores

PERCENTILES = (50, 99, 99.9)


@dataclass(slots=True)
class Figures:
    cores: Cores
    load_before: float
    """Load average of the machine when it began: above 0.5, somebody else was at work."""
    by_case: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, case: str, name: str, figure: float) -> None:
        self.by_case.setdefault(case, {}).setdefault(name, []).append(figure)

    def add_run(self, case: str, run: Run, *, of: str = "") -> None:
        """Rate, cost and waits; `of` names whose they are, if not csms's."""
        self.add(case, f"{of}per s", run.per_s)
        self.add(case, f"{of}CPU us", run.cpu_us)
        self.add(case, f"{of}per core s", run.per_core_s)
        self.add_waits(case, run, of=of)

    def add_waits(self, case: str, run: Run, *, of: str = "") -> None:
        for percentile in PERCENTILES:
            self.add(case, f"{of}p{percentile:g} ms", run.latency_ms(percentile))

    def middle(self, case: str, name: str) -> float:
        return median(self.by_case[case][name])

    def last(self, case: str, name: str) -> float:
        return self.by_case[case][name][-1]
