"""Plans and projects as JSON and back, losing nothing: amounts are text, days ISO 8601, lengths such as `24m`."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from billing.contracts.plan import Plan
from billing.contracts.project import Project
from billing.contracts.written import read

_PLAN: Final[TypeAdapter[Plan]] = TypeAdapter(Plan)
_PROJECT: Final[TypeAdapter[Project]] = TypeAdapter(Project)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    body: dict[str, Any] = _PLAN.dump_python(plan, mode="json")
    return body


def plan_from_json(body: object) -> Plan:
    """Read what `plan_to_json` wrote, or an operator.

    Raises:
        Refused: it is no plan.
    """
    plan: Plan = read(_PLAN, body, what="the plan")
    return plan


def project_to_json(project: Project) -> dict[str, Any]:
    """What is none is left out."""
    body: dict[str, Any] = _PROJECT.dump_python(project, mode="json", exclude_none=True)
    return body


def project_from_json(body: object) -> Project:
    """Read what `project_to_json` wrote, or an operator.

    Raises:
        Refused: it is no project.
    """
    project: Project = read(_PROJECT, body, what="the project")
    return project
