"""`rexplug run`: do what a recipe says."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from rexplug.cli import terminal
from rexplug.cli.check import with_data
from rexplug.cli.results import results_file


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The folder that $DATA stands for in the suites of curation.decontaminate.",
)
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run directory; runs/NAME by default.")
@click.option(
    "--until",
    metavar="STAGE",
    help="Stop after relevance, curate, tokenize, train, train.PHASE, evaluate.PHASE, export or report.",
)
@click.option("--from", "from_", metavar="STAGE", help="Do this stage, and the stages that depend on it, again.")
@click.option("--fresh", is_flag=True, help="First remove what an earlier run left in the folder.")
@click.option(
    "--allow-change",
    "allow",
    metavar="KEY",
    multiple=True,
    help="Continue although this changed, e.g. phases.anneal.tokens or plugins.NAME (a plugin's code); may be repeated.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train with this many processes on this machine (one per GPU); do not use it under torchrun or srun.",
)
@click.option("--quiet", is_flag=True, help="Print only errors and the summary.")
def run(
    recipe: Path,
    overrides: tuple[str, ...],
    data: Path | None,
    run_dir: Path | None,
    until: str | None,
    from_: str | None,
    fresh: bool,
    allow: tuple[str, ...],
    processes: int,
    quiet: bool,
) -> None:
    """Curate, tokenize, train, evaluate, export and report as RECIPE says.

    OVERRIDES change keys of the recipe: phases.anneal.tokens=2M seed=3. Stages that are done are skipped; a run that
    was stopped continues when the same command is given again.
    """
    from rexplug import api, distributed
    from rexplug.cli.progress import TerminalProgress
    from rexplug.cli.signals import interrupt_on_signals
    from rexplug.cli.summary import print_summary

    resolved = api.load_recipe(recipe, with_data(overrides, data))
    root = run_dir or api.default_run_dir(resolved)
    distributed.adopt_slurm_env()
    if processes > 1 and distributed.world_size() == 1:
        logs = root / "logs"
        sys.exit(distributed.launch(processes, distributed.command_line(), logs, output=results_file()))
    interrupt_on_signals()
    # Before any work: rank 0 may curate for days, and ranks that cannot connect should fail at once.
    distributed.connect()
    if distributed.rank() > 0:
        api.train_with_main_rank(resolved, root)
        return
    incomplete: api.Incomplete | None = None
    with TerminalProgress(quiet=quiet) as progress:
        progress.note(f"rexplug run {recipe}: {root}")
        try:
            finished = api.run(
                resolved, run_dir=root, until=until, from_=from_, fresh=fresh, allow=allow,
                command=shlex.join(["rexplug", *sys.argv[1:]]), progress=progress,
            )  # fmt: skip
        except api.Incomplete as error:
            finished, incomplete = api.open_run(root), error
        finally:
            distributed.release_workers()
    print_summary(finished, resolved, terminal.console())
    if incomplete is not None:
        raise incomplete
