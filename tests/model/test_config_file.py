"""config.json as rexplug reads it without torch, against transformers' own reading of it."""

from types import SimpleNamespace

import pytest
import torch

from rexplug.errors import DataError
from rexplug.model.config_file import ConfigFile, transformers_4_fields
from rexplug.model.family import MODERNBERT

SMALL = {
    "model_type": "modernbert", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 5,
    "num_attention_heads": 2, "pad_token_id": 1, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip
DEFAULTS = MODERNBERT.config.defaults
FULL, SLIDING = "full_attention", "sliding_attention"


def test_every_field_of_transformers_is_known():
    """A field that a later transformers adds must be supported or rejected here too."""
    from transformers import ModernBertConfig

    own = {name for name in ModernBertConfig.__annotations__ if not name.startswith("_")} - {"model_type"}
    assert own == set(DEFAULTS)
    reference = ModernBertConfig()
    assert {name: getattr(reference, name) for name in DEFAULTS if name not in ("layer_types", "rope_parameters")} == {
        name: value for name, value in DEFAULTS.items() if name not in ("layer_types", "rope_parameters")
    }


def test_activations_are_those_of_transformers():
    from transformers.activations import ACT2FN

    assert set(ACT2FN) >= MODERNBERT.config.activations


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
        {"decoder_bias": False},
        {"tie_word_embeddings": False},
        {"tie_word_embeddings": False, "decoder_bias": False, "norm_bias": True},
    ],
)
def test_names_and_shapes_of_weights_are_those_of_transformers(changes):
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    with torch.device("meta"):
        model = ModernBertForMaskedLM(ModernBertConfig(**SMALL | changes))
    assert ConfigFile.of(SMALL | changes).expected_weights() == {
        name: tuple(values.shape) for name, values in model.named_parameters()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"global_attn_every_n_layers": 2},
        {"global_rope_theta": 20_000.0, "local_rope_theta": 30_000.0},
        {"layer_types": [FULL, SLIDING, SLIDING, SLIDING, FULL]},
        {"rope_parameters": {FULL: {"rope_theta": 50_000.0}}},
        {"rope_parameters": {FULL: {"rope_theta": 50_000.0}}, "global_rope_theta": 7.0, "local_rope_theta": 8.0},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    ],
)
def test_layers_and_thetas_are_read_as_transformers_does(changes):
    from transformers import ModernBertConfig

    read, reference = ConfigFile.of(SMALL | changes), ModernBertConfig(**SMALL | changes)
    assert list(read.layer_types) == reference.layer_types
    for kind in (FULL, SLIDING):
        assert read.rope(kind)["rope_theta"] == reference.rope_parameters[kind]["rope_theta"]
        assert read.rope(kind)["rope_type"] == reference.rope_parameters[kind]["rope_type"]


@pytest.mark.parametrize(
    ("layers", "every"),
    [
        ([FULL, SLIDING, SLIDING, FULL, SLIDING], 3),
        ([FULL] * 5, 1),
        ([FULL, SLIDING, FULL, SLIDING, FULL], 2),
        ([FULL, SLIDING, SLIDING, SLIDING, SLIDING], 5),
        ([FULL], 1),
        ([SLIDING] * 5, None),
        ([FULL, FULL, SLIDING, SLIDING, FULL], None),
    ],
)
def test_layers_are_written_as_transformers_4_expects(layers, every):
    config = SimpleNamespace(
        model_type="modernbert",
        layer_types=layers,
        rope_parameters={FULL: {"rope_theta": 5.0}, SLIDING: {"rope_theta": 6.0}},
    )
    fields = transformers_4_fields(config)
    if every is None:
        assert fields is None
    else:
        assert fields == {"global_attn_every_n_layers": every, "global_rope_theta": 5.0, "local_rope_theta": 6.0}


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON: "), ("[1]", "is not a JSON object")])
def test_a_file_that_is_not_a_config(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=f"{tmp_path}/config.json {message}"):
        ConfigFile.read(tmp_path / "config.json")
