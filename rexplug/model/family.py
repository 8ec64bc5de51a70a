"""The encoder families that rexplug trains: what differs between them, in one place. No torch.

A family is one `Family` here and the module that computes its layers (`rexplug.model.layers`); `rexplug.model.config_file`
reads and writes its config.json. Everything else asks the family: names of weights and fields, kinds of layers, windows,
RoPE, sizes, published releases and speeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rexplug.model.layout import HIDDEN, INTERMEDIATE, VOCABULARY, EncoderShape, ModelLayout, Module

EMBEDDING_MULTIPLE = 64
"""A new embedding has a multiple of this many rows, which makes matrix products faster."""


@dataclass(frozen=True)
class ConfigFields:
    """The fields of a family's config.json.

    `defaults` are the values of transformers where a file leaves a field out. `layers` to `layer_kinds` name the fields of
    the shape. `counts`, `flags`, `numbers`, `dropouts` and `token_ids` are fields by the kind of their value; dropouts are
    options of training, which rexplug trains without. `activations` are those of the prediction head.
    """

    defaults: Mapping[str, Any]
    layers: str
    hidden: str
    intermediate: str
    heads: str
    vocabulary: str
    layer_kinds: str
    counts: Sequence[str]
    flags: Sequence[str]
    numbers: Sequence[str]
    dropouts: Sequence[str]
    token_ids: Sequence[str]
    activations: frozenset[str]


@dataclass(frozen=True)
class LayerKind:
    """Layers that attend to the whole sample (global), or to a window around each token (local).

    `name` is what config.json calls them, `theta` transformers' default of their RoPE theta, and `transformers_4_theta` the
    field in which transformers 4.x keeps it.
    """

    name: str
    theta: float
    transformers_4_theta: str


@dataclass(frozen=True)
class RopePractice:
    """The RoPE thetas with which models of a family are trained.

    A model from scratch starts with `start`, all layers; from a context of `long_context` tokens on, `source` trained with
    `long_theta` in global layers.
    """

    start: float
    long_context: int
    long_theta: float
    source: str


@dataclass(frozen=True)
class PublishedSpeed:
    """Training speed of one H100 of a published run: tokens a second, from its hours and tokens."""

    shape: EncoderShape
    tokens_per_second: float
    source: str


@dataclass(frozen=True)
class Release:
    """A published checkpoint: its shape, and the rows of its embedding."""

    shape: EncoderShape
    rows: int


@dataclass(frozen=True, eq=False)
class Family:
    """An encoder family: names, fields, sizes and constants that differ between families.

    `model_type` is what config.json calls it, `title` what people do, `architecture` transformers' class of its masked
    language model. Every `global_every`-th layer is global, from the first on; local layers see `half_window` tokens to
    either side. `kinds` describes the `global` and the `local` layers. `honoured_activation` is the activation of
    the MLP that our layers compute. `releases` are published checkpoints by their names on the Hugging Face Hub; the
    embeddings of the models in `speeds` have `speed_rows` rows.
    """

    model_type: str
    title: str
    architecture: str
    layout: ModelLayout
    config: ConfigFields
    kinds: Mapping[str, LayerKind]
    global_every: int
    half_window: int
    honoured_activation: str
    rope: RopePractice
    sizes: Mapping[str, EncoderShape]
    releases: Mapping[str, Release]
    speeds: Sequence[PublishedSpeed]
    speed_rows: int


_FLAGS = {
    "norm_bias": False, "attention_bias": False, "mlp_bias": False, "decoder_bias": True, "classifier_bias": False,
    "tie_word_embeddings": True,
}  # fmt: skip
_LAYOUT = ModelLayout(
    encoder="model.",
    embedding=Module("embeddings.tok_embeddings", (VOCABULARY, HIDDEN)),
    embedding_norm=Module("embeddings.norm", (HIDDEN,), "norm_bias"),
    layers="layers",
    layer=(
        Module("attn_norm", (HIDDEN,), "norm_bias"),
        Module("attn.Wqkv", ((3, "hidden"), HIDDEN), "attention_bias"),
        Module("attn.Wo", (HIDDEN, HIDDEN), "attention_bias"),
        Module("mlp_norm", (HIDDEN,), "norm_bias"),
        Module("mlp.Wi", ((2, "intermediate"), HIDDEN), "mlp_bias"),
        Module("mlp.Wo", (HIDDEN, INTERMEDIATE), "mlp_bias"),
    ),
    not_in_first_layer=frozenset({"attn_norm"}),
    last_norm=Module("final_norm", (HIDDEN,), "norm_bias"),
    head=(Module("head.dense", (HIDDEN, HIDDEN), "classifier_bias"), Module("head.norm", (HIDDEN,), "norm_bias")),
    decoder=Module("decoder", (VOCABULARY, HIDDEN), "decoder_bias"),
    tied="tie_word_embeddings",
    flags=_FLAGS,
    # GPU: as measured where layers are compiled, which computes some of it again (docs/explanations/plan.md). CPU: residual
    # stream, inputs of products, queries, keys and values, once more gathered by document, the attention's output, both
    # halves of the GLU and its activation.
    activation_bytes={"gpu": (17, 7), "cpu": (44, 16)},
)
_GLOBAL_EVERY = 3
_HALF_WINDOW = 64
_GELU = "gelu"


def _shape(layers: int, hidden: int, intermediate: int, heads: int) -> EncoderShape:
    return EncoderShape(layers, hidden, intermediate, heads, -(-layers // _GLOBAL_EVERY), _HALF_WINDOW, _LAYOUT)


# nano is a size for demonstrations; the others are Ettin's (arXiv 2507.11412, `configs/standard`).
_SIZES = {
    "nano": _shape(4, 128, 192, 2),
    "micro": _shape(7, 256, 384, 4),
    "mini": _shape(19, 512, 768, 8),
    "base": _shape(22, 768, 1152, 12),
    "large": _shape(28, 1024, 2624, 16),
}
_32M, _1B = _shape(10, 384, 576, 6), _shape(28, 1792, 3840, 28)
_OLMO_ROWS, _GEMMA_ROWS = 50_368, 256_000
"""Rows of the embedding with the tokenizer of ModernBERT and Ettin, and with that of Gemma 2, which mmBERT has."""
_RELEASES = {
    "jhu-clsp/ettin-encoder-17m": _SIZES["micro"], "jhu-clsp/ettin-encoder-32m": _32M,
    "jhu-clsp/ettin-encoder-68m": _SIZES["mini"], "jhu-clsp/ettin-encoder-150m": _SIZES["base"],
    "jhu-clsp/ettin-encoder-400m": _SIZES["large"], "jhu-clsp/ettin-encoder-1b": _1B,
    "answerdotai/ModernBERT-base": _SIZES["base"], "answerdotai/ModernBERT-large": _SIZES["large"],
    **{f"thebajajra/RexBERT-{name}": _SIZES[name] for name in ("micro", "mini", "base", "large")},
}  # fmt: skip
_MMBERT = {"jhu-clsp/mmBERT-small": _shape(22, 384, 1152, 6), "jhu-clsp/mmBERT-base": _SIZES["base"]}
"""arXiv 2509.06888, JHU-CLSP/mmBERT `configs`."""

MODERNBERT = Family(
    model_type="modernbert",
    title="ModernBERT",
    architecture="ModernBertForMaskedLM",
    layout=_LAYOUT,
    config=ConfigFields(
        defaults={
            "vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22,
            "num_attention_heads": 12, "hidden_activation": _GELU, "max_position_embeddings": 8192,
            "initializer_range": 0.02, "initializer_cutoff_factor": 2.0, "norm_eps": 1e-5, "pad_token_id": 50283,
            "eos_token_id": 50282, "bos_token_id": 50281, "cls_token_id": 50281, "sep_token_id": 50282,
            "attention_dropout": 0.0, "layer_types": None, "rope_parameters": None, "local_attention": 2 * _HALF_WINDOW,
            "embedding_dropout": 0.0, "mlp_dropout": 0.0, "classifier_pooling": "cls", "classifier_dropout": 0.0,
            "classifier_activation": _GELU, "deterministic_flash_attn": False, "sparse_prediction": False,
            "sparse_pred_ignore_index": -100, **_FLAGS,
        },
        layers="num_hidden_layers",
        hidden="hidden_size",
        intermediate="intermediate_size",
        heads="num_attention_heads",
        vocabulary="vocab_size",
        layer_kinds="layer_types",
        counts=(
            "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "max_position_embeddings", "local_attention",
        ),
        flags=(*_FLAGS, "deterministic_flash_attn", "sparse_prediction"),
        numbers=("initializer_range", "initializer_cutoff_factor", "norm_eps"),
        dropouts=("attention_dropout", "embedding_dropout", "mlp_dropout"),
        token_ids=("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id"),
        # Those that transformers knows by name.
        activations=frozenset({
            "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_python_tanh",
            "gelu_pytorch_tanh", "laplace", "leaky_relu", "linear", "mish", "quick_gelu", "relu", "relu2", "relu6",
            "sigmoid", "silu", "swish", "tanh",
        }),
    ),
    kinds={
        "global": LayerKind("full_attention", 160_000.0, "global_rope_theta"),
        "local": LayerKind("sliding_attention", 10_000.0, "local_rope_theta"),
    },
    global_every=_GLOBAL_EVERY,
    half_window=_HALF_WINDOW,
    honoured_activation=_GELU,
    # ModernBERT and Ettin: 10,000 in pre-training at 1,024 tokens, 160,000 in global layers at 8,192.
    rope=RopePractice(10_000.0, 4096, 160_000.0, "ModernBERT and Ettin"),
    sizes=_SIZES,
    # Their shape is published, so that a plan needs no file of theirs. All of them ended with a falling learning rate.
    releases={
        **{name: Release(shape, _OLMO_ROWS) for name, shape in _RELEASES.items()},
        **{name: Release(shape, _GEMMA_ROWS) for name, shape in _MMBERT.items()},
    },
    speeds=(
        PublishedSpeed(_SIZES["micro"], 985e3, "Ettin 17M, 4 H100, average of 2T tokens"),
        PublishedSpeed(_32M, 655e3, "Ettin 32M, 4 H100, average of 2T tokens"),
        PublishedSpeed(_SIZES["mini"], 463e3, "Ettin 68M, 4 H100, average of 2T tokens"),
        PublishedSpeed(_SIZES["base"], 312e3, "ModernBERT-base, 8 H100, at 1,024"),
        PublishedSpeed(_SIZES["large"], 142e3, "ModernBERT-large, 8 H100, at 1,024"),
        PublishedSpeed(_1B, 64e3, "Ettin 1B, 4 H100, average of 2T tokens"),
    ),
    speed_rows=_OLMO_ROWS,
)  # fmt: skip

DEFAULT_FAMILY = MODERNBERT
"""The family of the models that `model.size` names."""
FAMILIES: dict[str, Family] = {family.model_type: family for family in (MODERNBERT,)}
"""Every family by the `model_type` of its config.json."""
SIZES: Mapping[str, EncoderShape] = DEFAULT_FAMILY.sizes
"""The values of `model.size`."""


def find_family(model_type: Any) -> Family | None:
    """The family of a config.json's `model_type`; None for one that rexplug does not train."""
    return FAMILIES.get(model_type) if isinstance(model_type, str) else None


def find_release(name: str | None) -> Release | None:
    """A published checkpoint by its name on the Hugging Face Hub; None for other names."""
    for family in FAMILIES.values():
        if name is not None and name in family.releases:
            return family.releases[name]
    return None


def shape_and_rows(config: Any, family: Family = DEFAULT_FAMILY) -> tuple[EncoderShape, int]:
    """The encoder's shape and the rows of its embedding, from a config of transformers or the mapping of a config.json.

    Layers are of the kinds that it lists; where it lists none, every `global_every`-th is global.

    Raises:
        ValueError: a number is missing, or is not a positive whole number below 2^31.
    """
    fields = family.config

    def read(name: str) -> Any:
        return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)

    names = (fields.layers, fields.hidden, fields.intermediate, fields.heads, fields.vocabulary)
    layers, hidden, intermediate, heads, rows = (_count(name, read(name)) for name in names)
    kinds = read(fields.layer_kinds)
    if isinstance(kinds, list) and len(kinds) == layers:
        global_layers = kinds.count(family.kinds["global"].name)
    else:
        global_layers = -(-layers // family.global_every)
    shape = EncoderShape(layers, hidden, intermediate, heads, global_layers, family.half_window, family.layout)
    return shape, rows


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise ValueError(f"{name} is {value!r}")
    return value


def embedding_rows(vocabulary: int) -> int:
    """Rows of a new embedding for a vocabulary (the highest id plus one)."""
    return -(-vocabulary // EMBEDDING_MULTIPLE) * EMBEDDING_MULTIPLE
