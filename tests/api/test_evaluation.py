"""`rexplug.evaluate` and `rexplug.compare`: mistakes, and results from several places in one table."""

import json

import pytest

import rexplug
from rexplug import api
from rexplug.progress import Silent


class Notes(Silent):
    """Keeps the lines that are noted."""

    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


@pytest.fixture
def model_folder(tmp_path):
    """The folder of a random ModernBERT with its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    words.train_from_iterator(
        ["the red cotton shirt number fits well and is soft"], trainers.WordLevelTrainer(special_tokens=special)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]",
    )  # fmt: skip
    folder = tmp_path / "model"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=128, local_attention=32, cls_token_id=1, sep_token_id=2, pad_token_id=3, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    ModernBertForMaskedLM(config).save_pretrained(folder)
    return folder


def result(value):
    return {
        "evaluator": "masked_recovery", "main": "top1",
        "metrics": {"top1": {"value": value, "num_items": 50}, "top5": {"value": value + 0.2, "num_items": 50}},
    }  # fmt: skip


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A run with two moments, and a folder of results."""
    monkeypatch.chdir(tmp_path)
    moments = {"pretrain": 0.3, "anneal": 0.5}
    for moment, value in moments.items():
        (tmp_path / "shop/evaluation" / moment).mkdir(parents=True)
        (tmp_path / "shop/evaluation" / moment / "masked_recovery.json").write_text(json.dumps(result(value)))
    stages = {f"evaluate.{moment}": {"status": "done"} for moment in moments}
    (tmp_path / "shop/run.json").write_text(json.dumps({"status": "done", "stages": stages}))
    (tmp_path / "peer").mkdir()
    (tmp_path / "peer/masked_recovery.json").write_text(json.dumps(result(0.4)))
    return tmp_path


def values(comparison):
    return {(row.evaluator, row.metric): [cell.metric.value for cell in row.cells] for row in comparison.rows}


def test_runs_moments_and_folders_share_one_table(places):
    run = rexplug.open_run("shop")
    comparison = rexplug.compare([run, "before=shop@pretrain", places / "peer"])
    assert list(comparison.models) == ["shop", "before", "peer"]
    assert values(comparison) == {("masked_recovery", "top1"): [0.5, 0.3, 0.4]}
    assert ("masked_recovery", "top5") in values(rexplug.compare([run, "peer"], all_metrics=True))


def test_what_evaluate_returned_and_paths_can_be_mixed(places):
    (measured,) = [api.ModelResults("mine", {"masked_recovery": result(0.9)}, {})]
    assert values(rexplug.compare([measured, "peer", "shop"])) == {("masked_recovery", "top1"): [0.9, 0.4, 0.5]}
    assert list(rexplug.compare([measured, "peer"]).models) == ["mine", "peer"]


def test_a_comparison_is_written_as_a_page_and_as_json(places):
    comparison = rexplug.compare(["shop", "peer"])
    api.write_comparison(comparison, html="out.html", json=places / "out.json", title="Two models")
    assert json.loads((places / "out.json").read_text())["models"] == ["shop", "peer"]
    assert "Two models" in (places / "out.html").read_text()


def test_incomparable_results_are_reported(places):
    with pytest.raises(rexplug.DataError, match="nowhere: there is no such folder; give runs or folders that "):
        rexplug.compare(["shop", "nowhere"])
    with pytest.raises(rexplug.DataError) as error:
        rexplug.compare(["shop@extend"])
    assert str(error.value) == "shop@extend: there is no such moment; there are pretrain, anneal"


@pytest.mark.parametrize(
    ("models", "suite", "options", "message"),
    [
        (
            ["x="],
            "ecommerce",
            {},
            "'x=' does not name a model; write a folder, a hub name, bm25, tfidf, random:FOLDER, onnx:FOLDER or embeddings:FOLDER",
        ),
        (["bm25", "bm25"], "ecommerce", {}, "the model bm25 is named twice"),
        (["bm25"], "ecommerce", {}, "the suite ecommerce reads local data: give its folder with --data DIR"),
        (["bm25"], "ecommerce", {"data": "none"}, "no evaluator has its data; is --data the right folder?"),
        (["bm25"], "none.yaml", {}, "none.yaml: file not found"),
        (["bm25"], "ecommerce", {"precision": "fp16"}, "precision is fp32, bf16 or int8, not 'fp16'"),
        (
            ["bm25"],
            "ecommerce",
            {"options": {"query_promt": "q"}},
            "options.query_promt: unknown key; did you mean 'query_prompt'?",
        ),
        (
            ["bm25"],
            "ecommerce",
            {"options": {"max_tokens": 4}},
            "options.max_tokens: Input should be greater than or equal to 8",
        ),
        (["bm25"], "ecommerce", {"options": ["max_tokens"]}, "options is a mapping, not ['max_tokens']"),
        ([{"query_prompt": "q"}], "ecommerce", {}, "models.0.model: is missing"),
        (
            ["{model: bm25, max_tokens: 64}"],
            "ecommerce",
            {},
            "bm25 is not an encoder and has no option max_tokens; leave it out",
        ),
    ],
)
def test_mistakes_are_named_before_anything_is_measured(models, suite, options, message, places):
    with pytest.raises(rexplug.RexplugError) as error:
        rexplug.evaluate(models, suite, **options)
    assert str(error.value) == message
    assert not (places / "evaluation").exists()


@pytest.mark.slow
def test_what_bf16_changes_is_shown_by_one_call(tmp_path, monkeypatch, model_folder):
    monkeypatch.chdir(tmp_path)
    texts = "".join(
        json.dumps({"text": f"the red cotton shirt number {n} fits well and is soft"}) + "\n" for n in range(30)
    )
    (tmp_path / "texts.jsonl").write_text(texts)
    suite = "evaluators: [{use: embedding_geometry, texts: {made: {use: jsonl, paths: texts.jsonl}}}]"
    (tmp_path / "suite.yaml").write_text(suite)
    notes = Notes()
    measured = rexplug.evaluate(
        [f"mine={model_folder}", "bm25"], "suite.yaml", precision=["bf16", "fp32"], progress=notes
    )
    assert [model.label for model in measured] == ["mine", "mine-bf16", "bm25"]
    (exact, rounded) = (model.results["embedding_geometry"] for model in measured[:2])
    assert (exact["precision"], rounded["precision"]) == ("fp32", "bf16")
    one, other = (result["metrics"]["anisotropy"]["value"] for result in (exact, rounded))
    assert other == pytest.approx(one, abs=0.01)
    comparison = rexplug.compare(measured)
    assert comparison.notes[0] == "Evaluated with matrix products in bf16: mine-bf16. The others are in fp32."
    assert comparison.num_tests >= 1
    # The time is forecast: by default at first, then from what was measured.
    said = [note for note in notes.lines if " about " in note]
    assert len(said) == 2
    assert "mine: about " in said[0]
    assert "in fp32; it reads " in said[0]
    assert "  embedding_geometry " in said[0]
    (tmp_path / "evaluation/mine/embedding_geometry.json").unlink()
    rexplug.evaluate([f"mine={model_folder}", "bm25"], "suite.yaml", progress=notes)
    again = [note for note in notes.lines if " about " in note][-1]
    assert again != said[1]
    assert "mine: about " in again


def test_options_of_models_are_applied(tmp_path, monkeypatch, model_folder):
    monkeypatch.chdir(tmp_path)
    rows = [("red shirt", "red cotton", 3), ("soft shirt", "the number", 1), ("red is well", "is well " * 9, 2)] * 20
    table = "".join(f"{one} {n},{two} {n},{score}\n" for n, (one, two, score) in enumerate(rows))
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\n" + table)
    budget = "{modes: [probe], steps: 2, batch: 8, seeds: 1, learning_rates: [1e-3]}"
    (tmp_path / "suite.yaml").write_text(
        f"evaluators: [{{use: similarity, title: toy, train: t.csv, tuning: {budget}}}]"
    )
    named = {"model": f"prompted={model_folder}", "prompt": "the number is "}
    measured = rexplug.evaluate(
        [f"plain={model_folder}", named, f"{{model: cut={model_folder}, max_tokens: 8}}"],
        "suite.yaml",
        options={"similarity": "dot"},
    )
    assert [model.label for model in measured] == ["plain", "prompted", "cut"]
    plain, prompted, cut = (model.scores["similarity.toy"]["raw.spearman"].values[0] for model in measured)
    assert plain != prompted
    assert plain != cut
    assert max(plain) > 1, "a product of embeddings and not their cosine"


def test_a_recipe_without_evaluators_measures_nothing(tokenized_run):
    _, recipe, run = tokenized_run
    with pytest.raises(rexplug.RecipeError) as error:
        rexplug.evaluate(["bm25"], recipe, run_dir=run.root)
    assert str(error.value) == "the recipe 'small' has no evaluators; add some under `evaluators`, or name a suite"
