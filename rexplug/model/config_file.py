"""Reads and writes ModernBERT's config.json, and says which of its options our layers compute. No torch: `check` reads it.

Every field of transformers' `ModernBertConfig` is looked at: it shapes the weights, is honoured by the layers, is an option
of training that the recipe decides (dropout), or is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from rexplug.errors import shorten
from rexplug.io.json_files import read_json_object
from rexplug.model.family import DEFAULT_FAMILY, Family, embedding_rows, find_family, shape_and_rows
from rexplug.model.layout import EncoderShape

_MAX_COUNT = 2**31 - 1
_MAX_LAYERS = 1000


class SpecialIds(Protocol):
    """What a model needs to know of its tokenizer."""

    @property
    def cls(self) -> int:
        """The id of the token [CLS]."""
        ...

    @property
    def sep(self) -> int:
        """The id of the token [SEP]."""
        ...

    @property
    def pad(self) -> int:
        """The id of the token [PAD]."""
        ...

    @property
    def vocabulary_size(self) -> int:
        """Highest id plus one."""
        ...


@dataclass(frozen=True)
class ConfigFile:
    """A config.json, with transformers' defaults for fields that it leaves out.

    `stated` holds the fields of the file. The config of another family is read as if it were `DEFAULT_FAMILY`'s; see
    `is_supported`.
    """

    values: Mapping[str, Any]
    stated: Mapping[str, Any]
    family: Family

    @classmethod
    def read(cls, path: Path) -> ConfigFile:
        """Read a file, whatever its fields say: `problems` judges them.

        Raises:
            DataError: it cannot be read, or is not a JSON object.
        """
        return cls.of(read_json_object(path))

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> ConfigFile:
        """The config with these fields."""
        family = find_family(stated.get("model_type")) or DEFAULT_FAMILY
        return cls(
            {name: stated.get(name, default) for name, default in family.config.defaults.items()}, stated, family
        )

    def __getitem__(self, field: str) -> Any:
        return self.values[field]

    @property
    def model_type(self) -> Any:
        """What the file calls its family."""
        return self.stated.get("model_type")

    @property
    def is_supported(self) -> bool:
        """Whether it is of a family that rexplug trains."""
        return find_family(self.model_type) is not None

    @cached_property
    def shape(self) -> EncoderShape:
        """The encoder's shape.

        Raises:
            ValueError: there are `problems`.
        """
        return shape_and_rows({**self.values, self.family.config.layer_kinds: list(self.layer_types)}, self.family)[0]

    @property
    def rows(self) -> int:
        """Rows of the token embedding."""
        return int(self[self.family.config.vocabulary])

    def expected_weights(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the weights of a masked language model with this config; a tied decoder has none of its own."""
        return self.shape.weights(self.rows, lambda field: bool(self[field]))

    @cached_property
    def layer_types(self) -> Sequence[Any]:
        """The kind of each layer by its name in the file; transformers 4.x states every how many layers one is global."""
        if self["layer_types"] is not None:
            return self["layer_types"] if isinstance(self["layer_types"], list) else []
        every = self.stated.get("global_attn_every_n_layers", self.family.global_every)
        return _every_nth_global(self["num_hidden_layers"], every, self.family) if _is_count(every) else []

    def has_layers(self, kind: str) -> bool:
        """Whether there are layers of a kind, `global` or `local`."""
        return self.family.kinds[kind].name in self.layer_types

    def rope(self, layer_type: str) -> Mapping[str, Any]:
        """The RoPE parameters of a layer type."""
        stated = self["rope_parameters"]
        parameters = stated.get(layer_type) if isinstance(stated, Mapping) else None
        parameters = dict(parameters) if isinstance(parameters, Mapping) else {}
        scaling = self.stated.get("rope_scaling")
        if isinstance(scaling, Mapping):
            parameters |= scaling
        (kind,) = (kind for kind in self.family.kinds.values() if kind.name == layer_type)
        parameters.setdefault("rope_theta", self.stated.get(kind.transformers_4_theta, kind.theta))
        parameters.setdefault("rope_type", parameters.get("type", "default"))
        return parameters

    def problems(self) -> list[str]:
        """Why no model can be made of it, as sentences about the file."""
        problems = self._value_problems()
        if problems:
            return problems
        hidden, heads, layers = self["hidden_size"], self["num_attention_heads"], self["num_hidden_layers"]
        if layers > _MAX_LAYERS:
            problems.append(f"num_hidden_layers is {layers}; at most {_MAX_LAYERS} are supported")
        elif hidden % heads or hidden // heads % 2:
            problems.append(
                f"hidden_size is {hidden} and num_attention_heads {heads}; a head needs an even, whole number of dimensions"
            )
        if layers <= _MAX_LAYERS:
            problems += self._layer_problems()
        problems += [
            f"{name} is {_show(self[name])}, but there are {self.rows} embeddings"
            for name in self.family.config.token_ids
            if name in self.stated and not _is_id(self[name], self.rows, list_too=name == "eos_token_id")
        ]
        if self.stated.get("quantization_config") is not None:
            problems.append(
                "its weights are quantized (quantization_config); rexplug needs them as floating-point numbers"
            )
        return problems

    def _value_problems(self) -> list[str]:
        """Fields whose value is of the wrong kind."""
        fields = self.family.config
        problems = [
            f"{name} is {_show(self[name])}; write a positive whole number"
            for name in fields.counts
            if not _is_count(self[name]) or self[name] > _MAX_COUNT
        ]
        problems += [
            f"{name} is {_show(self[name])}; write true or false"
            for name in fields.flags
            if not isinstance(self[name], bool)
        ]
        for name in (*fields.numbers, *fields.dropouts, "classifier_dropout"):
            value = self[name]
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value < 0 or (name.endswith("dropout") and value > 1):
                problems.append(f"{name} is {_show(value)}, which is not a number that it can be")
        if not isinstance(self["hidden_activation"], str):
            problems.append(f"hidden_activation is {_show(self['hidden_activation'])}, which is not a name")
        activation = self["classifier_activation"]
        if not isinstance(activation, str) or activation not in fields.activations:
            problems.append(f"classifier_activation is {_show(activation)}, which is not a known activation")
        if self["classifier_pooling"] not in ("cls", "mean"):
            problems.append(f"classifier_pooling is {_show(self['classifier_pooling'])}; write 'cls' or 'mean'")
        if not isinstance(self["sparse_pred_ignore_index"], int):
            problems.append(
                f"sparse_pred_ignore_index is {_show(self['sparse_pred_ignore_index'])}, which is not an id"
            )
        return problems

    def _layer_problems(self) -> list[str]:
        if "global_attn_every_n_layers" in self.stated and self["layer_types"] is None:
            every = self.stated["global_attn_every_n_layers"]
            if not _is_count(every):
                return [f"global_attn_every_n_layers is {_show(every)}; write a positive whole number"]
        full, sliding = self.family.kinds["global"], self.family.kinds["local"]
        types, names = self.layer_types, (full.name, sliding.name)
        if len(types) != self["num_hidden_layers"] or any(kind not in names for kind in types):
            return [
                f"layer_types must name {full.name} or {sliding.name} for each of its {self['num_hidden_layers']} layers "
                f"(num_hidden_layers)"
            ]
        stated = self["rope_parameters"]
        if stated is not None and not (
            isinstance(stated, Mapping)
            and all(kind in names and isinstance(parameters, Mapping) for kind, parameters in stated.items())
        ):
            return [
                f"rope_parameters is {_show(stated)}; it must hold a mapping for {full.name} and one for {sliding.name}"
            ]
        problems = []
        for kind in sorted({*types}):
            theta = self.rope(kind).get("rope_theta")
            if not isinstance(theta, int | float) or isinstance(theta, bool) or not 1 < theta < math.inf:
                # Some converters write -1 for "as the global layers"; powers of it are not numbers.
                problems.append(
                    f"the RoPE theta of {kind} is {_show(theta)}; write the theta it was trained with into its config.json "
                    f"({self.family.title}: {full.theta:,.0f} in {full.name}, {sliding.theta:,.0f} in {sliding.name})"
                )
        return problems

    def not_honoured(self) -> list[str]:
        """Options with which transformers computes other numbers than our layers, as sentences; empty if there are none."""
        ropes = {kind: self.rope(kind) for kind in sorted({*self.layer_types})}
        return _not_honoured(self.family, self["hidden_activation"], ropes)

    def unused_options(self) -> list[str]:
        """Options of training that the file sets and rexplug does not use."""
        options = [f"{name} {self[name]:g}" for name in self.family.config.dropouts if self[name] > 0]
        if self["deterministic_flash_attn"]:
            options.append("deterministic_flash_attn")
        return options


def runs_packed(config: Any) -> bool:
    """Whether our packed layers compute the model of a config of transformers; other models run on transformers' layers."""
    family = find_family(config.model_type)
    if family is None:
        return False
    ropes = {kind: config.rope_parameters[kind] for kind in {*config.layer_types}}
    return not _not_honoured(family, config.hidden_activation, ropes)


def _not_honoured(family: Family, activation: Any, ropes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """`not_honoured` for an activation and the RoPE parameters of each layer type."""
    problems = []
    if activation != family.honoured_activation:
        problems.append(
            f"hidden_activation is {_show(activation)}, and the layers of rexplug compute only '{family.honoured_activation}'"
        )
    for kind, parameters in ropes.items():
        if parameters.get("rope_type", "default") != "default":
            problems.append(
                f"{kind} has RoPE of the type {_show(parameters['rope_type'])}, and rexplug computes only 'default'; "
                "longer contexts are learnt with a larger rope.global_theta"
            )
    return problems


def new_config_values(family: Family, shape: EncoderShape, special: SpecialIds, context: int) -> dict[str, Any]:
    """The fields of the config of a model that is trained from scratch.

    Args:
        family: the family.
        shape: the encoder's shape.
        special: ids of the tokenizer's special tokens, and its vocabulary.
        context: the longest context that the model is trained on.
    """
    return {
        "vocab_size": embedding_rows(special.vocabulary_size),
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": context,
        "local_attention": 2 * shape.half_window,
        **special_id_values(special),
        "classifier_pooling": "mean",
        "rope_parameters": {
            kind.name: {"rope_type": "default", "rope_theta": family.rope.start} for kind in family.kinds.values()
        },
    }


def special_id_values(special: SpecialIds) -> dict[str, int]:
    """The fields that name special tokens."""
    return {
        "pad_token_id": special.pad, "bos_token_id": special.cls, "cls_token_id": special.cls, "eos_token_id": special.sep,
        "sep_token_id": special.sep,
    }  # fmt: skip


def for_training(config: Any, context: int) -> None:
    """Change a checkpoint's config of transformers to what it is trained with: no dropout, and room for the context."""
    for dropout in _family_of(config).config.dropouts:
        setattr(config, dropout, 0.0)
    config.deterministic_flash_attn = False
    config.max_position_embeddings = max(config.max_position_embeddings, context)


def thetas_of(config: Any) -> dict[str, float]:
    """The RoPE thetas of the `global` and `local` layers of a config of transformers."""
    family = _family_of(config)
    return {name: float(config.rope_parameters[kind.name]["rope_theta"]) for name, kind in family.kinds.items()}


def layer_kinds_of(config: Any) -> frozenset[str]:
    """Which of `global` and `local` a config of transformers has layers of."""
    family = _family_of(config)
    return frozenset(name for name, kind in family.kinds.items() if kind.name in config.layer_types)


def transformers_4_fields(config: Any) -> dict[str, Any] | None:
    """What transformers 4.x reads in place of the layers and thetas of a config; None if it cannot express these layers.

    It knows no other order of layers than "every n-th is global, from the first on".
    """
    family = _family_of(config)
    thetas = thetas_of(config)
    for every in range(1, len(config.layer_types) + 1):
        if list(config.layer_types) == _every_nth_global(len(config.layer_types), every, family):
            return {
                "global_attn_every_n_layers": every,
                **{kind.transformers_4_theta: thetas[name] for name, kind in family.kinds.items()},
            }
    return None


def _family_of(config: Any) -> Family:
    return find_family(config.model_type) or DEFAULT_FAMILY


def _every_nth_global(num_layers: int, every: int, family: Family) -> list[str]:
    names = {kind: family.kinds[kind].name for kind in ("global", "local")}
    return [names["local"] if number % every else names["global"] for number in range(num_layers)]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_id(value: Any, rows: int, *, list_too: bool) -> bool:
    if list_too and isinstance(value, list):
        return all(_is_id(item, rows, list_too=False) for item in value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < rows)


def _show(value: Any) -> str:
    """A value of the file as Python writes it, cut where it is long."""
    return shorten(repr(value))
