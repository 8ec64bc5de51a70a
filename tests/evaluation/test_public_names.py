"""Evaluators and sources of a plugin that imports public names alone (`harbour_plugin.py`)."""

import ast
import base64
import json
import math
import re
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

import harbour_plugin as harbour
import numpy as np
import pytest
import torch

import rexplug
from rexplug.errors import brief
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.harness import Context
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.plugin_fine_tunes import EncoderCopy
from rexplug.evaluation.trial_context import TrialContext
from rexplug.evaluation.workload import workload_of
from rexplug.plugins.trial_limits import TrialLimits, TrialOver
from rexplug.progress import Silent
from rexplug.testing import check_document_source

SMALL = rexplug.FineTuning(steps=2, batch=4, learning_rates=(1e-3,), checkpoints=1, seeds=1, max_tokens=16)
DATA = EvaluationData({}, 3)


@pytest.fixture(scope="module")
def encoder(model_folder):
    return HuggingFaceEncoder(model_folder)


@pytest.fixture
def fine_tune(encoder, tmp_path):
    """`EvaluationContext.fine_tune` on a random ModernBERT."""
    return Context(encoder, DATA, tmp_path).fine_tune


def measured(model_folder, folder):
    return evaluate(
        [harbour.Orders()], ModelSpec("last", str(model_folder)), DATA, name="last", folder=folder, progress=Silent()
    )["harbour.orders"]


def test_the_plugin_imports_public_names_alone():
    tree = ast.parse(Path(harbour.__file__).read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert others == {"rexplug", "torch", "matplotlib.figure"}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rexplug"
    }
    assert used <= set(rexplug.__all__)


def test_fields_of_records_of_ones_own_format(tmp_path):
    (tmp_path / "a.xml").write_text(
        "<notices><notice><no>7</no><body>The lock is closed.</body><port>Skagen</port></notice>"
        "<notice><no>8</no><body> </body></notice><advert/></notices>"
    )
    source = harbour.Notices(paths=str(tmp_path), text="body", id="no", metadata={"harbour": "port"})
    first, empty, advert = source.documents(rexplug.Shard(0, 1))
    assert (first.id, first.text) == ("7", "The lock is closed.")
    assert first.metadata == {"harbour": "Skagen", "place": f"{tmp_path / 'a.xml'}:1"}
    assert (empty.text, empty.metadata["rexplug_error"]) == ("", "no text in body")
    assert advert == rexplug.Unreadable("a.xml:3", "not a notice", f"{tmp_path / 'a.xml'}:3")
    check_document_source(source)


def test_an_evaluator_fine_tunes_tests_and_draws(model_folder, tmp_path):
    result = measured(model_folder, tmp_path)
    full, head = (result["metrics"][name] for name in ("accuracy", "accuracy.head"))
    assert full["value"] > 0.9
    assert full["low"] <= full["value"] <= full["high"]
    assert (full["num_seeds"], full["tags"]) == (2, [])
    assert head["tags"] == ["detail", "frozen"]
    (section,) = result["sections"]
    assert [row["metric"] for row in section["table"]] == ["accuracy", "accuracy.head"]
    assert section["table"][0]["gain"] > 0.3
    assert section["table"][0]["verdict"] == "differs on these items; seeds were not varied"
    png = base64.b64decode(section["figure"].removeprefix("data:image/png;base64,"))
    assert png.startswith(b"\x89PNG")
    assert {row["mode"] for row in result["tables"]["fine-tuning, on dev"]} == {"full", "probe"}
    assert any(note.startswith("Fine-tuned with learning rate 0.01 of 1e-05, 0.01") for note in result["notes"])
    assert any(note.startswith("Head alone: ") for note in result["notes"])
    assert json.loads((tmp_path / "harbour.orders.json").read_text()) == result


class Nearest(rexplug.FineTuningTask[float]):
    """Without a head: the embedding of a text is to be near that of its own beginning."""

    num_examples = 6

    def __init__(self, **returned):
        self.returned = returned
        self.sizes = Counter()

    def head(self, encoder):
        return self.returned.get("head")

    def loss(self, encoder, head, examples):
        if "loss" in self.returned:
            return self.returned["loss"]
        assert torch.is_grad_enabled()
        texts = [harbour.TEXTS[index] for index in examples]
        beginnings = encoder.embed([text[:9] for text in texts], role="query")
        vectors = encoder.token_vectors(texts)
        self.sizes.update(len(of_text) for of_text in vectors)
        means = torch.stack([of_text.mean(0) for of_text in vectors])
        assert beginnings.shape == (len(texts), encoder.dimensions)
        assert means.shape == (len(texts), encoder.hidden_size)
        return (1 - torch.cosine_similarity(beginnings, means)).mean()

    def on_dev(self, encoder, head):
        if "on_dev" in self.returned:
            return self.returned["on_dev"]
        assert not torch.is_grad_enabled()
        texts = harbour.TEXTS[10:16]
        beginnings = encoder.embed([text[:9] for text in texts])
        pairs = encoder.mean_vectors(texts, [text[:9] for text in texts])
        assert pairs.shape == (6, encoder.hidden_size)
        return torch.cosine_similarity(beginnings, encoder.mean_vectors(texts)).mean()

    def on_test(self, encoder, head):
        assert len(encoder.token_vectors(harbour.TEXTS[:3])) == 3
        return float(encoder.embed(harbour.TEXTS[:1])[0, 0])


@pytest.mark.parametrize("model", ["model_folder", "plain"], ids=["packed", "padded"])
def test_a_loss_without_a_head_trains_a_copy(model, request, tmp_path):
    encoder = HuggingFaceEncoder(request.getfixturevalue(model))
    fine_tune = Context(encoder, DATA, tmp_path).fine_tune
    before = encoder.encode(harbour.TEXTS[:1])
    state = torch.random.get_rng_state()
    task = Nearest()
    tuned = fine_tune(task, SMALL)
    assert list(tuned.results) == ["full"], "there is no head to train alone"
    assert tuned.results["full"] != [tuned.untuned]
    assert tuned.untuned == pytest.approx(float(encoder.encode(harbour.TEXTS[:1], 16)[0, 0]), abs=1e-6)
    assert tuned.table[-1]["dev"] > tuned.table[0]["dev"]
    np.testing.assert_array_equal(encoder.encode(harbour.TEXTS[:1]), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    lengths = [len(row) for row in encoder.tokenizer(harbour.TEXTS[:6], truncation=True, max_length=16)["input_ids"]]
    assert set(task.sizes) == set(lengths)


class WithDropout(Nearest):
    """Has a head with dropout."""

    def head(self, encoder):
        return torch.nn.Sequential(torch.nn.Dropout(0.9), torch.nn.Linear(encoder.hidden_size, encoder.hidden_size))

    def loss(self, encoder, head, examples):
        texts = [harbour.TEXTS[index] for index in examples]
        return (head(encoder.mean_vectors(texts)) - encoder.embed([text[:9] for text in texts])).square().mean()

    def on_dev(self, encoder, head):
        return -self.loss(encoder, head, range(6))

    def on_test(self, encoder, head):
        return float(self.on_dev(encoder, head))


def test_a_fine_tune_is_a_function_of_its_seed(fine_tune):
    one, other = fine_tune(WithDropout(), SMALL), fine_tune(WithDropout(), SMALL)
    assert list(one.results) == ["full", "probe"]
    assert one == other
    assert one.results["probe"][0] > one.untuned
    assert one.results["probe"] != one.results["full"]


class Diverges(Nearest):
    """Its score is a number before the fine-tune alone."""

    calls = 0

    def on_dev(self, encoder, head):
        self.calls += 1
        return 0.5 if self.calls == 1 else math.nan


def test_a_score_that_is_not_a_number_counts_as_the_worst(fine_tune):
    tuned = fine_tune(Diverges(), SMALL)
    assert tuned.results["full"] == [tuned.untuned]


def test_the_texts_of_an_encoder_are_several(encoder):
    copied = EncoderCopy(encoder, 16, trained=False)
    for method in (encoder.encode, copied.embed, copied.mean_vectors, copied.token_vectors):
        problem = rf"^{method.__name__}\(\) was given 'one text'; expected a sequence of texts$"
        with pytest.raises(TypeError, match=problem):
            method("one text")
    with pytest.raises(ValueError, match=r"^mean_vectors\(\) was given 2 texts and 1 pairs; expected as many$"):
        copied.mean_vectors(["one", "two"], ["three"])


def test_a_tuning_is_a_fine_tuning(fine_tune):
    with pytest.raises(ValueError, match=r"^fine_tune\(\) was given the tuning \{'steps': 3\}; expected a FineTuning$"):
        fine_tune(Nearest(), {"steps": 3})


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Nearest(loss=0.5), "task 'Nearest': loss() returned 0.5; expected a tensor that is a scalar"),
        (
            Nearest(loss=torch.ones(2, requires_grad=True)),
            "task 'Nearest': loss() returned a tensor with the shape [2]; expected a scalar that is differentiable in the weights",
        ),
        (
            Nearest(loss=torch.tensor(1.0)),
            "task 'Nearest': loss() returned a tensor with no gradient; expected a scalar that is differentiable in the weights",
        ),
        (Nearest(on_dev="good"), "task 'Nearest': on_dev() returned 'good'; expected a number"),
        (Nearest(on_dev=10**400), f"task 'Nearest': on_dev() returned {brief(10**400)}; expected a number"),
        (
            Nearest(on_dev=math.nan),
            "task 'Nearest': on_dev() gives no finite number for the encoder before the fine-tune",
        ),
        (Nearest(head=3), "task 'Nearest': head() returned 3; expected a torch.nn.Module or None"),
    ],
)
def test_what_a_task_returns_is_checked(fine_tune, task, message):
    with pytest.raises(rexplug.PluginError, match=f"^{re.escape(message)}$"):
        fine_tune(task, SMALL)


def test_a_task_needs_examples(fine_tune):
    task = Nearest()
    task.num_examples = 0
    with pytest.raises(ValueError, match=r"^task 'Nearest': num_examples is 0; expected a whole number of at least 1$"):
        fine_tune(task, SMALL)


def test_a_head_alone_needs_a_head(fine_tune):
    with pytest.raises(rexplug.DataError, match="the mode `probe` trains a head alone, and this task has none"):
        fine_tune(Nearest(), SMALL.model_copy(update={"modes": ("probe",)}))


def test_a_model_without_weights_is_not_applicable(tmp_path):
    with pytest.raises(rexplug.NotApplicable, match="the model cannot be fine-tuned"):
        Context(LexicalModel("tfidf"), DATA, tmp_path).fine_tune(Nearest(), SMALL)


@pytest.mark.parametrize("of_harness", [True, False])
def test_anything_but_a_task_is_refused(encoder, tmp_path, of_harness):
    context = (
        Context(encoder, DATA, tmp_path)
        if of_harness
        else TrialContext({}, tmp_path, 3, has_scorer=False, limits=TrialLimits())
    )
    with pytest.raises(ValueError, match=r"^fine_tune\(\) was given 3; expected a FineTuningTask$"):
        context.fine_tune(3, SMALL)


def test_a_trial_ends_at_a_fine_tune(tmp_path):
    limits = TrialLimits()
    context = TrialContext({}, tmp_path, 3, has_scorer=False, limits=limits)
    with pytest.raises(TrialOver, match="its task needs a model"):
        harbour.Orders().evaluate(context)
    assert limits.reached == "its task needs a model"


def test_the_work_of_a_loss_of_ones_own_is_not_known(encoder):
    assert workload_of(harbour.Orders(), encoder, DATA) is None


class Drawn(rexplug.Evaluator):
    """Returns sections as they are given."""

    name: ClassVar[str] = "toy.drawn"
    wrong: bool = False

    def evaluate(self, context):
        class Broken:
            def savefig(self, *_, **__):
                raise RuntimeError("no ink")

        section = "What I saw" if self.wrong else rexplug.ReportSection("Ink", figure=Broken())
        return rexplug.EvaluationResult({"score": rexplug.Metric(1.0)}, main="score", sections=[section])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (True, "toy.drawn: one of the sections is 'What I saw'; expected a ReportSection"),
        (False, "toy.drawn: the figure of the section 'Ink' cannot be drawn: RuntimeError: 'no ink'"),
    ],
)
def test_sections_that_cannot_be_stored_name_their_evaluator(model_folder, tmp_path, wrong, message):
    with pytest.raises(rexplug.PluginError) as caught:
        evaluate(
            [Drawn(wrong=wrong)], ModelSpec("last", str(model_folder)), DATA, name="last", folder=tmp_path,
            progress=Silent(),
        )  # fmt: skip
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"title": " ", "text": "a"}, "a ReportSection has the title ' '; expected a text that is not empty"),
        ({"title": "A"}, "the ReportSection 'A' is empty; give it a text, a table or a figure"),
        ({"title": "A", "text": 3}, "the text of the ReportSection 'A' is 3; expected a str"),
        (
            {"title": "A", "table": [1]},
            "the table of the ReportSection 'A' holds something else than rows; expected mappings of column -> value",
        ),
        (
            {"title": "A", "table": {"b": 1}},
            "the table of the ReportSection 'A' is {'b': 1}; expected a sequence of rows",
        ),
        *(
            (
                {"title": "A", "figure": figure},
                f"the figure of the ReportSection 'A' {problem}; expected a matplotlib figure, the bytes of a PNG file or the text of "
                "an SVG file",
            )
            for figure, problem in (
                (b"\xff\xd8\xff\xe0", f"begins with {bytes([255, 216, 255, 224])!r}, which no PNG file does"),
                (b"\x89PNG\r\n\x1a\nIHDR", "is a truncated PNG file"),
                (Path("a.png"), f"is of the type {type(Path()).__name__}"),
                ("a.svg", "is not valid SVG: syntax error: line 1, column 0"),
                ("<svg><g></svg>", "is not valid SVG: mismatched tag: line 1, column 10"),
                ("<html/>", "is a text whose first element is not svg"),
                ("<svg>\ud800</svg>", "is a text that has a lone surrogate and is not valid Unicode"),
                (
                    "<svg/>",
                    'is an SVG without its namespace, which browsers do not draw: <svg xmlns="http://www.w3.org/2000/svg">',
                ),
            )
        ),
    ],
)
def test_sections_are_checked_when_they_are_made(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        rexplug.ReportSection(**arguments)


SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.mark.parametrize(
    "figure", [SVG, f"\ufeff{SVG}", f"<!-- drawn -->{SVG}", f'<?xml version="1.0"?>\n<!DOCTYPE svg>\n{SVG}']
)
def test_the_text_of_an_svg_file_may_begin_with_more_than_its_element(figure):
    assert rexplug.ReportSection("A", figure=figure).figure == figure


def test_tags_are_words():
    assert rexplug.Metric(1.0, tags=["detail"]).tags == ("detail",)
    for tags in ("detail", [3], None, {"detail"}, {"detail": 1}):
        message = f"the tags of a Metric are {tags!r}; expected words, such as ('detail',)"
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            rexplug.Metric(1.0, tags=tags)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (rexplug.Scores(["a", "b"], [[1.0]]), "there are 1 values in a row, but 2 ids"),
        (rexplug.Scores(["a"], [1.0]), "'values' has the shape [1]; expected rows of numbers, a row for each seed"),
        (rexplug.Scores(["a"], [[1.0]], targets=[1.0, 2.0]), "there are 1 values in a row, but 2 targets"),
        (rexplug.Scores(["a"], [[math.nan]]), "'values' holds a number that is not finite"),
    ],
)
def test_scores_that_do_not_fit_together_are_refused(scores, message):
    expected = f"^{re.escape(f'the scores do not fit together: {message}')}$"
    with pytest.raises(ValueError, match=expected):
        rexplug.bootstrap_metric(scores, 0)
    with pytest.raises(ValueError, match=expected):
        rexplug.paired_test(scores, scores, 0)
