"""Ablations: variants of a recipe that share the stages they do not change, compared with the first one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.api.arguments import list_of, optional_path_of, path_of, progress_of, strings_of, whole_number
from rexplug.api.explained import explained
from rexplug.api.folders import RunLike, StrPath, folder_of
from rexplug.errors import RecipeError
from rexplug.progress import Progress

if TYPE_CHECKING:
    from rexplug.report.compare import Comparison


@dataclass(frozen=True)
class AblationResult:
    """The comparison of an ablation's variants, and the folder with their runs, ablation.html and ablation.json."""

    comparison: Comparison
    folder: Path


@explained
def ablate(
    recipe: StrPath,
    overrides: str | Sequence[str] = (),
    *,
    vary: str | Sequence[str],
    seeds: int = 3,
    out: StrPath | None = None,
    share_with: RunLike | Sequence[RunLike] = (),
    all_metrics: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
) -> AblationResult:
    """Run a recipe once per variant and seed, and compare the variants with the first one.

    Stages that no variant changes are done once. Seeds change weights, order and masks, but neither corpus nor held-out
    texts. An ablation that was stopped continues when it is called again.

    Args:
        recipe: the path of a recipe.
        overrides: as for `load_recipe`.
        vary: keys and the values that they take, `KEY=[VALUE, ...]`; several make every combination. One, or a list of them.
        seeds: trainings of each variant.
        out: where runs and tables go; `runs/NAME-ablation` if left out.
        share_with: runs whose finished stages are reused where they are the same.
        all_metrics: compare every metric, not only the main ones.
        command: what is recorded as the command that does this again.
        progress: receives what happens.

    Raises:
        RecipeError: a variant's recipe has problems, or `vary` is not written as it must be.
        DataError: the recipe has no evaluators, or one of `share_with` is not a run.
        RunInterrupted: training was asked to stop; call again to continue.
    """
    from rexplug.pipeline.ablate import Ablation, Axis, run_ablation
    from rexplug.pipeline.manifest import Manifest
    from rexplug.plugins.discovery import load_plugins
    from rexplug.run_directory import RunDirectory

    path, settings, axes = path_of("recipe", recipe), strings_of("overrides", overrides), strings_of("vary", vary)
    if not axes:
        raise RecipeError("vary names no key; write e.g. vary='phases.anneal.masking.rate=[0.15, 0.3]'")
    seeds = whole_number("seeds", seeds, at_least=1)
    donors = [RunDirectory(folder_of(run)) for run in list_of("share_with", share_with, "runs")]
    for donor in donors:
        Manifest.existing(donor)
    registry = load_plugins()
    ablation = Ablation.plan(path, settings, [Axis.parse(text) for text in axes], seeds, registry)
    name = next(iter(ablation.recipes.values())).name
    root = optional_path_of("out", out) or Path("runs") / f"{name}-ablation"
    again = ["rexplug", "ablate", str(path), *settings, *(word for text in axes for word in ("--vary", text))]
    comparison = run_ablation(
        ablation, root, progress_of(progress), plugins=registry.versions(), command=command or shlex.join(again),
        every_metric=all_metrics, share_with=donors,
    )  # fmt: skip
    return AblationResult(comparison, root)
