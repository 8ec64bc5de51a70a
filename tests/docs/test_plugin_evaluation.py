"""The examples of types for evaluators on the pages of the plugin API: what they say is what happens."""

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field

import rexplug


def test_budget():
    # -- start Budget --
    class Costly(rexplug.Evaluator):
        """An evaluator whose cost depends on an option."""

        name: ClassVar[str] = "legal.costly"

        pairs: int = Field(default=3000, ge=1)
        """How many pairs are compared."""

        def at_budget(self, budget: rexplug.Budget):
            factor = {"quick": 0.1, "standard": 1, "full": 10}[budget]
            return self.model_copy(update={"pairs": round(factor * self.pairs)})

        def evaluate(self, context): ...

    # -- end Budget --
    assert Costly().at_budget("quick").pairs == 300


def test_fine_tuning():
    # -- start FineTuning --
    tuning = rexplug.FineTuning(steps=60, learning_rates=(1e-4, 1e-3))
    assert tuning.at_budget("quick").steps == 20
    # -- end FineTuning --


def test_encoder(encoder):
    # -- start Encoder --
    vectors = encoder.encode(["The tenant pays.", "The owner pays."])  # [2, dimensions], float32
    cosine = vectors[0] @ vectors[1] / np.linalg.norm(vectors, axis=1).prod()

    row = np.array(encoder.tokenizer("the tenant pays .")["input_ids"])  # [CLS] the tenant pays . [SEP]
    row[2] = encoder.tokenizer.mask_token_id
    (found,) = encoder.predict_masked([row], [np.array([2])])  # [1, 1]: one position, the best token
    assert encoder.tokenizer.decode(found[0]) == "owner"
    # -- end Encoder --
    assert 0.5 < cosine < 1


def test_held_out_documents():
    # -- start EvaluationContext --
    class FindsRest(rexplug.Evaluator):
        """Whether the first sentence of a held-out text finds the rest of it."""

        name: ClassVar[str] = "legal.finds_rest"

        source: str
        """The source whose held-out texts are used."""

        @property
        def needs_held_out(self):
            return True

        def why_no_test_texts(self):
            return "the texts are held out after curation"

        def evaluate(self, context):
            if self.source not in context.held_out:
                raise rexplug.DataError(f"{self.name}: nothing of a source '{self.source}' is held out")
            texts = {document.id: document.text.partition(". ") for document in context.held_out[self.source]}
            collection = rexplug.RetrievalCollection(
                name="first-sentences",
                corpus={key: rest for key, (_, _, rest) in texts.items()},
                queries={key: first for key, (first, _, _) in texts.items()},
                relevance={key: {key: 1} for key in texts},
            )
            return context.retrieval(collection)

    # -- end EvaluationContext --
    held_out = {"opinions": [rexplug.Document("1", "He appeals. The court agrees.")]}
    context = SimpleNamespace(held_out=held_out, retrieval=lambda collection: collection)
    found = FindsRest(source="opinions").evaluate(context)
    assert (found.queries, found.corpus) == ({"1": "He appeals"}, {"1": "The court agrees."})
    with pytest.raises(rexplug.DataError, match="nothing of a source 'laws' is held out"):
        FindsRest(source="laws").evaluate(context)


def test_retrieval_collection():
    # -- start RetrievalCollection --
    collection = rexplug.RetrievalCollection(
        name="statutes",
        corpus={"s12": "A lease ends with the term.", "s13": "A lease may be cancelled."},
        queries={"q1": "when does a lease end"},
        relevance={"q1": {"s12": 2, "s13": 1}},
    )
    assert collection.texts()["query q1"] == "when does a lease end"
    # -- end RetrievalCollection --


def test_example_task():
    # -- start Example --
    text = rexplug.Example("The tenant appeals.", "labour", group="case-7")  # for context.classification
    pair = rexplug.Example("A lease ends.", 0.8, second="A tenancy is over.")  # for context.similarity
    # -- end Example --
    assert text.second is None
    # -- start ExampleTask --
    examples = [rexplug.Example(f"Case {number}", "tax" if number % 2 else "labour") for number in range(100)]
    parts = {"train": [], "dev": [], "test": []}
    for example in examples:
        parts[rexplug.split_of(example.text)].append(example)
    task = rexplug.ExampleTask("areas", **parts)
    # -- end ExampleTask --
    assert len(task.texts()) == len(task.test)
    assert pair.label == 0.8


def test_tagging_task():
    # -- start TaggedText --
    tagged = rexplug.TaggedText("By § 12 it is void.", spans=[(3, 7, "citation")])
    start, end, label = tagged.spans[0]
    assert tagged.text[start:end] == "§ 12"
    # -- end TaggedText --
    assert label == "citation"
    # -- start TaggingTask --
    task = rexplug.TaggingTask("citations", train=[tagged], dev=[tagged], test=[tagged])
    # -- end TaggingTask --
    assert task.texts() == {"test 0": tagged.text}


def test_metric():
    # -- start Metric --
    accuracy = rexplug.Metric(0.75, low=0.7, high=0.8, num_items=400)
    # -- end Metric --
    assert accuracy.spread is None


def test_statistics():
    # -- start bootstrap_metric --
    scores = rexplug.Scores(ids=["q1", "q2", "q3", "q4"], values=[[1.0, 0.0, 1.0, 1.0]])
    metric = rexplug.bootstrap_metric(scores, seed=0)  # in an evaluator: context.seed
    assert (metric.value, metric.num_items) == (0.75, 4)
    assert metric.low < metric.value < metric.high
    # -- end bootstrap_metric --
    # -- start paired_test --
    ids = [f"q{number}" for number in range(40)]
    tuned = rexplug.Scores(ids, values=[[1.0] * 30 + [0.0] * 10])
    untuned = rexplug.Scores(ids, values=[[1.0] * 10 + [0.0] * 30])
    difference = rexplug.paired_test(tuned, untuned, seed=0)
    assert difference.value == 0.5
    assert difference.p < 0.001
    # -- end paired_test --
    # -- start holm_correction --
    first, second = rexplug.holm_correction([difference, rexplug.paired_test(tuned, tuned, seed=0)])
    assert first.p_holm == 2 * difference.p
    assert second.verdict == "may be chance"
    # -- end holm_correction --
    # -- start Difference --
    assert difference.low < difference.value < difference.high
    assert difference.num_items == 40
    # -- end Difference --


def test_report_section():
    # -- start ReportSection --
    section = rexplug.ReportSection(
        "Courts",
        "Accuracy for each court.",
        table=[{"court": "Trier", "accuracy": 0.9}, {"court": "Mainz", "accuracy": 0.7}],
    )
    # -- end ReportSection --
    assert section.figure is None


def test_trainable_encoder(encoder):
    import torch

    counts = encoder.encode
    encoder = SimpleNamespace(embed=lambda texts: torch.from_numpy(counts(texts)))
    # -- start TrainableEncoder --
    first, second = encoder.embed(["The tenant pays.", "The owner pays."])  # each [dimensions]
    loss = 1 - torch.nn.functional.cosine_similarity(first, second, dim=0)
    # -- end TrainableEncoder --
    assert 0 < loss < 1


def test_fine_tuned():
    # -- start FineTuned --
    tuned = rexplug.FineTuned(results={"full": [[1.0, 0.0], [1.0, 1.0]]}, untuned=[0.0, 0.0])  # two seeds, two items
    scores = rexplug.Scores(ids=["q1", "q2"], values=tuned.results["full"])
    assert rexplug.bootstrap_metric(scores, seed=0).value == 0.75
    # -- end FineTuned --


def test_scores():
    # -- start Scores --
    accuracy = rexplug.Scores(ids=["q1", "q2", "q3"], values=[[1.0, 0.0, 1.0]])  # one row: no fine-tune
    spearman = rexplug.Scores(ids=["p1", "p2", "p3"], values=[[0.9, 0.2, 0.4]], targets=[1.0, 0.0, 0.5])
    assert (accuracy.measured_by, spearman.measured_by) == ("mean", "spearman")
    # -- end Scores --


def test_items():
    # -- start EvaluatedItem --
    item = rexplug.EvaluatedItem(
        id="case-7", text="The tenant appeals.", score=0.0, correct=False, expected="lease", predicted="tax"
    )
    # -- end EvaluatedItem --
    assert item.second is None
    # -- start RankedDocument --
    ranking = [rexplug.RankedDocument("s12", "A lease ends with the term.", grade=2, score=0.83, rank=1)]
    query = rexplug.EvaluatedItem(id="q1", text="when does a lease end", score=1.0, ranking=ranking)
    # -- end RankedDocument --
    assert query.ranking
    # -- start MaskedWord --
    word = rexplug.MaskedWord(start=4, end=10, predicted="owner", correct=False)
    masked = rexplug.EvaluatedItem(id="case-7", text="The tenant appeals.", score=0.0, words=[word])
    # -- end MaskedWord --
    assert masked.text[word.start : word.end] == "tenant"


def test_evaluation_result():
    # -- start EvaluationResult --
    result = rexplug.EvaluationResult(
        metrics={"accuracy": rexplug.Metric(0.5, num_items=2), "loss": rexplug.Metric(1.3)},
        main="accuracy",
        lower_is_better=["loss"],
        tables={"By court": [{"court": "Trier", "accuracy": 1.0}, {"court": "Mainz", "accuracy": 0.0}]},
        scores={"accuracy": rexplug.Scores(["case-7", "case-8"], [[1.0, 0.0]])},
        notes=["The cases are made up."],
    )
    # -- end EvaluationResult --
    assert result.main in result.metrics


def test_split_of():
    # -- start split_of --
    parts = [rexplug.split_of(f"case-{number}") for number in range(1000)]
    assert (parts.count("train"), parts.count("dev"), parts.count("test")) == (709, 87, 204)
    # -- end split_of --


def test_not_applicable():
    # -- start NotApplicable --
    def evaluate(self, context):
        if context.encoder.max_tokens < 512:
            raise rexplug.NotApplicable("it reads fewer than 512 tokens")

    # -- end NotApplicable --
    with pytest.raises(rexplug.NotApplicable, match="it reads fewer than 512 tokens"):
        evaluate(None, SimpleNamespace(encoder=SimpleNamespace(max_tokens=128)))
