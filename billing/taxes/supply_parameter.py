"""The name of a supply on the command line."""

from __future__ import annotations

import click

from billing.rating.rating import ComponentName
from billing.taxes.tax_rule import SUPPLIES, Product, Supplied, supplied


class _Supply(click.ParamType[Supplied]):
    name = "supply"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Supplied:
        if isinstance(value, (ComponentName, Product)):
            return value
        try:
            return supplied(str(value))
        except ValueError:
            self.fail(f"{value!r} is no supply: write {SUPPLIES}", param, ctx)


SUPPLY = _Supply()
