"""What a worker is told at its start, by its supervisor, as one line of JSON on its stdin."""

from __future__ import annotations

from importlib.metadata import version

from pydantic import BaseModel, ConfigDict, Field

from csms.settings import Settings


def own_version() -> str:
    return version("csms")


class Order(BaseModel):
    """`version` is the supervisor's: a worker of another one, installed meanwhile, must not share its database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    settings: Settings
    dsn: str
    version: str = Field(default_factory=own_version)


class Ready(BaseModel):
    """What the worker answers on its stdout, once it accepts sockets. `http_url` is its own, `ocpp_url` everybody's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ocpp_url: str
    http_url: str
    files_url: str | None = None
