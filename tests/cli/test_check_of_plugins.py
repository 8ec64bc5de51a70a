"""`rexplug check` tries the labeller and the evaluator of a plugin's file in a process that loads no torch."""

import subprocess
import sys

import pytest

PLUGIN = '''
"""A legal vertical."""

import rexplug


class Statutes(rexplug.Labeller):
    """Labels what cites a section."""

    name = "legal.statutes"

    def label(self, candidates, context):
        """Whether the text has the word."""
        return ["Section" in candidate.document.text for candidate in candidates]


class Nearest(rexplug.Evaluator):
    """How often the nearest text is of the same source."""

    name = "legal.nearest"
    broken: bool = False
    """Whether it fails before the model is used."""

    def test_texts(self):
        """What it measures on."""
        return {"1": "a", "2": "b"}

    def evaluate(self, context):
        """Measure with torch."""
        vectors = context.encoder.encode(list(self.test_texts().values()))
        if self.broken:
            return rexplug.EvaluationResult({"accuracy": rexplug.Metric(float(vectors.shape[1]))}, "acuracy")
        import torch

        return torch.tensor(vectors)


COMPONENTS = [Statutes, Nearest]
'''
RECIPE = """
name: legal
plugins: [./legal.py]
sources: {{web: {{use: text, paths: texts, filters: [{{use: relevance, at_least: 0.5}}]}}}}
relevance: {{labels: legal.statutes}}
tokenizer: {{use: train, vocabulary: 320}}
model: {{size: nano}}
evaluators: [{{use: legal.nearest, broken: {broken}}}]
phases:
  - {{name: one, tokens: 10k, context: 64, batch_tokens: 512, learning_rate: {{peak: 1e-3}}, masking: random,
      mixing: {{use: annealing.constant, shares: {{web: 1}}}}}}
"""
CODE = """
import sys
from rexplug.cli import _run
sys.argv = ["rexplug", "check", "recipe.yaml"]
code = _run()
assert "torch" not in sys.modules
sys.exit(code)
"""


@pytest.mark.parametrize(("broken", "code"), [("false", 0), ("true", 2)])
def test_a_labeller_and_an_evaluator(tmp_path, broken, code):
    (tmp_path / "legal.py").write_text(PLUGIN)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(broken=broken))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "1.txt").write_text("a text")
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    problem = "evaluators.0 (legal.nearest): legal.nearest: the main metric 'acuracy' is not among accuracy"
    assert (problem in done.stdout + done.stderr) == (code == 2)
