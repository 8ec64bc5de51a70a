"""Ablations: variants, shared stages, and resuming."""

import json
from pathlib import Path

import pytest

from rexplug import RecipeError
from rexplug.pipeline.ablate import Ablation, Axis, run_ablation, variants_of
from rexplug.pipeline.manifest import Manifest
from rexplug.plugins.discovery import load_plugins
from rexplug.progress import Silent

RECIPE = """
name: toy
sources: {web: {use: ecommerce.sample_pages, pages: 150}}
curation: {deduplicate: exact, held_out: 0.1}
tokenizer: {use: train, vocabulary: 500}
model: {size: nano}
defaults: {context: 128, batch_tokens: 512, mixing: {use: annealing.constant, shares: {web: 1}}}
phases:
  - {name: pretrain, tokens: 3k, learning_rate: {peak: 3e-3, warmup: 1k, decay: 0}, masking: {use: random, rate: 0.3}}
  - name: anneal
    tokens: 2k
    learning_rate: {peak: 2e-3, schedule: one_minus_sqrt}
    masking: {use: guided_mlm.guided, scorer: {use: ecommerce.attributes}, rate: 0.2}
evaluators: [{use: masked_recovery, documents: 8, published: false}]
"""
VARY = "phases.anneal.masking=[{use: random, rate: 0.2}, {use: guided_mlm.guided, scorer: ecommerce.attributes, rate: 0.2}]"


def test_axes_make_every_combination():
    axes = [Axis.parse("phases.0.masking.rate=[0.15, 0.3]"), Axis.parse("phases.0.mixing=[{use: a.b, x: 1}, c.d]")]
    found = variants_of(axes)
    assert [variant.label for variant in found] == [
        "rate=0.15, mixing=a.b", "rate=0.15, mixing=c.d", "rate=0.3, mixing=a.b", "rate=0.3, mixing=c.d",
    ]  # fmt: skip
    assert found[0].overrides == ("phases.0.masking.rate=0.15", 'phases.0.mixing={"use": "a.b", "x": 1}')
    assert len({variant.folder for variant in found}) == 4


def test_components_of_one_name_are_distinguished_by_their_options():
    axis = Axis.parse("phases.0.masking=[{use: random, rate: 0.15}, {use: random, rate: 0.3}]")
    assert axis.labels == ("masking=random rate:0.15", "masking=random rate:0.3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "--vary seed: write KEY=[VALUE, VALUE, ...], e.g. phases.anneal.masking.rate=[0.15, 0.3]"),
        ("seed=3", "--vary seed=3: write a list of at least two values, e.g. seed=[0.15, 0.3]"),
        ("seed=[3, 3]", "--vary seed=[3, 3]: a value is written twice"),
        ("seed=[3", "--vary seed=[3:1: this is not YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_unvariable_keys_are_reported(text, message):
    with pytest.raises(RecipeError) as caught:
        Axis.parse(text)
    assert str(caught.value) == message


def test_a_key_is_varied_once():
    with pytest.raises(RecipeError) as caught:
        variants_of([Axis.parse("seed=[1, 2]"), Axis.parse("seed=[3, 4]")])
    assert str(caught.value) == "--vary seed: the key is varied twice; put all its values into one list"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE)
    return path


def test_all_variants_store_the_same_salience_and_share_their_data(recipe):
    plan = Ablation.plan(recipe, (), [Axis.parse(VARY)], 2, load_plugins())
    recipes = list(plan.recipes.values())
    assert len(recipes) == 4
    assert {tuple(s.channel for s in each.scorers) for each in recipes} == {
        tuple(s.channel for s in recipes[0].scorers)
    }
    assert all(each.evaluation_scorer == recipes[0].evaluation_scorer is not None for each in recipes)
    assert {each.seed for each in recipes} == {17}
    assert sorted(each.seed_of_training for each in recipes) == [17, 17, 18, 18]


def test_an_invalid_variant_is_refused_before_anything_runs(recipe):
    with pytest.raises(RecipeError, match="unknown key; did you mean 'masking'"):
        Ablation.plan(recipe, (), [Axis.parse("phases.anneal.maskng=[a, b]")], 1, load_plugins())


class Notes(Silent):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


@pytest.mark.slow
def test_variants_share_unchanged_stages_and_resume(recipe, tmp_path):
    registry = load_plugins()
    plan = Ablation.plan(recipe, (), [Axis.parse(VARY)], 1, registry)
    first = Notes()
    found = run_ablation(plan, tmp_path / "out", first, plugins=registry.versions(), command="rexplug ablate")
    one, two = (plan.folder(tmp_path / "out", variant, 17) for variant in plan.variants)
    taken = [line for line in first.lines if "reused from" in line]
    assert [line.split(":")[0] for line in taken] == [
        "curate", "tokenize", "train.initial", "evaluate.initial", "train.pretrain", "evaluate.pretrain",
    ]  # fmt: skip
    shared = Path("checkpoints/pretrain/final/model.safetensors")
    assert (one.root / shared).stat().st_ino == (two.root / shared).stat().st_ino, "a hard link, not a copy"
    assert (one.root / "checkpoints/anneal/final/model.safetensors").read_bytes() != (
        two.root / "checkpoints/anneal/final/model.safetensors"
    ).read_bytes()
    phases = [json.loads(line)["phase"] for line in two.metrics.read_text().splitlines()]
    assert list(dict.fromkeys(phases)) == ["pretrain", "anneal"]
    assert str(one.root) not in json.dumps(Manifest.open(two).stage("train.pretrain")["result"])
    assert found.models == ["masking=random", "masking=guided_mlm.guided"]
    assert any(row.metric == "web.salient" for row in found.rows)
    table = json.loads((tmp_path / "out/ablation.json").read_text())
    assert table["seconds_saved"] > 0
    assert "Ablation" in (tmp_path / "out/ablation.html").read_text()

    again = Notes()
    run_ablation(plan, tmp_path / "out", again, plugins=registry.versions(), command="rexplug ablate")
    assert not [line for line in again.lines if line.endswith("starts") or "reused" in line]

    # Another question takes what is the same from a run of the first one.
    other = Notes()
    plan = Ablation.plan(recipe, (), [Axis.parse("phases.anneal.tokens=[2k, 2500]")], 1, registry)
    run_ablation(
        plan, tmp_path / "other", other, plugins=registry.versions(), command="rexplug ablate", share_with=[two]
    )
    taken = [line.split(":")[0] for line in other.lines if "reused from" in line]
    assert taken.count("train.pretrain") == 2
    assert taken.count("train.anneal") == 1
