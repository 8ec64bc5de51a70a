"""`run_tiny` runs a recipe from sources to report, in small; what a plugin's code does wrong names the plugin."""

import json
import os

import pytest

import rexplug
from rexplug.contracts.samples import domain_documents, general_documents
from rexplug.testing import run_tiny

PLUGIN = '''\
from pathlib import Path

import numpy as np
import rexplug

FAIL = ""


def fail(method):
    if FAIL == method:
        raise ValueError("broken")


class Texts(rexplug.DocumentSource):
    """Texts of a file."""

    name = "town.texts"
    path: Path
    """The file."""

    def documents(self, shard):
        for number, record in rexplug.read_records(self.path):
            if number == 30:
                fail("documents")
            yield rexplug.Document(record["id"], record["text"])


class Permits(rexplug.CorpusFilter):
    """Keep texts about permits."""

    name = "town.permits"

    def judge(self, document):
        if document.id == "decision-7":
            fail("judge")
        return rexplug.Verdict("permit" in document.text, "no permit")


class Labels(rexplug.Labeller):
    """Label texts about permits."""

    name = "town.labels"

    def label(self, candidates, context):
        fail("label")
        return ["permit" in candidate.document.text for candidate in candidates]


class Capitals(rexplug.SalienceScorer):
    """Score capital letters."""

    name = "town.capitals"

    def score(self, document):
        if document.id == "decision-7":
            fail("score")
        return np.array([255 * document.text[start:end].strip().istitle() for start, end in document.offsets], np.uint8)


class First(rexplug.MaskingPolicy):
    """Mask at random."""

    name = "town.first"

    def choose(self, batch, progress, generator):
        if 0.2 < progress < 0.8:
            fail("choose")
        return rexplug.random_tokens(batch.maskable, self.budget(batch, progress), generator)


class Even(rexplug.MixingSchedule):
    """Equal shares."""

    name = "town.even"

    def weights(self, progress):
        if 0.2 < progress < 0.4:
            fail("weights")
        return {"general": 1, "town": 1}


class Length(rexplug.Evaluator):
    """The mean length of embeddings."""

    name = "town.length"

    def evaluate(self, context):
        context.encoder.tokenizer  # what `check` tries evaluators on has none
        fail("evaluate")
        texts = [document.text for documents in context.held_out.values() for document in documents]
        lengths = np.linalg.norm(context.encoder.encode(texts), axis=1)
        return rexplug.EvaluationResult({"length": rexplug.Metric(float(lengths.mean()), num_items=len(texts))}, main="length")


COMPONENTS = [Texts, Permits, Labels, Capitals, First, Even, Length]
'''
RECIPE = """\
name: town
plugins: [./town.py]
sources:
  general: {use: jsonl, paths: $RECIPE_DIR/general.jsonl}
  town: {use: town.texts, path: $RECIPE_DIR/town.jsonl, filters: [town.permits, {use: relevance, at_least: 0.1}]}
relevance: {labels: town.labels, sources: [general, town]}
curation: {deduplicate: exact, held_out: 0.01, executor: {workers: 8}}
tokenizer: {from: none/of-this-name}
model: {from: none/of-this-name}
phases:
  - name: pretrain
    tokens: 10B
    context: 1024
    batch_tokens: 4M
    batch_warmup: {start: 400k, tokens: 1B}
    learning_rate: {peak: 1e-3, warmup: 1B, decay: 2B}
    mixing: town.even
    masking: {use: town.first, rate: 0.3}
    checkpoints: {every_tokens: 1B, keep_best: 2}
    average: 2
  - name: anneal
    tokens: 1B
    context: 8192
    min_tokens: 4096
    batch_tokens: 4M
    learning_rate: {peak: 1e-3, schedule: one_minus_sqrt}
    mixing: {use: annealing.linear, start: {general: 1}, end: {town: 1}}
    masking: {use: guided_mlm.guided, scorer: town.capitals}
evaluators: [town.length, masked_recovery]
baselines: [bm25, none/of-this-name]
loggers: [tensorboard]
"""
pytestmark = pytest.mark.slow


@pytest.fixture
def town(tmp_path):
    """Writes the recipe with its plugin, a method of which fails; returns its path."""

    def write(fail=""):
        (tmp_path / "town.py").write_text(PLUGIN.replace('FAIL = ""', f'FAIL = "{fail}"'))
        for name, records in (("general", general_documents(300)), ("town", domain_documents(count=300))):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        (tmp_path / "town.yaml").write_text(RECIPE)
        return tmp_path / "town.yaml"

    return write


def test_a_recipe_for_a_cluster_runs_in_seconds(town, tmp_path):
    before = os.environ.get("REXPLUG_CACHE")
    run = run_tiny(town(), folder=tmp_path / "run")
    assert run.status == "done"
    assert run.folder == tmp_path / "run"
    assert {name: counts.read for name, counts in run.corpus.items()} == {"general": 100, "town": 100}
    assert all(counts.held_out >= 10 for counts in run.corpus.values())
    last = {row["phase"]: row["tokens"] for row in run.metrics}
    assert 4096 <= last["pretrain"] < 5000
    assert 4096 <= last["anneal"] < 5000
    assert {(row["model"], row["evaluator"]) for row in run.evaluations} >= {
        ("anneal", "town.length"), ("anneal", "masked_recovery"),
    }  # fmt: skip
    assert [phase.name for phase in run.recipe.phases] == ["pretrain", "anneal"]
    assert run.load_model().config.hidden_size == 128
    assert os.environ.get("REXPLUG_CACHE") == before


def test_sizes_can_be_chosen_and_a_loaded_recipe_given(town):
    recipe = rexplug.load_recipe(town(), ["evaluators=[]"])
    run = run_tiny(recipe, documents=40, tokens=1024, until="train.pretrain")
    assert {name: counts.read for name, counts in run.corpus.items()} == {"general": 40, "town": 40}
    assert run.metrics[-1]["tokens"] < 2000
    assert "train.anneal" not in run.stages
    with pytest.raises(rexplug.RexplugError, match="^overrides are for a recipe that is not loaded yet; give them to"):
        run_tiny(recipe, overrides="seed=3")
    with pytest.raises(rexplug.RexplugError, match="^tokens is at least 512, not 100$"):
        run_tiny(recipe, tokens=100)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("documents", "town.texts.documents() raised ValueError on shard 1 of 1: broken"),
        ("judge", "town.permits.judge() raised ValueError on document 'decision-7': broken"),
        ("label", "town.labels.label() raised ValueError on 2 candidates: broken"),
        ("score", "town.capitals.score() raised ValueError on document 'decision-7': broken"),
        ("weights", "town.even.weights() raised ValueError at progress 0."),
        ("choose", "town.first.choose() raised ValueError on a row of "),
        ("evaluate", "town.length.evaluate() raised ValueError: broken"),
    ],
)
def test_a_failure_names_the_plugin(town, method, message):
    with pytest.raises(rexplug.RexplugError) as error:
        run_tiny(town(method))
    assert message in str(error.value)
    assert 'town.py:11, in fail: raise ValueError("broken")' in str(error.value)
