"""Scenarios: what a driver, an installer or a fault does, written down once and spoken in either OCPP version."""

from simulators.scenarios.runner import ScenarioResult, run_scenario
from simulators.scenarios.story import Scenario, ScenarioError, Step, load, shipped

__all__ = ["Scenario", "ScenarioError", "ScenarioResult", "Step", "load", "run_scenario", "shipped"]
