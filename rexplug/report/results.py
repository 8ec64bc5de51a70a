"""Finds and reads the results of evaluations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rexplug.components import Scores
from rexplug.components.evaluator import DETAIL
from rexplug.errors import DataError
from rexplug.evaluation import read_result, read_scores
from rexplug.run_directory import RunDirectory, read_json, repair_hint


@dataclass(frozen=True)
class ModelResults:
    """The results of a model: evaluator -> content of its file, and evaluator -> metric -> scores of single items."""

    label: str
    results: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, Mapping[str, Scores]]
    training_runs: int = 1
    """Training runs, with a seed each, that the scores were pooled from."""
    stored: frozenset[str] = frozenset()
    """Evaluators whose results `evaluate` found and did not compute."""
    notes: Sequence[str] = ()
    """What readers of a comparison must know about the model."""
    folder: Path | None = None
    """The folder of the results, with the items of each evaluator; of pooled runs that of the first one."""

    @property
    def trained_here(self) -> bool:
        """Whether the model is that of a run, which could be trained with other seeds; older results do not say it and count as
        such. Other models (published ones, baselines that compare words, random weights) are taken as they are."""
        return any(result.get("trained_here", True) for result in self.results.values())


def headlines(result: Mapping[str, Any]) -> list[str]:
    """The metrics of a result that tables show first: the main one and those shown beside it; none if it does not apply."""
    names = [result.get("main"), *result.get("headlines", ())]
    return [name for name in names if name in result.get("metrics", {})]


def is_detail(metric: Mapping[str, Any]) -> bool:
    """Whether a stored metric is one that tables show beside headlines, such as salient words beside all words."""
    return DETAIL in metric.get("tags", ())


def find_all(arguments: Sequence[str]) -> list[ModelResults]:
    """The results of `find_results` for each argument.

    Models of the same label get as many names of the folders above them as tell them apart (`a/seed-17` and
    `b/seed-17`); labels that were given are not changed.

    Raises:
        DataError: there are none below one of the arguments.
    """
    return [model for models in find_each(arguments) for model in models]


def find_each(arguments: Sequence[str]) -> list[list[ModelResults]]:
    """The results of each argument, with labels as those of `find_all`.

    Raises:
        DataError: there are none below one of the arguments.
    """
    found = [find_results(argument) for argument in arguments]
    labelled = [
        (model, _folders_above(argument, model))
        for argument, models in zip(arguments, found, strict=True)
        for model in models
    ]
    depth = 0
    while True:
        depth += 1
        counts = Counter(model.label for model, _ in labelled)
        longer = [
            (replace(model, label=f"{above[-depth]}/{model.label}"), above)
            if counts[model.label] > 1 and len(above) >= depth
            else (model, above)
            for model, above in labelled
        ]
        if longer == labelled:
            rest = iter(model for model, _ in labelled)
            return [[next(rest) for _ in models] for models in found]
        labelled = longer


def _folders_above(argument: str, model: ModelResults) -> tuple[str, ...]:
    """Names of the folders above a model whose label was made from its folder; empty if the label was given."""
    label, name, _ = split_argument(argument)
    parts = Path(name).resolve().parts[1:]
    if label:
        return ()
    return parts[:-1] if parts and parts[-1] in (model.label, model.label.partition("@")[0]) else parts


def split_argument(argument: str) -> tuple[str, str, str]:
    """Label, path and moment of `[LABEL=]PATH[@MOMENT]`, empty if left out; folders may have a `=` in their names."""
    label, equals, rest = argument.partition("=")
    if not equals or "/" in label or Path(argument.partition("@")[0]).is_dir():
        label, rest = "", argument
    if Path(rest).is_dir():  # `minilm@256`, as the results of cut embeddings are named
        return label, rest, ""
    name, _, moment = rest.partition("@")
    return label, name, moment


def find_results(argument: str) -> list[ModelResults]:
    """The results below a path: `[LABEL=]PATH[@MOMENT]`.

    PATH is a run directory (its model after MOMENT, by default the last one), that of one model's results, or a folder
    of such folders.

    Raises:
        DataError: there are none.
    """
    label, name, moment = split_argument(argument)
    path = Path(name)
    if not path.is_dir():
        raise DataError(f"{name}: there is no such folder; give runs or folders that `rexplug evaluate` wrote")
    if (path / "run.json").exists():
        run = RunDirectory(path)
        moments = _moments(run)
        if not moments:
            raise DataError(f"{name}: the run has no evaluation yet")
        if moment and moment not in moments:
            raise DataError(f"{name}@{moment}: there is no such moment; there are {', '.join(moments)}")
        chosen = moment or moments[-1]
        shown = label or (f"{path.name}@{chosen}" if moment else path.resolve().name)
        return [load_results(run.evaluation / chosen, shown)]
    if moment:
        raise DataError(f"{name}@{moment}: only runs have moments")
    if any(_contents(path)):
        return [load_results(path, label or path.resolve().name)]
    folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and any(_contents(folder))]
    if not folders:
        raise DataError(f"{name}: there are no results in it; give runs or folders that `rexplug evaluate` wrote")
    if label and len(folders) > 1:
        raise DataError(f"{argument}: the label would name {len(folders)} models; name them one by one")
    return [load_results(folder, label or folder.name) for folder in folders]


def load_results(folder: Path, label: str) -> ModelResults:
    """Read the results of one model.

    Raises:
        DataError: a file is damaged.
    """
    results = {str(content.get("label", content["evaluator"])): content for content in _contents(folder)}
    return ModelResults(label, results, {name: read_scores(folder, name) for name in results}, folder=folder)


def _moments(run: RunDirectory) -> list[str]:
    """The evaluated moments of a run, in their order."""
    if not run.evaluation.is_dir():
        return []
    manifest = read_json(run.manifest)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("stages"), dict):
        raise DataError(f"{run.manifest} is damaged: it holds no stages; {repair_hint(run.manifest)}")
    stages = {name: stage for name, stage in manifest["stages"].items() if name.startswith("evaluate.")}
    moments = [name.partition(".")[2] for name, stage in stages.items() if not stage.get("stale")]
    return [name for name in moments if (run.evaluation / name).is_dir() and any(_contents(run.evaluation / name))]


def _contents(folder: Path) -> Iterator[Mapping[str, Any]]:
    """The contents of the result files of a folder; its other JSON files are left out."""
    for path in sorted(folder.glob("*.json")):
        content = read_result(path)
        if (
            isinstance(content, dict)
            and "evaluator" in content
            and ("metrics" in content or "not_applicable" in content)
        ):
            yield content
