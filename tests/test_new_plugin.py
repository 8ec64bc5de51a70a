"""`rexplug new-plugin`: what it writes is tested, built, installed and run as it is."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rexplug import api
from rexplug.cli import cli
from rexplug.errors import RexplugError
from rexplug.new_plugin import KINDS, write_plugin
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import load_recipe


def module_of(folder: Path, name: str):
    """The plugin's module, from its folder."""
    file = folder / "src" / f"rexplug_{name}" / "__init__.py"
    spec = importlib.util.spec_from_file_location(f"rexplug_{name}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"rexplug_{name}"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def imported(request):
    """Imports a plugin and forgets it after the test."""
    before = set(sys.modules)
    yield module_of
    for name in set(sys.modules) - before:
        if name.startswith("rexplug_town"):
            del sys.modules[name]


@pytest.mark.parametrize("kinds", [[kind] for kind in KINDS] + [["filter", "scorer"], list(KINDS)], ids="-".join)
def test_every_choice_of_components_loads_with_a_valid_recipe(tmp_path, kinds, imported):
    write_plugin("town", tmp_path / "town", kinds)
    registry = load_plugins({"town": imported(tmp_path / "town", "town")})
    assert registry.failures == []
    assert len([entry for entry in registry.entries.values() if entry.plugin == "town"]) == len(kinds)
    recipe = load_recipe(tmp_path / "town" / "src" / "rexplug_town" / "recipe.yaml", (), registry)
    assert list(recipe.sources) == ["general", "town"]
    test = (tmp_path / "town" / "tests" / "test_town.py").read_text()
    assert test.count("def test_") == len(kinds) + 2


def test_the_recipe_is_found_by_the_name_of_the_plugin(tmp_path, imported):
    write_plugin("town", tmp_path / "town", ["filter"])
    registry = load_plugins({"town": imported(tmp_path / "town", "town")})
    assert load_recipe(Path("town"), (), registry).name == "town"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Town"], "'Town' cannot be the name of a plugin: lower-case letters, digits and underscores, a letter first, and not core or "
         "rexplug"),
        (["core"], "'core' cannot be the name of a plugin: lower-case letters, digits and underscores, a letter first, and not core or "
         "rexplug"),
        (["town", "--components", "filter,scorrer"], "no kind of component is called 'scorrer'; did you mean 'scorer'? (the kinds "
         "are source, filter, labeller, mixing, masking, scorer, evaluator)"),
        (["town", "--components", ","], "a plugin has at least one component; the kinds are source, filter, labeller, mixing, "
         "masking, scorer, evaluator"),
        (["town", "--out", "full"], "full exists already; give another folder with --out"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_said(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    result = CliRunner().invoke(cli, ["new-plugin", *arguments])
    assert isinstance(result.exception, RexplugError)
    assert str(result.exception) == message
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_the_command_lists_the_files_and_what_comes_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["new-plugin", "old_town"], catch_exceptions=False)
    assert result.output.splitlines()[0] == "  rexplug-old-town/pyproject.toml"
    assert result.output.splitlines()[-1] == (
        "Next: cd rexplug-old-town, pip install -e '.[test]', pytest, rexplug run old_town"
    )
    assert all((tmp_path / line.strip()).is_file() for line in result.output.splitlines()[:-2])


@pytest.mark.slow
def test_its_tests_pass_its_wheel_builds_and_its_recipe_runs(tmp_path):
    folder = tmp_path / "rexplug-town"
    api.new_plugin("town", folder)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def call(*command, **options):
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            **options,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "wheels", folder)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    call("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel)
    paths = [str(tmp_path / "site"), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    assert "rexplug-town 0.1.0" in call("-m", "rexplug", "plugins")
    assert f"{len(KINDS) + 2} passed" in call(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests", cwd=tmp_path
    )
    call("-m", "rexplug", "run", "town", "--quiet", cwd=tmp_path)
    for file in ("model/model.safetensors", "report.html", "evaluation/anneal/town.finds_decision.json"):
        assert (tmp_path / "runs" / "town" / file).is_file(), file
