"""`rexplug check`: the checks that `run` makes before it begins."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rexplug.cli.terminal import echo


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The folder that $DATA stands for in the suites of curation.decontaminate.",
)
@click.option("--hub", is_flag=True, help="Also look up datasets and models on the Hugging Face Hub.")
def check(recipe: Path, overrides: tuple[str, ...], data: Path | None, hub: bool) -> None:
    """Check RECIPE (with OVERRIDES): print its problems, or that there are none.

    Without --hub the Hugging Face Hub is not contacted: names there are listed as not checked. `rexplug run` contacts it.
    """
    from rexplug import api
    from rexplug.errors import DataError

    resolved = api.load_recipe(recipe, with_data(overrides, data))
    report = api.check(resolved, hub=hub)
    if report.problems:
        raise DataError("\n".join(report.problems))
    tokens = sum(phase.tokens for phase in resolved.phases)
    model = resolved.model.size or resolved.model.from_
    counts = f"{_count(len(resolved.sources), 'source')}, {_count(len(resolved.phases), 'phase')}"
    echo(f"{recipe} is in order: {counts}, {tokens:,} tokens, model {model}")
    for line in report.lines():
        echo(line)


def with_data(overrides: tuple[str, ...], data: Path | None) -> tuple[str, ...]:
    """The overrides of a recipe with that of `--data`, if it is given."""
    return overrides if data is None else (*overrides, f"curation.decontaminate.data={json.dumps(str(data))}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
