"""Checkpoints that training starts from and evaluations load, with the model's own numbers."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import torch
from foreign.checkpoints.cases import Case, add_case
from foreign.checkpoints.folders import edit, modernbert, renamed, rewrite, weights, write

CASES: list[Case] = []
case = functools.partial(add_case, CASES)


@case()
def plain(folder):
    return write(folder, modernbert())


@case()
def biases_everywhere(folder):
    return write(folder, modernbert(norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True))


@case()
def no_decoder_bias(folder):
    return write(folder, modernbert(decoder_bias=False))


@case()
def untied_decoder(folder):
    return write(folder, modernbert(tie_word_embeddings=False))


@case()
def untied_decoder_without_bias(folder):
    return write(folder, modernbert(tie_word_embeddings=False, decoder_bias=False))


@case()
def narrow_odd_window(folder):
    return write(folder, modernbert(local_attention=5))


@case()
def window_wider_than_a_block(folder):
    return write(folder, modernbert(local_attention=300))


@case()
def every_layer_global(folder):
    return write(folder, modernbert(layer_types=["full_attention"] * 4))


@case()
def layers_in_another_order(folder):
    return write(folder, modernbert(layer_types=["sliding_attention", "full_attention"] * 2))


@case()
def one_layer(folder):
    return write(folder, modernbert(num_hidden_layers=1))


@case()
def large_norm_eps(folder):
    return write(folder, modernbert(norm_eps=0.5))


@case()
def another_activation_of_the_head(folder):
    return write(folder, modernbert(classifier_activation="relu"))


@case()
def other_thetas(folder):
    kinds = {"full_attention": 30_000.0, "sliding_attention": 20_000.0}
    parameters = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in kinds.items()}
    return write(folder, modernbert(rope_parameters=parameters))


def _as_4x_writes(folder: Path, model: Any, **keys: Any) -> Any:
    """Save a model with a config.json as transformers 4 writes it, and `keys`."""
    write(folder, model)
    edit(
        folder, "layer_types", "rope_parameters", "dtype", torch_dtype="float32", transformers_version="4.48.0",
        reference_compile=False, repad_logits_with_grad=False, position_embedding_type="absolute",
        gradient_checkpointing=False, layer_norm_eps=1e-05, **keys,
    )  # fmt: skip
    return model


@case()
def config_keys_of_transformers_4(folder):
    kinds = {"full_attention": 30_000.0, "sliding_attention": 20_000.0}
    parameters = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in kinds.items()}
    layers = ["full_attention", "sliding_attention"] * 2
    model = modernbert(rope_parameters=parameters, layer_types=layers)
    return _as_4x_writes(
        folder, model, global_rope_theta=30_000.0, local_rope_theta=20_000.0, global_attn_every_n_layers=2
    )


@case()
def config_of_transformers_4_that_leaves_all_out(folder):
    return _as_4x_writes(folder, modernbert())


@case()
def special_ids_left_out(folder):
    model = write(folder, modernbert(vocab_size=50_368))
    edit(folder, "pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id")
    return model


@case(remark="attention_dropout 0.1, embedding_dropout 0.2, mlp_dropout 0.3, deterministic_flash_attn")
def dropout_and_other_options_of_training(folder):
    return write(
        folder,
        modernbert(
            attention_dropout=0.1, embedding_dropout=0.2, mlp_dropout=0.3, sparse_prediction=True,
            deterministic_flash_attn=True,
        ),
    )  # fmt: skip


def rounded(folder: Path, kind: torch.dtype) -> Any:
    """Save a model in half precision; the model in memory has the rounded weights."""
    model = modernbert()
    write(folder, copy.deepcopy(model).to(kind))
    with torch.no_grad():
        for values in model.parameters():
            values.copy_(values.to(kind))
    return model


@case()
def half_precision(folder):
    return rounded(folder, torch.float16)


@case()
def bf16(folder):
    return rounded(folder, torch.bfloat16)


@case()
def sharded(folder):
    model = write(folder, modernbert(), max_shard_size="10KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return model


@case(pickled=True)
def pickled(folder):
    model = write(folder, modernbert())
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model


@case()
def one_level_further_out(folder):
    return renamed(folder, lambda name: f"model.{name}")


@case()
def tied_decoder_saved_too(folder):
    model = write(folder, modernbert())
    values = weights(folder)
    rewrite(folder, values | {"decoder.weight": values["model.embeddings.tok_embeddings.weight"]})
    return model


@case()
def tied_decoder_saved_alone(folder):
    return renamed(folder, lambda name: name.replace("model.embeddings.tok_embeddings.weight", "decoder.weight"))


@case(new_head=True)
def headless(folder):
    return write(folder, modernbert("ModernBertModel"))


@case(new_head=True)
def headless_that_says_it_has_a_head(folder):
    model = write(folder, modernbert())
    rewrite(folder, {name: value for name, value in weights(folder).items() if name.startswith("model.")})
    return model
