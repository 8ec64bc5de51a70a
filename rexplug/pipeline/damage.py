"""Finds damaged files in a run directory, after an error that damage may explain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, RexplugError
from rexplug.model.checkpoint.header import read_header
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.verify import verify_run
from rexplug.recipe.strict_yaml import parse_file
from rexplug.run_directory import RunDirectory, read_json, read_metrics, repair_hint

LARGE = 256 * 2**20
"""Bytes from which only the size of a file is compared: the answer must come within seconds."""


@contextmanager
def explain_damage(root: Path) -> Iterator[None]:
    """Replaces an unexpected exception in the block by a message about damaged files, if this run has some.

    Raises:
        DataError: names the first damaged file.
    """
    try:
        yield
    except RexplugError:
        raise
    except Exception as error:
        if RunDirectory(root).manifest.exists():  # otherwise the run has not begun: its folder explains nothing
            for problem in damage(root):
                raise DataError(problem) from error
        raise


def runs_among(arguments: Sequence[str]) -> list[Path]:
    """The run directories that a command line names, as `RUN`, `LABEL=RUN`, `RUN@MOMENT` or as a path inside one."""
    runs: list[Path] = []
    for argument in arguments:
        for text in (argument, argument.partition("=")[2], argument.partition("@")[0]):
            if not text or "\0" in text or len(text) > 4096:
                continue
            path = Path(text)
            for folder in (path, *path.absolute().parents):
                try:
                    if (folder / "run.json").exists() and folder not in runs:
                        runs.append(folder)
                except OSError:
                    continue
    return runs


def damage_in(arguments: Sequence[str]) -> Iterator[str]:
    """The problems of every run that `runs_among` recognizes in the arguments."""
    for root in runs_among(arguments):
        yield from damage(root)


def damage(root: Path) -> Iterator[str]:
    """The problems of a run's files, small files first, each with how to repair it."""
    run = RunDirectory(root)
    try:
        yield from _wrong_shapes(run, Manifest.existing(run))
        yield from _metrics_problems(run)
        for path in sorted(run.checkpoints.glob("**/model.safetensors")):
            if not _has_weights(path):
                yield f"{path} was cut short, or holds no weights; remove {path.parent} to continue from the checkpoint before it"
        for part in verify_run(root, content_up_to=LARGE):
            for problem in part.problems:
                yield f"{problem}; {part.repair}"
    except RexplugError as error:
        yield str(error)
    except OSError as error:
        yield f"{error.filename or root} cannot be read: {error.strerror}"


def _has_weights(weights: Path) -> bool:
    try:
        return bool(read_header(weights).shapes)
    except DataError:
        return False


def _wrong_shapes(run: RunDirectory, manifest: Manifest) -> Iterator[str]:
    """Files in place of folders and the reverse, and JSON files with other contents than rexplug writes."""
    if run.recipe.exists() and not run.recipe.is_file():
        yield f"{run.recipe} is not a file; {repair_hint(run.recipe)}"
    for path in (run.fitted, run.corpus, run.tokens, run.checkpoints, run.evaluation, run.model, run.root / "exports"):
        if path.exists() and not path.is_dir():
            yield f"{path} is a file and should be a folder; remove it, and the same command continues"
    yield from _of_another_run(run, manifest)
    trained = dict.fromkeys((f"train.{phase}" for phase in manifest.finished_phases()), _TRAINED)
    counts = {"documents": 0.0}
    files: list[tuple[Path, dict[str, Any]]] = [
        (run.manifest, {"versions": {}, "plugins": {}, "host": {}, "stages": {"*": {"seconds": 0.0}, **trained}}),
        (run.plan, {"stages": {"*": {"seconds": 0.0}}, "phases": {"*": {}}}),
        (
            run.corpus / "statistics.json",
            {
                "sources": {
                    "*": {"read": counts, "kept": counts, "held_out": counts, "steps": [{"step": "", "reasons": {}}]}
                }
            },
        ),
        *(
            (path, {"metrics": {"*": {"value": 0.0}}, "main": "", "evaluator": ""})
            for folder in (run.evaluation, run.baselines)
            for path in sorted(folder.glob("*/*.json"))
        ),
        *((path, {}) for path in sorted(run.fitted.glob("*.json"))),
    ]
    for path, shape in files:
        if not path.exists():
            continue
        content = read_json(path)
        if isinstance(content, dict) and "not_applicable" in content:
            continue
        problem = shape_problem(content, shape)
        if problem is None and "main" in shape and content["main"] not in content["metrics"]:
            problem = f"'main' is {content['main']!r}, which is not one of its metrics"
        if problem is not None:
            yield f"{path} is damaged: {problem}; {repair_hint(path)}"


_TRAINED = {"result": {"tokens": 0.0, "steps": 0.0}}
_METRICS = {"loss": 0.0, "learning_rate": 0.0, "shares": {}, "planned": {}, "source_loss": {}, "tokens_per_second": 0.0}


def _of_another_run(run: RunDirectory, manifest: Manifest) -> Iterator[str]:
    """Whether the recipe in the folder belongs to another run."""
    curated = manifest.stage("curate")
    if curated.get("status") != "done" or not run.recipe.is_file():
        return
    try:
        recipe = parse_file(run.recipe).value
        sources = sorted(recipe["sources"])
    except (RexplugError, OSError, ValueError, LookupError, TypeError):
        yield f"{run.recipe} is damaged: it is not a recipe; {repair_hint(run.recipe)}"
        return
    known = sorted((curated.get("result") or {}).get("sources") or sources)
    if sources != known and not curated.get("stale"):
        yield (
            f"{run.recipe} is not the recipe of this run: its sources are {', '.join(sources)[:200]}, and those of the run are "
            f"{', '.join(known)[:200]}; {repair_hint(run.recipe)}"
        )


def _metrics_problems(run: RunDirectory) -> Iterator[str]:
    """The first line of metrics that lacks something that training writes."""
    for number, line in enumerate(read_metrics(run.metrics), 1):
        problem = shape_problem(line, _METRICS)
        if problem is not None:
            yield f"{run.metrics}:{number} is damaged: {problem}; {repair_hint(run.metrics)}"
            return


def shape_problem(value: Any, shape: Any, path: str = "") -> str | None:
    """Where a JSON value does not have a shape, as a clause; None if it has.

    Args:
        value: the value.
        shape: an example. A float means any number; a mapping the keys that must be present, `*` for all keys; a list for
            the shape of its items, or for any items if it is empty.
        path: the path of the value in its file.
    """
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text", float: "a number", int: "a number"}
    kind: type | tuple[type, ...] = (int, float) if isinstance(shape, float) else type(shape)
    if not isinstance(value, kind) or (isinstance(value, bool) and not isinstance(shape, bool)):
        shown = "nothing" if value is None else repr(value)[:60]
        place = f"'{path}' is" if path else "it holds"
        return f"{place} {shown} instead of {names[type(shape)]}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"'{path}' is {value}, which is not a finite number"
    if isinstance(value, list) and shape:
        for number, item in enumerate(value):
            problem = shape_problem(item, shape[0], f"{path}.{number}" if path else str(number))
            if problem is not None:
                return problem
    if isinstance(shape, Mapping):
        items: dict[str, Any] = dict(value)
        for key, inner in shape.items():
            for name in items if key == "*" else (key,):
                problem = shape_problem(items.get(name), inner, f"{path}.{name}" if path else str(name))
                if problem is not None:
                    return problem
    return None
