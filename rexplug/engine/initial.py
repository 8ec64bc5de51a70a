"""The model that the first phase of a run starts from."""

from __future__ import annotations

from typing import Any

from rexplug.checksums import record_checksums
from rexplug.engine import checkpoints
from rexplug.engine.checkpoint_folder import DISK_ERRORS, why_not_written
from rexplug.errors import DataError
from rexplug.io.atomic import replacing
from rexplug.model.build import save_model, start_model
from rexplug.model.config_file import SpecialIds, layer_kinds_of
from rexplug.model.rope import thetas
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory


def initial_checkpoint(recipe: Recipe, special: SpecialIds, run: RunDirectory) -> dict[str, Any]:
    """Write `checkpoints/initial`, the model that the first phase starts from.

    Returns:
        `parameters`, `without_embedding`, `rope_theta`, and `new_weights`: those that the checkpoint of `model.from` lacked,
        which were drawn at random.

    Raises:
        DataError: the model cannot be loaded, does not suit a phase, or cannot be written.
    """
    longest = max(phase.context for phase in recipe.phases)
    start = start_model(recipe.model, special, context=longest, seed=recipe.seed_of_training)
    model = start.model
    for phase in recipe.phases:
        check_rope(model, phase)
    checkpoints.remove_unfinished(run.checkpoints)
    folder = run.checkpoints / "initial"
    try:
        with replacing(folder) as temporary:
            save_model(model, temporary)
            record_checksums(temporary)
    except DISK_ERRORS as error:
        raise DataError(
            f"the initial model could not be written to {folder} ({why_not_written(error, folder)}); make room, and the same "
            "command resumes from there"
        ) from None
    total = sum(parameter.numel() for parameter in model.parameters())
    embedding = model.get_input_embeddings().weight.numel()
    return {
        "parameters": total, "without_embedding": total - embedding, "rope_theta": thetas(model),
        "new_weights": list(start.new_weights),
    }  # fmt: skip


def check_rope(model: Any, phase: Phase) -> None:
    """Refuse a RoPE theta for a kind of layer that the model does not have.

    Raises:
        DataError: the phase sets one.
    """
    for kind, theta in (("global", phase.rope.global_theta), ("local", phase.rope.local_theta)):
        if theta is not None and kind not in layer_kinds_of(model.config):
            raise DataError(
                f"phases.{phase.name}.rope.{kind}_theta: the model has no {kind} layers, so there is nothing to change; leave "
                "it out"
            )
