"""The fine-tuned tasks: they learn, choose on dev, and count items."""

from dataclasses import replace

import numpy as np
import pytest

from rexplug import DataError, Example, ExampleTask, FineTuning, NotApplicable, TaggedText, TaggingTask
from rexplug.evaluation import finetune_tasks
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.finetune_tasks import best_threshold
from rexplug.evaluation.lexical import LexicalModel

SMALL = FineTuning(steps=20, batch=8, learning_rates=(3e-3,), seeds=2, max_tokens=24)
COLOURS = ("red", "blue", "oak", "steel")
THINGS = ("shirt", "kettle", "table", "dress", "belt", "door")


@pytest.fixture(scope="module")
def encoder(model_folder):
    return HuggingFaceEncoder(model_folder)


def classes(number):
    """A text's class is its colour."""
    generator = np.random.default_rng(number)
    return [
        Example(f"the {COLOURS[i % 4]} {generator.choice(THINGS)} number {number * 100 + i}", COLOURS[i % 4])
        for i in range(40)
    ]


def pairs(number):
    """Similar if the colour is the same."""
    generator = np.random.default_rng(number)
    found = []
    for i in range(48):
        one = COLOURS[i % 4]
        two = one if i % 2 else str(generator.choice([c for c in COLOURS if c != one]))
        label = float(one == two)
        found.append(
            Example(
                f"a {one} {generator.choice(THINGS)} {number}{i}",
                label,
                f"{two} {generator.choice(THINGS)}",
                f"q{i // 4}",
            )
        )
    return found


@pytest.mark.slow
def test_classes_are_learnt(encoder):
    task = ExampleTask("colours", classes(1), classes(2), classes(3))
    result = finetune_tasks.classification(task, encoder, SMALL, 0)
    assert result.main == "accuracy"
    assert set(result.metrics) == {"accuracy", "probe.accuracy", "macro_f1", "probe.macro_f1"}
    assert result.headlines == ["probe.accuracy"]
    assert result.metrics["accuracy"].value > 0.8
    assert result.metrics["probe.accuracy"].value > 0.8
    assert finetune_tasks.classification(task, encoder, SMALL, 0) == result, "a fine-tune is a function of its seed"
    words = finetune_tasks.classification(task, LexicalModel("tfidf"), SMALL, 0)
    assert words.metrics["accuracy"].value > 0.9
    assert words.metrics["probe.accuracy"] == words.metrics["accuracy"], "compared with an encoder before and after"
    assert words.scores["accuracy"].ids == result.scores["accuracy"].ids
    for of_model in (result, words):
        assert [item.id for item in of_model.items] == of_model.scores["accuracy"].ids
        assert [item.correct for item in of_model.items] == [bool(v) for v in of_model.scores["accuracy"].values[0]]
    assert result.items[1].expected == "blue"


@pytest.mark.slow
def test_degrees_are_learnt_and_groups_kept(encoder):
    task = ExampleTask("alike", pairs(1), pairs(2), pairs(3))
    budget = SMALL.model_copy(update={"learning_rates": (1e-6, 3e-3)})
    result = finetune_tasks.similarity(task, encoder, budget, 0)
    assert result.metrics["spearman"].value > 0.5 > result.metrics["raw.spearman"].value
    assert result.headlines == ["untuned.spearman"]
    starts = {name: result.metrics[f"{name}.spearman"] for name in ("raw", "centred", "whitened")}
    assert result.metrics["untuned.spearman"] in starts.values()
    assert result.notes[0].startswith("Start of the fine-tune: ")
    assert result.notes[1].startswith("Fine-tuned with learning rate 0.003 of 1e-06, 0.003, ")
    assert [row["steps"] for row in result.tables["fine-tuning, on dev"]][:3] == [0, 5, 5]
    assert set(result.scores["spearman"].groups) == {f"q{n}" for n in range(12)}
    assert [item.predicted for item in result.items] == result.scores["spearman"].values[0]
    assert [item.expected for item in result.items] == result.scores["spearman"].targets


@pytest.mark.slow
def test_a_fine_tune_that_ruins_the_model_is_not_the_figure(encoder):
    def by_the_model(examples):
        """The pairs, labelled with the model's own cosines: the order of the untuned model is the best that there is."""
        one, two = (
            encoder.encode(texts).astype(float) for texts in ([e.text for e in examples], [e.second for e in examples])
        )
        cosines = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        return [replace(e, label=float(cosine)) for e, cosine in zip(examples, cosines, strict=True)]

    split = [by_the_model(pairs(seed)) for seed in (1, 2, 3)]
    task = ExampleTask("alike", *split)
    budget = SMALL.model_copy(update={"modes": ("full",), "learning_rates": (30.0,), "seeds": 2})
    result = finetune_tasks.similarity(task, encoder, budget, 0)
    assert result.metrics["spearman"] == result.metrics["untuned.spearman"]
    assert result.notes[1].startswith("Fine-tuning did not help on dev (")
    assert result.notes[1].endswith("the metric is that of the untuned encoder.")


def test_a_start_can_be_set(encoder):
    task = ExampleTask("alike", pairs(1), pairs(2), pairs(3))
    budget = SMALL.model_copy(update={"modes": ("probe",), "seeds": 1, "start": "whitened"})
    result = finetune_tasks.similarity(task, encoder, budget, 0)
    assert result.metrics["untuned.spearman"] == result.metrics["whitened.spearman"]
    assert result.metrics["whitened.spearman"] != result.metrics["raw.spearman"]


@pytest.mark.slow
def test_both_texts_of_a_pair_are_read_in_a_full_fine_tune(encoder):
    as_text = [[Example(e.text, str(int(e.label)), e.second) for e in pairs(n)] for n in (1, 2, 3)]
    budget = SMALL.model_copy(update={"modes": ("full",), "seeds": 1})
    result = finetune_tasks.pair_classification(ExampleTask("same", *as_text), encoder, budget, "1", 0)
    assert set(result.metrics) == {"f1", "accuracy", "probe.f1", "probe.accuracy"}
    assert result.headlines == ["probe.f1"]
    assert result.metrics["f1"].value >= 0.6


@pytest.mark.slow
def test_pairs_are_classified(encoder):
    as_text = [[Example(e.text, str(int(e.label)), e.second) for e in pairs(n)] for n in (1, 2, 3)]
    task = ExampleTask("same", *as_text)
    budget = SMALL.model_copy(update={"modes": ("probe",), "seeds": 1})
    result = finetune_tasks.pair_classification(task, encoder, budget, "1", 0)
    assert set(result.metrics) == {"f1", "accuracy"}
    assert result.metrics["f1"].value >= 0.6
    assert [item.correct for item in result.items] == [bool(v) for v in result.scores["accuracy"].values[0]]
    assert {item.predicted for item in result.items} == {"0", "1"}
    with pytest.raises(DataError) as caught:
        finetune_tasks.pair_classification(task, encoder, budget, "yes", 0)
    assert str(caught.value) == "same: expected two classes, one of them 'yes', in train; found 0, 1"


@pytest.mark.slow
def test_tags_are_learnt(encoder):
    def texts(number):
        found = []
        for i, example in enumerate(classes(number)):
            start = example.text.index(COLOURS[i % 4])
            found.append(TaggedText(example.text, [(start, start + len(COLOURS[i % 4]), "colour")]))
        return found

    task = TaggingTask("tags", texts(1), texts(2), texts(3))
    result = finetune_tasks.tagging(task, encoder, SMALL, 0)
    assert result.metrics["f1"].value > 0.8
    assert set(result.metrics) == {"f1", "probe.f1"}
    hits = [2.0 * len(set(item.expected_spans) & set(item.predicted_spans)) for item in result.items]
    assert hits == result.scores["f1"].values[0], "spans are those of the first fine-tune"
    assert result.headlines == ["probe.f1"]
    with pytest.raises(NotApplicable, match="bm25 compares words and does not tag them"):
        finetune_tasks.tagging(task, LexicalModel("bm25"), SMALL, 0)


@pytest.mark.slow
def test_tags_beyond_64_tokens_are_scored(encoder):
    """Tagged words at the end of a text of more than 64 tokens are found, or count as missed if `max_tokens` cuts them off."""

    def texts(number):
        found = []
        for i in range(40):
            colour = COLOURS[i % 4]
            text = f"{'a thing of wood and more ' * 8}number {number * 100 + i} in {colour}"
            found.append(TaggedText(text, [(len(text) - len(colour), len(text), "colour")]))
        return found

    task = TaggingTask("tags", texts(1), texts(2), texts(3))
    whole = SMALL.model_copy(update={"modes": ("probe",), "seeds": 1, "max_tokens": None})
    assert min(len(row) for row in encoder.tokenize([text.text for text in task.test])) > 64
    assert finetune_tasks.tagging(task, encoder, whole, 0).metrics["f1"].value > 0.9
    cut = whole.model_copy(update={"max_tokens": 64})
    assert finetune_tasks.tagging(task, encoder, cut, 0).metrics["f1"].value == 0.0


def test_degrees_use_the_similarity_of_the_model(model_folder):
    from rexplug.recipe.evaluation import ModelOptions

    model = HuggingFaceEncoder(model_folder, options=ModelOptions(similarity="dot"))
    task = ExampleTask("alike", pairs(1), pairs(2), pairs(3))
    budget = FineTuning(modes=("probe",), steps=2, batch=8, learning_rates=(1e-3,), seeds=1)
    values = finetune_tasks.similarity(task, model, budget, 0).scores["raw.spearman"].values[0]
    example = task.test[0]
    one, two = model.encode([example.text, example.second])
    assert values[0] == pytest.approx(float(one @ two), abs=1e-5)


def test_the_threshold_is_the_best_of_dev():
    margin, truth = np.array([3.0, 2.0, 1.0, -1.0], np.float32), np.array([True, True, False, False])
    assert best_threshold(margin, truth) == 2.0
    assert best_threshold(np.zeros(3, np.float32), np.array([True, False, True])) == 0.0
    assert best_threshold(margin, np.zeros(4, bool)) == 0.0


def test_no_threshold_has_a_better_f1_by_scikit_learn():
    from sklearn.metrics import f1_score

    generator = np.random.default_rng(12)
    for _ in range(20):
        margin, truth = generator.normal(size=30).round(1).astype(np.float32), generator.random(30) < 0.4
        f1 = {threshold: f1_score(truth, margin >= threshold) for threshold in margin}
        assert f1[np.float32(best_threshold(margin, truth))] == pytest.approx(max(f1.values()))


def test_a_part_without_examples_is_named(encoder):
    with pytest.raises(DataError) as caught:
        finetune_tasks.classification(ExampleTask("empty", classes(1), [], classes(3)), encoder, SMALL, 0)
    assert str(caught.value) == "empty: there are no examples in dev"


def test_bm25_does_not_classify():
    task = ExampleTask("colours", classes(1), classes(2), classes(3))
    with pytest.raises(NotApplicable) as caught:
        finetune_tasks.classification(task, LexicalModel("bm25"), SMALL, 0)
    assert str(caught.value) == "bm25 ranks texts and does not classify them; tfidf is the lexical baseline that does"
