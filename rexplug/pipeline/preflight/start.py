"""Checks of tokenizer, starting checkpoint and baselines, as far as their files on this machine allow."""

from __future__ import annotations

from pathlib import Path

from rexplug.errors import DataError
from rexplug.evaluation.lexical import LEXICAL_KINDS
from rexplug.evaluation.models import ModelSpec
from rexplug.io.hub import HubName, cached_file, cached_model, is_hub_name
from rexplug.io.tokenizer_files import require_tokenizer
from rexplug.model.checkpoint.header import has_weights
from rexplug.model.checkpoint.inspection import Inspection, inspect_checkpoint, require_unaltered, tokenizer_problems
from rexplug.model.checkpoint.inspection import start_problems as checkpoint_problems
from rexplug.model.config_file import ConfigFile
from rexplug.model.family import find_release
from rexplug.pipeline.preflight.checkpoint_ids import ids_problem, learnt_tokenizer, not_compared
from rexplug.recipe import Recipe
from rexplug.tokens.preflight import check_tokenizer
from rexplug.tokens.special import SpecialTokens


def start_problems(recipe: Recipe, unchecked: dict[str, HubName]) -> list[str]:
    """The problems of tokenizer, checkpoint and baselines; hub names that are not on this machine are added to `unchecked`."""
    problems: list[str] = []
    tokenizer = _tokenizer(recipe, unchecked, problems)
    _checkpoint(recipe, tokenizer, unchecked, problems)
    if tokenizer is not None:
        _ids(recipe, problems)
    for index, baseline in enumerate(recipe.baselines):
        place = f"baselines.{index}"
        try:
            model = ModelSpec.of(baseline)
        except DataError as error:
            problems.append(f"{place}: {error}")
            continue
        folder = model.place
        name = str(folder)
        if name in LEXICAL_KINDS:
            continue
        if isinstance(folder, Path) or model.is_embeddings:
            try:
                model.check()
            except DataError as error:
                problems.append(f"{place}: {error}")
        elif Path(name).is_file():
            problems.append(
                f"{place}: '{name}' is a file; a model is a folder with config.json and weights, or a hub name"
            )
        elif not is_hub_name(name):
            problems.append(f"{place}: the folder '{name}' does not exist")
        elif cached_model(name) is None:
            unchecked[place] = HubName("model", name)
    return problems


def start_notes(recipe: Recipe) -> tuple[str, ...]:
    """Remarks on the starting checkpoint."""
    model, first = recipe.model, recipe.phases[0]
    notes = []
    start = _inspection(recipe)
    if start is not None and start.config is not None and not start.problems:
        if start.new_weights:
            notes.append(f"model.from: '{model.from_}' has no masked-LM head; a new one starts from random weights")
        if options := start.config.unused_options():
            notes.append(f"model.from: '{model.from_}' sets {', '.join(options)}; rexplug trains without")
    if model.from_ is not None and Path(model.from_).is_dir() and learnt_tokenizer(model) is None:
        notes.append(not_compared(model))
    if find_release(model.from_) is None or model.revision is not None or not first.learning_rate.decays:
        return tuple(notes)
    return (
        *notes,
        f"model.from: the released '{model.from_}' ended with a learning rate decay, and phase '{first.name}' decays it "
        "again; a checkpoint from before the decay learns more from it (model.revision names one)",
    )


def _ids(recipe: Recipe, problems: list[str]) -> None:
    """Whether the tokenizer has the token ids of the checkpoint, if both are on this machine."""
    learnt = learnt_tokenizer(recipe.model)
    ours = _tokenizer_folder(recipe)
    if learnt is None or ours is None:
        return
    try:
        problem = ids_problem(recipe.model, ours, learnt)
    except DataError as error:
        problem = f"model.from: {error}"
    if problem is not None:
        problems.append(problem)


def _tokenizer_folder(recipe: Recipe) -> Path | None:
    """The folder of the recipe's tokenizer, if it is on this machine."""
    name = recipe.tokenizer.from_
    if name is None or Path(name).is_dir():
        return None if name is None else Path(name)
    file = cached_file(name, "tokenizer.json")
    return file.parent if file is not None else None


def _tokenizer(recipe: Recipe, unchecked: dict[str, HubName], problems: list[str]) -> SpecialTokens | None:
    """The special tokens of the tokenizer, if it is on this machine; its problems are added to `problems`."""
    name = recipe.tokenizer.from_
    if name is None:
        return None
    folder = _tokenizer_folder(recipe)
    if folder is None and is_hub_name(name):
        unchecked["tokenizer.from"] = HubName("model", name)
    elif folder is None:
        problems.append(f"tokenizer.from: the folder '{name}' does not exist")
    else:
        try:
            return check_tokenizer(folder) if require_tokenizer(folder) else None
        except DataError as error:
            problems.append(f"tokenizer.from: {error}")
    return None


def _checkpoint(
    recipe: Recipe, tokenizer: SpecialTokens | None, unchecked: dict[str, HubName], problems: list[str]
) -> None:
    """Whether the starting checkpoint is of a supported family and fits the tokenizer; problems are added to `problems`."""
    name, revision = recipe.model.from_, recipe.model.revision
    if name is None:
        return
    if recipe.tokenizer.from_ is None:
        problems.append(
            f"tokenizer: a checkpoint needs its own tokenizer, whose ids it was trained with: tokenizer: {{from: {name}}}"
        )
    is_folder = Path(name).is_dir()
    if is_folder and revision is not None:
        problems.append(f"model.revision: '{name}' is a folder, and only hub repositories have revisions")
    start = _inspection(recipe)
    if start is None:
        if is_folder:
            problems.append(f"model.from: the folder '{name}' has no config.json")
        elif is_hub_name(name):
            unchecked["model.from"] = HubName("model", name, revision)
        else:
            problems.append(f"model.from: the folder '{name}' does not exist")
        return
    own = checkpoint_problems(name, start)
    if not own and is_folder:
        try:
            require_unaltered(Path(name))
        except DataError as error:
            own = [f"model.from: '{name}': {error}"]
    if not own and start.config is not None:
        own = _theta_problems(recipe, start.config)
        if tokenizer is not None:
            own += tokenizer_problems(name, start.config, tokenizer, resize=recipe.model.resize_vocabulary)
    problems += own


def _inspection(recipe: Recipe) -> Inspection | None:
    """The config and weights of the starting checkpoint; None if its config is not on this machine."""
    name, revision = recipe.model.from_, recipe.model.revision
    if name is None:
        return None
    is_folder = Path(name).is_dir()
    path = Path(name) / "config.json" if is_folder else cached_file(name, "config.json", revision)
    if path is None or not path.exists():
        return None
    return inspect_checkpoint(path.parent, weights=is_folder or has_weights(path.parent))


def _theta_problems(recipe: Recipe, config: ConfigFile) -> list[str]:
    """Whether the checkpoint has the kinds of layers whose RoPE theta a phase changes."""
    return [
        f"phases.{phase.name}.rope.{kind}_theta: '{recipe.model.from_}' has no {kind} layers; leave it out"
        for phase in recipe.phases
        for kind, theta in (("global", phase.rope.global_theta), ("local", phase.rope.local_theta))
        if theta is not None and not config.has_layers(kind)
    ]
