"""transformers' ModernBERT, made from a size or loaded from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from rexplug.errors import DataError
from rexplug.model.sizes import ROWS_MULTIPLE, SIZES, embedding_rows
from rexplug.recipe.schema import Model


class SpecialIds(Protocol):
    """What a model needs to know of its tokenizer."""

    @property
    def cls(self) -> int:
        """Id of [CLS]."""
        ...

    @property
    def sep(self) -> int:
        """Id of [SEP]."""
        ...

    @property
    def pad(self) -> int:
        """Id of [PAD]."""
        ...

    @property
    def vocabulary_size(self) -> int:
        """Highest id plus one."""
        ...


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


def build_model(model: Model, special: SpecialIds, *, context: int, seed: int) -> Any:
    """The `ModernBertForMaskedLM` that training starts from: the same seed gives the same weights.

    Weights are drawn as ModernBERT and Ettin draw them: a normal distribution of deviation 0.02, cut at two deviations,
    and 0.02 / sqrt(2 x layers) for the output projections of attention and MLP. transformers does the same but for
    the dense layer of the prediction head, which it draws like an output projection; ours is 0.02 as in ModernBERT.

    Raises:
        DataError: the checkpoint to go on from cannot be loaded, is no ModernBERT, or has another vocabulary.
    """
    from transformers import ModernBertForMaskedLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    # A checkpoint may lack the prediction head, which is then drawn too.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if model.from_ is not None:
            return _load(model.from_, model.revision, special, context, resize=model.resize_vocabulary)
        assert model.size is not None
        made = ModernBertForMaskedLM(build_config(model.size, special, context))
        deviation = made.config.initializer_range
        torch.nn.init.trunc_normal_(made.head.dense.weight, 0.0, deviation, -2 * deviation, 2 * deviation)
        return made


def load_model(folder: Path) -> Any:
    """The model of a checkpoint that a run wrote, in fp32."""
    from transformers import ModernBertForMaskedLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return ModernBertForMaskedLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def _load(name: str, revision: str | None, special: SpecialIds, context: int, *, resize: bool) -> Any:
    from transformers import ModernBertForMaskedLM

    config = read_config(name, revision)
    fits = special.vocabulary_size <= config.vocab_size < special.vocabulary_size + 2 * ROWS_MULTIPLE
    if config.vocab_size < special.vocabulary_size and not resize:
        raise DataError(
            f"model.from: '{name}' has {config.vocab_size} embeddings, but the tokenizer has {special.vocabulary_size} "
            f"tokens; go on with the checkpoint's own tokenizer (tokenizer: {{from: {name}}}), or add rows for new tokens "
            "with model.resize_vocabulary: true"
        )
    if resize and fits:
        raise DataError(
            f"model.resize_vocabulary: '{name}' has {config.vocab_size} embeddings already and the tokenizer "
            f"{special.vocabulary_size} tokens; leave it out"
        )
    for ours, theirs in (("cls", "cls_token_id"), ("sep", "sep_token_id"), ("pad", "pad_token_id")):
        known = getattr(config, theirs, None)
        if not resize and known is not None and known != getattr(special, ours):
            raise DataError(
                f"model.from: '{name}' knows [{ours.upper()}] as {known}, but the tokenizer as {getattr(special, ours)}; "
                f"go on with the checkpoint's own tokenizer (tokenizer: {{from: {name}}})"
            )
    for kind, parameters in config.rope_parameters.items():
        theta = (parameters or {}).get("rope_theta")
        if theta is None or not theta > 1:
            # Some converters write -1 for "as the global layers"; powers of it are not numbers.
            raise DataError(
                f"model.from: '{name}' has the RoPE theta {theta} for {kind}; write the theta it was trained with into its "
                "config.json (ModernBERT: 160,000 in full_attention, 10,000 in sliding_attention)"
            )
    for dropout in ("attention_dropout", "embedding_dropout", "mlp_dropout"):
        setattr(config, dropout, 0.0)
    config.max_position_embeddings = max(config.max_position_embeddings, context)
    try:
        model = ModernBertForMaskedLM.from_pretrained(name, revision=revision, config=config, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"model.from: the weights of '{name}' could not be loaded: {reason}") from None
    if resize:
        _resize(model, special.vocabulary_size)
    return model


def read_config(name: str, revision: str | None = None) -> Any:
    """The config of a ModernBERT-family folder or hub name, at a revision of the hub's.

    Raises:
        DataError: there is none, or it is of another family.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"model.from: '{name}' is no model folder and could not be loaded: {reason}") from None
    if config.model_type != "modernbert":
        raise DataError(
            f"model.from: '{name}' is a {config.model_type} model; only the ModernBERT family can be gone on from"
        )
    return config


def _resize(model: Any, tokens: int) -> None:
    """Give the embedding a row per token: known rows stay, new ones are the mean of all known ones."""
    known = model.config.vocab_size
    rows = -(-tokens // ROWS_MULTIPLE) * ROWS_MULTIPLE
    with torch.no_grad():
        mean = model.model.embeddings.tok_embeddings.weight.mean(0)
        bias = model.decoder.bias.mean()
        model.resize_token_embeddings(rows, mean_resizing=False)
        model.model.embeddings.tok_embeddings.weight[known:] = mean
        model.decoder.bias[known:] = bias


def set_rope(model: Any, *, global_theta: float | None, local_theta: float | None) -> None:
    """Change the RoPE thetas of a live model and of its config; None leaves one as it is."""
    rotary = model.model.rotary_emb
    for kind, theta in (("full_attention", global_theta), ("sliding_attention", local_theta)):
        if theta is None:
            continue
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
