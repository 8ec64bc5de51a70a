"""Checkpoints whose config.json has options that rexplug does not train with, or that nothing can load."""

from __future__ import annotations

import functools
import math

from foreign.checkpoints.cases import Case, add_case
from foreign.checkpoints.folders import edited, modernbert, write

CASES: list[Case] = []
case = functools.partial(add_case, CASES)


# Configs whose layers rexplug does not train; evaluations run transformers' own layers.


@case("hidden_activation is 'silu', and the layers of rexplug compute only 'gelu'", evaluate=None)
def another_activation(folder):
    return write(folder, modernbert(hidden_activation="silu"))


@case(
    "full_attention has RoPE of the type 'yarn', and rexplug computes only 'default'; longer contexts are learnt with a "
    "larger rope.global_theta",
    evaluate=None,
)
def stretched_positions(folder):
    parameters = {
        "full_attention": {
            "rope_type": "yarn",
            "factor": 2.0,
            "rope_theta": 1e4,
            "original_max_position_embeddings": 32,
        },
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    return write(folder, modernbert(rope_parameters=parameters))


# Configs that neither training nor evaluations can use.

THETA = (
    "the RoPE theta of {kind} is {theta}; write the theta it was trained with into its config.json (ModernBERT: 160,000 in "
    "full_attention, 10,000 in sliding_attention)"
)


@case(THETA.format(kind="sliding_attention", theta="-1"))
def a_theta_of_minus_one(folder):
    return edited(folder, "rope_parameters", global_rope_theta=160_000.0, local_rope_theta=-1)


@case(THETA.format(kind="full_attention", theta="'much'"))
def a_theta_in_words(folder):
    return edited(folder, rope_parameters={"full_attention": {"rope_theta": "much"}})


@case(
    "rope_parameters is {'rope_theta': 10000.0}; it must hold a mapping for full_attention and one for sliding_attention"
)
def one_theta_for_all_layers(folder):
    return edited(folder, rope_parameters={"rope_theta": 10_000.0})


LAYERS = "layer_types must name full_attention or sliding_attention for each of its 4 layers (num_hidden_layers)"


@case(LAYERS)
def too_few_kinds_of_layers(folder):
    return edited(folder, layer_types=["full_attention"])


@case(LAYERS)
def an_unknown_kind_of_layer(folder):
    return edited(folder, layer_types=["full_attention", "chunked_attention"] * 2)


@case("global_attn_every_n_layers is 0; write a positive whole number")
def global_every_zero_layers(folder):
    return edited(folder, "layer_types", global_attn_every_n_layers=0)


@case("hidden_size is 16 and num_attention_heads 3; a head needs an even, whole number of dimensions")
def heads_that_do_not_divide(folder):
    return edited(folder, num_attention_heads=3)


@case("hidden_size is 16 and num_attention_heads 16; a head needs an even, whole number of dimensions")
def heads_of_one_dimension(folder):
    return edited(folder, num_attention_heads=16)


@case("pad_token_id is 100, but there are 64 embeddings")
def padding_out_of_range(folder):
    return edited(folder, pad_token_id=100)


@case("classifier_activation is 'nope', which is not a known activation")
def an_unknown_activation(folder):
    return edited(folder, classifier_activation="nope")


@case("its weights are quantized (quantization_config); rexplug needs them as floating-point numbers")
def quantized(folder):
    return edited(folder, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})


@case("hidden_size is '16'; write a positive whole number")
def a_size_in_words(folder):
    return edited(folder, hidden_size="16")


@case("norm_eps is nan, which is not a number that it can be")
def an_eps_that_is_not_a_number(folder):
    return edited(folder, norm_eps=math.nan)


@case("num_hidden_layers is 1000000000; at most 1000 are supported")
def a_billion_layers(folder):
    return edited(folder, "layer_types", num_hidden_layers=10**9)


@case("tie_word_embeddings is 'no'; write true or false")
def a_switch_in_words(folder):
    return edited(folder, tie_word_embeddings="no")
