"""RoPE thetas: read, changed on a live model, and warned of."""

import json

import pytest
import torch
from model.helpers import SMALL

from rexplug.errors import DataError
from rexplug.model import build_config, build_model, load_model, set_rope, theta_warnings, thetas
from rexplug.recipe.schema import Model


def test_a_theta_changed_on_the_live_model_equals_one_loaded_from_its_folder(tmp_path):
    model = build_model(Model(size="nano"), SMALL, context=128, seed=7).eval()
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


def test_thetas_are_read_from_older_configs_too(tmp_path):
    """ModernBERT's own config.json names them `global_rope_theta` and `local_rope_theta`."""
    build_model(Model(size="nano"), SMALL, context=128, seed=7).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["rope_parameters"]
    config |= {"global_rope_theta": 160_000.0, "local_rope_theta": 20_000.0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = build_model(Model.model_validate({"from": str(tmp_path)}), SMALL, context=128, seed=0)
    assert thetas(model) == {"global": 160_000.0, "local": 20_000.0}


def test_a_theta_of_layers_that_the_model_does_not_have():
    from transformers import ModernBertForMaskedLM

    config = build_config("nano", SMALL, 128)
    config.layer_types = ["full_attention"] * 4
    with pytest.raises(DataError) as error:
        set_rope(ModernBertForMaskedLM(config), global_theta=None, local_theta=20_000.0)
    assert str(error.value) == "rope.local_theta: the model has no local layers; leave it out"


@pytest.mark.parametrize(
    ("global_theta", "local_theta", "context", "expected"),
    [
        (None, None, 8192, []),
        (160_000.0, 10_000.0, 8192, []),
        (10_000.0, None, 1024, ["lowers rope.global_theta from 160,000 to 10,000"]),
        (None, 160_000.0, 1024, ["changes rope.local_theta from 10,000 to 160,000"]),
        (10_000.0, None, 8192, ["lowers rope.global_theta", "reads 8,192 tokens at the global theta 10,000"]),
    ],
)
def test_odd_thetas_are_warned_of(global_theta, local_theta, context, expected):
    found = theta_warnings(
        {"global": 160_000.0, "local": 10_000.0}, global_theta=global_theta, local_theta=local_theta, context=context,
        phase="anneal",
    )  # fmt: skip
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert text.startswith(f"phase 'anneal' {part}")
