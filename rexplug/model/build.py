"""Makes the masked language model that training starts from: from a size, or from a checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rexplug.errors import DataError, first_line
from rexplug.io.atomic import write_json
from rexplug.model.checkpoint.header import has_weights
from rexplug.model.checkpoint.inspection import inspect_checkpoint, start_problems, tokenizer_problems
from rexplug.model.checkpoint.loading import load_masked_lm, silence_transformers
from rexplug.model.config_file import (
    SpecialIds,
    for_training,
    new_config_values,
    special_id_values,
    transformers_4_fields,
)
from rexplug.model.family import DEFAULT_FAMILY, SIZES, embedding_rows
from rexplug.model.layers import CONFIG_CLASS, MASKED_LM_CLASS, new_masked_lm
from rexplug.recipe.schema import Model


def build_config(size: str, special: SpecialIds, context: int) -> Any:
    """transformers' config of a model of one of `SIZES` for a tokenizer.

    Dropout is 0 throughout, which is our choice (ModernBERT and Ettin drop 10 % of the attention output): without it
    training draws no random numbers of its own, so a resumed run is exactly the undisturbed one.
    """
    return CONFIG_CLASS(**new_config_values(DEFAULT_FAMILY, SIZES[size], special, context))


@dataclass(frozen=True)
class Start:
    """The model that training starts from, and the weights that its checkpoint lacked and that were drawn at random."""

    model: Any
    new_weights: tuple[str, ...] = ()


def build_model(model: Model, special: SpecialIds, *, context: int, seed: int) -> Any:
    """The model of `start_model`."""
    return start_model(model, special, context=context, seed=seed).model


def start_model(model: Model, special: SpecialIds, *, context: int, seed: int) -> Start:
    """The masked language model that training starts from: the same seed gives the same weights.

    Weights are drawn as ModernBERT and Ettin draw them: a normal distribution of deviation 0.02, cut at two deviations,
    and 0.02 / sqrt(2 x layers) for the output projections of attention and MLP.
    A checkpoint must hold all weights of the encoder and nothing else; it may lack the prediction head, which
    transformers then draws.

    Raises:
        DataError: the checkpoint cannot be loaded, is not of a family that our layers compute, its weights are not those of
            its config, or it has another vocabulary.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if model.from_ is not None:
            return _load(model.from_, model.revision, special, context, resize=model.resize_vocabulary)
        assert model.size is not None
        return Start(new_masked_lm(build_config(model.size, special, context)))


def load_model(folder: Path) -> Any:
    """The model of a checkpoint that a run wrote, in fp32.

    Raises:
        DataError: it cannot be read, or its weights are not complete.
    """
    try:
        inspection = inspect_checkpoint(folder)
        if inspection.problems:
            raise DataError(inspection.problems[0])
        assert inspection.config is not None
        model, new_weights = load_masked_lm(MASKED_LM_CLASS, folder, inspection.config, local_files_only=True)
        if new_weights:
            raise DataError(f"its weights lack the masked-LM head ({', '.join(new_weights)})")
    except DataError as error:
        raise DataError(f"the checkpoint {folder} cannot be loaded: {error}") from None
    return model


def save_model(model: Any, folder: Path) -> None:
    """Write a model as transformers does, with the fields in config.json that transformers 4.x reads too.

    transformers 5 writes fields that 4.x ignores, in favour of defaults of its own.
    """
    model.save_pretrained(folder)
    older = transformers_4_fields(model.config)
    if older is not None:
        path = folder / "config.json"
        write_json(path, json.loads(path.read_text(encoding="utf-8")) | older)


def _load(name: str, revision: str | None, special: SpecialIds, context: int, *, resize: bool) -> Start:
    path = _config_path(name, revision)
    # The weights of names on the Hub are downloaded only when they are loaded.
    inspection = inspect_checkpoint(path.parent, weights=has_weights(path.parent) or Path(name).is_dir())
    file = inspection.config
    problems = start_problems(name, inspection) or (
        tokenizer_problems(name, file, special, resize=resize) if file else []
    )
    if problems:
        raise DataError("\n".join(problems))
    assert file is not None
    try:
        with silence_transformers():
            config = CONFIG_CLASS.from_pretrained(name, revision=revision)
    except Exception as error:  # whatever transformers raises on values that it does not accept
        raise DataError(f"model.from: the config.json of '{name}' could not be used: {first_line(error)}") from None
    for_training(config, context)
    for key, value in special_id_values(special).items():
        if file.stated.get(key) is None:  # transformers' defaults are ids of its own vocabulary
            setattr(config, key, value if value < file.rows else None)
        elif key == "cls_token_id":  # the tokenizer's, where the file has it as bos_token_id alone, as mmBERT's has
            setattr(config, key, value)
    try:
        model, new_weights = load_masked_lm(
            MASKED_LM_CLASS, name, file, revision=revision, config=config, attn_implementation="sdpa"
        )
    except DataError as error:
        raise DataError(f"model.from: '{name}': {error}") from None
    if resize:
        _resize(model, special)
    return Start(model, new_weights)


def _config_path(name: str, revision: str | None) -> Path:
    """The config.json of a folder, or of a name on the Hugging Face Hub at a revision.

    Raises:
        DataError: it cannot be found.
    """
    from transformers.utils import cached_file

    try:
        path = cached_file(name, "config.json", revision=revision)
    except (OSError, ValueError) as error:
        raise DataError(
            f"model.from: '{name}' is not a model folder and could not be loaded: {first_line(error)}"
        ) from None
    return Path(path)


def _resize(model: Any, special: SpecialIds) -> None:
    """Give embedding and decoder a row per token: known rows stay, new ones are the mean of all known ones."""
    known = model.config.vocab_size
    rows = embedding_rows(special.vocabulary_size)
    decoder = model.get_output_embeddings()
    tables = [model.get_input_embeddings().weight, decoder.weight, decoder.bias]
    means = [None if table is None else table.detach().mean(0) for table in tables]
    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        decoder = model.get_output_embeddings()
        tables = [model.get_input_embeddings().weight, decoder.weight, decoder.bias]
        for table, mean in zip(tables, means, strict=True):
            if table is not None:
                table[known:] = mean
    for key, value in special_id_values(special).items():
        setattr(model.config, key, value)
    model.get_input_embeddings().padding_idx = special.pad
