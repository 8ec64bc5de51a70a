"""What the harness writes, and what it refuses."""

import json
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

from rexplug import EvaluationResult, Evaluator, Metric, PluginError
from rexplug.evaluation import evaluate
from rexplug.evaluation.evaluators import MaskedRecovery
from rexplug.progress import Silent


class Fixed(Evaluator):
    """Returns the metric that it was given."""

    name: ClassVar[str] = "toy.fixed"
    value: float = 0.5
    main: str = "score"

    def evaluate(self, context):
        return EvaluationResult({"score": Metric(self.value)}, main=self.main)


def run(evaluators, folder, tmp_path, documents):
    return evaluate(
        evaluators, folder, tokenizer=folder, held_out={"web": documents}, scorer=None, seed=3, moment="initial",
        folder=tmp_path / "initial", progress=Silent(),
    )  # fmt: skip


def test_results_are_written(model_folder, tmp_path, documents):
    found = run([MaskedRecovery(), Fixed()], model_folder, tmp_path, documents)
    assert list(found) == ["masked_recovery", "toy.fixed"]
    for name, result in found.items():
        assert json.loads((tmp_path / "initial" / f"{name}.json").read_text()) == result
    first = found["masked_recovery"]
    assert (first["moment"], first["main"]) == ("initial", "web.words")
    assert first["options"]["rate"] == 0.15
    assert set(first["metrics"]["web.words"]) == {"value", "low", "high", "num_items"}
    assert first["revision"] == found["toy.fixed"]["revision"]


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        (Fixed(value=float("nan")), "toy.fixed: the metric 'score' is nan"),
        (Fixed(main="accuracy"), "toy.fixed: the main metric 'accuracy' is not among score"),
    ],
)
def test_broken_results_are_blamed_on_their_evaluator(model_folder, tmp_path, documents, evaluator, message):
    with pytest.raises(PluginError) as caught:
        run([evaluator], model_folder, tmp_path, documents)
    assert str(caught.value) == message


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

    context = Context(HuggingFaceEncoder(model_folder), {}, tmp_path, 0, Red(), model_folder)
    text = "tall red dress"
    (marks,) = context.salience([text])
    assert "".join(c for c, m in zip(text, marks, strict=True) if m).strip() == "red"
    assert len(marks) == len(text)


def test_listing_evaluators_imports_nothing_heavy():
    code = (
        "import sys, rexplug.evaluation.evaluators as e; e.MaskedRecovery(); "
        "print([m for m in ('torch', 'transformers', 'mteb', 'datasets', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
