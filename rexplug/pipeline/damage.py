"""What is damaged in a run's folder, asked once something in it could not be understood."""

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
"""Of larger files only the size is compared: the answer must come within seconds."""


@contextmanager
def explain_damage(*roots: Path) -> Iterator[None]:
    """What is unexpected within the block is told as damage of one of these runs, if one is damaged.

    Raises:
        DataError: with the first thing that is wrong, in place of an error that says nothing to the user.
    """
    try:
        yield
    except RexplugError:
        raise
    except Exception as error:
        for root in roots:
            for problem in damage(root):
                raise DataError(problem) from error
        raise


def runs_among(arguments: Sequence[str]) -> list[Path]:
    """The folders of runs that a command line names, as `RUN`, `LABEL=RUN`, `RUN@MOMENT` or as a place within one."""
    found: list[Path] = []
    for argument in arguments:
        for text in (argument, argument.partition("=")[2], argument.partition("@")[0]):
            if not text or "\0" in text or len(text) > 4096:
                continue
            path = Path(text)
            for each in (path, *path.absolute().parents):
                try:
                    if (each / "run.json").exists() and each not in found:
                        found.append(each)
                except OSError:
                    continue
    return found


def damage(root: Path) -> Iterator[str]:
    """What is wrong with the files of a run, the small ones first; each with what mends it."""
    run = RunDirectory(root)
    try:
        Manifest.existing(run)
        yield from _wrong_shapes(run)
        yield from _figures(run)
        for path in sorted(run.checkpoints.glob("**/model.safetensors")):
            if not _is_whole(path):
                yield f"{path} was cut short, or holds no weights; remove {path.parent} to go on from what is before it"
        for part in verify_run(root, content_up_to=LARGE):
            for problem in part.problems:
                yield f"{problem}; {part.repair}"
    except RexplugError as error:
        yield str(error)
    except OSError as error:
        yield f"{error.filename or root} cannot be read: {error.strerror}"


def _is_whole(weights: Path) -> bool:
    try:
        return bool(read_header(weights).shapes)
    except DataError:
        return False


def _wrong_shapes(run: RunDirectory) -> Iterator[str]:
    if run.recipe.exists() and not run.recipe.is_file():
        yield f"{run.recipe} is no file; {repair_hint(run.recipe)}"
    for path in (run.fitted, run.corpus, run.tokens, run.checkpoints, run.evaluation, run.model, run.root / "exports"):
        if path.exists() and not path.is_dir():
            yield f"{path} is a file where a folder is due; remove it, and the same command goes on"
    yield from _of_another_run(run)
    trained = dict.fromkeys(_trained(run), _TRAINED)
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
            problem = f"'main' is {content['main']!r}, which is none of its metrics"
        if problem is not None:
            yield f"{path} is damaged: {problem}; {repair_hint(path)}"


_TRAINED = {"result": {"tokens": 0.0, "steps": 0.0}}
_FIGURES = {"loss": 0.0, "learning_rate": 0.0, "shares": {}, "planned": {}, "source_loss": {}, "tokens_per_second": 0.0}


def _trained(run: RunDirectory) -> list[str]:
    stages = Manifest.existing(run).values["stages"]
    phases = [name for name in stages if name.startswith("train.") and name != "train.initial"]
    return [name for name in phases if stages[name].get("status") == "done"]


def _of_another_run(run: RunDirectory) -> Iterator[str]:
    """Whether the recipe in the folder is that of the run."""
    curated = Manifest.existing(run).stage("curate")
    if curated.get("status") != "done" or not run.recipe.is_file():
        return
    try:
        recipe = parse_file(run.recipe).value
        sources = sorted(recipe["sources"])
    except (RexplugError, OSError, ValueError, LookupError, TypeError):
        yield f"{run.recipe} is damaged: it is no recipe; {repair_hint(run.recipe)}"
        return
    known = sorted((curated.get("result") or {}).get("sources") or sources)
    if sources != known and not curated.get("stale"):
        yield (
            f"{run.recipe} is not the recipe of this run: its sources are {', '.join(sources)[:200]}, and those of the run are "
            f"{', '.join(known)[:200]}; {repair_hint(run.recipe)}"
        )


def _figures(run: RunDirectory) -> Iterator[str]:
    """Lines of figures that lack something that training writes."""
    for number, line in enumerate(read_metrics(run.metrics), 1):
        problem = shape_problem(line, _FIGURES)
        if problem is not None:
            yield f"{run.metrics}:{number} is damaged: {problem}; {repair_hint(run.metrics)}"
            return


def shape_problem(value: Any, shape: Any, path: str = "") -> str | None:
    """Where a value of JSON is not of a shape; mappings name keys that must be there, or `*` for any, and lists have the shape
    of every item, or none."""
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text", float: "a number", int: "a number"}
    kind: type | tuple[type, ...] = (int, float) if isinstance(shape, float) else type(shape)
    if not isinstance(value, kind) or (isinstance(value, bool) and not isinstance(shape, bool)):
        shown = "nothing" if value is None else repr(value)[:60]
        place = f"'{path}' is" if path else "it holds"
        return f"{place} {shown} where {names[type(shape)]} is due"
    if isinstance(value, float) and not math.isfinite(value):
        return f"'{path}' is {value}, which is no number"
    if isinstance(value, list) and shape:
        for number, item in enumerate(value):
            problem = shape_problem(item, shape[0], f"{path}.{number}" if path else str(number))
            if problem is not None:
                return problem
    if isinstance(shape, Mapping):
        found: dict[str, Any] = dict(value)
        for key, inner in shape.items():
            for name in found if key == "*" else (key,):
                problem = shape_problem(found.get(name), inner, f"{path}.{name}" if path else str(name))
                if problem is not None:
                    return problem
    return None
