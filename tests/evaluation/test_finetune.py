"""The fine-tuned tasks: what is learnt, what is chosen on dev, and how items are counted."""

import numpy as np
import pytest
import torch

from rexplug import DataError, Example, ExampleTask, FineTuning, NotApplicable, TaggedText, TaggingTask
from rexplug.evaluation import finetune_tasks
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.finetune import cosent
from rexplug.evaluation.finetune_tasks import _spans, _tags, _threshold
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
    """Alike if the colour is the same."""
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
    assert result.metrics["accuracy"].value > 0.8
    assert result.metrics["probe.accuracy"].value > 0.8
    assert result.metrics["accuracy"].num_seeds == 2
    assert finetune_tasks.classification(task, encoder, SMALL, 0) == result, "a fine-tune is a function of its seed"
    words = finetune_tasks.classification(task, LexicalModel("tfidf"), SMALL, 0)
    assert words.metrics["accuracy"].value > 0.9
    assert words.scores["accuracy"].ids == result.scores["accuracy"].ids


@pytest.mark.slow
def test_degrees_are_learnt_and_groups_kept(encoder):
    task = ExampleTask("alike", pairs(1), pairs(2), pairs(3))
    budget = SMALL.model_copy(update={"learning_rates": (1e-6, 3e-3)})
    result = finetune_tasks.similarity(task, encoder, budget, 0)
    assert result.metrics["spearman"].value > 0.5 > result.metrics["raw.spearman"].value
    assert result.notes == ["Full fine-tune: learning rate 0.003 of 1e-06, 0.003, chosen on dev."]
    assert set(result.scores["spearman"].groups) == {f"q{n}" for n in range(12)}


@pytest.mark.slow
def test_pairs_are_told_apart(encoder):
    as_text = [[Example(e.text, str(int(e.label)), e.second) for e in pairs(n)] for n in (1, 2, 3)]
    task = ExampleTask("same", *as_text)
    budget = SMALL.model_copy(update={"modes": ("probe",), "seeds": 1})
    result = finetune_tasks.pair_classification(task, encoder, budget, "1", 0)
    assert set(result.metrics) == {"f1", "accuracy"}
    assert result.metrics["f1"].value >= 0.6
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
    with pytest.raises(NotApplicable, match="bm25 compares words; it labels none"):
        finetune_tasks.tagging(task, LexicalModel("bm25"), SMALL, 0)


def test_spans_survive_the_way_through_tags(coarse, fine):
    text = "a red cotton shirt by Acme, steel kettle"
    spans = [(2, 12, "look"), (22, 26, "brand"), (28, 33, "look")]
    for tokenizer in (coarse, fine):
        places = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        tags = _tags(TaggedText(text, spans), places, ["brand", "look"])
        assert _spans(text, places, tags, ["brand", "look"]) == set(spans)
        assert tags[0] == tags[-1] == -1, "special tokens count for nothing"


def test_neighbouring_spans_of_one_label_stay_apart(fine):
    text = "red blue"
    places = fine(text, return_offsets_mapping=True)["offset_mapping"]
    spans = [(0, 4, "x"), (4, 8, "x")]
    tags = _tags(TaggedText(text, spans), places, ["x"])
    assert _spans(text, places, tags, ["x"]) == {(0, 3, "x"), (4, 8, "x")}


def test_cosent_is_that_of_sentence_transformers():
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    generator = torch.Generator().manual_seed(0)
    similarity, labels = torch.rand(12, generator=generator), torch.randint(0, 3, (12,), generator=generator).float()
    theirs = CoSENTLoss(model=None, similarity_fct=lambda a, b: similarity)
    expected = theirs.compute_loss_from_embeddings([similarity, similarity], labels)
    assert cosent(similarity, labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_threshold_is_the_best_of_dev():
    margin, truth = np.array([3.0, 2.0, 1.0, -1.0], np.float32), np.array([True, True, False, False])
    assert _threshold(margin, truth) == 2.0
    assert _threshold(np.zeros(3, np.float32), np.array([True, False, True])) == 0.0
    assert _threshold(margin, np.zeros(4, bool)) == 0.0


def test_a_part_without_examples_is_named(encoder):
    with pytest.raises(DataError) as caught:
        finetune_tasks.classification(ExampleTask("empty", classes(1), [], classes(3)), encoder, SMALL, 0)
    assert str(caught.value) == "empty: there are no examples in dev"


def test_bm25_does_not_classify():
    task = ExampleTask("colours", classes(1), classes(2), classes(3))
    with pytest.raises(NotApplicable) as caught:
        finetune_tasks.classification(task, LexicalModel("bm25"), SMALL, 0)
    assert str(caught.value) == "bm25 ranks; tfidf is the baseline that classifies"
