"""A family is described in one place: no other module contains its names, and another description can replace it."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from model.helpers import Special
from safetensors.torch import save_file

from rexplug.model.checkpoint.inspection import inspect_checkpoint
from rexplug.model.config_file import ConfigFile
from rexplug.model.family import DEFAULT_FAMILY, FAMILIES, MODERNBERT, SIZES, embedding_rows, shape_and_rows
from rexplug.model.flops import attention_pairs, training_flops
from rexplug.model.layout import HIDDEN, INTERMEDIATE, VOCABULARY, Module
from rexplug.planning import make_plan
from rexplug.recipe import load_recipe
from rexplug.recipe.schema import Model
from rexplug.run_directory import RunDirectory

PACKAGE = Path(__file__).parents[2] / "rexplug"
KNOW_THE_FAMILY = {"model/family.py", "model/layers.py", "model/config_file.py"}
MODULES = [
    *MODERNBERT.layout.layer, *MODERNBERT.layout.head, MODERNBERT.layout.embedding, MODERNBERT.layout.last_norm,
]  # fmt: skip
FIELDS = [
    MODERNBERT.config.layer_kinds, "rope_parameters", "inv_freq", "global_attn_every_n_layers",
    *MODERNBERT.config.dropouts, "local_attention", "hidden_activation",
    *(kind.name for kind in MODERNBERT.kinds.values()), *(kind.transformers_4_theta for kind in MODERNBERT.kinds.values()),
]  # fmt: skip
PARTS = {part for module in MODULES for part in module.name.split(".")} - {
    "attn",
    "mlp",
    "head",
    "dense",
    "norm",
    "embeddings",
}
NAMES = re.compile("|".join(
    ["(?i:modernbert)", *(re.escape(module.name) for module in MODULES if "." in module.name),
     *(rf"\b{part}\b" for part in PARTS), *FIELDS]
))  # fmt: skip
WINDOWS = {MODERNBERT.half_window, 2 * MODERNBERT.half_window, 2 * MODERNBERT.half_window + 1}


def family_names(source):
    """Names of the family in identifiers and strings of a module, with their lines; docstrings and comments may name it."""
    tree = ast.parse(source)
    documentation = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
            texts = [node.value]
        elif isinstance(node, ast.Name):
            texts = [node.id]
        elif isinstance(node, ast.Attribute):
            texts = [node.attr]
        elif isinstance(node, ast.alias):
            texts = [node.name, node.asname or ""]
        elif isinstance(node, ast.keyword | ast.arg):
            texts = [node.arg or ""]
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            texts = [node.name]
        else:
            texts = []
        yield from ((node.lineno, text) for text in texts if NAMES.search(text))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            window = any("window" in ast.unparse(target).lower() for target in targets)
            values = [node.value, *getattr(node.value, "elts", [])]
            if window and any(isinstance(value, ast.Constant) and value.value in WINDOWS for value in values):
                yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize(
    "line",
    [
        'path = "model.layers.0.mlp.Wi.weight"',
        "out = layer.attn.Wqkv",
        "from rexplug.model.family import MODERNBERT",
        'if config.model_type == "modernbert": pass',
        'kinds = config["layer_types"]',
        'theta = config.rope_parameters["full_attention"]',
        "HALF_WINDOW = 64",
        "_WINDOW: int = 129",
    ],
)
def test_names_of_the_family_are_recognized(line):
    assert list(family_names(line))
    assert not list(family_names(f"'''{line}'''\nwindow = 3"))


def test_three_modules_know_the_family():
    knowing = {
        str(path.relative_to(PACKAGE)): list(family_names(path.read_text(encoding="utf-8")))
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert {path for path in knowing if path in KNOW_THE_FAMILY and knowing[path]} == KNOW_THE_FAMILY
    assert {path: found for path, found in knowing.items() if found and path not in KNOW_THE_FAMILY} == {}


TOY_LAYOUT = replace(
    MODERNBERT.layout,
    encoder="toy.",
    embedding=Module("words", (VOCABULARY, HIDDEN)),
    embedding_norm=Module("words_norm", (HIDDEN,), "norm_bias"),
    layers="blocks",
    layer=(
        Module("before", (HIDDEN,), "norm_bias"),
        Module("query", (HIDDEN, HIDDEN), "attention_bias"),
        Module("key_value", ((2, "hidden"), HIDDEN), "attention_bias"),
        Module("output", (HIDDEN, HIDDEN), "attention_bias"),
        Module("up", (INTERMEDIATE, HIDDEN), "mlp_bias"),
        Module("down", (HIDDEN, INTERMEDIATE), "mlp_bias"),
    ),
    not_in_first_layer=frozenset(),
    last_norm=Module("last", (HIDDEN,), "norm_bias"),
    head=(Module("predict", (HIDDEN, HIDDEN), "classifier_bias"),),
    decoder=Module("words_again", (VOCABULARY, HIDDEN), "decoder_bias"),
)
TOY_CONFIG = replace(
    MODERNBERT.config, layers="n_layers", hidden="width", intermediate="inner", heads="n_heads", vocabulary="n_words",
    defaults=MODERNBERT.config.defaults | {"n_layers": 1, "width": 1, "inner": 1, "n_heads": 1, "n_words": 1},
)  # fmt: skip
TOY = replace(
    MODERNBERT, model_type="toy", title="Toy", layout=TOY_LAYOUT, config=TOY_CONFIG, half_window=8, global_every=2
)
"""A family with other names of weights and of fields, a GLU-free MLP, other windows, and a norm before every attention."""
LAYERS, WIDTH, INNER, WORDS = 3, 16, 24, 64
CONFIG = {
    "model_type": "toy", "n_layers": LAYERS, "width": WIDTH, "inner": INNER, "n_heads": 2, "n_words": WORDS,
    "num_hidden_layers": LAYERS, "hidden_size": WIDTH, "num_attention_heads": 2, "vocab_size": WORDS,
    "global_attn_every_n_layers": 2,
}  # fmt: skip


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(FAMILIES, "toy", TOY)


def toy_weights():
    weights = {
        "toy.words.weight": (WORDS, WIDTH), "toy.words_norm.weight": (WIDTH,), "toy.last.weight": (WIDTH,),
        "predict.weight": (WIDTH, WIDTH), "words_again.bias": (WORDS,),
    }  # fmt: skip
    for number in range(LAYERS):
        weights |= {
            f"toy.blocks.{number}.before.weight": (WIDTH,), f"toy.blocks.{number}.query.weight": (WIDTH, WIDTH),
            f"toy.blocks.{number}.key_value.weight": (2 * WIDTH, WIDTH), f"toy.blocks.{number}.output.weight": (WIDTH, WIDTH),
            f"toy.blocks.{number}.up.weight": (INNER, WIDTH), f"toy.blocks.{number}.down.weight": (WIDTH, INNER),
        }  # fmt: skip
    return weights


def test_another_family_s_weights_have_its_names_and_shapes(toy):
    assert ConfigFile.of(CONFIG).expected_weights() == toy_weights()


def test_another_family_s_checkpoint_is_inspected_by_its_names(toy, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    weights = {name: torch.zeros(shape) for name, shape in toy_weights().items()}
    save_file(weights, tmp_path / "model.safetensors")
    inspection = inspect_checkpoint(tmp_path)
    assert (list(inspection.problems), inspection.new_weights) == ([], ())
    del weights["toy.blocks.1.up.weight"], weights["predict.weight"], weights["words_again.bias"]
    save_file(weights, tmp_path / "model.safetensors")
    assert list(inspect_checkpoint(tmp_path).problems) == [
        "its weights are not those of its config.json: 1 of the encoder's 21 is missing (toy.blocks.1.up.weight)"
    ]
    save_file(weights | {"toy.blocks.1.up.weight": torch.zeros(INNER, WIDTH)}, tmp_path / "model.safetensors")
    assert inspect_checkpoint(tmp_path).new_weights == ("predict.weight", "words_again.bias")


def test_another_family_s_parameters_and_operations_follow_from_its_layout():
    shape, rows = shape_and_rows(CONFIG, TOY)
    assert (rows, shape.global_layers) == (WORDS, 2)
    shapes = toy_weights()
    assert shape.parameters(rows) == sum(torch.Size(weight).numel() for weight in shapes.values())
    embedding = WORDS * WIDTH + WIDTH
    head = WIDTH * WIDTH + WORDS
    assert shape.encoder(rows) == shape.parameters(rows) - head
    assert shape.without_embedding == shape.encoder(rows) - embedding
    products = LAYERS * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
    seen = 2 * 100 + 1 * 17  # global layers see all of 100 tokens, local ones 8 to either side
    expected = 6 * (products + 0.3 * (WIDTH * WIDTH + WIDTH * WORDS)) + 12 * WIDTH * seen
    assert shape.flops_per_token(rows, attended=100, masked=0.3) == pytest.approx(expected, rel=1e-12)


def test_a_plan_of_another_family_s_checkpoint(toy, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
name: toy
sources: {{web: {{use: text, paths: nowhere}}}}
tokenizer: {{from: {tmp_path}}}
model: {{from: {tmp_path}}}
phases:
  - name: only
    tokens: 1M
    context: 64
    batch_tokens: 1024
    learning_rate: {{peak: 8e-4, schedule: constant}}
    mixing: {{use: annealing.constant, shares: {{web: 1}}}}
    masking: {{use: random, rate: 0.3}}
"""
    )
    plan = make_plan(load_recipe(recipe), RunDirectory(tmp_path / "run"))
    shape, rows = shape_and_rows(CONFIG, TOY)
    assert (plan.shape, plan.rows, plan.parameters) == (shape, rows, shape.parameters(rows))
    assert plan.flops == pytest.approx(1e6 * shape.flops_per_token(rows, attended=64, masked=0.3))


def test_a_family_that_is_not_known_is_not_inspected(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert list(inspect_checkpoint(tmp_path).problems) == ["is a toy model"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("length", [1, 40, 65])
def test_plans_and_mfu_count_the_same_operations(size, length):
    """For documents that a window covers from every token; for longer ones a plan counts the whole window at their ends too."""
    from rexplug.model import build_config

    config = build_config(size, Special(300), 1024)
    pairs = attention_pairs([length], None), attention_pairs([length], DEFAULT_FAMILY.half_window)
    measured = training_flops(
        config, num_tokens=length, global_pairs=pairs[0], local_pairs=pairs[1], num_masked=length
    )  # fmt: skip
    planned = SIZES[size].flops_per_token(embedding_rows(300), attended=length, masked=1.0)
    assert planned * length == measured


def test_a_recipe_may_name_the_sizes_of_the_default_family():
    assert {*get_args(get_args(Model.model_fields["size"].annotation)[0])} == {*SIZES}


def test_the_config_of_a_size_gives_its_shape():
    from rexplug.model import build_config

    for size, shape in SIZES.items():
        assert shape_and_rows(build_config(size, Special(300), 1024)) == (shape, 320)
