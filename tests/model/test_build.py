"""Sizes, seeds, loading and the change of RoPE thetas."""

import json
from dataclasses import replace

import pytest
import torch
from model.helpers import SMALL, Special
from pydantic import ValidationError

from rexplug.errors import DataError
from rexplug.model import SIZES, build_config, build_model, load_model
from rexplug.recipe.schema import Model

MODERNBERT = Special(50_368, cls=50281, sep=50282, pad=50283)
WIDE = Special(350, cls=1, sep=2, pad=3)
"""The small tokenizer with 50 more tokens."""


# Ettin's counts (arXiv 2507.11412, configs/standard), recomputed from the shapes: the encoder, the encoder without
# token matrix and its norm, and all with the tied MLM head.
@pytest.mark.parametrize(
    ("size", "encoder", "inner", "parameters"),
    [
        ("micro", 16_797_440, 3_902_976, 16_913_600),
        ("mini", 68_144_640, 42_355_712, 68_457_664),
        ("base", 149_014_272, 110_330_880, 149_655_232),
        ("large", 394_781_696, 343_203_840, 395_881_664),
    ],
)
def test_sizes_have_the_published_parameter_counts(size, encoder, inner, parameters):
    from transformers import ModernBertForMaskedLM

    with torch.device("meta"):
        model = ModernBertForMaskedLM(build_config(size, MODERNBERT, 8192))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert sum(parameter.numel() for parameter in model.model.parameters()) == encoder
    assert encoder - sum(parameter.numel() for parameter in model.model.embeddings.parameters()) == inner


def test_weights_are_drawn_as_published():
    """Deviation 0.02 cut at two of them (0.8796 x 0.02 remain); output projections are scaled by 1 / sqrt(2 layers)."""
    model = build_model(Model(size="micro"), SMALL, context=128, seed=7)
    small = 0.02 / (2 * 7) ** 0.5
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            assert torch.equal(weight, torch.zeros_like(weight) if "bias" in name else torch.ones_like(weight)), name
            continue
        scale = small if name.endswith("Wo.weight") else 0.02
        assert float(weight.detach().std()) == pytest.approx(0.8796 * scale, rel=0.03), name
        assert float(weight.detach().abs().max()) <= 2 * scale * (1 + 1e-6), name
        assert float(weight.detach().abs().max()) > 1.9 * scale, name


@pytest.mark.parametrize("size", SIZES)
def test_first_and_last_layer_are_global_and_every_third(size):
    config = build_config(size, MODERNBERT, 8192)
    kinds = [kind == "full_attention" for kind in config.layer_types]
    assert kinds == [number % 3 == 0 for number in range(config.num_hidden_layers)]
    assert kinds[-1]
    assert (config.local_attention, config.max_position_embeddings) == (128, 8192)


def test_embedding_rows_are_a_multiple_of_64():
    assert build_config("nano", SMALL, 128).vocab_size == 320


def test_the_seed_alone_decides_the_weights():
    def weights(seed):
        return build_model(Model(size="nano"), SMALL, context=128, seed=seed).state_dict()

    torch.manual_seed(1)
    first = weights(7)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    second = weights(7)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["decoder.weight"], weights(8)["decoder.weight"])
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state), "building a model moved the global generator"


def test_nothing_is_dropped_at_random():
    config = build_config("nano", SMALL, 128)
    assert (config.attention_dropout, config.mlp_dropout, config.embedding_dropout) == (0.0, 0.0, 0.0)


def test_continuing_from_a_checkpoint(tmp_path):
    original = build_model(Model(size="nano"), SMALL, context=128, seed=7)
    original.config.attention_dropout = 0.1
    original.save_pretrained(tmp_path)
    model = build_model(Model.model_validate({"from": str(tmp_path)}), SMALL, context=512, seed=0)
    assert torch.equal(model.decoder.weight, original.decoder.weight)
    assert model.config.attention_dropout == 0.0
    assert model.config.max_position_embeddings == 512, "a longer context must reach the exported config"


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="model.from: '.*/nowhere' is not a model folder and could not be loaded: "):
        build_model(Model.model_validate({"from": str(tmp_path / "nowhere")}), SMALL, context=128, seed=0)


def test_a_checkpoint_of_another_family(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(DataError) as error:
        build_model(Model.model_validate({"from": str(tmp_path)}), SMALL, context=128, seed=0)
    assert str(error.value) == (
        f"model.from: '{tmp_path}' is a bert model; only ModernBERT-family checkpoints are supported"
    )


def test_a_checkpoint_with_too_few_embeddings(tmp_path):
    build_model(Model(size="nano"), SMALL, context=128, seed=7).save_pretrained(tmp_path)
    with pytest.raises(DataError) as error:
        build_model(Model.model_validate({"from": str(tmp_path)}), MODERNBERT, context=128, seed=0)
    assert str(error.value) == (
        f"model.from: '{tmp_path}' has 320 embeddings, but the tokenizer has 50368 tokens; "
        f"use the checkpoint's own tokenizer (tokenizer: {{from: {tmp_path}}}), or add rows for new tokens "
        "with model.resize_vocabulary: true"
    )


def test_rows_for_new_tokens_are_the_mean_of_the_known_ones(tmp_path):
    original = build_model(Model(size="nano"), SMALL, context=128, seed=7)
    original.save_pretrained(tmp_path)
    start = Model.model_validate({"from": str(tmp_path), "resize_vocabulary": True})
    model = build_model(start, WIDE, context=128, seed=0)
    known = original.decoder.weight
    assert model.config.vocab_size == 384
    assert model.decoder.weight.shape == (384, 128)
    assert model.decoder.weight is model.model.embeddings.tok_embeddings.weight, "tied as before"
    assert torch.equal(model.decoder.weight[:320], known)
    assert torch.allclose(model.decoder.weight[320:], known.mean(0))
    assert model.decoder.bias.shape == (384,)
    tokens = torch.arange(4, 104)[None]
    with torch.no_grad():
        before, after = (each.eval()(input_ids=tokens).logits for each in (original, model))
    assert torch.allclose(before, after[..., :320], atol=1e-6)


@pytest.mark.parametrize(("tied", "bias"), [(False, True), (False, False), (True, False)])
def test_rows_of_a_decoder_of_any_kind_are_means_too(tmp_path, tied, bias):
    from transformers import ModernBertForMaskedLM

    config = build_config("nano", SMALL, 128)
    config.tie_word_embeddings, config.decoder_bias = tied, bias
    torch.manual_seed(1)
    original = ModernBertForMaskedLM(config)
    original.save_pretrained(tmp_path)
    model = build_model(
        Model.model_validate({"from": str(tmp_path), "resize_vocabulary": True}), WIDE, context=128, seed=0
    )
    for ours, theirs in (
        (model.decoder, original.decoder),
        (model.get_input_embeddings(), original.get_input_embeddings()),
    ):
        assert ours.weight.shape == (384, 128)
        assert torch.equal(ours.weight[:320], theirs.weight)
        assert torch.allclose(ours.weight[320:], theirs.weight.mean(0))
    assert (model.decoder.weight is model.get_input_embeddings().weight) == tied
    assert (model.decoder.bias is not None) == bias


def test_a_resized_model_knows_the_special_tokens_of_the_tokenizer(tmp_path):
    build_model(Model(size="nano"), SMALL, context=128, seed=7).save_pretrained(tmp_path)
    edit_config(tmp_path, pad_token_id=None, cls_token_id=None)
    start = Model.model_validate({"from": str(tmp_path), "resize_vocabulary": True})
    model = build_model(start, replace(WIDE, pad=340), context=128, seed=0)
    assert (model.config.pad_token_id, model.config.cls_token_id, model.config.sep_token_id) == (340, 1, 2)
    assert model.get_input_embeddings().padding_idx == 340


@pytest.mark.parametrize("tokens", [300, 257, 150])
def test_resizing_what_has_the_rows_is_a_mistake(tmp_path, tokens):
    """Fewer tokens than rows never take rows away."""
    build_model(Model(size="nano"), SMALL, context=128, seed=7).save_pretrained(tmp_path)
    start = Model.model_validate({"from": str(tmp_path), "resize_vocabulary": True})
    with pytest.raises(DataError) as error:
        build_model(start, replace(SMALL, vocabulary_size=tokens), context=128, seed=0)
    assert str(error.value) == (
        f"model.resize_vocabulary: '{tmp_path}' has 320 embeddings already and the tokenizer {tokens} tokens; leave it out"
    )


def test_resizing_a_new_model_is_a_mistake():
    with pytest.raises(ValidationError, match="'resize_vocabulary' goes with 'from'; a new model fits its tokenizer"):
        Model(size="nano", resize_vocabulary=True)


def test_a_checkpoint_with_other_special_tokens(tmp_path):
    build_model(Model(size="nano"), SMALL, context=128, seed=7).save_pretrained(tmp_path)
    with pytest.raises(DataError) as error:
        build_model(Model.model_validate({"from": str(tmp_path)}), replace(SMALL, sep=9), context=128, seed=0)
    assert str(error.value) == (
        f"model.from: '{tmp_path}' knows [SEP] as 2, but the tokenizer as 9; "
        f"use the checkpoint's own tokenizer (tokenizer: {{from: {tmp_path}}})"
    )


def test_weights_that_cannot_be_read(tmp_path):
    build_model(Model(size="nano"), SMALL, context=128, seed=7).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DataError) as error:
        build_model(Model.model_validate({"from": str(tmp_path)}), SMALL, context=128, seed=0)
    assert str(error.value) == (
        f"model.from: '{tmp_path}': the folder holds no weights (model.safetensors or pytorch_model.bin)"
    )


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        if value is None:
            config.pop(key)
        else:
            config[key] = value
    (folder / "config.json").write_text(json.dumps(config))


def test_a_checkpoint_of_a_run_without_all_its_weights(tmp_path):
    original = build_model(Model(size="nano"), SMALL, context=128, seed=7)
    original.model.save_pretrained(tmp_path)
    with pytest.raises(DataError) as error:
        load_model(tmp_path)
    assert str(error.value) == (
        f"the checkpoint {tmp_path} cannot be loaded: its weights lack the masked-LM head "
        "(decoder.bias, head.dense.weight, head.norm.weight)"
    )


def test_an_invalid_theta_is_refused(tmp_path):
    build_model(Model(size="nano"), SMALL, context=128, seed=7).save_pretrained(tmp_path)
    edit_config(tmp_path, rope_parameters=None, global_rope_theta=160_000.0, local_rope_theta=-1)
    with pytest.raises(DataError) as error:
        build_model(Model.model_validate({"from": str(tmp_path)}), SMALL, context=128, seed=0)
    assert str(error.value) == (
        f"model.from: '{tmp_path}': the RoPE theta of sliding_attention is -1; write the theta it was trained with into its "
        "config.json (ModernBERT: 160,000 in full_attention, 10,000 in sliding_attention)"
    )
