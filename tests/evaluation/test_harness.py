"""The results that the harness writes, reuses and rejects."""

import json
import math
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from rexplug import EvaluatedItem, EvaluationResult, Evaluator, Metric, PluginError
from rexplug.errors import brief
from rexplug.evaluation import EvaluationData, EvaluatorsFailed, ModelSpec, evaluate, read_scores
from rexplug.evaluation.item_files import items_path, read_items
from rexplug.evaluation.recovery import MaskedRecovery
from rexplug.progress import Silent


class Fixed(Evaluator):
    """Returns the metric that it was given."""

    name: ClassVar[str] = "toy.fixed"
    value: float = 0.5
    broken: bool = False
    main: str = "score"

    def evaluate(self, context):
        return EvaluationResult({"score": Metric(float("nan") if self.broken else self.value)}, main=self.main)


def run(evaluators, folder, tmp_path, documents):
    return evaluate(
        evaluators, ModelSpec("initial", str(folder)), EvaluationData({"web": documents}, 3), name="initial",
        folder=tmp_path / "initial", progress=Silent(),
    )  # fmt: skip


def test_results_are_written(model_folder, tmp_path, documents):
    results = run([MaskedRecovery(), Fixed()], model_folder, tmp_path, documents)
    assert list(results) == ["masked_recovery", "toy.fixed"]
    for name, result in results.items():
        assert json.loads((tmp_path / "initial" / f"{name}.json").read_text()) == result
    first = results["masked_recovery"]
    assert (first["moment"], first["main"]) == ("initial", "web.words")
    assert first["options"]["rate"] == 0.15
    assert set(first["metrics"]["web.words"]) == {
        "value", "low", "high", "num_items", "spread", "num_seeds", "tags",
    }  # fmt: skip
    assert first["metrics"]["web.words"]["tags"] == ["detail", "words"]
    scores = read_scores(tmp_path / "initial", "masked_recovery")["web.words"]
    assert sum(scores.weights[0]) == first["metrics"]["web.words"]["num_items"]
    assert read_scores(tmp_path / "initial", "toy.fixed") == {}
    assert first["revision"] == results["toy.fixed"]["revision"]


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        (Fixed(broken=True), "toy.fixed: the metric 'score' is nan; expected a Metric with a finite value"),
        (Fixed(main="accuracy"), "toy.fixed: the main metric 'accuracy' is not among score"),
    ],
)
def test_errors_of_results_name_their_evaluator(model_folder, tmp_path, documents, evaluator, message):
    with pytest.raises(PluginError) as caught:
        run([evaluator], model_folder, tmp_path, documents)
    assert str(caught.value) == message


class WithNumpy(Evaluator):
    """Returns what numpy computes with, and something that JSON cannot hold if told so."""

    name: ClassVar[str] = "toy.numpy"
    broken: bool = False

    def evaluate(self, context):
        metrics = {"score": Metric(np.float32(0.5), num_items=np.int64(3))}
        rows = [{"name": "a", "values": np.arange(2), "cell": object() if self.broken else np.bool_(True)}]
        return EvaluationResult(metrics, "score", tables={"Rows": rows}, examples=[{"text": "a", 3: None}])


def test_numbers_of_numpy_are_written_as_numbers(model_folder, tmp_path, documents):
    (result,) = run([WithNumpy()], model_folder, tmp_path, documents).values()
    assert json.loads((tmp_path / "initial" / "toy.numpy.json").read_text()) == result
    assert (result["metrics"]["score"]["value"], result["metrics"]["score"]["num_items"]) == (0.5, 3)
    assert result["tables"] == {"Rows": [{"name": "a", "values": [0, 1], "cell": True}]}
    assert result["examples"] == [{"text": "a", "3": None}]


def test_a_result_that_json_cannot_hold_names_its_evaluator(model_folder, tmp_path, documents):
    with pytest.raises(
        PluginError, match=r"^toy\.numpy\.evaluate\(\) returned a result that holds <object object at .*"
    ) as caught:
        run([WithNumpy(broken=True)], model_folder, tmp_path, documents)
    assert str(caught.value).endswith("; expected texts, numbers, lists and mappings")


CYCLE = {}
CYCLE["again"] = CYCLE


class WithCell(Evaluator):
    """Returns a table with one cell."""

    name: ClassVar[str] = "toy.cell"
    cell: ClassVar[Any] = None

    def evaluate(self, context):
        return EvaluationResult({"score": Metric(0.5)}, "score", tables={"Rows": [{"cell": self.cell}]})


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("a\ud800", "'a\\ud800', which has a lone surrogate and is not valid Unicode"),
        (np.complex64(1j), f"{np.complex64(1j)!r}; expected texts, numbers, lists and mappings"),
        (np.array(["2026-11-28"], "datetime64[D]"),
         "datetime.date(2026, 11, 28); expected texts, numbers, lists and mappings"),
        (10**400, f"{brief(10**400)}; expected texts, numbers, lists and mappings"),
        (CYCLE, "a mapping or list that contains itself; expected texts, numbers, lists and mappings"),
    ],
)  # fmt: skip
def test_a_cell_that_json_cannot_hold(model_folder, tmp_path, documents, monkeypatch, cell, problem):
    monkeypatch.setattr(WithCell, "cell", cell)
    with pytest.raises(PluginError) as caught:
        run([WithCell()], model_folder, tmp_path, documents)
    assert str(caught.value) == f"toy.cell.evaluate() returned a result that holds {problem}"


def test_numbers_that_are_not_finite_are_written_as_texts(model_folder, tmp_path, documents, monkeypatch):
    cell = {"nan": [math.nan], "low": -math.inf, "array": np.array([np.inf, 1])}
    monkeypatch.setattr(WithCell, "cell", cell)
    run([WithCell()], model_folder, tmp_path, documents)
    stored = json.loads((tmp_path / "initial" / "toy.cell.json").read_text(), parse_constant=pytest.fail)
    assert stored["tables"]["Rows"] == [{"cell": {"nan": ["nan"], "low": "-inf", "array": ["inf", 1.0]}}]


class Switches(Fixed):
    """Changes what is for the whole process."""

    name: ClassVar[str] = "toy.switches"

    def evaluate(self, context):
        os.chdir("/")
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.use_deterministic_algorithms(True)
        return super().evaluate(context)


@pytest.mark.parametrize("broken", [False, True])
def test_what_an_evaluator_switches_in_the_process_is_switched_back(
    model_folder, tmp_path, documents, monkeypatch, broken
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PluginError, match="nan") if broken else nullcontext():
        run([Switches(broken=broken)], model_folder, tmp_path, documents)
    assert Path.cwd() == tmp_path
    weight = torch.ones(1, requires_grad=True)
    assert (2 * weight).requires_grad
    assert (weight.dtype, weight.device.type) == (torch.float32, "cpu")
    assert not torch.are_deterministic_algorithms_enabled()


class Counted(Fixed):
    """Counts how often it ran."""

    name: ClassVar[str] = "toy.counted"
    file: Path
    calls: ClassVar[list[int]] = []

    def inputs(self):
        return (self.file,)

    def evaluate(self, context):
        self.calls.append(1)
        return super().evaluate(context)


def test_a_result_is_computed_once_until_something_changes(model_folder, tmp_path, documents):
    file = tmp_path / "data"
    file.write_text("one")
    Counted.calls.clear()
    first = run([Counted(file=file)], model_folder, tmp_path, documents)
    assert run([Counted(file=file)], model_folder, tmp_path, documents) == first
    assert len(Counted.calls) == 1
    run([Counted(file=file, value=0.25)], model_folder, tmp_path, documents)  # other options
    run([Counted(file=file, value=0.25)], model_folder, tmp_path, documents[1:])  # other held-out texts
    file.write_text("two")
    run([Counted(file=file, value=0.25)], model_folder, tmp_path, documents[1:])  # other data
    assert len(Counted.calls) == 4
    evaluate(
        [Counted(file=file, value=0.25)], ModelSpec("x", f"random:{model_folder}"), EvaluationData({"web": documents[1:]}, 3),
        name="x", folder=tmp_path / "initial", progress=Silent(),
    )  # fmt: skip
    assert len(Counted.calls) == 5  # another model


def test_a_result_in_bf16_is_another_result(model_folder, tmp_path, documents):
    def measure(precision):
        return evaluate(
            [Fixed()], ModelSpec("x", str(model_folder), precision), EvaluationData({"web": documents}, 3), name="x",
            folder=tmp_path, progress=Silent(),
        )["toy.fixed"]  # fmt: skip

    first, second = measure("fp32"), measure("bf16")
    assert (first["precision"], second["precision"]) == ("fp32", "bf16")
    assert first["key"] != second["key"]
    assert measure("fp32")["key"] == first["key"]


def test_products_are_exact_while_models_are_evaluated(model_folder, tmp_path, documents):
    import torch

    class InTf32(Fixed):
        """Looks whether TF32 is on."""

        name: ClassVar[str] = "toy.in_tf32"

        def evaluate(self, context):
            return EvaluationResult({"score": Metric(float(torch.backends.cuda.matmul.allow_tf32))}, main="score")

    torch.backends.cuda.matmul.allow_tf32 = True  # as in a phase that trains in TF32
    try:
        results = run([InTf32()], model_folder, tmp_path, documents)
        assert results["toy.in_tf32"]["metrics"]["score"]["value"] == 0
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False


def test_a_result_says_why_an_evaluator_does_not_apply(tmp_path, documents):
    results = evaluate(
        [MaskedRecovery()], ModelSpec("bm25", "bm25"), EvaluationData({"web": documents}, 3), name="bm25", folder=tmp_path,
        progress=Silent(),
    )  # fmt: skip
    assert results["masked_recovery"]["not_applicable"] == "bm25 compares words; it has no tokens"
    assert "metrics" not in results["masked_recovery"]


def test_nothing_to_evaluate_loads_nothing(tmp_path, documents):
    assert run([], tmp_path / "no-model", tmp_path, documents) == {}


def test_salience_per_character(model_folder, tmp_path):
    from rexplug import SalienceScorer
    from rexplug.evaluation.encoder import HuggingFaceEncoder
    from rexplug.evaluation.harness import Context

    class Red(SalienceScorer):
        """Marks tokens within the word red."""

        name: ClassVar[str] = "toy.red"

        def score(self, document):
            at = document.text.index("red")
            # A token may begin with the space before its word.
            return np.array([200 * (at - 1 <= a < b <= at + 3) for a, b in document.offsets], np.uint8)

    context = Context(HuggingFaceEncoder(model_folder), EvaluationData({}, 0, Red(), model_folder), tmp_path)
    text = "tall red dress"
    (marks,) = context.salience([text])
    assert "".join(c for c, m in zip(text, marks, strict=True) if m).strip() == "red"
    assert len(marks) == len(text)


def test_evaluators_are_listed_without_heavy_libraries():
    code = (
        "import sys; from importlib import import_module; "
        "names = ('beir', 'examples', 'geometry', 'long_documents', 'mteb_tasks', 'recovery', 'models'); "
        "[import_module(f'rexplug.evaluation.{name}') for name in names]; "
        "heavy = ('numpy', 'torch', 'transformers', 'mteb', 'datasets', 'pandas', 'pyarrow', 'scipy', 'sklearn'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Itemised(Fixed):
    """Gives items as well."""

    name: ClassVar[str] = "toy.itemised"
    odd: str = ""

    def evaluate(self, context):
        items = [
            EvaluatedItem("1", "steel kettle", 1.0),
            EvaluatedItem("2", "oak table", float("nan") if self.odd == "nan" else 0.0),
        ]
        return replace(super().evaluate(context), items=[*items, "item"] if self.odd == "text" else items)


def test_items_are_stored_beside_the_result_under_its_key(model_folder, tmp_path, documents):
    folder = tmp_path / "initial"
    (result,) = run([Itemised()], model_folder, tmp_path, documents).values()
    assert result["items"] == 2
    assert [item.text for item in read_items(folder, "toy.itemised", result["key"]).items] == [
        "steel kettle",
        "oak table",
    ]
    # Without its items a result is computed again.
    items_path(folder, "toy.itemised").unlink()
    (again,) = run([Itemised()], model_folder, tmp_path, documents).values()
    assert read_items(folder, "toy.itemised", again["key"]) is not None
    # An evaluator that gives none leaves no file of an earlier one.
    items_path(folder, "toy.fixed").write_text("{}")
    (plain,) = run([Fixed()], model_folder, tmp_path, documents).values()
    assert plain["items"] == 0
    assert not items_path(folder, "toy.fixed").exists()


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ("nan", "toy.itemised: the score of the item '2' is nan; expected a finite number"),
        ("text", "toy.itemised: one of the items is 'item'; expected an EvaluatedItem"),
    ],
)
def test_items_that_are_none_name_their_evaluator(model_folder, tmp_path, documents, odd, message):
    with pytest.raises(PluginError) as caught:
        run([Itemised(odd=odd)], model_folder, tmp_path, documents)
    assert str(caught.value) == message


def test_masked_words_of_a_document_are_an_item(model_folder, tmp_path, documents):
    (result,) = run([MaskedRecovery(draws=2)], model_folder, tmp_path, documents).values()
    items = read_items(tmp_path / "initial", "masked_recovery", result["key"]).items
    scores = read_scores(tmp_path / "initial", "masked_recovery")["web.words"]
    assert [item.id for item in items] == [f"web/{key}" for key in scores.ids]
    assert [len(item.words) for item in items] == scores.weights[0]
    assert all(item.text[word.start : word.end].strip() for item in items for word in item.words)


class Failing(Fixed):
    """Raises an exception that rexplug does not know."""

    name: ClassVar[str] = "toy.failing"

    def evaluate(self, context):
        raise ValueError("no such split")


def test_an_exception_of_an_evaluator_names_it_and_the_others_are_measured(model_folder, tmp_path, documents):
    with pytest.raises(EvaluatorsFailed) as caught:
        run([Failing(), Fixed()], model_folder, tmp_path, documents)
    first, line = str(caught.value).splitlines()
    assert first == "toy.failing: toy.failing.evaluate() raised ValueError: no such split"
    assert line == f'  {__file__}:{_line_of("raise ValueError(")}, in evaluate: raise ValueError("no such split")'
    assert list(caught.value.results) == ["toy.fixed"]


def _line_of(text):
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip().startswith(text))
