"""Queries are found by name when they run: a name that has gone would be noticed by whoever needs it first."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import billing
import csms
from billing import Queries

MODULES = [
    name
    for package in (billing, csms)
    for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]
OF_ALL = {name for name in dir(Queries) if not name.startswith("_")}


def test_every_query_that_is_asked_for_is_there() -> None:
    missing = [
        f"{name}:{asked.lineno}: no query is named {asked.attr}"
        for name in MODULES
        for module in [importlib.import_module(name)]
        for asked in _attributes(module)
        if isinstance(queries := _value(module, asked.value), Queries) and asked.attr not in {*queries, *OF_ALL}
    ]

    assert missing == []


def _attributes(module: ModuleType) -> list[ast.Attribute]:
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]


def _value(module: ModuleType, expression: ast.expr) -> object:
    """What a name, or a name of a name, stands for in a module; None where it is neither."""
    match expression:
        case ast.Name(id=name):
            return getattr(module, name, None)
        case ast.Attribute(value=ast.Name(id=holder), attr=name):
            return getattr(getattr(module, holder, None), name, None)
        case _:
            return None
