"""Loads checkpoints with transformers, and refuses those whose weights are not complete."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rexplug.errors import DataError, RexplugError, first_line
from rexplug.model.checkpoint.fit import judge, lacking_problem, misfit_sentence
from rexplug.model.checkpoint.header import PICKLE, WeightShape
from rexplug.model.checkpoint.inspection import require_unaltered
from rexplug.model.config_file import ConfigFile

_POOLER = "pooler."


@dataclass(frozen=True)
class Loaded:
    """A model as transformers loaded it.

    `missing` are weights of the model that were not stored, `left_over` stored weights that it does not have, `misshapen`
    weights with their stored and their right shapes. What was missing or of another shape holds random numbers.
    """

    model: Any
    missing: frozenset[str]
    left_over: frozenset[str]
    misshapen: Sequence[tuple[str, WeightShape, WeightShape]] = field(default=())


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Suppress progress bars, log messages and warnings of transformers and torch, which the caller replaces by its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(verbosity)


def load_pretrained(model_class: Any, source: str | Path, *, trusted: bool = False, **options: Any) -> Loaded:
    """Load a model in fp32; the caller judges what is missing or left over.

    Only tensors are unpickled, and no code of the checkpoint runs unless it is trusted.

    Args:
        model_class: one of transformers' classes.
        source: a folder, or a name on the Hugging Face Hub.
        trusted: whether code of the checkpoint may be run.
        options: for transformers' `from_pretrained`.

    Raises:
        DataError: it cannot be loaded, a weight that was stored is not finite, or a run wrote it and it was altered since.
    """
    require_unaltered(Path(source))
    try:
        with silence_transformers():
            model, info = model_class.from_pretrained(
                source, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
                trust_remote_code=trusted, **options,
            )  # fmt: skip
    except (MemoryError, torch.OutOfMemoryError, RexplugError):
        raise
    except Exception as error:  # whatever transformers raises on files that we did not write
        # torch's own message recommends unpickling the file all the same.
        if "Weights only load failed" in str(error):
            raise DataError(
                f"its weights could not be loaded: {PICKLE} is damaged, or holds objects other than tensors, which are not "
                "read since that can run code; save the weights as safetensors"
            ) from None
        raise DataError(f"its weights could not be loaded: {first_line(error)}") from None
    new = {*info["missing_keys"], *(weight[0] for weight in info["mismatched_keys"])}
    for name, values in model.named_parameters():
        if name not in new and not bool(torch.isfinite(values).all()):
            raise DataError(f"its weight {name} holds values that are not finite numbers")
    return Loaded(
        model, frozenset(info["missing_keys"]), frozenset(info["unexpected_keys"]),
        tuple((name, tuple(stored), tuple(right)) for name, stored, right in sorted(info["mismatched_keys"])),
    )  # fmt: skip


def load_masked_lm(
    model_class: Any, source: str | Path, config_file: ConfigFile, **options: Any
) -> tuple[Any, tuple[str, ...]]:
    """A masked language model whose weights fit its config, and the names of the head's weights that were drawn at random.

    Args:
        model_class: transformers' class of the family.
        source: a folder, or a name on the Hugging Face Hub.
        config_file: its config.json.
        options: for transformers' `from_pretrained`.

    Raises:
        DataError: it cannot be loaded, or the weights do not fit.
    """
    loaded = load_pretrained(model_class, source, **options)
    fit = judge(config_file, loaded.missing, loaded.left_over, loaded.misshapen)
    if fit.problem is not None:
        raise DataError(fit.problem)
    model, layout = loaded.model, config_file.family.layout
    if config_file[layout.tied] and model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
        raise DataError(
            f"its {layout.decoder_weight} differs from its embedding, but config.json ties them; write {layout.tied}: false if "
            "it was trained so"
        )
    return model, fit.new_weights


def encoder_problem(loaded: Loaded) -> str | None:
    """Why the encoder of a model of any family is incomplete: weights missing, left over or of another shape.

    Heads and poolers are ignored, since they are not used.
    """
    model, base = loaded.model, loaded.model.base_model
    prefix = "" if base is model else f"{model.base_model_prefix}."
    names = [name for name, _ in base.named_parameters() if not name.startswith(_POOLER)]
    encoder = {prefix + name for name in names}
    lacking = {name for name in loaded.missing if name in encoder}
    children = {name for name, _ in base.named_children()} - {_POOLER.rstrip(".")}
    left_over = sorted(
        name
        for name in loaded.left_over
        if lacking or name.removeprefix(f"{model.base_model_prefix}.").partition(".")[0] in children
    )
    misshapen = [weight for weight in loaded.misshapen if weight[0] in encoder]
    problems = [lacking_problem(lacking, len(encoder))] if lacking else []
    known = {*encoder, *names, *(name for name, _ in model.named_parameters())} if lacking == encoder else ()
    return misfit_sentence(problems, left_over, misshapen, known)


def lacks_head(loaded: Loaded) -> bool:
    """Whether weights outside the encoder were drawn at random."""
    new = {*loaded.missing, *(weight[0] for weight in loaded.misshapen)}
    prefix = f"{loaded.model.base_model_prefix}."
    return loaded.model.base_model is not loaded.model and any(not name.startswith(prefix) for name in new)
