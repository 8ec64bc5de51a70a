"""transformers' ModernBERT, made from a size or loaded from a checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rexplug.errors import DataError
from rexplug.io.atomic import write_json
from rexplug.model.checkpoint import (
    SpecialIds,
    first_line,
    has_weights,
    load_masked_lm,
    look_at,
    quiet,
    start_problems,
    tokenizer_problems,
)
from rexplug.model.config_file import DROPOUTS, FULL, SLIDING, old_keys
from rexplug.model.sizes import SIZES, embedding_rows
from rexplug.recipe.schema import Model

START_THETA = 10_000.0
"""RoPE theta of a model trained from scratch, all layers (ModernBERT, Ettin: pre-training at 1,024)."""


def build_config(size: str, special: SpecialIds, context: int) -> Any:
    """A `ModernBertConfig` of one of `SIZES` for a tokenizer.

    Dropout is 0 throughout, which is our choice (ModernBERT and Ettin drop 10 % of the attention output): without it
    training draws no random numbers of its own, so a resumed run is exactly the undisturbed one.
    """
    from transformers import ModernBertConfig

    shape = SIZES[size]
    rows = embedding_rows(special.vocabulary_size)
    return ModernBertConfig(
        vocab_size=rows,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=context,
        local_attention=128,
        pad_token_id=special.pad,
        bos_token_id=special.cls,
        cls_token_id=special.cls,
        eos_token_id=special.sep,
        sep_token_id=special.sep,
        classifier_pooling="mean",
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": START_THETA},
            "sliding_attention": {"rope_type": "default", "rope_theta": START_THETA},
        },
    )


@dataclass(frozen=True)
class Start:
    """The model that training starts from, and the weights that its checkpoint lacked and that were drawn at random."""

    model: Any
    new_weights: tuple[str, ...] = ()


def build_model(model: Model, special: SpecialIds, *, context: int, seed: int) -> Any:
    """The model of `start_model`."""
    return start_model(model, special, context=context, seed=seed).model


def start_model(model: Model, special: SpecialIds, *, context: int, seed: int) -> Start:
    """The `ModernBertForMaskedLM` that training starts from: the same seed gives the same weights.

    Weights are drawn as ModernBERT and Ettin draw them: a normal distribution of deviation 0.02, cut at two deviations,
    and 0.02 / sqrt(2 x layers) for the output projections of attention and MLP. transformers does the same but for
    the dense layer of the prediction head, which it draws like an output projection; ours is 0.02 as in ModernBERT.
    A checkpoint must hold all weights of the encoder and nothing else; it may lack the prediction head, which
    transformers draws then.

    Raises:
        DataError: the checkpoint to go on from cannot be loaded, is no ModernBERT that our layers compute, its weights are
            not those of its config, or it has another vocabulary.
    """
    from transformers import ModernBertForMaskedLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if model.from_ is not None:
            return _load(model.from_, model.revision, special, context, resize=model.resize_vocabulary)
        assert model.size is not None
        made = ModernBertForMaskedLM(build_config(model.size, special, context))
        deviation = made.config.initializer_range
        torch.nn.init.trunc_normal_(made.head.dense.weight, 0.0, deviation, -2 * deviation, 2 * deviation)
        return Start(made)


def load_model(folder: Path) -> Any:
    """The model of a checkpoint that a run wrote, in fp32.

    Raises:
        DataError: it cannot be read, or its weights are not all there.
    """
    try:
        look = look_at(folder)
        if look.problems:
            raise DataError(look.problems[0])
        assert look.config is not None
        made, new_weights = load_masked_lm(folder, look.config, local_files_only=True)
        if new_weights:
            raise DataError(f"its weights lack the masked-LM head ({', '.join(new_weights)})")
    except DataError as error:
        raise DataError(f"the checkpoint {folder} cannot be loaded: {error}") from None
    return made


def save_model(model: Any, folder: Path) -> None:
    """Write a model as transformers does, with the keys in config.json that transformers 4.x reads too.

    transformers 5 writes `layer_types` and `rope_parameters`, which 4.x passes over for defaults of its own.
    """
    model.save_pretrained(folder)
    old = old_keys(model.config.layer_types, thetas(model))
    if old is not None:
        path = folder / "config.json"
        write_json(path, json.loads(path.read_text(encoding="utf-8")) | old)


def _load(name: str, revision: str | None, special: SpecialIds, context: int, *, resize: bool) -> Start:
    from transformers import ModernBertConfig

    path = _config_path(name, revision)
    # Names of the hub have their weights here only when they are loaded.
    look = look_at(path.parent, weights=has_weights(path.parent) or Path(name).is_dir())
    config = look.config
    problems = start_problems(name, look) or (
        tokenizer_problems(name, config, special, resize=resize) if config else []
    )
    if problems:
        raise DataError("\n".join(problems))
    assert config is not None
    try:
        with quiet():
            changed = ModernBertConfig.from_pretrained(name, revision=revision)
    except Exception as error:  # whatever transformers raises on values that it does not like
        raise DataError(f"model.from: the config.json of '{name}' could not be used: {first_line(error)}") from None
    for dropout in DROPOUTS:
        setattr(changed, dropout, 0.0)
    changed.deterministic_flash_attn = False
    changed.max_position_embeddings = max(changed.max_position_embeddings, context)
    for key, value in _special_ids(special).items():
        if config.stated.get(key) is None:  # transformers' defaults are ids of its own vocabulary
            setattr(changed, key, value if value < config["vocab_size"] else None)
    try:
        model, new_weights = load_masked_lm(name, config, revision=revision, config=changed, attn_implementation="sdpa")
    except DataError as error:
        raise DataError(f"model.from: '{name}': {error}") from None
    if resize:
        _resize(model, special)
    return Start(model, new_weights)


def _config_path(name: str, revision: str | None) -> Path:
    """The config.json of a folder or hub name, at a revision of the hub's.

    Raises:
        DataError: there is none.
    """
    from transformers.utils import cached_file

    try:
        found = cached_file(name, "config.json", revision=revision)
    except (OSError, ValueError) as error:
        raise DataError(
            f"model.from: '{name}' is no model folder and could not be loaded: {first_line(error)}"
        ) from None
    return Path(found)


def _special_ids(special: SpecialIds) -> dict[str, int]:
    return {
        "pad_token_id": special.pad, "bos_token_id": special.cls, "cls_token_id": special.cls, "eos_token_id": special.sep,
        "sep_token_id": special.sep,
    }  # fmt: skip


def _resize(model: Any, special: SpecialIds) -> None:
    """Give embedding and decoder a row per token: known rows stay, new ones are the mean of all known ones."""
    known = model.config.vocab_size
    rows = embedding_rows(special.vocabulary_size)
    tables = [model.get_input_embeddings().weight, model.decoder.weight, model.decoder.bias]
    means = [None if table is None else table.detach().mean(0) for table in tables]
    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        tables = [model.get_input_embeddings().weight, model.decoder.weight, model.decoder.bias]
        for table, mean in zip(tables, means, strict=True):
            if table is not None:
                table[known:] = mean
    for key, value in _special_ids(special).items():
        setattr(model.config, key, value)
    model.get_input_embeddings().padding_idx = special.pad


def set_rope(model: Any, *, global_theta: float | None, local_theta: float | None) -> None:
    """Change the RoPE thetas of a live model and of its config; None leaves one as it is.

    Raises:
        DataError: it has no layers of that kind.
    """
    rotary = model.model.rotary_emb
    for kind, key, which, theta in (
        (FULL, "global_theta", "global", global_theta), (SLIDING, "local_theta", "local", local_theta),
    ):  # fmt: skip
        if theta is None:
            continue
        if kind not in model.config.layer_types:
            raise DataError(f"rope.{key}: the model has no {which} layers; leave it out")
        model.config.rope_parameters[kind]["rope_theta"] = float(theta)
        frequencies, _ = rotary.compute_default_rope_parameters(model.config, layer_type=kind)
        for buffer in (f"{kind}_inv_freq", f"{kind}_original_inv_freq"):
            getattr(rotary, buffer).copy_(frequencies)


def thetas(model: Any) -> dict[str, float]:
    """The RoPE thetas of global and local layers."""
    parameters = model.config.rope_parameters
    return {
        "global": float(parameters["full_attention"]["rope_theta"]),
        "local": float(parameters["sliding_attention"]["rope_theta"]),
    }


LONG_CONTEXT = 4096
"""Contexts from here on want a larger global theta than that of pre-training (ModernBERT, Ettin: 160,000 at 8k)."""


def theta_warnings(
    before: dict[str, float], *, global_theta: float | None, local_theta: float | None, context: int, phase: str
) -> list[str]:
    """What is odd about the thetas of a phase that starts from a model with the thetas `before`.

    Only for a model that was trained already: fresh weights have learnt no distances.
    """
    found = []
    if global_theta is not None and global_theta < before["global"]:
        found.append(
            f"phase '{phase}' lowers rope.global_theta from {before['global']:,.0f} to {global_theta:,.0f}: what the model "
            "learnt of long distances is lost"
        )
    if local_theta is not None and local_theta != before["local"]:
        found.append(
            f"phase '{phase}' changes rope.local_theta from {before['local']:,.0f} to {local_theta:,.0f}: local layers must "
            "learn their distances anew; leave it out to keep the checkpoint's"
        )
    now = before["global"] if global_theta is None else global_theta
    if context >= LONG_CONTEXT and now <= START_THETA:
        found.append(
            f"phase '{phase}' reads {context:,} tokens at the global theta {now:,.0f} of short contexts; "
            "ModernBERT and Ettin raise it to 160,000 (rope: {global_theta: 160000})"
        )
    return found
