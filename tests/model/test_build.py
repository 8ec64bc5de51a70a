"""Sizes, seeds, loading and the change of RoPE thetas."""

import json

import pytest
import torch

from rexplug.errors import DataError
from rexplug.model import SIZES, build_config, build_model, load_model, set_rope, thetas
from rexplug.recipe.schema import Model


class Special:
    """ModernBERT's ids and vocabulary."""

    cls, sep, pad, vocabulary_size = 50281, 50282, 50283, 50_368


class Small:
    cls, sep, pad, vocabulary_size = 1, 2, 3, 300


# Ettin's counts with the tied MLM head (arXiv 2507.11412, configs/standard), recomputed from the shapes.
@pytest.mark.parametrize(
    ("size", "parameters"),
    [("micro", 16_913_600), ("mini", 68_457_664), ("base", 149_655_232), ("large", 395_881_664)],
)
def test_sizes_have_the_published_parameter_counts(size, parameters):
    from transformers import ModernBertForMaskedLM

    with torch.device("meta"):
        model = ModernBertForMaskedLM(build_config(size, Special(), 8192))
    assert sum(each.numel() for each in model.parameters()) == parameters


@pytest.mark.parametrize("size", SIZES)
def test_first_and_last_layer_are_global_and_every_third(size):
    config = build_config(size, Special(), 8192)
    kinds = [kind == "full_attention" for kind in config.layer_types]
    assert kinds == [number % 3 == 0 for number in range(config.num_hidden_layers)]
    assert kinds[-1]
    assert (config.local_attention, config.max_position_embeddings) == (128, 8192)


def test_embedding_rows_are_a_multiple_of_64():
    assert build_config("nano", Small(), 128).vocab_size == 320


def test_the_seed_alone_decides_the_weights():
    def weights(seed):
        return build_model(Model(size="nano"), Small(), context=128, seed=seed).state_dict()

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
    config = build_config("nano", Small(), 128)
    assert (config.attention_dropout, config.mlp_dropout, config.embedding_dropout) == (0.0, 0.0, 0.0)


def test_a_theta_changed_on_the_live_model_equals_one_loaded_from_its_folder(tmp_path):
    model = build_model(Model(size="nano"), Small(), context=128, seed=7).eval()
    tokens = torch.arange(4, 104)[None]
    with torch.no_grad():
        before = model(input_ids=tokens).logits
        set_rope(model, global_theta=160_000.0, local_theta=None)
        after = model(input_ids=tokens).logits
    assert thetas(model) == {"global": 160_000.0, "local": 10_000.0}
    assert not torch.equal(before, after)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path).eval()
    assert thetas(loaded) == thetas(model)
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=tokens).logits, after)
        set_rope(model, global_theta=10_000.0, local_theta=10_000.0)
        assert torch.equal(model(input_ids=tokens).logits, before)


def test_going_on_from_a_checkpoint(tmp_path):
    made = build_model(Model(size="nano"), Small(), context=128, seed=7)
    made.config.attention_dropout = 0.1
    made.save_pretrained(tmp_path)
    model = build_model(Model.model_validate({"from": str(tmp_path)}), Small(), context=512, seed=0)
    assert torch.equal(model.decoder.weight, made.decoder.weight)
    assert model.config.attention_dropout == 0.0
    assert model.config.max_position_embeddings == 512, "a longer context must reach the exported config"


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="model.from: '.*/nowhere' is no model folder and could not be loaded: "):
        build_model(Model.model_validate({"from": str(tmp_path / "nowhere")}), Small(), context=128, seed=0)


def test_a_checkpoint_of_another_family(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(DataError) as error:
        build_model(Model.model_validate({"from": str(tmp_path)}), Small(), context=128, seed=0)
    assert str(error.value) == (
        f"model.from: '{tmp_path}' is a bert model; only the ModernBERT family can be gone on from"
    )


def test_a_checkpoint_with_too_few_embeddings(tmp_path):
    build_model(Model(size="nano"), Small(), context=128, seed=7).save_pretrained(tmp_path)
    with pytest.raises(DataError) as error:
        build_model(Model.model_validate({"from": str(tmp_path)}), Special(), context=128, seed=0)
    assert str(error.value) == (
        f"model.from: '{tmp_path}' has 320 embeddings, but the tokenizer has 50368 tokens; "
        f"go on with the checkpoint's own tokenizer (tokenizer: {{from: {tmp_path}}})"
    )
