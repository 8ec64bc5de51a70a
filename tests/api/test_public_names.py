"""The public names exist, are typed and documented, and importing them loads no heavy module."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import rexplug
from rexplug import api

ROOT = Path(__file__).parents[2]
HEAVY = ["torch", "transformers", "datatrove", "composer", "mteb", "datasets", "matplotlib", "scipy", "sklearn"]
MEDIUM = ["numpy", "pyarrow", "orjson", "pandas"]
CORPUS = ["rexplug.corpus.curate", "rexplug.corpus.shard_jobs", "rexplug.corpus.relevance.train", "rexplug.engine"]


def loaded_by(code, names, *arguments):
    """Those of `names` that are loaded once Python has run `code`."""
    script = f"import sys, json\nsys.argv = ['rexplug', *{list(arguments)}]\n{code}\nprint()\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = json.loads(done.stdout.splitlines()[-1])
    return [name for name in names if name in modules]


COMMAND = "from rexplug.cli import _run\nassert _run() == 0"


def test_import_rexplug_loads_neither_pydantic_nor_numpy():
    assert loaded_by("import rexplug", ["pydantic", "click", "yaml", *MEDIUM, *HEAVY]) == []
    assert loaded_by("import rexplug; rexplug.Component", ["pydantic"]) == ["pydantic"]
    assert loaded_by("import rexplug; rexplug.run; rexplug.open_stream", [*MEDIUM, *HEAVY]) == []


def test_help_loads_the_command_line_alone():
    assert loaded_by(COMMAND, ["pydantic", "yaml", "rich", *MEDIUM, *HEAVY, *CORPUS], "--help") == []


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_recipe_is_read_without_numpy_and_curation(command):
    names = [*MEDIUM, *HEAVY, *CORPUS, "rich"]
    assert loaded_by(COMMAND, names, command, "recipes/ecommerce.yaml") == []


@pytest.mark.parametrize("arguments", [("plugins",), ("plan", "recipes/ecommerce.yaml")])
def test_plans_and_lists_load_nothing_heavy(arguments):
    assert loaded_by(COMMAND, [*HEAVY, "rexplug.engine"], *arguments) == []


@pytest.mark.parametrize("module", [rexplug, api], ids=["rexplug", "rexplug.api"])
def test_every_public_name_is_there_and_documented(module):
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


def test_names_that_do_not_exist():
    with pytest.raises(AttributeError, match="module 'rexplug' has no attribute 'nothing'"):
        _ = rexplug.nothing
    with pytest.raises(AttributeError, match="module 'rexplug.api' has no attribute 'nothing'"):
        _ = api.nothing


def test_functions_are_annotated_and_name_their_errors():
    for name in api.__all__:
        value = getattr(api, name)
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, name
            assert all(value.annotation is not inspect.Parameter.empty for value in signature.parameters.values()), name
    for name in ("load_recipe", "plan", "run", "open_run", "open_stream", "evaluate", "compare"):
        assert "Raises:" in (inspect.getdoc(getattr(rexplug, name)) or ""), name


def test_the_two_packages_share_their_names():
    for name in (
        "check",
        "compare",
        "evaluate",
        "load_recipe",
        "open_run",
        "open_stream",
        "plan",
        "run",
        "Run",
        "Recipe",
    ):
        assert getattr(rexplug, name) is getattr(api, name)
