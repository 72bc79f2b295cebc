"""What operators write as JSON, and how mistakes in it are told."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from billing.errors import Refused


class Written:
    """A value that operators may write: a word in it that nobody knows is a mistake of theirs."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def read(kind: TypeAdapter[Any], body: object, *, what: str) -> Any:
    """A value from JSON.

    Raises:
        Refused: it is none; each mistake is told with its place.
    """
    try:
        return kind.validate_python(body)
    except ValidationError as wrong:
        problems = [
            {"path": ".".join(map(str, each["loc"])) or "$", "message": each["msg"]}
            for each in wrong.errors(include_url=False)
        ]
        raise Refused(
            f"{what} has {len(problems)} mistake(s)", "correct what is listed", details={"problems": problems}
        ) from wrong
