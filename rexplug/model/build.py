"""transformers' ModernBERT, made from a size or loaded from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from rexplug.errors import DataError
from rexplug.model.sizes import SIZES, embedding_rows
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
            return _load(model.from_, special, context)
        assert model.size is not None
        return ModernBertForMaskedLM(build_config(model.size, special, context))


def load_model(folder: Path) -> Any:
    """The model of a checkpoint that a run wrote, in fp32."""
    from transformers import ModernBertForMaskedLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return ModernBertForMaskedLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def _load(name: str, special: SpecialIds, context: int) -> Any:
    from transformers import AutoConfig, ModernBertForMaskedLM

    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"model.from: '{name}' is no model folder and could not be loaded: {reason}") from None
    if config.model_type != "modernbert":
        raise DataError(
            f"model.from: '{name}' is a {config.model_type} model; only the ModernBERT family can be gone on from"
        )
    if config.vocab_size < special.vocabulary_size:
        raise DataError(
            f"model.from: '{name}' has {config.vocab_size} embeddings, but the tokenizer has {special.vocabulary_size} "
            f"tokens; go on with the checkpoint's own tokenizer (tokenizer: {{from: {name}}})"
        )
    for dropout in ("attention_dropout", "embedding_dropout", "mlp_dropout"):
        setattr(config, dropout, 0.0)
    config.max_position_embeddings = max(config.max_position_embeddings, context)
    return ModernBertForMaskedLM.from_pretrained(name, config=config, dtype=torch.float32)


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
