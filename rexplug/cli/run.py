"""`rexplug run`: do what a recipe says."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from rexplug.cli import terminal


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run's folder; runs/NAME if left out.")
@click.option(
    "--until",
    metavar="STAGE",
    help="Stop after relevance, curate, tokenize, train, train.PHASE, evaluate.PHASE, export or report.",
)
@click.option("--from", "from_", metavar="STAGE", help="Do this stage and what depends on it again.")
@click.option("--fresh", is_flag=True, help="Remove what an earlier run made in the folder first.")
@click.option(
    "--allow-change",
    "allow",
    metavar="KEY",
    multiple=True,
    help="Go on with what is there although this changed, e.g. phases.anneal.tokens or plugins.NAME (a plugin's code); "
    "may be repeated.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train on this many processes of this machine (one per GPU); under torchrun or srun leave it out.",
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors and the summary.")
def run(
    recipe: Path,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    until: str | None,
    from_: str | None,
    fresh: bool,
    allow: tuple[str, ...],
    processes: int,
    quiet: bool,
) -> None:
    """Curate, tokenize, train, evaluate, export and report what RECIPE says.

    OVERRIDES change keys of the recipe: phases.anneal.tokens=2M seed=3. Stages that are done are skipped; a run that
    was stopped continues when the same command is given again.
    """

    from rexplug import distributed
    from rexplug.cli.progress import TerminalProgress
    from rexplug.cli.summary import print_summary
    from rexplug.pipeline import Incomplete, Manifest, run_recipe, train_with_main_rank
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import load_recipe
    from rexplug.run_directory import RunDirectory

    registry = load_plugins()
    resolved = load_recipe(recipe, overrides, registry)
    root = run_dir or Path("runs") / resolved.name
    distributed.adopt_slurm_env()
    if processes > 1 and distributed.world_size() == 1:
        code = distributed.launch(processes, distributed.command_line(), root / "logs")
        sys.exit(code)
    listen()
    distributed.connect()  # before any work: rank 0 may be at it for days, and what keeps the ranks apart is said at once
    if distributed.rank() > 0:
        train_with_main_rank(resolved, root)
        return
    incomplete: Incomplete | None = None
    with TerminalProgress(quiet=quiet) as progress:
        progress.note(f"rexplug run {recipe}: {root}")
        try:
            manifest = run_recipe(
                resolved, root, progress, plugins=registry.versions(), command=shlex.join(["rexplug", *sys.argv[1:]]),
                until=until, from_=from_, fresh=fresh, allow=allow,
            )  # fmt: skip
        except Incomplete as error:
            manifest, incomplete = Manifest.open(RunDirectory(root)), error
        finally:
            distributed.release_workers()
    print_summary(manifest, resolved, terminal.console())
    if incomplete is not None:
        raise incomplete


def listen() -> None:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that curation and evaluation stop the same way."""
    from rexplug import distributed

    for number in distributed.stop_signals():
        if number != signal.SIGINT:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    from rexplug import distributed

    distributed.detach_from_terminal(number)
    raise KeyboardInterrupt
