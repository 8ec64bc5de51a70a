"""The pytest fixtures, which come to every project where rexplug is installed."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
LIGHT = """\
import sys


def test_nothing_of_rexplug_but_the_fixtures_is_imported():
    loaded = {name for name in sys.modules if name.partition(".")[0] == "rexplug"}
    assert loaded == {"rexplug", "rexplug.lazy", "rexplug.renamed", "rexplug.testing", "rexplug.testing.fixtures"}
    assert not {"numpy", "pydantic", "torch"} & set(sys.modules)
"""
MESSAGES = """\
import pytest

pytest.register_assert_rewrite("rexplug.contracts")  # as pytest does with all packages of an installed plugin


def test_a_message_is_the_sentence_alone():
    from rexplug.testing import check_plugin

    with pytest.raises(AssertionError) as caught:
        check_plugin("nothing")
    assert str(caught.value).startswith("no plugin is called 'nothing'; there are ")
    assert len(str(caught.value).splitlines()) == 1
"""
QUICK = """\
def test_documents(rexplug_documents):
    assert {document.text for document in rexplug_documents} >= {"", "x"}


def test_tokens(rexplug_tokenized):
    document = rexplug_tokenized("a report of errors")
    assert document.text[slice(*document.offsets[-1])].strip() in "errors"
    assert not document.token_ids.flags.writeable
"""
SLOW = '''\
from pathlib import Path

RECIPE = """
name: own
sources: {texts: {use: jsonl, paths: $RECIPE_DIR/texts.jsonl}}
tokenizer: {use: train}
model: {size: base}
phases:
  - {name: pretrain, tokens: 1B, context: 128, batch_tokens: 1M, learning_rate: {peak: 1e-3}, masking: random,
     mixing: {use: annealing.constant, shares: {texts: 1}}}
"""


def test_context(rexplug_context):
    documents = rexplug_context.held_out["domain"]
    assert rexplug_context.encoder.encode([document.text for document in documents]).shape == (40, 128)
    assert rexplug_context.folder.is_dir()


def test_run(rexplug_run_tiny, tmp_path, rexplug_context):
    import json

    documents = rexplug_context.held_out["general"]
    lines = [json.dumps({"id": document.id, "text": document.text}) for document in documents]
    (tmp_path / "texts.jsonl").write_text("\\n".join(lines))
    (tmp_path / "own.yaml").write_text(RECIPE)
    run = rexplug_run_tiny(tmp_path / "own.yaml", tokens=1024, until="train.pretrain")
    assert run.folder == tmp_path / "run-1"
    assert run.metrics
'''


@pytest.fixture
def run_tests(tmp_path):
    """Runs pytest on a file in a project of its own, where rexplug is installed."""
    (tmp_path / "site" / "fixtures-1.0.dist-info").mkdir(parents=True)
    info = tmp_path / "site" / "fixtures-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fixtures\nVersion: 1.0\n")
    lines = [f"{name} = {module}" for name, module in ENTRY_POINTS.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")])

    def call(tests):
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "test_own.py").write_text(tests)
        # `no:hypothesispytest`: another plugin must not be what imports numpy.
        options = [
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:hypothesispytest",
            "--basetemp",
            tmp_path / "temporary",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "test_own.py"],
            cwd=tmp_path / "project", env=os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.mark.parametrize(
    "tests",
    [
        pytest.param(LIGHT, id="a project without rexplug"),
        pytest.param(MESSAGES, id="messages"),
        pytest.param(QUICK, id="quick", marks=pytest.mark.slow),
        pytest.param(SLOW, id="slow", marks=pytest.mark.slow),
    ],
)
def test_a_project_with_the_fixtures(run_tests, tests):
    assert f"{tests.count('def test_')} passed" in run_tests(tests)
