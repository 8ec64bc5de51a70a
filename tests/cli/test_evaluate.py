"""`rexplug evaluate` and `rexplug report` as a user calls them."""

import json

import numpy as np
import pytest
from command_line import rexplug

pytestmark = pytest.mark.slow

SUITE = """
evaluators:
  - {use: classification, title: toy, train: $DATA/t.csv, tuning: {steps: 5, batch: 8, seeds: 1, learning_rates: [1e-3], max_tokens: 16}}
  - {use: similarity, title: none, train: $DATA/none.csv}
"""


def call(*arguments, code=0):
    done = rexplug(*arguments)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    words.train_from_iterator(
        ["red oak steel thing of number 0 1 2 3 4 5 6 7 8 9"], trainers.WordLevelTrainer(special_tokens=special)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
    )
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=32,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


def test_any_models_on_the_same_items(model, tmp_path):
    (tmp_path / "suite.yaml").write_text(SUITE)
    rows = "".join(f"thing of {c} number {n % 10} {n // 10},{c}\n" for n in range(60) for c in ("red", "oak"))
    (tmp_path / "t.csv").write_text("text,label\n" + rows)
    command = [
        "evaluate", "tfidf", f"mine={model}", f"random:{model}", "bm25", "--suite", tmp_path / "suite.yaml", "--data", tmp_path,
        "--out", tmp_path / "out",
    ]  # fmt: skip
    done = call(*command)
    assert "similarity.none is left out: cannot read" in done.stderr
    assert "classification.toy" in done.stdout
    assert (
        "\nclassification.toy: bm25 ranks texts and does not classify them; tfidf is the lexical baseline that does"
        in done.stdout
    )
    table = json.loads((tmp_path / "out/comparison.json").read_text())
    assert table["models"] == ["tfidf", "mine", f"random-{model.name}", "bm25"]
    assert 'href="items.html#evaluator=classification.toy"' in (tmp_path / "out/comparison.html").read_text()
    assert "thing of red number" in (tmp_path / "out/items.html").read_text()
    assert (tmp_path / "out/comparison-plots/differences.png").exists()
    before = (tmp_path / "out/mine/classification.toy.json").stat().st_mtime_ns
    again = call(*command)
    found = json.loads((tmp_path / "out/comparison.json").read_text())
    assert (found["rows"], found["findings"]) == (table["rows"], table["findings"])
    stored = [cost["stored"] for cost in found["costs"]["classification.toy"] if cost]
    assert stored == [True] * 3
    assert not any(cost["stored"] for cost in table["costs"]["classification.toy"] if cost)
    assert "*: stored by an earlier evaluation, whose machine may have been under a different load." in again.stdout
    assert (tmp_path / "out/mine/classification.toy.json").stat().st_mtime_ns == before, "nothing is computed twice"
    call(*command, "--fresh", "--only", "classification.toy")
    assert (tmp_path / "out/mine/classification.toy.json").stat().st_mtime_ns > before


def test_options_of_models_on_the_command_line(model, tmp_path):
    (tmp_path / "suite.yaml").write_text(
        "evaluators: [{use: similarity, title: toy, train: $DATA/t.csv, "
        "tuning: {modes: [probe], steps: 2, batch: 8, seeds: 1, learning_rates: [1e-3]}}]\n"
    )
    rows = "".join(f"thing {n % 10} {n // 10},red thing {n % 7},{n % 5}\n" for n in range(60))
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\n" + rows)
    named = [f"plain={model}", f"{{model: other={model}, prompt: '1 2 3 '}}"]
    more = ["--prompt", "red ", "--similarity", "dot", "--max-tokens", "16", "--batch-tokens", "64"]
    call("evaluate", *named, *more, "--suite", tmp_path / "suite.yaml", "--data", tmp_path, "--out", tmp_path / "out")
    from rexplug.evaluation.load_encoder import load_encoder

    encoder = load_encoder(model)
    for label, prompt in (("plain", "red "), ("other", "1 2 3 ")):
        stored = json.loads((tmp_path / f"out/{label}/similarity.toy.scores").read_text())["scores"]["raw.spearman"]
        products = set(stored["values"][0])
        one = encoder.encode([f"{prompt}thing {n % 10} {n // 10}" for n in range(60)], 16)
        two = encoder.encode([f"{prompt}red thing {n % 7}" for n in range(60)], 16)
        expected = (one * two).sum(1)
        assert all(np.abs(expected - product).min() < 1e-4 for product in products)


def test_dimensions_and_saved_embeddings_on_the_command_line(model, tmp_path):
    rows = "".join(f"thing {n % 10} {n // 10},red thing {n % 7},{n % 5}\n" for n in range(60))
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\n" + rows)
    (tmp_path / "suite.yaml").write_text(
        "evaluators: [{use: similarity, title: toy, train: $DATA/t.csv, "
        "tuning: {modes: [probe], steps: 2, batch: 8, seeds: 1, learning_rates: [1e-3]}}]\n"
    )
    where = ["--suite", tmp_path / "suite.yaml", "--data", tmp_path, "--out", tmp_path / "out"]
    asked = ["--dimensions", "8", "--dimensions", "4", "--save-embeddings", tmp_path / "saved"]
    done = call("evaluate", f"m={model}", "bm25", *asked, *where)
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["m@4.parquet", "m@8.parquet"]
    assert "m@4: embeddings are in" in done.stderr
    one = tmp_path / "one"
    one.mkdir()
    (tmp_path / "saved/m@4.parquet").rename(one / "m.parquet")
    call("evaluate", f"embeddings:{one}", *where)
    four, saved = (
        json.loads((tmp_path / f"out/{label}/similarity.toy.json").read_text())["metrics"]["raw.spearman"]["value"]
        for label in ("m@4", "one")
    )
    assert saved == pytest.approx(four, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bm25"], "write either --recipe R (its evaluators and held-out texts) or --suite NAME"),
        (
            ["x=", "--suite", "ecommerce"],
            "'x=' does not name a model; write a folder, a hub name, bm25, tfidf, random:FOLDER, onnx:FOLDER or embeddings:FOLDER",
        ),
        (
            ["bm25", "--suite", "ecommerce", "--budget", "fast"],
            "Invalid value for '--budget': 'fast' is not one of 'quick', 'standard', 'full'.",
        ),
        (["bm25", "bm25", "--suite", "ecommerce"], "the model bm25 is named twice"),
        (
            ["{model: embeddings:x, prompt: 'a '}", "--suite", "ecommerce"],
            "embeddings:x holds embeddings that are computed already, so prompt changes nothing; leave it out",
        ),
        (
            ["{model: x, query_promt: 'query: '}", "--suite", "ecommerce"],
            "models.0.query_promt: unknown key; did you mean 'query_prompt'?",
        ),
        (["bm25", "--suite", "ecommerce"], "the suite ecommerce reads local data: give its folder with --data DIR"),
        (
            ["bm25", "--suite", "ecommerce", "--data", "nowhere"],
            "no evaluator has its data; is --data the right folder?",
        ),
        (
            ["bm25", "--suite", "ecommerce", "--data", "x", "--only", "glue"],
            "--only glue: unknown evaluator; the evaluators are masked_recovery, ",
        ),
    ],
)
def test_mistakes_are_reported_in_a_line(arguments, message, tmp_path):
    assert message in call("evaluate", *arguments, "--out", tmp_path / "out", code=2).stderr


def test_a_recipe_without_evaluators_measures_nothing(tokenized_run, tmp_path):
    path, _, _ = tokenized_run
    said = call("evaluate", "bm25", "--recipe", path, "--out", tmp_path / "out", code=2).stderr
    assert said == f"rexplug: {path} has no evaluators; add `evaluators:`, or write --suite NAME in place of --recipe\n"


def test_a_folder_that_is_not_a_run_has_no_report(tmp_path):
    assert call("report", tmp_path, code=2).stderr == (
        f"rexplug: {tmp_path} is not a run directory: it has no run.json; give one like runs/NAME\n"
    )
