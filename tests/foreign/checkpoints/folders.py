"""Making checkpoint folders: tiny models with a tokenizer, saved as transformers saves them and then changed by hand.

The weights are drawn large, so that a wrong number shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{number}" for number in range(55)]
ROWS = 64
"""Rows of the embedding; a few more than the tokenizer has tokens."""
PAD, CLS, SEP, MASK = 1, 2, 3, 4


def write_tokenizer(folder: Path, words: list[str] = WORDS) -> None:
    """Write a tokenizer of whole words, with the same ids for all cases."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    fast = Tokenizer(models.WordLevel({token: number for number, token in enumerate([*SPECIAL, *words])}, "[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=fast, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip


def draw(model: Any) -> Any:
    """Replace all weights, norms and biases included, by large random ones; returns the model."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, values in model.named_parameters():
            noise = torch.randn(values.shape, generator=generator)
            values.copy_(
                noise * 0.3 if values.ndim > 1 else noise * 0.1 + ("norm" in name.lower() and "weight" in name)
            )
    return model.eval()


def modernbert(kind: str = "ModernBertForMaskedLM", **changes: Any) -> Any:
    """A small ModernBERT in memory, of the class `kind`; `changes` are options of its config."""
    import transformers

    config = transformers.ModernBertConfig(
        **{
            "vocab_size": ROWS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4,
            "num_attention_heads": 2, "max_position_embeddings": 64, "local_attention": 8, "pad_token_id": PAD,
            "bos_token_id": CLS, "cls_token_id": CLS, "eos_token_id": SEP, "sep_token_id": SEP,
        }
        | changes
    )  # fmt: skip
    config._attn_implementation = "eager"
    return draw(getattr(transformers, kind)(config))


def write(folder: Path, model: Any, **options: Any) -> Any:
    """Save a model as transformers does, beside the tokenizer; returns the model."""
    model.save_pretrained(folder, **options)
    write_tokenizer(folder)
    return model


def edit(folder: Path, *without: str, **changes: Any) -> None:
    """Change config.json by hand: drop the keys `without`, set `changes`."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in config.items() if name not in without} | changes))


def weights(folder: Path) -> dict[str, Any]:
    """The tensors of model.safetensors by name."""
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, values: dict[str, Any]) -> None:
    """Write other weights in place of those that transformers saved."""
    # Copies: safetensors refuses tensors that share memory.
    save_file({name: value.clone().contiguous() for name, value in values.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip


def renamed(folder: Path, rename: Callable[[str], str]) -> Any:
    """A small ModernBERT saved with other names of its weights."""
    model = write(folder, modernbert())
    rewrite(folder, {rename(name): value for name, value in weights(folder).items()})
    return model


def edited(folder: Path, *without: str, **changes: Any) -> Any:
    """A small ModernBERT saved with another config.json, see `edit`."""
    model = write(folder, modernbert())
    edit(folder, *without, **changes)
    return model
