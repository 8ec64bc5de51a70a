"""What an encoder counts and says while it works, and what it does not compute twice."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from rexplug.evaluation import EvaluationData, ModelSpec, evaluate
from rexplug.evaluation.activity import Activity, EvaluatorProgress
from rexplug.evaluation.embedding_modules import Transform
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.examples import Classification
from rexplug.evaluation.geometry import EmbeddingGeometry
from rexplug.evaluation.kept import Kept, rows_key
from rexplug.evaluation.text_rows import Row
from rexplug.progress import Silent

TEXTS = ["a red shirt", "a steel kettle with a wooden handle", "oak"]


@pytest.fixture
def encoder(model_folder):
    encoder = HuggingFaceEncoder(model_folder)
    encoder.activity.reset()
    return encoder


def test_texts_are_counted_once(encoder):
    first = encoder.encode(TEXTS)
    activity = encoder.activity
    assert (activity.texts, activity.tokens) == (3, sum(map(len, encoder.tokenize(TEXTS))))
    assert activity.texts_per_second == pytest.approx(3 / activity.reading_seconds)
    np.testing.assert_array_equal(encoder.encode(TEXTS), first)
    assert activity.texts == 3, "the same embeddings are kept"
    encoder.encode(TEXTS[:2])
    assert activity.texts == 5
    encoder.clone().encode(TEXTS)
    assert activity.texts == 8, "a copy may have other weights; it counts with the model that it was made of"


def test_kept_embeddings_can_be_changed(encoder):
    first = encoder.encode(TEXTS)
    encoder.encode(TEXTS)[:] = 0
    np.testing.assert_array_equal(encoder.encode(TEXTS), first)


def test_transformed_embeddings_are_not_those_before(encoder):
    raw = encoder.encode(TEXTS)
    centred = encoder.clone_with(Transform.centring(torch.from_numpy(raw)))
    np.testing.assert_allclose(centred.encode(TEXTS), raw - raw.mean(0), atol=1e-6)


def test_what_happens_is_said(encoder):
    said = []
    activity = Activity(listener=said.append)
    with activity.reading(300) as batch:
        batch(200, 1000)
        batch(100, 400)
    first, other = activity.begin_fine_tune(), activity.begin_fine_tune()
    for number, done in ((first, 1), (other, 1), (first, 2)):
        with activity.training(number) as step:
            step(done, 2)
    assert said == [
        "200 of 300 texts read", "300 of 300 texts read", "fine-tune 1, step 1 of 2", "fine-tune 2, step 1 of 2",
        "fine-tune 1, step 2 of 2",
    ]  # fmt: skip
    counts = activity.counts()
    assert (counts["texts"], counts["tokens"], counts["fine_tunes"], counts["steps"]) == (300, 1400, 2, 3)
    activity.reset()
    assert not any(activity.counts().values())


def test_arrays_are_kept_within_a_size():
    computed = []

    def make(name):
        computed.append(name)
        return np.ones(250, np.float32)  # 1,000 bytes

    kept = Kept(max_bytes=2500)
    for name in ("a", "b", "a", "c", "a", "b"):
        kept.get(name, lambda name=name: make(name), lambda array: [array])
    assert computed == ["a", "b", "c", "b"], "b was not used for longest when c came"


def test_rows_have_the_same_key_only_if_their_embeddings_are_the_same():
    plain = np.arange(4)
    with_prompt, pair = np.arange(4).view(Row), np.arange(4).view(Row)
    with_prompt.prompt_length = 2
    pair.segments = np.array([0, 0, 1, 1])
    keys = [rows_key(rows) for rows in ([plain], [plain, plain], [plain[:2], plain[2:]], [with_prompt], [pair])]
    assert len(set(keys)) == len(keys)
    assert rows_key([np.arange(4)]) == keys[0]


class Said(Silent):
    """Remembers updates."""

    def __init__(self):
        self.updates = []

    def update(self, done, **metrics):
        self.updates.append((done, metrics))


def test_progress_is_shown_within_an_evaluator(model_folder, tmp_path, documents):
    progress = Said()
    rows = "".join(f"{c} {n},{c}\n" for n in range(30) for c in ("red", "oak"))
    (tmp_path / "t.csv").write_text("text,label\n" + rows)
    tuning = {"steps": 2, "batch": 8, "seeds": 1, "learning_rates": [1e-3], "max_tokens": 16}
    evaluators = [EmbeddingGeometry(), Classification.model_validate({"train": tmp_path / "t.csv", "tuning": tuning})]
    spec, data = ModelSpec("m", str(model_folder)), EvaluationData({"web": documents}, 3)
    results = evaluate(evaluators, spec, data, name="m", folder=tmp_path / "m", progress=progress, processor="a CPU")
    said = [metrics.get("now") for _, metrics in progress.updates]
    assert said[0] == "embedding_geometry (1 of 2)"
    assert "embedding_geometry (1 of 2): 8 of 8 texts read" in said
    assert "classification (2 of 2): fine-tune 1, step 2 of 2" in said
    shares = [done for done, _ in progress.updates]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    result = results["embedding_geometry"]
    assert (result["budget"], result["device"]) == ("standard", "a CPU")
    assert result["work"]["texts"] == 8
    assert results["classification"]["work"]["steps"] == 2
    again = Said()
    assert results == evaluate(
        evaluators, spec, data, name="m", folder=tmp_path / "m", progress=again, processor="other"
    )
    assert [done for done, _ in again.updates] == [0.5, 1.0], "both are stored"


def test_metrics_are_shown_until_the_next_evaluator_ends_and_all_of_them_at_the_end():
    progress = Said()
    evaluators = EvaluatorProgress(progress, "m", ["a", "b", "c"], [], {})
    for label in ("a", "b", "c"):
        with evaluators.during(label, None):
            pass
        evaluators.after(label, {f"{label} score": 0.5})
    shown, lines = {}, []
    for _, metrics in progress.updates:
        shown = {name: value for name, value in (shown | metrics).items() if value != ""}
        lines.append(shown)
    assert lines == [
        {"now": "a (1 of 3)"},
        {"a score": 0.5},
        {"a score": 0.5, "now": "b (2 of 3)"},
        {"b score": 0.5},
        {"b score": 0.5, "now": "c (3 of 3)"},
        {"a score": 0.5, "b score": 0.5, "c score": 0.5},
    ]


def test_progress_is_the_share_of_the_expected_time():
    """An evaluator that does not apply takes no time: counted like the others, it made the time that is left far too short."""
    progress = Said()
    evaluators = EvaluatorProgress(
        progress, "m", ["inapplicable", "b", "c"], [], {"inapplicable": 0.0, "b": 10.0, "c": 30.0}
    )
    for label in ("inapplicable", "b", "c"):
        evaluators.after(label)
    assert [done for done, _ in progress.updates] == [0.0, 0.25, 1.0]


def test_rows_of_other_lengths_in_a_batch_change_nothing(tmp_path, coarse):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(coarse), hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(tmp_path)
    coarse.save_pretrained(tmp_path)
    encoder = HuggingFaceEncoder(tmp_path)
    rows = encoder.tokenize(["oak " * n for n in (1, 40, 3, 90, 2, 88, 41)])
    together = encoder.hidden(rows)
    alone = torch.cat([encoder.hidden([row]) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
