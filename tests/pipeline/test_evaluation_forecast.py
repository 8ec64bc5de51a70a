"""Forecasts of evaluations: total and parts before, what it took in the history after, and corrections by it."""

import json
from typing import ClassVar

import pytest

from rexplug import EvaluationResult, Evaluator, Example, ExampleTask, FineTuning, Metric, RetrievalCollection
from rexplug.evaluation import EvaluationData
from rexplug.evaluation.lexical import LexicalModel
from rexplug.pipeline.evaluation_forecast import EvaluationForecast
from rexplug.planning import cache_file
from rexplug.progress import Silent

TUNING = FineTuning(steps=4, batch=8, learning_rates=(1e-3,), seeds=1, max_tokens=16)


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class Colours(Evaluator):
    """Classes of few texts."""

    name: ClassVar[str] = "toy.colours"

    def evaluate(self, context):
        examples = [Example(f"{colour} {n}", colour) for n in range(20) for colour in ("red", "oak")]
        return context.classification(ExampleTask("t", examples, examples, examples), TUNING)


class Odd(Evaluator):
    """Does what nobody counts."""

    name: ClassVar[str] = "toy.odd"

    def evaluate(self, context):
        return EvaluationResult({"x": Metric(float(len(context.encoder.embed_rows([]))))}, "x")


class Search(Evaluator):
    """Ranks the same texts as others of its kind, without a fine-tune."""

    name: ClassVar[str] = "toy.search"
    title: str

    @property
    def label(self):
        return f"{self.name}.{self.title}"

    def evaluate(self, context):
        corpus = {f"d{n}": f"oak {n}" for n in range(3)}
        return context.retrieval(RetrievalCollection(self.title, corpus, {"q": "red"}, {"q": {"d0": 1}}))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    from rexplug.evaluation.encoder import HuggingFaceEncoder

    folder = tmp_path_factory.mktemp("model")
    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator(["red oak 0 1 2"], trainers.WordLevelTrainer(special_tokens=["[UNK]", "[PAD]", "[MASK]"]))
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=32,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    return HuggingFaceEncoder(folder)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REXPLUG_CACHE", str(tmp_path / "cache"))


def test_the_time_of_each_evaluator_is_noted_before(encoder):
    progress = Notes()
    expected = EvaluationForecast("m", progress).before(encoder, [Colours(), Odd()], EvaluationData({}, 3))
    assert set(expected) == {"toy.colours", "toy.odd"}
    (note,) = progress.notes
    total, colours, odd = note.splitlines()
    assert total.startswith("  m: about ")
    assert " tokens/s, fine-tunes on " in total
    assert total.endswith(" tokens/s; less where a fine-tune is stopped early")
    assert "texts, 1 fine-tunes, 4 steps in all" in colours
    assert odd.endswith("not counted, by default within 3x")


def test_texts_that_evaluators_share_are_those_of_the_first(encoder):
    progress = Notes()
    EvaluationForecast("m", progress).before(encoder, [Search(title="a"), Search(title="b")], EvaluationData({}, 3))
    _, first, second = progress.notes[0].splitlines()
    assert first.endswith("  4 texts")
    assert second.endswith("  4 texts as toy.search.a")


def test_what_evaluators_took_corrects_the_next_forecast(encoder):
    data = EvaluationData({}, 3)
    first = EvaluationForecast("m", Notes())
    first.before(encoder, [Colours()], data)
    first.after(encoder, Colours(), 100.0)
    assert first.finished == {"toy.colours"}
    (line,) = cache_file().read_text().splitlines()
    assert json.loads(line)["work"]["forecast_seconds"] > 0
    progress = Notes()
    second = EvaluationForecast("m", progress)
    expected = second.before(encoder, [Colours()], data)["toy.colours"]
    assert expected == pytest.approx(3 * second._forecast["toy.colours"]), "by three at most"
    assert progress.notes[0].endswith("; measured here before")


def test_lexical_baselines_have_no_forecast():
    progress, model = Notes(), LexicalModel("bm25")
    forecast = EvaluationForecast("bm25", progress)
    assert forecast.before(model, [Colours()], EvaluationData({}, 3)) == {}
    forecast.after(model, Colours(), 1.0)
    assert (progress.notes, forecast.finished) == ([], {"toy.colours"})


def test_a_forecast_that_fails_is_a_note(encoder, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("rexplug.evaluation.speed.measure_speed", fail)
    progress = Notes()
    assert EvaluationForecast("m", progress).before(encoder, [Colours()], EvaluationData({}, 3)) == {}
    assert progress.notes == ["  m: no forecast of the time (out of memory)"]
