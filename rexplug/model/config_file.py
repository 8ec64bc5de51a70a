"""What the config.json of a ModernBERT says, and what of it the layers of rexplug honour. No torch: `check` reads it too.

Every field of transformers' `ModernBertConfig` is looked at: it shapes the weights, is honoured by the layers, is an option
of training that the recipe decides (dropout), or is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rexplug.errors import shorten
from rexplug.io.json_files import read_json_object

FULL, SLIDING = "full_attention", "sliding_attention"
"""transformers' names of global and local layers."""
MODEL_TYPE = "modernbert"

DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22, "num_attention_heads": 12,
    "hidden_activation": "gelu", "max_position_embeddings": 8192, "initializer_range": 0.02,
    "initializer_cutoff_factor": 2.0, "norm_eps": 1e-5, "norm_bias": False, "pad_token_id": 50283, "eos_token_id": 50282,
    "bos_token_id": 50281, "cls_token_id": 50281, "sep_token_id": 50282, "attention_bias": False, "attention_dropout": 0.0,
    "layer_types": None, "rope_parameters": None, "local_attention": 128, "embedding_dropout": 0.0, "mlp_bias": False,
    "mlp_dropout": 0.0, "decoder_bias": True, "classifier_pooling": "cls", "classifier_dropout": 0.0,
    "classifier_bias": False, "classifier_activation": "gelu", "deterministic_flash_attn": False,
    "sparse_prediction": False, "sparse_pred_ignore_index": -100, "tie_word_embeddings": True,
}  # fmt: skip
"""The fields of `ModernBertConfig` and what transformers takes where a file leaves one out."""
_THETAS = {FULL: ("global_rope_theta", 160_000.0), SLIDING: ("local_rope_theta", 10_000.0)}
"""What transformers 4.x calls the RoPE theta of each kind of layer, and its default."""

_COUNTS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings",
    "local_attention",
)  # fmt: skip
_FLAGS = (
    "norm_bias", "attention_bias", "mlp_bias", "decoder_bias", "classifier_bias", "deterministic_flash_attn",
    "sparse_prediction", "tie_word_embeddings",
)  # fmt: skip
_NUMBERS = ("initializer_range", "initializer_cutoff_factor", "norm_eps")
DROPOUTS = ("attention_dropout", "embedding_dropout", "mlp_dropout")
"""Options of training, which rexplug does without."""
_IDS = ("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id")
_MAX_COUNT = 2**31 - 1
_MAX_LAYERS = 1000
ACTIVATIONS = frozenset({
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_python_tanh", "gelu_pytorch_tanh",
    "laplace", "leaky_relu", "linear", "mish", "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "swish", "tanh",
})  # fmt: skip
"""Activations of the prediction head: those that transformers knows by name."""


@dataclass(frozen=True)
class ConfigFile:
    """A ModernBERT's config.json with transformers' defaults where it says nothing; `stated` holds the keys of the file."""

    values: Mapping[str, Any]
    stated: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> ConfigFile:
        """Read it, whatever it says; `problems` judges it.

        Raises:
            DataError: it cannot be read, or is not a JSON object.
        """
        return cls.of(read_json_object(path))

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> ConfigFile:
        """The same from what the file holds."""
        return cls({name: stated.get(name, default) for name, default in DEFAULTS.items()}, stated)

    def __getitem__(self, field: str) -> Any:
        return self.values[field]

    @property
    def model_type(self) -> Any:
        """The family."""
        return self.stated.get("model_type")

    @cached_property
    def layer_types(self) -> Sequence[Any]:
        """The kind of each layer; transformers 4.x says it by every how many layers one is global."""
        if self["layer_types"] is not None:
            return self["layer_types"] if isinstance(self["layer_types"], list) else []
        every = self.stated.get("global_attn_every_n_layers", 3)
        if not _is_count(every):
            return []
        return [SLIDING if number % every else FULL for number in range(self["num_hidden_layers"])]

    def rope(self, kind: str) -> Mapping[str, Any]:
        """The RoPE parameters of a kind of layer; `{}` if they are no mapping."""
        given = self["rope_parameters"]
        found = {} if given is None else given.get(kind) if isinstance(given, Mapping) else None
        parameters = dict(found) if isinstance(found, Mapping) else {}
        scaling = self.stated.get("rope_scaling")
        if isinstance(scaling, Mapping):
            parameters |= scaling
        name, default = _THETAS[kind]
        parameters.setdefault("rope_theta", self.stated.get(name, default))
        parameters.setdefault("rope_type", parameters.get("type", "default"))
        return parameters

    def problems(self) -> list[str]:
        """What no ModernBERT can be made of, each as a sentence about "it"."""
        found = [
            f"{name} is {_show(self[name])}; write a positive whole number"
            for name in _COUNTS
            if not _is_count(self[name]) or self[name] > _MAX_COUNT
        ]
        found += [
            f"{name} is {_show(self[name])}; write true or false" for name in _FLAGS if not isinstance(self[name], bool)
        ]
        for name in (*_NUMBERS, *DROPOUTS, "classifier_dropout"):
            value = self[name]
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value < 0 or (name.endswith("dropout") and value > 1):
                found.append(f"{name} is {_show(value)}, which is not a number that it can be")
        if not isinstance(self["hidden_activation"], str):
            found.append(f"hidden_activation is {_show(self['hidden_activation'])}, which is not a name")
        if not isinstance(self["classifier_activation"], str) or self["classifier_activation"] not in ACTIVATIONS:
            found.append(
                f"classifier_activation is {_show(self['classifier_activation'])}, an activation that is not known"
            )
        if self["classifier_pooling"] not in ("cls", "mean"):
            found.append(f"classifier_pooling is {_show(self['classifier_pooling'])}; write 'cls' or 'mean'")
        if not isinstance(self["sparse_pred_ignore_index"], int):
            found.append(f"sparse_pred_ignore_index is {_show(self['sparse_pred_ignore_index'])}, which is not an id")
        if found:
            return found
        hidden, heads, layers = self["hidden_size"], self["num_attention_heads"], self["num_hidden_layers"]
        if layers > _MAX_LAYERS:
            found.append(f"num_hidden_layers is {layers}; at most {_MAX_LAYERS} are")
        elif hidden % heads or hidden // heads % 2:
            found.append(
                f"hidden_size is {hidden} and num_attention_heads {heads}; a head needs an even, whole number of dimensions"
            )
        if layers <= _MAX_LAYERS:
            found += self._layer_problems()
        found += [
            f"{name} is {_show(self[name])}, but there are {self['vocab_size']} embeddings"
            for name in _IDS
            if name in self.stated and not _is_id(self[name], self["vocab_size"], list_too=name == "eos_token_id")
        ]
        if self.stated.get("quantization_config") is not None:
            found.append(
                "its weights are quantized (quantization_config); rexplug needs them as floating-point numbers"
            )
        return found

    def _layer_problems(self) -> list[str]:
        if "global_attn_every_n_layers" in self.stated and self["layer_types"] is None:
            every = self.stated["global_attn_every_n_layers"]
            if not _is_count(every):
                return [f"global_attn_every_n_layers is {_show(every)}; write a positive whole number"]
        kinds = self.layer_types
        if len(kinds) != self["num_hidden_layers"] or any(kind not in (FULL, SLIDING) for kind in kinds):
            return [
                f"layer_types must name {FULL} or {SLIDING} for each of its {self['num_hidden_layers']} layers "
                f"(num_hidden_layers)"
            ]
        given = self["rope_parameters"]
        if given is not None and not (
            isinstance(given, Mapping)
            and all(kind in _THETAS and isinstance(each, Mapping) for kind, each in given.items())
        ):
            return [f"rope_parameters is {_show(given)}; it must hold a mapping for {FULL} and one for {SLIDING}"]
        found = []
        for kind in sorted({*kinds}):
            theta = self.rope(kind).get("rope_theta")
            if not isinstance(theta, int | float) or isinstance(theta, bool) or not 1 < theta < math.inf:
                # Some converters write -1 for "as the global layers"; powers of it are not numbers.
                found.append(
                    f"the RoPE theta of {kind} is {_show(theta)}; write the theta it was trained with into its config.json "
                    "(ModernBERT: 160,000 in full_attention, 10,000 in sliding_attention)"
                )
        return found

    def not_honoured(self) -> list[str]:
        """What transformers computes and the layers of rexplug do not, each as a sentence; empty if they give its numbers."""
        return not_honoured(
            self["hidden_activation"],
            {kind: self.rope(kind) for kind in sorted({*self.layer_types}) if kind in _THETAS},
        )

    def remarks(self) -> list[str]:
        """Options of training that the file sets and rexplug does not use."""
        found = [f"{name} {self[name]:g}" for name in DROPOUTS if self[name] > 0]
        if self["deterministic_flash_attn"]:
            found.append("deterministic_flash_attn")
        return found


def not_honoured(activation: Any, rope: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The same for an activation and the RoPE parameters of each kind of layer that there is."""
    found = []
    if activation != "gelu":
        found.append(f"hidden_activation is {_show(activation)}, and the layers of rexplug compute 'gelu' alone")
    for kind, parameters in rope.items():
        if parameters.get("rope_type", "default") != "default":
            found.append(
                f"{kind} has RoPE of the type {_show(parameters['rope_type'])}, and rexplug computes 'default' alone; "
                "longer contexts are learnt with a larger rope.global_theta"
            )
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_id(value: Any, rows: int, *, list_too: bool) -> bool:
    if list_too and isinstance(value, list):
        return all(_is_id(each, rows, list_too=False) for each in value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < rows)


def _show(value: Any) -> str:
    """A value of the file as Python writes it, cut where it is long."""
    return shorten(repr(value))


def old_keys(layer_types: Sequence[str], thetas: Mapping[str, float]) -> dict[str, Any] | None:
    """What transformers 4.x reads in place of `layer_types` and `rope_parameters`; None if it cannot say these layers.

    It knows no other order of layers than "every n-th is global, from the first on".
    """
    for every in range(1, len(layer_types) + 1):
        if list(layer_types) == [SLIDING if number % every else FULL for number in range(len(layer_types))]:
            return {
                "global_attn_every_n_layers": every,
                "global_rope_theta": thetas["global"],
                "local_rope_theta": thetas["local"],
            }
    return None
