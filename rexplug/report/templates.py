"""Jinja templates of the pages, and the filters that they format values with."""

from __future__ import annotations

from functools import cache
from typing import Any

from rexplug.evaluation.stored_sections import figure_file


def template(name: str) -> Any:
    """A template of `report/templates` with our filters; values that it inserts are escaped."""
    return _environment().get_template(name)


@cache
def _environment() -> Any:
    """One for all pages of a process: a template is compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rexplug.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"amount": amount, "decimals": decimals, "duration": duration}
    environment.tests["figure"] = lambda section: figure_file(section) is not None
    return environment


def amount(value: float) -> str:
    """A count with separators of thousands."""
    return f"{value:,.0f}"


def decimals(value: Any) -> str:
    """A float with three decimals; any other value as text."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """A time span: `45.2 s` or `2 min 10 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
