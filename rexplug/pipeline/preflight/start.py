"""Where training starts: whether tokenizer, checkpoint and baselines are there and fit, as far as a look at files tells."""

from __future__ import annotations

from pathlib import Path

from rexplug.errors import DataError
from rexplug.evaluation.lexical import LEXICAL_KINDS
from rexplug.evaluation.models import ModelSpec
from rexplug.io.hub import HubName, cached_file, is_hub_name
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
    """What is wrong with tokenizer, checkpoint and baselines; names of the hub that are not on this machine go to `unchecked`."""
    problems: list[str] = []
    tokenizer = _tokenizer(recipe, unchecked, problems)
    _checkpoint(recipe, tokenizer, unchecked, problems)
    if tokenizer is not None:
        _ids(recipe, problems)
    for index, written in enumerate(recipe.baselines):
        place = f"baselines.{index}"
        try:
            model = ModelSpec.parse(written)
        except DataError as error:
            problems.append(f"{place}: {error}")
            continue
        name, folder = model.what.removeprefix("random:"), model.place
        if name in LEXICAL_KINDS:
            continue
        if isinstance(folder, Path):
            try:
                model.check()
            except DataError as error:
                problems.append(f"{place}: {error}")
        elif Path(name).is_file():
            problems.append(
                f"{place}: '{name}' is a file; a model is a folder with config.json and weights, or a hub name"
            )
        elif not is_hub_name(name):
            problems.append(f"{place}: there is no folder '{name}'")
        elif cached_file(name, "config.json") is None:
            unchecked[place] = HubName("model", name)
    return problems


def start_notes(recipe: Recipe) -> tuple[str, ...]:
    """Remarks on the checkpoint that training starts from."""
    model, first = recipe.model, recipe.phases[0]
    notes = []
    look = _look(recipe)
    if look is not None and look.config is not None and not look.problems:
        if look.new_weights:
            notes.append(f"model.from: '{model.from_}' has no masked-LM head; a new one starts from random weights")
        if options := look.config.unused_options():
            notes.append(f"model.from: '{model.from_}' asks for {', '.join(options)}; training here does without")
    if model.from_ is not None and Path(model.from_).is_dir() and learnt_tokenizer(model) is None:
        notes.append(not_compared(model))
    if find_release(model.from_) is None or model.revision is not None or not first.learning_rate.decays:
        return tuple(notes)
    return (
        *notes,
        f"model.from: the released '{model.from_}' ended with a falling learning rate, and phase '{first.name}' lowers it "
        "again; a checkpoint from before that fall learns more from it (model.revision names one)",
    )


def _ids(recipe: Recipe, problems: list[str]) -> None:
    """Whether the tokenizer gives the ids that the checkpoint has learnt, where both are on this machine."""
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
    """Where the recipe's tokenizer lies, if it is on this machine."""
    name = recipe.tokenizer.from_
    if name is None or Path(name).is_dir():
        return None if name is None else Path(name)
    found = cached_file(name, "tokenizer.json")
    return found.parent if found is not None else None


def _tokenizer(recipe: Recipe, unchecked: dict[str, HubName], problems: list[str]) -> SpecialTokens | None:
    """The special tokens of a tokenizer that is on this machine."""
    name = recipe.tokenizer.from_
    if name is None:
        return None
    folder = _tokenizer_folder(recipe)
    if folder is None and is_hub_name(name):
        unchecked["tokenizer.from"] = HubName("model", name)
    elif folder is None:
        problems.append(f"tokenizer.from: there is no folder '{name}'")
    else:
        try:
            return check_tokenizer(folder) if require_tokenizer(folder) else None
        except DataError as error:
            problems.append(f"tokenizer.from: {error}")
    return None


def _checkpoint(
    recipe: Recipe, tokenizer: SpecialTokens | None, unchecked: dict[str, HubName], problems: list[str]
) -> None:
    """Whether the checkpoint to start from is of a supported family and fits the tokenizer."""
    name, revision = recipe.model.from_, recipe.model.revision
    if name is None:
        return
    if recipe.tokenizer.from_ is None:
        problems.append(
            f"tokenizer: a checkpoint goes on with its own tokenizer, whose ids it has learnt: tokenizer: {{from: {name}}}"
        )
    path: Path | None = Path(name) / "config.json"
    if Path(name).is_dir():
        if revision is not None:
            problems.append(f"model.revision: '{name}' is a folder, and only repositories of the hub have revisions")
    else:
        path = cached_file(name, "config.json", revision)
    if path is None or not path.exists():
        if Path(name).is_dir():
            problems.append(f"model.from: the folder '{name}' holds no config.json")
        elif is_hub_name(name):
            unchecked["model.from"] = HubName("model", name, revision)
        else:
            problems.append(f"model.from: there is no folder '{name}'")
        return
    look = _look(recipe)
    assert look is not None
    found = checkpoint_problems(name, look)
    if not found and Path(name).is_dir():
        try:
            require_unaltered(Path(name))
        except DataError as error:
            found = [f"model.from: '{name}': {error}"]
    if not found and look.config is not None:
        found = _theta_problems(recipe, look.config)
        if tokenizer is not None:
            found += tokenizer_problems(name, look.config, tokenizer, resize=recipe.model.resize_vocabulary)
    problems += found


def _look(recipe: Recipe) -> Inspection | None:
    """What lies on this machine of the checkpoint to go on from."""
    name, revision = recipe.model.from_, recipe.model.revision
    if name is None:
        return None
    path = Path(name) / "config.json" if Path(name).is_dir() else cached_file(name, "config.json", revision)
    if path is None or not path.exists():
        return None
    return inspect_checkpoint(path.parent, weights=Path(name).is_dir() or has_weights(path.parent))


def _theta_problems(recipe: Recipe, config: ConfigFile) -> list[str]:
    """Whether the layers are there whose RoPE theta a phase changes."""
    return [
        f"phases.{phase.name}.rope.{kind}_theta: '{recipe.model.from_}' has no {kind} layers; leave it out"
        for phase in recipe.phases
        for kind, theta in (("global", phase.rope.global_theta), ("local", phase.rope.local_theta))
        if theta is not None and not config.has_layers(kind)
    ]
