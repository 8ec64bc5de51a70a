"""`rexplug check`: what `run` looks at before it begins."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli.terminal import echo


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--hub", is_flag=True, help="Ask the Hugging Face hub for the datasets and models that lie there.")
def check(recipe: Path, overrides: tuple[str, ...], hub: bool) -> None:
    """Say what is wrong with RECIPE (with OVERRIDES), or that nothing is.

    Without --hub the hub is not asked; what lies there is listed as not looked at. `rexplug run` asks.
    """
    from rexplug.pipeline.preflight.inputs import check_inputs
    from rexplug.recipe import load_recipe

    resolved = load_recipe(recipe, overrides)
    looked = check_inputs(resolved, hub=hub)
    tokens = sum(phase.tokens for phase in resolved.phases)
    model = resolved.model.size or resolved.model.from_
    sources, phases = (
        _counted(len(each), noun) for each, noun in ((resolved.sources, "source"), (resolved.phases, "phase"))
    )
    echo(f"{recipe} is in order: {sources}, {phases}, {tokens:,} tokens, model {model}")
    for line in looked.lines():
        echo(line)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
