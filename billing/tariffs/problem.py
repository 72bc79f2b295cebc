"""A mistake in a document, as a value: parsers and lints collect these and report all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Where (a JSON path such as `$.elements[0].price_components[1].price`), what is wrong, and what to do about it."""

    path: str
    message: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}; {self.next_step}"


class DocumentInvalid(ValueError):
    """A document has mistakes; `problems` holds every one of them."""

    subject = "document"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{self.subject} has {len(self.problems)} problem(s):\n{lines}")
